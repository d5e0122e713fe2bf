"""The minter: claims wait in a queue until they are validated, are minted or refused with the reason, and count once for each proof."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from eil_economy.domain.book import find_transfer
from eil_economy.domain.database import Database
from eil_economy.domain.errors import DifferentTransfer, LedgerError, PendingNotFound, PolicyUnknown, ProofRequired
from eil_economy.domain.holds import reserve, resolve
from eil_economy.domain.ledger import mint
from eil_economy.domain.policies import SAVINGS_BONUS, policy_of
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import MAX_TEXT_CHARS, require_account, require_name

State = Literal["pending", "minted", "refused"]
PROOF_PREFIX: Final = "proof:"
"""Ids of mints that a proof earned begin so, however they were asked for: a proof is paid once."""
BONUS_PREFIX: Final = "bonus:"
"""Ids of savings bonuses begin so."""
DAY_US: Final = 86_400 * 10**6
_HEX: Final = frozenset("0123456789abcdef")
_COLUMNS: Final = (
    "number, tenant, proof_id, policy, version, owner, evidence, inputs, state, amount_u, why, created_us, decided_us"
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A mint asked for. `why` says why it was refused; `amount_u` is what was minted, 0 until then."""

    number: int
    tenant: str
    proof_id: str
    policy: str
    version: int
    owner: str
    evidence: str
    inputs: str
    state: State
    amount_u: int
    why: str
    created_us: int
    decided_us: int | None


def require_proof(proof_id: str, evidence: str) -> None:
    """A proof is named, and its record's digest. Raises ProofRequired, InvalidName."""
    if not proof_id:
        raise ProofRequired("the mint names no proof: nothing is minted without one.", "proof_id")
    require_name(proof_id, "proof_id")
    if len(evidence) != 64 or not _HEX.issuperset(evidence):
        raise ProofRequired(
            "evidence is no SHA-256 of a proof's record: send its 64 hexadecimal digits in lower case.", "evidence"
        )


def submit(
    conn: Database,
    tenant: str,
    proof_id: str,
    policy: tuple[str, int],
    owner: str,
    evidence: str,
    inputs: Mapping[str, int],
    now_us: int,
) -> tuple[Claim, bool]:
    """Queues a claim under a policy (name, version); the same claim again is answered as it stands, with True.

    Raises ProofRequired, InvalidName, PolicyUnknown (not in force, or it is no claim's), InvalidInputs, DifferentTransfer (the proof
    claimed something else under this policy).
    """
    require_proof(proof_id, evidence)
    require_account(owner, "owner")
    terms = policy_of(*policy)
    if terms.condition != "valid_proof":
        raise PolicyUnknown(f"policy {terms.name} is not claimed by proofs but mints when {terms.condition}.", "policy")
    terms.evaluate(inputs)
    wanted = {
        "version": terms.version,
        "owner": owner,
        "evidence": evidence,
        "inputs": json.dumps(dict(inputs), sort_keys=True, separators=(",", ":")),
    }
    known = find_claim(conn, tenant, proof_id, terms.name)
    if known is None:
        conn.execute(
            "INSERT INTO claim (number, tenant, proof_id, policy, version, owner, evidence, inputs, state, created_us) "
            "SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, 'pending', ? FROM claim",
            (tenant, proof_id, terms.name, *wanted.values(), now_us),
        )
        known = find_claim(conn, tenant, proof_id, terms.name)
        assert known is not None, "it was written just now"
        return known, False
    for name, value in wanted.items():
        if getattr(known, name) != value:
            raise DifferentTransfer(
                f"proof {proof_id!r} claimed {name} {getattr(known, name)!r} before, not {value!r}: a proof claims once.",
                name,
            )
    return known, True


def validate(conn: Database, now_us: int, limit: int) -> tuple[Claim, ...]:
    """Decides up to `limit` waiting claims of all tenants, oldest first: each is minted, or refused with the reason."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM claim WHERE state = 'pending' ORDER BY number LIMIT ?", (limit,)
    ).fetchall()
    return tuple(_decide(conn, Claim(*row), now_us) for row in rows)


def decided(conn: Database, claim: Claim, now_us: int) -> Claim:
    """The claim, decided now if it waits: nobody before it in the queue has a say in it."""
    return _decide(conn, claim, now_us) if claim.state == "pending" else claim


def find_claim(conn: Database, tenant: str, proof_id: str, policy: str) -> Claim | None:
    """The claim of a proof under a policy, if it was submitted."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM claim WHERE tenant = ? AND proof_id = ? AND policy = ?", (tenant, proof_id, policy)
    ).fetchone()
    return None if row is None else Claim(*row)


