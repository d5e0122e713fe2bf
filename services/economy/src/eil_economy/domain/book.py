"""One transfer is looked up, compared with its replay, checked for cover, and written with both its balances."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, replace
from operator import attrgetter
from typing import Final

from eil_economy.domain.database import Database
from eil_economy.domain.errors import AccountNotFound, DifferentTransfer, LedgerError, Overdraft, SupplyExhausted
from eil_economy.domain.memory import Standing, forget, memory_of
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import ISSUANCE, MAX_AMOUNT_U, format_amount

COLUMNS: Final = ", ".join(field.name for field in fields(Transfer) if field.name != "replayed")
_NAMES: Final = tuple(COLUMNS.split(", "))
_INSERT: Final = f"INSERT INTO transfer ({COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
_values: Final = attrgetter(*_NAMES)
_NEWEST, _ISSUE, _KNOWN = "", "@supply", "@known"
"""No owners' names: those are never empty, and what begins with @ is the ledger's."""
_STANDING: Final = (
    "SELECT owner, balance_u, reserved_u FROM account WHERE tenant = ? AND token = ? AND owner IN (?, ?) "
    "UNION ALL SELECT '', coalesce(max(seq), 0), 0 FROM transfer "
    "UNION ALL SELECT '@supply', minted_u, burned_u FROM supply WHERE tenant = ? AND token = ? "
    "UNION ALL SELECT '@known', seq, 0 FROM transfer WHERE tenant = ? AND transfer_id = ?"
)
_APPLY: Final = (
    "UPDATE account SET balance_u = balance_u + CASE owner WHEN ? THEN ? ELSE ? END, "
    "reserved_u = reserved_u + CASE owner WHEN ? THEN ? ELSE 0 END, "
    "incoming_u = incoming_u + CASE owner WHEN ? THEN 0 ELSE ? END "
    "WHERE tenant = ? AND token = ? AND owner IN (?, ?)"
)
_RECORDED: ContextVar[list[Transfer] | None] = ContextVar("recorded", default=None)
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


def find_transfer(conn: Database, tenant: str, transfer_id: str) -> Transfer | None:
    """The tenant's transfer with this id, if there is one."""
    row = conn.execute(
        f"SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND transfer_id = ?", (tenant, transfer_id)
    ).fetchone()
    return None if row is None else Transfer(*row)


def find_resolution(conn: Database, tenant: str, pending_id: str) -> Transfer | None:
    """The transfer that posted, voided or expired this reservation; None while it is open or if there is none."""
    row = conn.execute(
        f"SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND pending_id = ?", (tenant, pending_id)
    ).fetchone()
    return None if row is None else Transfer(*row)


@contextmanager
def recording() -> Iterator[list[Transfer]]:
    """Collects what is written anew meanwhile, oldest first; what is undone again is not among it."""
    lines: list[Transfer] = []
    token = _RECORDED.set(lines)
    try:
        yield lines
    finally:
        _RECORDED.reset(token)


def replay_of(conn: Database, wanted: Transfer) -> Transfer:
    """The recorded original, whose id `wanted` has, if it repeats it. Raises DifferentTransfer otherwise."""
    recorded = find_transfer(conn, wanted.tenant, wanted.transfer_id)
    assert recorded is not None, "ask for a replay once the id is known to be taken"
    for name in _COMPARED:
        before, now = getattr(recorded, name), getattr(wanted, name)
        if before != now:
            raise DifferentTransfer(
                f"Transfer {wanted.transfer_id!r} exists with {name} {before!r}, not {now!r}: an id names one transfer "
                "for ever; use a new id, or repeat the original request.",
                name,
            )
    return replace(recorded, replayed=True)


