"""The book is read from its first line and every figure derived from it is computed again."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from eil_economy.domain.book import COLUMNS
from eil_economy.domain.database import Database
from eil_economy.domain.records import Transfer
from eil_economy.domain.tokens import ISSUANCE

PAGE = 5000
"""Lines of the book that are read at once."""
_Account = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """How much was read, and each disagreement in words; an honest book has none."""

    transfers: int
    accounts: int
    mismatches: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No disagreement was found."""
        return not self.mismatches


@dataclass(slots=True)
class _Recount:
    balance_u: dict[_Account, int] = field(default_factory=lambda: defaultdict(int))
    reserved_u: dict[_Account, int] = field(default_factory=lambda: defaultdict(int))
    incoming_u: dict[_Account, int] = field(default_factory=lambda: defaultdict(int))
    minted_u: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    burned_u: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    open: dict[tuple[str, str], Transfer] = field(default_factory=dict)
    mismatches: list[str] = field(default_factory=list)


def audit(conn: Database, tenant: str | None = None) -> AuditReport:
    """Recomputes all balances, reservations and supplies of one tenant, or of all, from the transfers alone; O(transfers).

    Compares them with what is stored, each line's balances with those recorded on it, and asserts that nothing was ever
    overdrawn, that no reservation resolved twice or for more than it held, and that every token sums to zero.
    """
    count = _Recount()
    transfers = 0
    for line in _lines(conn, tenant):
        _recount(count, line)
        transfers += 1
    accounts = _compare_accounts(conn, count, tenant)
    _compare_supply(conn, count, tenant)
    _compare_holds(conn, count, tenant)
    return AuditReport(transfers, accounts, tuple(count.mismatches))


def snapshot_audit(conn: Database, tenant: str | None = None) -> AuditReport:
    """`audit` of one state of the book, whatever is written meanwhile."""
    if conn.in_transaction:
        return audit(conn, tenant)
    conn.execute("BEGIN")
    try:
        return audit(conn, tenant)
    finally:
        conn.execute("ROLLBACK")


def _lines(conn: Database, tenant: str | None) -> Iterator[Transfer]:
    seq, where, values = -1, *_of(tenant)
    while True:
        rows = conn.execute(
            f"SELECT {COLUMNS} FROM transfer WHERE {where} AND seq > ? ORDER BY seq LIMIT ?", (*values, seq, PAGE)
        ).fetchall()
        for row in rows:
            yield Transfer(*row)
        if len(rows) < PAGE:
            return
        seq = rows[-1][0]


def _of(tenant: str | None) -> tuple[str, tuple[str, ...]]:
    """Condition, and its values, of what belongs to the tenant, or to anyone."""
    return ("1 = 1", ()) if tenant is None else ("tenant = ?", (tenant,))


def _recount(count: _Recount, line: Transfer) -> None:
    where = f"transfer {line.seq} ({line.tenant}/{line.transfer_id})"
    source: _Account = (line.tenant, line.source, line.token)
    destination: _Account = (line.tenant, line.destination, line.token)
    count.balance_u[source] -= line.moved_u
    count.reserved_u[source] += line.held_u
    count.balance_u[destination] += line.moved_u
    count.incoming_u[destination] += line.held_u
    if line.purpose == "mint":
        count.minted_u[line.tenant, line.token] += line.moved_u
    elif line.purpose == "burn":
        count.burned_u[line.tenant, line.token] += line.moved_u
    if line.phase == "pending":
        count.open[line.tenant, line.transfer_id] = line
    elif line.pending_id is not None:
        pending = count.open.pop((line.tenant, line.pending_id), None)
        if pending is None:
            count.mismatches.append(f"{where} resolves {line.pending_id}, which was not open")
        elif pending.held_u != -line.held_u or (pending.source, pending.destination) != (line.source, line.destination):
            count.mismatches.append(f"{where} releases other than {line.pending_id} held")
    if line.source != ISSUANCE and count.balance_u[source] < count.reserved_u[source]:
        count.mismatches.append(f"{where} overdraws {line.source}")
    for account, after_u in ((source, line.source_after_u), (destination, line.destination_after_u)):
        if count.balance_u[account] != after_u:
            count.mismatches.append(f"{where} records {after_u} for {account[1]}, recount {count.balance_u[account]}")


def _compare_accounts(conn: Database, count: _Recount, whose: str | None) -> int:
    unseen = set(count.balance_u)
    sums_u: dict[tuple[str, str], int] = defaultdict(int)
    accounts = 0
    where, values = _of(whose)
    for tenant, owner, token, *stored in conn.execute(
        "SELECT tenant, owner, token, balance_u, reserved_u, incoming_u FROM account "
        f"WHERE {where} ORDER BY tenant, owner, token",
        values,
    ):
        key: _Account = (tenant, owner, token)
        unseen.discard(key)
        accounts += 1
        sums_u[tenant, token] += stored[0]
        recount = [count.balance_u[key], count.reserved_u[key], count.incoming_u[key]]
        if stored != recount:
            count.mismatches.append(f"account {key} stores [balance, reserved, incoming] {stored}, recount {recount}")
    count.mismatches += [f"account {key} is missing" for key in sorted(unseen)]
    count.mismatches += [f"{token} of {tenant} sums to {sum_u}" for (tenant, token), sum_u in sums_u.items() if sum_u]
    return accounts


def _compare_supply(conn: Database, count: _Recount, whose: str | None) -> None:
    where, values = _of(whose)
    stored = {
        (tenant, token): (minted_u, burned_u)
        for tenant, token, minted_u, burned_u in conn.execute(
            f"SELECT tenant, token, minted_u, burned_u FROM supply WHERE {where}", values
        )
    }
    for key in sorted(set(stored) | set(count.minted_u) | set(count.burned_u)):
        recount = (count.minted_u[key], count.burned_u[key])
        if stored.get(key, (0, 0)) != recount:
            count.mismatches.append(f"supply {key} stores {stored.get(key)}, recount {recount}")


def _compare_holds(conn: Database, count: _Recount, whose: str | None) -> None:
    where, values = _of(whose)
    stored = {
        (tenant, transfer_id): expires_us
        for tenant, transfer_id, expires_us in conn.execute(
            f"SELECT tenant, transfer_id, expires_us FROM hold WHERE {where}", values
        )
    }
    recount = {key: line.expires_us for key, line in count.open.items()}
    count.mismatches += [
        f"reservation {key} is stored to expire at {stored.get(key)}, recount {recount.get(key)}"
        for key in sorted(set(stored) | set(recount))
        if stored.get(key) != recount.get(key)
    ]
