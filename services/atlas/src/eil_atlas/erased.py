"""What goes with a source that was deleted: everything that the Atlas learned of it and kept. The files of its segments go in the sweep."""

from eil.events.v1 import event_log_pb2
from eil_mesh import erasure
from eil_mesh.store import Connection, Tx

from eil_atlas import lifecycle, recorder, tables, topology
from eil_atlas.changes import Forgotten
from eil_atlas.graph import Graph

SCHEMA = """
CREATE TABLE IF NOT EXISTS erased (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  "offset" INTEGER NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""


def handle(tx: Tx, graph: Graph, event: event_log_pb2.Event) -> None:
    """Handle an entry of `erasure.TOPIC`: erase its source, now, and whatever of it is still under way.

    Raises:
        Unavailable: the graph takes no more at present.
    """
    erase_source(tx, graph, event.tenant, event.key)
    erasure.mark(tx, event.tenant, event.key)
    tx.conn.execute(
        'INSERT INTO erased VALUES (?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET "offset" = excluded."offset"',
        (event.tenant, event.key, event.offset),
    )


def is_erased(conn: Connection, event: event_log_pb2.Event) -> bool:
    """Whether an entry about a source is older than its deletion: over Kafka it may arrive after it."""
    row = conn.execute(
        'SELECT "offset" FROM erased WHERE tenant = ? AND source = ?', (event.tenant, event.key)
    ).fetchone()
    return row is not None and event.offset <= row[0]


def erase_source(tx: Tx, graph: Graph, tenant: str, source: str) -> None:
    """Erase states, roll-ups, shifts, samples, place, links, and the index of segments. Raises Unavailable as `handle`."""
    gone = topology.delete_links(tx, tenant, topology.links_of(tx.conn, tenant, source))
    graph.record(tx, tenant, [*gone, Forgotten(source)])
    tables.forget_source(tx.conn, tenant, source)
    recorder.forget_source(tx.conn, tenant, source)
    lifecycle.forget_source(tx, tenant, source)
