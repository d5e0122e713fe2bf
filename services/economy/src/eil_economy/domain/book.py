"""One transfer is looked up, compared with its replay, checked for cover, and written with both its balances."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Final

from eil_economy.domain.errors import AccountNotFound, DifferentTransfer, Overdraft, SupplyExhausted
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import ISSUANCE, MAX_AMOUNT_U, format_amount

COLUMNS: Final = ", ".join(field.name for field in fields(Transfer) if field.name != "replayed")
_INSERTED: Final = COLUMNS.removeprefix("seq, ")
_PLACES: Final = ", ".join("?" * len(_INSERTED.split(", ")))
_COMPARED: Final = (
    "phase",
    "pending_id",
    "purpose",
    "token",
    "source",
    "destination",
    "amount_u",
    "reason",
    "reference",
    "timeout_us",
    "link_id",
)


def draft(tenant: str, order: Instruction, now_us: int, *, timeout_us: int | None, link_id: str | None) -> Transfer:
    """The line that `order` would become: pending if it has a timeout, else posted. Nothing is written."""
    pending = timeout_us is not None
    return Transfer(
        seq=0,
        tenant=tenant,
        transfer_id=order.transfer_id,
        phase="pending" if pending else "posted",
        purpose=order.purpose,
        token=order.token,
        source=order.source,
        destination=order.destination,
        moved_u=0 if pending else order.amount_u,
        held_u=order.amount_u if pending else 0,
        reason=order.reason,
        reference=order.reference,
        pending_id=None,
        timeout_us=timeout_us,
        link_id=link_id,
        created_us=now_us,
        source_after_u=0,
        destination_after_u=0,
    )


def find_transfer(conn: sqlite3.Connection, tenant: str, transfer_id: str) -> Transfer | None:
    """The tenant's transfer with this id, if there is one."""
    row = conn.execute(
        f"SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND transfer_id = ?", (tenant, transfer_id)
    ).fetchone()
    return None if row is None else Transfer(*row)


def find_resolution(conn: sqlite3.Connection, tenant: str, pending_id: str) -> Transfer | None:
    """The transfer that posted, voided or expired this reservation; None while it is open or if there is none."""
    row = conn.execute(
        f"SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND pending_id = ?", (tenant, pending_id)
    ).fetchone()
    return None if row is None else Transfer(*row)


def newest_seq(conn: sqlite3.Connection) -> int:
    """Number of the newest line of the book, of whatever tenant; 0 if it is empty."""
    return conn.execute("SELECT coalesce(max(seq), 0) FROM transfer").fetchone()[0]


def recorded_after(conn: sqlite3.Connection, seq: int) -> tuple[Transfer, ...]:
    """Every line after the one numbered `seq`, oldest first."""
    rows = conn.execute(f"SELECT {COLUMNS} FROM transfer WHERE seq > ? ORDER BY seq", (seq,))
    return tuple(Transfer(*row) for row in rows)


def replay_of(conn: sqlite3.Connection, wanted: Transfer) -> Transfer | None:
    """The recorded original if `wanted` repeats it, None if its id is new. Raises DifferentTransfer otherwise."""
    recorded = find_transfer(conn, wanted.tenant, wanted.transfer_id)
    if recorded is None:
        return None
    for name in _COMPARED:
        before, now = getattr(recorded, name), getattr(wanted, name)
        if before != now:
            raise DifferentTransfer(
                f"Transfer {wanted.transfer_id!r} exists with {name} {before!r}, not {now!r}: an id names one transfer "
                "for ever; use a new id, or repeat the original request.",
                name,
            )
    return replace(recorded, replayed=True)


