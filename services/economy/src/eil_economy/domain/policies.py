"""What is minted without being earned: declared, versioned, and recorded as a mint like any other."""

import sqlite3
from dataclasses import dataclass
from typing import Final, Literal

from eil_economy.domain.ledger import post_now
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import CEU, TREASURY, U_PER_TOKEN

Condition = Literal["no_treasury_account"]
"""`no_treasury_account`: the tenant's treasury has never held this token."""


@dataclass(frozen=True, slots=True)
class MintPolicy:
    """Mints `amount_u` of `token` to the tenant's treasury, once, when `condition` holds.

    A change of terms is a new version; the mint's reference names the version that paid.
    """

    name: str
    version: int
    token: str
    amount_u: int
    condition: Condition


STARTING_GRANT: Final = MintPolicy("starting_grant", 1, CEU, 1000 * U_PER_TOKEN, "no_treasury_account")
"""A million inference steps, enough to try every model before anything is earned."""
POLICIES: Final = (STARTING_GRANT,)


def apply_policies(
    conn: sqlite3.Connection, tenant: str, now_us: int, policies: tuple[MintPolicy, ...] = POLICIES
) -> tuple[Transfer, ...]:
    """The mints that were due to this tenant, recorded now; empty when none was. Raises as `ledger.mint` does."""
    return tuple(_grant(conn, tenant, policy, now_us) for policy in policies if _holds(conn, tenant, policy))


def _holds(conn: sqlite3.Connection, tenant: str, policy: MintPolicy) -> bool:
    account = conn.execute(
        "SELECT 1 FROM account WHERE tenant = ? AND owner = ? AND token = ?", (tenant, TREASURY, policy.token)
    ).fetchone()
    return account is None


def _grant(conn: sqlite3.Connection, tenant: str, policy: MintPolicy, now_us: int) -> Transfer:
    order = Instruction.minting(
        # Without the version: a tenant is granted a policy once, not once per version.
        f"@policy/{policy.name}",
        TREASURY,
        policy.token,
        policy.amount_u,
        reason=policy.name,
        reference=f"policy {policy.name} v{policy.version}",
    )
    return post_now(conn, tenant, order, now_us)
