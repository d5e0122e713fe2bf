"""Two-phase transfers: reserve, then post, void or expire, at most once."""

from dataclasses import replace
from typing import Final, Literal

from eil_economy.domain.book import admit, draft, find_resolution, find_transfer, replay_of, standing, write
from eil_economy.domain.database import Database
from eil_economy.domain.errors import (
    AlreadyPosted,
    AlreadyResolved,
    AlreadyVoided,
    ExceedsPending,
    NotPending,
    PendingExpired,
    PendingNotFound,
)
from eil_economy.domain.ledger import require_instruction
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import format_amount, require_amount, require_id, require_text, require_timeout

Outcome = Literal["post", "void", "expire"]
_RESOLVED: Final[dict[str, type[AlreadyResolved]]] = {
    "post": AlreadyPosted,
    "void": AlreadyVoided,
    "expire": PendingExpired,
}


def reserve(conn: Database, tenant: str, order: Instruction, timeout_us: int, now_us: int) -> Transfer:
    """Sets `amount_u` of the source aside for the destination until posted, voided, or `timeout_us` later.

    Cover is checked here, so that posting cannot fail for lack of it. A minting instruction reserves new issue.
    Raises InvalidTimeout and whatever `ledger.transfer` raises.
    """
    require_id(order.transfer_id)
    return hold(conn, tenant, order, timeout_us, now_us)


def hold(conn: Database, tenant: str, order: Instruction, timeout_us: int, now_us: int) -> Transfer:
    """`reserve`, under an id that may be the ledger's own."""
    require_instruction(tenant, order)
    line = draft(tenant, order, now_us, timeout_us=require_timeout(timeout_us), link_id=None)
    now = admit(conn, line)
    if isinstance(now, Transfer):
        return now
    line = write(conn, line, now)
    conn.execute(
        "INSERT INTO hold (tenant, transfer_id, expires_us) VALUES (?, ?, ?)",
        (tenant, line.transfer_id, now_us + timeout_us),
    )
    return line


def post(
    conn: Database,
    tenant: str,
    transfer_id: str,
    pending_id: str,
    now_us: int,
    amount_u: int | None = None,
    reason: str | None = None,
) -> Transfer:
    """Carries out a reservation, in full or for `amount_u` of it; the rest returns to the source.

    `reason` defaults to the reservation's. Raises InvalidAmount and what `resolve` raises.
    """
    require_id(transfer_id)
    if amount_u is not None:
        require_amount(amount_u)
    return resolve(conn, tenant, transfer_id, pending_id, "post", now_us, amount_u, reason)


def void(
    conn: Database, tenant: str, transfer_id: str, pending_id: str, now_us: int, reason: str | None = None
) -> Transfer:
    """Cancels a reservation: all of it returns to the source. Raises what `resolve` raises."""
    require_id(transfer_id)
    return resolve(conn, tenant, transfer_id, pending_id, "void", now_us, None, reason)


def resolve(
    conn: Database,
    tenant: str,
    transfer_id: str,
    pending_id: str,
    outcome: Outcome,
    now_us: int,
    amount_u: int | None = None,
    reason: str | None = None,
    *,
    due: bool = False,
) -> Transfer:
    """Ends a reservation; `transfer_id` may be the ledger's own. `due`: its time is past, and this is what was agreed for then.

    Raises, first that applies: PendingNotFound, NotPending, DifferentTransfer, AlreadyPosted / AlreadyVoided /
    PendingExpired (recorded, or its time is past), ExceedsPending.
    """
    pending = find_transfer(conn, tenant, pending_id)
    if pending is None:
        raise PendingNotFound(f"No transfer {pending_id!r}: check the id that reserving returned.", "pending_id")
    if pending.phase != "pending" or pending.expires_us is None:
        raise NotPending(
            f"Transfer {pending_id!r} has phase {pending.phase!r}: only a reservation can be resolved.", "pending_id"
        )
    line = replace(
        pending,
        seq=0,
        transfer_id=transfer_id,
        phase=outcome,
        moved_u=(pending.held_u if amount_u is None else amount_u) if outcome == "post" else 0,
        held_u=-pending.held_u,
        reason=pending.reason if reason is None else require_text(reason, "reason"),
        pending_id=pending_id,
        timeout_us=None,
        created_us=now_us,
    )
    now = standing(conn, line, sure=True)
    if now.known:
        return replay_of(conn, line)
    before = find_resolution(conn, tenant, pending_id)
    if before is not None:
        raise _RESOLVED[before.phase](
            f"Reservation {pending_id!r} ended before by {before.transfer_id!r} ({before.phase}): it resolves once; "
            "nothing moved now.",
            "pending_id",
        )
    if not due and now_us >= pending.expires_us:
        raise PendingExpired(
            f"Reservation {pending_id!r} ran out {now_us - pending.expires_us} µs ago: its amount returns to the "
            "source; reserve again.",
            "pending_id",
        )
    if line.moved_u > pending.held_u:
        held = format_amount(pending.held_u, line.token)
        raise ExceedsPending(
            f"{format_amount(line.moved_u, line.token)} exceed the reserved {held}: post at most what was reserved.",
            "amount_u",
        )
    conn.execute("DELETE FROM hold WHERE tenant = ? AND transfer_id = ?", (tenant, pending_id))
    return write(conn, line, now)


def expire(conn: Database, now_us: int, limit: int = 1000) -> tuple[Transfer, ...]:
    """Ends up to `limit` reservations of all tenants whose time is past, oldest first; call until none is returned.

    What was reserved returns to the source. A reserved burn is carried out: whoever reserves one agrees to part with the tokens then.
    """
    due = conn.execute(
        "SELECT tenant, transfer_id, purpose FROM hold JOIN transfer USING (tenant, transfer_id) WHERE expires_us <= ? "
        "ORDER BY expires_us, tenant, transfer_id LIMIT ?",
        (now_us, limit),
    ).fetchall()
    return tuple(
        resolve(
            *(conn, tenant, f"@expire/{pending_id}", pending_id, "post" if purpose == "burn" else "expire", now_us),
            reason="timeout",
            due=True,
        )
        for tenant, pending_id, purpose in due
    )