def require_cover(conn: sqlite3.Connection, wanted: Transfer) -> None:
    """The source can pay `wanted` now. Raises AccountNotFound, Overdraft or SupplyExhausted; writes nothing."""
    key = (wanted.tenant, wanted.source, wanted.token)
    account = conn.execute(
        "SELECT balance_u, reserved_u FROM account WHERE tenant = ? AND owner = ? AND token = ?", key
    ).fetchone()
    if wanted.purpose == "mint":
        issue = conn.execute("SELECT minted_u FROM supply WHERE tenant = ? AND token = ?", (key[0], key[2])).fetchone()
        committed_u = (issue[0] if issue else 0) + (account[1] if account else 0)
        if committed_u + wanted.amount_u > MAX_AMOUNT_U:
            raise SupplyExhausted(
                f"{format_amount(committed_u, wanted.token)} are minted or reserved for minting: "
                f"{format_amount(wanted.amount_u, wanted.token)} more would pass the ledger's limit of 2**62 u. "
                "No further mint of this size is possible in this tenant."
            )
        return
    if account is None:
        raise AccountNotFound(
            f"{wanted.source!r} holds no {wanted.token} account: it has never received {wanted.token}, so it cannot "
            "pay; credit it first.",
            "source",
        )
    available_u = account[0] - account[1]
    if available_u < wanted.amount_u:
        asked = format_amount(wanted.amount_u, wanted.token)
        raise Overdraft(
            f"{asked} were asked of {wanted.source!r}, which has {format_amount(available_u, wanted.token)} available "
            f"({format_amount(account[1], wanted.token)} reserved): lower the amount, credit the account, or let "
            "reservations resolve.",
            "amount_u",
        )


def write(conn: sqlite3.Connection, line: Transfer) -> Transfer:
    """Records `line` and applies it to both accounts; the caller has checked replay and cover.

    Raises RuntimeError outside a transaction, since half a transfer could then become durable.
    """
    if not conn.in_transaction:
        raise RuntimeError("The ledger writes only inside a transaction: execute BEGIN IMMEDIATE first.")
    for owner in (line.source, line.destination):
        conn.execute(
            "INSERT INTO account (tenant, owner, token, kind) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (line.tenant, owner, line.token, "issuance" if owner == ISSUANCE else "ordinary"),
        )
    (source_after_u,) = conn.execute(
        "UPDATE account SET balance_u = balance_u - ?, reserved_u = reserved_u + ? "
        "WHERE tenant = ? AND owner = ? AND token = ? RETURNING balance_u",
        (line.moved_u, line.held_u, line.tenant, line.source, line.token),
    ).fetchall()[0]
    (destination_after_u,) = conn.execute(
        "UPDATE account SET balance_u = balance_u + ?, incoming_u = incoming_u + ? "
        "WHERE tenant = ? AND owner = ? AND token = ? RETURNING balance_u",
        (line.moved_u, line.held_u, line.tenant, line.destination, line.token),
    ).fetchall()[0]
    if line.purpose != "transfer" and line.moved_u:
        minted_u, burned_u = (line.moved_u, 0) if line.purpose == "mint" else (0, line.moved_u)
        conn.execute(
            "INSERT INTO supply (tenant, token) VALUES (?, ?) ON CONFLICT DO NOTHING", (line.tenant, line.token)
        )
        conn.execute(
            "UPDATE supply SET minted_u = minted_u + ?, burned_u = burned_u + ? WHERE tenant = ? AND token = ?",
            (minted_u, burned_u, line.tenant, line.token),
        )
    line = replace(line, source_after_u=source_after_u, destination_after_u=destination_after_u)
    values = [getattr(line, name) for name in _INSERTED.split(", ")]
    seq = conn.execute(f"INSERT INTO transfer ({_INSERTED}) VALUES ({_PLACES})", values).lastrowid
    assert seq is not None, "an INSERT into a rowid table sets lastrowid"
    return replace(line, seq=seq)


@contextmanager
def all_or_nothing(conn: sqlite3.Connection) -> Iterator[None]:
    """Several writes inside the caller's transaction that stay or vanish together."""
    if not conn.in_transaction:
        raise RuntimeError("The ledger writes only inside a transaction: execute BEGIN IMMEDIATE first.")
    conn.execute("SAVEPOINT all_or_nothing")
    try:
        yield
    except BaseException:
        conn.execute("ROLLBACK TO all_or_nothing")
        conn.execute("RELEASE all_or_nothing")
        raise
    conn.execute("RELEASE all_or_nothing")