def standing(conn: Database, wanted: Transfer, *, sure: bool = False) -> Standing:
    """All that `require_cover` and `write` need to know: from memory if there is one (unless `sure`), else by one statement."""
    memory = memory_of(conn)
    if memory is not None and not sure and (remembered := memory.standing(wanted)) is not None:
        return remembered
    accounts: dict[str, tuple[int, int]] = {}
    for owner, first, second in conn.execute(
        _STANDING,
        (
            *(wanted.tenant, wanted.token, wanted.source, wanted.destination),
            *(wanted.tenant, wanted.token),
            *(wanted.tenant, wanted.transfer_id),
        ),
    ):
        accounts[owner] = (first, second)
    seq, _ = accounts.pop(_NEWEST)
    issue, known = accounts.pop(_ISSUE, None), accounts.pop(_KNOWN, None)
    found = Standing(seq, accounts, issue[0] if issue else None, known is not None)
    if memory is not None:
        memory.learn(wanted, found)
    return found


def admit(conn: Database, wanted: Transfer) -> Standing | Transfer:
    """What covers `wanted`, or the recorded original if it repeats one. Raises DifferentTransfer, and as `require_cover` does."""
    now = standing(conn, wanted)
    if now.known:
        return replay_of(conn, wanted)
    try:
        require_cover(wanted, now)
    except LedgerError:
        if now.assumed and find_transfer(conn, wanted.tenant, wanted.transfer_id) is not None:
            return replay_of(conn, wanted)
        raise
    return now


def require_cover(wanted: Transfer, now: Standing) -> None:
    """The source can pay `wanted` now. Raises AccountNotFound, Overdraft or SupplyExhausted; writes nothing."""
    account = now.accounts.get(wanted.source)
    if wanted.purpose == "mint":
        committed_u = (now.minted_u or 0) + (account[1] if account else 0)
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


def write(conn: Database, line: Transfer, now: Standing) -> Transfer:
    """Records `line` and applies it to both accounts; the caller has checked replay and cover, and nothing was written since `now`.

    No statement here is waited for. Raises RuntimeError outside a transaction, since half a transfer could then become durable.
    """
    if not conn.in_transaction:
        raise RuntimeError("The ledger writes only inside a transaction: execute BEGIN IMMEDIATE first.")
    assert line.source != line.destination, "one statement changes two accounts"
    for owner in (line.source, line.destination):
        if owner not in now.accounts:
            conn.execute(
                "INSERT INTO account (tenant, owner, token, kind) VALUES (?, ?, ?, ?)",
                (line.tenant, owner, line.token, "issuance" if owner == ISSUANCE else "ordinary"),
            )
    source, moved_u, held_u = line.source, line.moved_u, line.held_u
    conn.execute(
        _APPLY,
        (source, -moved_u, moved_u, source, held_u, source, held_u, line.tenant, line.token, source, line.destination),
    )
    if line.purpose != "transfer" and moved_u:
        minted_u, burned_u = (moved_u, 0) if line.purpose == "mint" else (0, moved_u)
        if now.minted_u is None:
            conn.execute("INSERT INTO supply (tenant, token) VALUES (?, ?)", (line.tenant, line.token))
        conn.execute(
            "UPDATE supply SET minted_u = minted_u + ?, burned_u = burned_u + ? WHERE tenant = ? AND token = ?",
            (minted_u, burned_u, line.tenant, line.token),
        )
    line = replace(
        line,
        seq=now.seq + 1,
        source_after_u=now.accounts.get(source, (0, 0))[0] - moved_u,
        destination_after_u=now.accounts.get(line.destination, (0, 0))[0] + moved_u,
    )
    conn.execute(_INSERT, _values(line))
    memory = memory_of(conn)
    if memory is not None:
        memory.follow(line, now)
    lines = _RECORDED.get()
    if lines is not None:
        lines.append(line)
    return line


@contextmanager
def all_or_nothing(conn: Database) -> Iterator[None]:
    """Several writes inside the caller's transaction that stay or vanish together."""
    if not conn.in_transaction:
        raise RuntimeError("The ledger writes only inside a transaction: execute BEGIN IMMEDIATE first.")
    lines = _RECORDED.get()
    before = 0 if lines is None else len(lines)
    conn.execute("SAVEPOINT all_or_nothing")
    try:
        yield
    except BaseException:
        if lines is not None:
            del lines[before:]
        forget(conn)
        conn.execute("ROLLBACK TO all_or_nothing")
        conn.execute("RELEASE all_or_nothing")
        raise
    conn.execute("RELEASE all_or_nothing")
