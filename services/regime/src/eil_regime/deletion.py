"""Deleting a source: its rows go, its name stays closed for a day, and the journal tells the other services.

A name that could be used again at once would let a late follower erase what came after, and would begin the day's cap on rewards anew.
"""

from eil.regime.v1 import regime_pb2
from eil_mesh import erasure
from eil_mesh.clock import MICROSECONDS, from_us, iso
from eil_mesh.errors import FailedPrecondition, NotFound
from eil_mesh.store import Connection, Tx

from eil_regime import sources

SCHEMA = """
CREATE TABLE IF NOT EXISTS deleted (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  until_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
"""
CLOSED_US = 24 * 3600 * MICROSECONDS
"""How long a deleted name takes no samples."""


def delete(tx: Tx, tenant: str, name: str) -> regime_pb2.DeleteSourceResponse:
    """Delete the tenant's source, or say again until when its name is closed.

    Raises:
        NotFound: there is none, and none was deleted.
    """
    source = sources.find_source(tx.conn, tenant, name)
    if source is None:
        if not (until_us := _until_us(tx.conn, tenant, name)):
            raise NotFound(f"there is no source {name!r} to delete", reason="SOURCE_UNKNOWN")
        return regime_pb2.DeleteSourceResponse(closed_until=from_us(until_us))
    for table in ("segments", "tails", "detectors", "physics", "shifts"):
        tx.conn.execute(f"DELETE FROM {table} WHERE source_id = ?", (source.id,))
    tx.conn.execute("DELETE FROM sources WHERE id = ?", (source.id,))
    until_us = tx.now_us + CLOSED_US
    tx.conn.execute("DELETE FROM deleted WHERE until_us <= ?", (tx.now_us,))
    tx.conn.execute("INSERT INTO deleted VALUES (?, ?, ?)", (tenant, name, until_us))
    erasure.mark(tx, tenant, name)
    tx.journal.append(tx.now_us, tenant, erasure.TOPIC, name, regime_pb2.SourceErased(source=name))
    return regime_pb2.DeleteSourceResponse(closed_until=from_us(until_us))


def check_open(tx: Tx, tenant: str, name: str) -> None:
    """Check that a name which no source has may be given to one.

    Raises:
        FailedPrecondition: a source of that name was deleted less than a day ago.
    """
    until_us = _until_us(tx.conn, tenant, name)
    if until_us > tx.now_us:
        raise FailedPrecondition(
            f"source {name!r} was deleted; its name takes no samples until {iso(until_us)}: use another name, or wait",
            reason="SOURCE_DELETED",
        )


def _until_us(conn: Connection, tenant: str, name: str) -> int:
    row = conn.execute("SELECT until_us FROM deleted WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    return row[0] if row else 0
