"""Tables of what was emitted: each action with its lease, and of each source whether its telemetry follows."""

from dataclasses import dataclass

from eil_mesh.clock import MICROSECONDS
from eil_mesh.store import Connection, Tx

from eil_decision.domain.trust import BUDGET_WINDOW_S, Following, Lease, Order, Pending

ORDERS = 32
"""Newest orders that the delay of a start is learned from."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS emissions (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  emitted_us INTEGER NOT NULL,
  clock_us INTEGER NOT NULL,
  lease_until_us INTEGER NOT NULL,
  target INTEGER NOT NULL,
  revert_to INTEGER NOT NULL,
  moved INTEGER NOT NULL,
  delivered INTEGER NOT NULL DEFAULT 0,
  UNIQUE (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS emissions_by_source ON emissions (tenant, source, seq);
CREATE INDEX IF NOT EXISTS emissions_by_clock ON emissions (tenant, source, clock_us) WHERE moved > 0;
CREATE INDEX IF NOT EXISTS emissions_undelivered ON emissions (lease_until_us) WHERE delivered = 0;
CREATE TABLE IF NOT EXISTS followings (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  missed INTEGER NOT NULL,
  pending_before INTEGER,
  pending_target INTEGER,
  pending_since_us INTEGER,
  halted TEXT NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Emission:
    """An emitted action as it stands now: `lease_until_us` is when its lease ends or was ended."""

    prediction_id: str
    emitted_us: int
    lease_until_us: int
    lease: Lease

    def servers(self, now_us: int) -> int:
        """The size that is in force: the target while the lease runs, then the one to go back to."""
        return self.lease.target if now_us < self.lease_until_us else self.lease.revert_to


def newest(conn: Connection, tenant: str, source: str) -> Emission | None:
    """The newest emitted action of a source, whether its lease runs or not."""
    row = conn.execute(
        "SELECT id, emitted_us, lease_until_us, target, revert_to FROM emissions WHERE tenant = ? AND source = ? ORDER BY seq DESC LIMIT 1",
        (tenant, source),
    ).fetchone()
    return Emission(row[0], row[1], row[2], Lease(row[3], row[4])) if row else None


def standing(conn: Connection, tenant: str, source: str, now_us: int) -> Lease | None:
    """The lease that runs now, if one does."""
    found = newest(conn, tenant, source)
    return found.lease if found and now_us < found.lease_until_us else None


def runs(conn: Connection, tenant: str, prediction_id: str, now_us: int) -> bool:
    """Whether an action was emitted and its lease neither lapsed nor was ended."""
    row = conn.execute(
        "SELECT 1 FROM emissions WHERE tenant = ? AND id = ? AND lease_until_us > ?", (tenant, prediction_id, now_us)
    ).fetchone()
    return row is not None


def moved_since(conn: Connection, tenant: str, source: str, clock_us: int) -> int:
    """Servers that emitted actions moved in the budget's window before a moment of the source's clock."""
    begin_us = clock_us - round(BUDGET_WINDOW_S * MICROSECONDS)
    row = conn.execute(
        "SELECT coalesce(sum(moved), 0) FROM emissions WHERE tenant = ? AND source = ? AND clock_us > ? AND moved > 0",
        (tenant, source, begin_us),
    ).fetchone()
    return row[0]


def orders(conn: Connection, tenant: str, source: str) -> tuple[tuple[float, int], ...]:
    """(moment on the source's clock [s], servers) of a source's newest orders, oldest first."""
    rows = conn.execute(
        "SELECT clock_us, target FROM emissions WHERE tenant = ? AND source = ? ORDER BY seq DESC LIMIT ?",
        (tenant, source, ORDERS),
    ).fetchall()
    return tuple((clock_us / MICROSECONDS, target) for clock_us, target in reversed(rows))


def put(tx: Tx, tenant: str, source: str, prediction_id: str, clock_us: int, ordered: Order) -> None:
    """Note an action that is emitted now."""
    tx.conn.execute(
        "INSERT INTO emissions (tenant, source, id, emitted_us, clock_us, lease_until_us, target, revert_to, moved)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (
            tenant,
            source,
            prediction_id,
            tx.now_us,
            clock_us,
            tx.now_us + round(ordered.lease_s * MICROSECONDS),
            ordered.target,
            ordered.revert_to,
            ordered.moved,
        ),
    )


def end_leases(tx: Tx, tenant: str, source: str) -> None:
    """End the leases of a source that run, or of the whole tenant's sources where it is empty."""
    tx.conn.execute(
        "UPDATE emissions SET lease_until_us = ? WHERE tenant = ? AND (? = '' OR source = ?) AND lease_until_us > ?",
        (tx.now_us, tenant, source, source, tx.now_us),
    )


def mark_delivered(tx: Tx, tenant: str, prediction_id: str) -> None:
    """Note that the webhook took an action."""
    tx.conn.execute("UPDATE emissions SET delivered = 1 WHERE tenant = ? AND id = ?", (tenant, prediction_id))


def undelivered(conn: Connection, now_us: int) -> dict[tuple[str, str], None]:
    """(tenant, prediction id) of actions whose lease runs and that the webhook did not take, oldest first."""
    rows = conn.execute(
        "SELECT tenant, id FROM emissions WHERE delivered = 0 AND lease_until_us > ? ORDER BY seq", (now_us,)
    )
    return {(row[0], row[1]): None for row in rows}


def following(conn: Connection, tenant: str, source: str) -> Following:
    """Whether the source's telemetry follows what is ordered, as far as was seen."""
    row = conn.execute(
        "SELECT missed, pending_before, pending_target, pending_since_us, halted FROM followings WHERE tenant = ? AND source = ?",
        (tenant, source),
    ).fetchone()
    if row is None:
        return Following()
    pending = Pending(row[1], row[2], row[3]) if row[3] is not None else None
    return Following(row[0], pending, row[4])


def put_following(tx: Tx, tenant: str, source: str, state: Following) -> None:
    """Remember what was seen."""
    move = state.pending
    tx.conn.execute(
        "INSERT INTO followings VALUES (?,?,?,?,?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET missed = excluded.missed,"
        " pending_before = excluded.pending_before, pending_target = excluded.pending_target,"
        " pending_since_us = excluded.pending_since_us, halted = excluded.halted",
        (
            tenant,
            source,
            state.missed,
            move.before if move else None,
            move.target if move else None,
            move.since_us if move else None,
            state.halted,
        ),
    )
