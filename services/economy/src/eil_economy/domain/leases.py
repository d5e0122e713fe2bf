"""CEU leases: compute credits are reserved before the work, and only what was used is paid."""

from typing import Final

from eil_economy.domain.book import all_or_nothing, find_transfer
from eil_economy.domain.database import Database
from eil_economy.domain.errors import AmountTooLarge, InvalidAmount, PendingNotFound
from eil_economy.domain.holds import reserve, resolve
from eil_economy.domain.policies import STARTING_GRANT, MintPolicy, apply_policies
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import CEU, MAX_AMOUNT_U, METERING, TREASURY, require_name

LEASE: Final = "compute_lease"


def draw_lease(
    conn: Database,
    tenant: str,
    lease_id: str,
    holder: str,
    amount_u: int,
    ttl_us: int,
    now_us: int,
    policies: tuple[MintPolicy, ...] = (STARTING_GRANT,),
) -> Transfer:
    """Reserves `amount_u` CEU of the tenant's treasury for `holder` (the reference), who may use them for `ttl_us`.

    A tenant that never held CEU first receives its starting grant. Raises as `holds.reserve` does (Overdraft when the
    credits are spent); then no grant is recorded either.
    """
    order = lease_order(lease_id, TREASURY, holder, amount_u)
    with all_or_nothing(conn):
        apply_policies(conn, require_name(tenant, "tenant"), now_us, policies)
        return reserve(conn, tenant, order, ttl_us, now_us)


def treasury_left(conn: Database, tenant: str) -> int:
    """What the tenant's treasury could spend now, 10⁻⁶ CEU."""
    row = conn.execute(
        "SELECT balance_u - reserved_u FROM account WHERE tenant = ? AND owner = ? AND token = ?",
        (tenant, TREASURY, CEU),
    ).fetchone()
    return row[0] if row else 0


def lease_order(lease_id: str, source: str, holder: str, amount_u: int) -> Instruction:
    """What a lease reserves, and for whom. Raises InvalidName."""
    return Instruction(lease_id, source, METERING, CEU, amount_u, LEASE, require_name(holder, "holder"))


def settle_lease(conn: Database, tenant: str, lease_id: str, used_u: int, now_us: int) -> Transfer:
    """Pays `used_u` of the lease to metering, the rest returns; 0 returns all of it. Repeating it changes nothing.

    Raises InvalidAmount, PendingNotFound (no such lease) and what `holds.resolve` raises: PendingExpired after the
    lease's time, ExceedsPending.
    """
    if not isinstance(used_u, int) or isinstance(used_u, bool) or used_u < 0:
        raise InvalidAmount(f"used_u is {used_u!r}: give the credits used as an integer, 0 or more.", "used_u")
    if used_u > MAX_AMOUNT_U:
        raise AmountTooLarge(f"used_u is {used_u}: the ledger's limit is 2**62.", "used_u")
    lease = find_transfer(conn, tenant, lease_id)
    if lease is None or (lease.destination, lease.reason) != (METERING, LEASE):
        raise PendingNotFound(f"No lease {lease_id!r}: check the id that drawing it returned.", "lease_id")
    outcome = "post" if used_u else "void"
    return resolve(conn, tenant, f"@settle/{lease_id}", lease_id, outcome, now_us, used_u or None)
