"""Tables of the decision service: committed decisions, and of each source the largest fleet seen."""

from eil.decision.v1 import decision_pb2
from eil_mesh.clock import to_us
from eil_mesh.store import Connection, Tx

ACTIONS_TOPIC = "eil.act.actions"
SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  source TEXT NOT NULL,
  window_start_us INTEGER NOT NULL,
  window_end_us INTEGER NOT NULL,
  may_mint INTEGER NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS decisions_by_source ON decisions (tenant, source, may_mint, window_end_us);
CREATE TABLE IF NOT EXISTS fleets (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  largest INTEGER NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""


def largest_fleet(conn: Connection, tenant: str, source: str) -> int:
    """The largest number of servers that any decision on the source has seen; 0 if there was none."""
    row = conn.execute("SELECT largest FROM fleets WHERE tenant = ? AND source = ?", (tenant, source)).fetchone()
    return row[0] if row else 0


def note_fleet(tx: Tx, tenant: str, source: str, servers: int) -> None:
    """Remember a fleet's size, if it is the largest yet: a fleet that shrank for days may still grow back."""
    tx.conn.execute(
        "INSERT INTO fleets VALUES (?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET largest = excluded.largest"
        " WHERE fleets.largest < excluded.largest",
        (tenant, source, servers),
    )


def overlaps_minting(conn: Connection, tenant: str, source: str, start_us: int) -> bool:
    """Whether an earlier prediction of the source that may mint ends after `start_us`."""
    row = conn.execute(
        "SELECT 1 FROM decisions WHERE tenant = ? AND source = ? AND may_mint = 1 AND window_end_us > ? LIMIT 1",
        (tenant, source, start_us),
    ).fetchone()
    return row is not None


def commit(tx: Tx, tenant: str, decision: decision_pb2.Decision) -> None:
    """Store a decision and commit it to the journal."""
    tx.conn.execute(
        "INSERT INTO decisions (tenant, id, source, window_start_us, window_end_us, may_mint, body) VALUES (?,?,?,?,?,?,?)",
        (
            tenant,
            decision.response.prediction_id,
            decision.request.source,
            to_us(decision.window_start),
            to_us(decision.window_end),
            decision.may_mint,
            decision.SerializeToString(),
        ),
    )
    tx.journal.append(tx.now_us, tenant, ACTIONS_TOPIC, decision.request.source, decision)


def replace_body(tx: Tx, tenant: str, decision: decision_pb2.Decision) -> None:
    """Store what an approval added; the prediction itself stands."""
    tx.conn.execute(
        "UPDATE decisions SET body = ? WHERE tenant = ? AND id = ?",
        (decision.SerializeToString(), tenant, decision.response.prediction_id),
    )
    tx.journal.append(tx.now_us, tenant, ACTIONS_TOPIC, decision.request.source, decision)


def find(conn: Connection, tenant: str, prediction_id: str) -> decision_pb2.Decision | None:
    """The tenant's decision of that id."""
    row = conn.execute("SELECT body FROM decisions WHERE tenant = ? AND id = ?", (tenant, prediction_id)).fetchone()
    return decision_pb2.Decision.FromString(row[0]) if row else None


def newest(
    conn: Connection, tenant: str, source: str, before: int, limit: int
) -> list[tuple[int, decision_pb2.Decision]]:
    """Decisions with their sequence numbers, newest first."""
    rows = conn.execute(
        "SELECT seq, body FROM decisions WHERE tenant = ? AND (? = '' OR source = ?) AND seq < ? ORDER BY seq DESC LIMIT ?",
        (tenant, source, source, before, limit),
    )
    return [(row[0], decision_pb2.Decision.FromString(row[1])) for row in rows]
