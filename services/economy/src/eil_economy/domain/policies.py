"""Mint policies: declared, versioned contracts. A mint names the policy and version that paid it, in its reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from eil_economy.domain.database import Database
from eil_economy.domain.errors import InvalidInputs, PolicyUnknown
from eil_economy.domain.formula import evaluate, names_in
from eil_economy.domain.ledger import post_now
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import CEU, MAX_AMOUNT_U, MUNT, PFT, TREASURY, U_PER_TOKEN

Condition = Literal["no_treasury_account", "valid_proof", "proven_saving", "licence_paid"]
"""When a policy mints: `no_treasury_account`, the tenant's treasury has never held this token; `valid_proof`, the proof service submits a
verdict and the validator accepts it; `proven_saving`, measurement & verification proves what was reserved; `licence_paid`, an operator
issues a licence and its price was paid."""


@dataclass(frozen=True, slots=True)
class MintPolicy:
    """Mints `formula` of `token`, 10⁻⁶ token, when `condition` holds; a change of terms is a new version.

    `parameters` are the policy's own numbers, `inputs` what the claim must bring, whole numbers from 0 on. One mint is cut to `cap_u`;
    in a tenant and UTC day no more than `day_cap_u` are minted by it (0: no such limit).
    """

    name: str
    version: int
    token: str
    condition: Condition
    formula: str
    parameters: tuple[tuple[str, int], ...]
    inputs: tuple[str, ...]
    cap_u: int
    day_cap_u: int = 0

    def __post_init__(self) -> None:
        named = {name for name, _ in self.parameters} | set(self.inputs)
        if names_in(self.formula) != named:
            raise ValueError(f"policy {self.name}: the formula's names are not its parameters and inputs")

    @property
    def reference(self) -> str:
        """How a mint names it."""
        return f"policy {self.name} v{self.version}"

    @property
    def amount_u(self) -> int:
        """What it mints, if it needs no inputs."""
        return self.evaluate({})

    def evaluate(self, inputs: Mapping[str, int]) -> int:
        """What these inputs earn, 10⁻⁶ token, in 0 … cap. Raises InvalidInputs: one is missing, unknown or out of range."""
        if inputs.keys() != set(self.inputs):
            wanted, given = (", ".join(sorted(names)) or "none" for names in (self.inputs, inputs))
            raise InvalidInputs(
                f"policy {self.name} v{self.version} takes the inputs {wanted}; given: {given}.", "inputs"
            )
        for name, value in inputs.items():
            if not 0 <= value <= MAX_AMOUNT_U:
                raise InvalidInputs(f"{name} is {value}: inputs are whole numbers from 0 to 2**62.", "inputs")
        return max(0, min(self.cap_u, evaluate(self.formula, dict(self.parameters) | dict(inputs))))


STARTING_GRANT: Final = MintPolicy(
    "starting_grant",
    1,
    CEU,
    "no_treasury_account",
    "grant_u",
    (("grant_u", 1000 * U_PER_TOKEN),),
    (),
    1000 * U_PER_TOKEN,
)
"""A million inference steps, enough to try every model before anything is earned."""
PROOF_REWARD: Final = MintPolicy(
    *("proof_reward", 1, PFT, "valid_proof"),
    "min(valid, 1) * (reward_u * min(confidence_ppm, one_ppm) // one_ppm)",
    (("one_ppm", 10**6),),
    ("valid", "reward_u", "confidence_ppm"),
    cap_u=20 * U_PER_TOKEN,
    day_cap_u=100_000 * U_PER_TOKEN,
)
"""What the proof's skill earned, times its confidence; a failed proof earns nothing, whatever else it says."""
SAVINGS_BONUS: Final = MintPolicy(
    *("savings_bonus", 1, PFT, "proven_saving"),
    "saving_low_j * u_per_j",
    (("u_per_j", 1),),
    ("saving_low_j",),
    cap_u=10_000 * U_PER_TOKEN,
)
"""One PFT for each megajoule of the proven lower bound."""
LICENCE: Final = MintPolicy("licence", 1, MUNT, "licence_paid", "unit_u", (("unit_u", U_PER_TOKEN),), (), U_PER_TOKEN)
"""One MUNT for each licence, held until its term ends."""
POLICIES: Final = (STARTING_GRANT, PROOF_REWARD, SAVINGS_BONUS, LICENCE)
"""In force: one version of each name."""


def policy_of(name: str, version: int) -> MintPolicy:
    """The policy in force. Raises PolicyUnknown: there is none of this name, or its version in force is another."""
    for policy in POLICIES:
        if policy.name == name:
            if policy.version != version:
                raise PolicyUnknown(f"policy {name} is in force in version {policy.version}, not {version}.", "version")
            return policy
    raise PolicyUnknown(
        f"there is no policy {name!r}; there are {', '.join(policy.name for policy in POLICIES)}.", "policy"
    )


def apply_policies(
    conn: Database, tenant: str, now_us: int, policies: tuple[MintPolicy, ...] = (STARTING_GRANT,)
) -> tuple[Transfer, ...]:
    """The grants that were due to this tenant, recorded now; empty when none was. Raises as `ledger.mint` does."""
    return tuple(_grant(conn, tenant, policy, now_us) for policy in policies if _holds(conn, tenant, policy))


def _holds(conn: Database, tenant: str, policy: MintPolicy) -> bool:
    account = conn.execute(
        "SELECT 1 FROM account WHERE tenant = ? AND owner = ? AND token = ?", (tenant, TREASURY, policy.token)
    ).fetchone()
    return account is None


def _grant(conn: Database, tenant: str, policy: MintPolicy, now_us: int) -> Transfer:
    order = Instruction.minting(
        # Without the version: a tenant is granted a policy once, not once per version.
        f"@policy/{policy.name}",
        TREASURY,
        policy.token,
        policy.amount_u,
        reason=policy.name,
        reference=policy.reference,
    )
    return post_now(conn, tenant, order, now_us)