def claims(conn: Database, tenant: str, before: int, limit: int) -> tuple[tuple[Claim, ...], int | None]:
    """The tenant's claims, newest first, numbered below `before`; and where to continue, None at the end."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM claim WHERE tenant = ? AND number < ? ORDER BY number DESC LIMIT ?",
        (tenant, before, limit + 1),
    ).fetchall()
    found = tuple(Claim(*row) for row in rows[:limit])
    return found, found[-1].number if len(rows) > limit else None


def reserve_bonus(
    conn: Database, tenant: str, proof_id: str, owner: str, saving_j: int, ttl_us: int, now_us: int
) -> Transfer:
    """Sets aside the issue of a savings bonus for a saving of at most `saving_j` [J], until it is proven, voided or `ttl_us` later.

    Raises ProofRequired, InvalidInputs, AmountNotPositive, and what `holds.reserve` raises.
    """
    amount_u = SAVINGS_BONUS.evaluate({"saving_low_j": saving_j})
    order = Instruction.minting(
        _bonus_id(proof_id),
        owner,
        SAVINGS_BONUS.token,
        amount_u,
        f"savings bonus of {proof_id}",
        SAVINGS_BONUS.reference,
    )
    return reserve(conn, tenant, order, ttl_us, now_us)


def post_bonus(conn: Database, tenant: str, proof_id: str, saving_low_j: int, evidence: str, now_us: int) -> Transfer:
    """Mints the bonus of the proven lower bound [J], at most what was reserved; the rest is given up. A bound of 0 voids it.

    Raises ProofRequired, InvalidInputs, and what `holds.resolve` raises.
    """
    require_proof(proof_id, evidence)
    amount_u = SAVINGS_BONUS.evaluate({"saving_low_j": saving_low_j})
    if not amount_u:
        return void_bonus(conn, tenant, proof_id, f"nothing proven, {evidence[:16]}", now_us)
    pending = find_transfer(conn, tenant, _bonus_id(proof_id))
    if pending is not None:
        amount_u = min(amount_u, pending.amount_u)
    return _resolved(conn, tenant, proof_id, "post", now_us, amount_u, f"proven, evidence {evidence}")


def void_bonus(conn: Database, tenant: str, proof_id: str, reason: str, now_us: int) -> Transfer:
    """Gives the reserved bonus up, with the reason. Raises ProofRequired and what `holds.resolve` raises."""
    return _resolved(conn, tenant, proof_id, "void", now_us, None, reason)


def _resolved(
    conn: Database,
    tenant: str,
    proof_id: str,
    outcome: Literal["post", "void"],
    now_us: int,
    amount_u: int | None,
    reason: str,
) -> Transfer:
    pending_id = _bonus_id(proof_id)
    if find_transfer(conn, tenant, pending_id) is None:
        raise PendingNotFound(f"no bonus is reserved for proof {proof_id!r}: reserve it before the proof.", "proof_id")
    return resolve(conn, tenant, f"@{outcome}/{pending_id}", pending_id, outcome, now_us, amount_u, reason)


def _bonus_id(proof_id: str) -> str:
    if not proof_id:
        raise ProofRequired("the bonus names no proof: nothing is minted without one.", "proof_id")
    return BONUS_PREFIX + require_name(proof_id, "proof_id")


def _decide(conn: Database, claim: Claim, now_us: int) -> Claim:
    amount_u, why = 0, ""
    try:
        amount_u, why = _earned(conn, claim, now_us)
        if amount_u:
            reference = f"policy {claim.policy} v{claim.version} evidence {claim.evidence}"
            reason = f"valid proof of {claim.proof_id}"
            token = policy_of(claim.policy, claim.version).token
            mint(
                conn,
                claim.tenant,
                PROOF_PREFIX + claim.proof_id,
                claim.owner,
                token,
                amount_u,
                reason,
                now_us,
                reference,
            )
    except LedgerError as error:
        amount_u, why = 0, str(error)
    conn.execute(
        "UPDATE claim SET state = ?, amount_u = ?, why = ?, decided_us = ? WHERE number = ?",
        ("minted" if amount_u else "refused", amount_u, why[: 2 * MAX_TEXT_CHARS], now_us, claim.number),
    )
    decided = find_claim(conn, claim.tenant, claim.proof_id, claim.policy)
    assert decided is not None, "claims are kept for ever"
    return decided


def _earned(conn: Database, claim: Claim, now_us: int) -> tuple[int, str]:
    """What a claim earns, and why it does not. Raises PolicyUnknown where the policy changed since, InvalidInputs."""
    policy, inputs = policy_of(claim.policy, claim.version), json.loads(claim.inputs)
    if not inputs.get("valid", 1):
        return 0, "the proof failed: a failed proof earns nothing"
    amount_u = policy.evaluate(inputs)
    if not amount_u:
        return 0, f"the formula {policy.formula} gives nothing for {claim.inputs}"
    day = now_us // DAY_US * DAY_US
    minted = conn.execute(
        "SELECT amount_u FROM claim WHERE tenant = ? AND policy = ? AND state = 'minted' AND decided_us >= ? AND decided_us < ?",
        (claim.tenant, claim.policy, day, day + DAY_US),
    ).fetchall()
    left_u = policy.day_cap_u - sum(row[0] for row in minted) if policy.day_cap_u else amount_u
    if amount_u > left_u:
        return (
            0,
            f"the day's cap of the policy leaves {max(0, left_u)} u of {policy.day_cap_u} u, {amount_u} u are claimed",
        )
    if find_transfer(conn, claim.tenant, PROOF_PREFIX + claim.proof_id) is not None:
        return 0, "the proof was paid before"
    return amount_u, ""
