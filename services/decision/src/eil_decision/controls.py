"""Tables of how far the mesh may go: modes of sources and the red button. Every change stands in the journal."""

from eil.decision.v1 import decision_pb2
from eil_mesh.clock import from_us
from eil_mesh.store import Connection, Tx

from eil_decision import emissions
from eil_decision.domain.trust import NEW_SOURCE_MODE, Following, may_emit

CONTROLS_TOPIC = "eil.act.controls"
SCHEMA = """
CREATE TABLE IF NOT EXISTS modes (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  mode TEXT NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stops (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  since_us INTEGER NOT NULL,
  by TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""


def mode_of(conn: Connection, tenant: str, source: str) -> str:
    """The mode in force for a source."""
    row = conn.execute("SELECT mode FROM modes WHERE tenant = ? AND source = ?", (tenant, source)).fetchone()
    return row[0] if row else NEW_SOURCE_MODE


def set_mode(tx: Tx, tenant: str, source: str, mode: str, by: str) -> None:
    """Set a source's mode for an operator, who thereby trusts it anew: orders that nothing followed are forgotten."""
    _put_mode(tx, tenant, source, mode)
    if emissions.following(tx.conn, tenant, source) != Following():
        emissions.put_following(tx, tenant, source, Following())
    journal(tx, tenant, decision_pb2.Control(change="mode", source=source, mode=mode, by=by))


def fall_back(tx: Tx, tenant: str, source: str, reason: str) -> None:
    """Set a source back to `advise` because of what was seen."""
    _put_mode(tx, tenant, source, "advise")
    control = decision_pb2.Control(change="mode", source=source, mode="advise", by="decision", reason=reason)
    journal(tx, tenant, control)


def _put_mode(tx: Tx, tenant: str, source: str, mode: str) -> None:
    tx.conn.execute(
        "INSERT INTO modes VALUES (?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET mode = excluded.mode",
        (tenant, source, mode),
    )
    if not may_emit(mode):
        emissions.end_leases(tx, tenant, source)


def stop(tx: Tx, tenant: str, source: str, by: str, reason: str) -> None:
    """Press the red button, and end the leases that run; who pressed it first stays on record."""
    emissions.end_leases(tx, tenant, source)
    added = tx.conn.execute(
        "INSERT INTO stops VALUES (?,?,?,?,?) ON CONFLICT (tenant, source) DO NOTHING",
        (tenant, source, tx.now_us, by, reason),
    )
    if added.rowcount:
        journal(tx, tenant, decision_pb2.Control(change="stop", source=source, by=by, reason=reason))


def release(tx: Tx, tenant: str, source: str, by: str, reason: str) -> None:
    """Take a stop back, if there is one."""
    gone = tx.conn.execute("DELETE FROM stops WHERE tenant = ? AND source = ?", (tenant, source))
    if gone.rowcount:
        journal(tx, tenant, decision_pb2.Control(change="release", source=source, by=by, reason=reason))


def stops(conn: Connection, tenant: str) -> list[decision_pb2.Stop]:
    """Stops in force, the tenant's own first."""
    rows = conn.execute("SELECT source, since_us, by, reason FROM stops WHERE tenant = ? ORDER BY source", (tenant,))
    return [decision_pb2.Stop(source=row[0], since=from_us(row[1]), by=row[2], reason=row[3]) for row in rows]


def stopped(conn: Connection, tenant: str, source: str) -> str:
    """Why nothing is emitted for a source, or "" if no stop holds it."""
    row = conn.execute(
        "SELECT source, by, reason FROM stops WHERE tenant = ? AND source IN ('', ?) ORDER BY source LIMIT 1",
        (tenant, source),
    ).fetchone()
    if row is None:
        return ""
    what, why = f"of {row[0]!r}" if row[0] else "of the whole tenant", f" ({row[2]})" if row[2] else ""
    return f"{row[1]} stopped all actions {what}{why}; an operator can take that back with POST /v1/actions:release"


def journal(tx: Tx, tenant: str, control: decision_pb2.Control) -> None:
    """Put a change on record."""
    tx.journal.append(tx.now_us, tenant, CONTROLS_TOPIC, control.source, control)
