"""Checkpoints of models: what each is, what it was trained from and on, and how well it does. None ever changes.

A checkpoint's id is a digest of all that is said of it, its parents' ids included: whoever has the id can check the whole lineage.
"""

import hashlib
import json

from eil.atlas.v1 import archive_pb2
from eil_mesh.clock import from_us
from eil_mesh.errors import FailedPrecondition, NotFound
from eil_mesh.store import Connection, Tx

from eil_atlas import objects

SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoints (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  digest TEXT NOT NULL,
  notes TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS checkpoints_by_age ON checkpoints (tenant, created_us, id);
CREATE INDEX IF NOT EXISTS checkpoints_by_digest ON checkpoints (tenant, digest);
CREATE TABLE IF NOT EXISTS checkpoint_parents (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  parent TEXT NOT NULL,
  PRIMARY KEY (tenant, id, parent)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS checkpoint_children ON checkpoint_parents (tenant, parent);
CREATE TABLE IF NOT EXISTS checkpoint_data (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (tenant, id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS checkpoint_data_by_digest ON checkpoint_data (tenant, digest);
CREATE TABLE IF NOT EXISTS checkpoint_metrics (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (tenant, id, name)
) STRICT, WITHOUT ROWID;
"""
TOPIC = "eil.atlas.checkpoints"
"""Journal: every checkpoint as it was put; one without a digest stands for one that was deleted."""
LONGEST_LINEAGE = 1000


def identity(said: archive_pb2.PutCheckpointRequest) -> str:
    """Id of a checkpoint: 32 hexadecimal digits of the SHA-256 of what is said of it, as JSON with its keys and lists in order."""
    what = {
        "name": said.name,
        "kind": said.kind,
        "digest": said.digest,
        "parents": sorted(said.parents),
        "data": sorted(said.data),
        "metrics": dict(said.metrics),
        "notes": said.notes,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def put(tx: Tx, tenant: str, said: archive_pb2.PutCheckpointRequest) -> archive_pb2.Checkpoint:
    """Register a checkpoint; the same again changes nothing.

    Raises:
        NotFound: there is no such object, or no such parent.
    """
    new, conn = identity(said), tx.conn
    if not _exists(conn, tenant, new):
        objects.media_type_of(conn, tenant, said.digest)
        for parent in said.parents:
            get(conn, tenant, parent)
        conn.execute(
            "INSERT INTO checkpoints VALUES (?,?,?,?,?,?,?)",
            (tenant, new, said.name, said.kind, said.digest, said.notes, tx.now_us),
        )
        for table, values in (("parents", said.parents), ("data", said.data)):
            for value in values:
                conn.execute(f"INSERT INTO checkpoint_{table} VALUES (?,?,?)", (tenant, new, value))
        for name, value in said.metrics.items():
            conn.execute("INSERT INTO checkpoint_metrics VALUES (?,?,?,?)", (tenant, new, name, value))
        tx.journal.append(tx.now_us, tenant, TOPIC, new, get(conn, tenant, new))
    return get(conn, tenant, new)


def get(conn: Connection, tenant: str, checkpoint_id: str) -> archive_pb2.Checkpoint:
    """A checkpoint by its id.

    Raises:
        NotFound: the tenant has none such.
    """
    row = conn.execute(
        "SELECT id, name, kind, digest, notes, created_us FROM checkpoints WHERE tenant = ? AND id = ?",
        (tenant, checkpoint_id),
    ).fetchone()
    if row is None:
        raise _unknown(f"there is no checkpoint {checkpoint_id}")
    key = (tenant, checkpoint_id)
    parents = conn.execute("SELECT parent FROM checkpoint_parents WHERE tenant = ? AND id = ? ORDER BY parent", key)
    data = conn.execute("SELECT digest FROM checkpoint_data WHERE tenant = ? AND id = ? ORDER BY digest", key)
    metrics = conn.execute("SELECT name, value FROM checkpoint_metrics WHERE tenant = ? AND id = ?", key)
    return archive_pb2.Checkpoint(
        checkpoint_id=row[0],
        name=row[1],
        kind=row[2],
        digest=row[3],
        notes=row[4],
        created=from_us(row[5]),
        parents=[parent for (parent,) in parents],
        data=[digest for (digest,) in data],
        metrics={name: value for name, value in metrics},
    )


def newest(conn: Connection, tenant: str, name: str) -> archive_pb2.Checkpoint:
    """The newest checkpoint of a name.

    Raises:
        NotFound: there is none.
    """
    row = conn.execute(
        "SELECT id FROM checkpoints WHERE tenant = ? AND name = ? ORDER BY created_us DESC, id LIMIT 1", (tenant, name)
    ).fetchone()
    if row is None:
        raise _unknown(f"there is no checkpoint named {name!r}")
    return get(conn, tenant, row[0])


def best(conn: Connection, tenant: str, name: str, metric: str, *, greatest: bool) -> archive_pb2.Checkpoint:
    """The checkpoint of a name with the least, or the greatest, value of a metric; of equals the newest.

    Raises:
        NotFound: none of this name has the metric.
    """
    order = "DESC" if greatest else "ASC"
    row = conn.execute(
        "SELECT c.id FROM checkpoints c JOIN checkpoint_metrics m ON m.tenant = c.tenant AND m.id = c.id"
        f" WHERE c.tenant = ? AND c.name = ? AND m.name = ? ORDER BY m.value {order}, c.created_us DESC, c.id LIMIT 1",
        (tenant, name, metric),
    ).fetchone()
    if row is None:
        raise _unknown(f"there is no checkpoint named {name!r} with a metric {metric!r}")
    return get(conn, tenant, row[0])


def page(conn: Connection, tenant: str, name: str, before: tuple[int, str], size: int) -> list[archive_pb2.Checkpoint]:
    """Checkpoints behind a place (time [µs], id), newest first; of one name, or of all ("")."""
    name_is, values = ("AND name = ?", [name]) if name else ("", [])
    rows = conn.execute(
        f"SELECT id FROM checkpoints WHERE tenant = ? {name_is} AND (created_us, id) < (?, ?)"
        " ORDER BY created_us DESC, id DESC LIMIT ?",
        (tenant, *values, *before, size),
    ).fetchall()
    return [get(conn, tenant, row[0]) for row in rows]


def lineage(
    conn: Connection, tenant: str, checkpoint_id: str, most: int = LONGEST_LINEAGE
) -> tuple[list[archive_pb2.Checkpoint], bool]:
    """A checkpoint and what it descends from, nearest first, at most so many; and whether there are more.

    Raises:
        NotFound: the tenant has none such.
    """
    found = {checkpoint_id: get(conn, tenant, checkpoint_id)}
    waiting = [checkpoint_id]
    for current in waiting:  # grows while it is walked: breadth first
        for parent in found[current].parents:
            if parent not in found:
                if len(found) == most:
                    return list(found.values()), True
                found[parent] = get(conn, tenant, parent)
                waiting.append(parent)
    return list(found.values()), False


def delete(tx: Tx, tenant: str, checkpoint_id: str) -> None:
    """Delete a checkpoint; its object stays.

    Raises:
        NotFound: the tenant has none such.
        FailedPrecondition: another descends from it.
    """
    get(tx.conn, tenant, checkpoint_id)
    child = tx.conn.execute(
        "SELECT id FROM checkpoint_parents WHERE tenant = ? AND parent = ? LIMIT 1", (tenant, checkpoint_id)
    ).fetchone()
    if child is not None:
        raise FailedPrecondition(
            f"checkpoint {checkpoint_id} is a parent of {child[0]}, whose lineage would end in nothing; delete its descendants first",
            reason="CHECKPOINT_HAS_CHILDREN",
        )
    for table in ("checkpoints", "checkpoint_parents", "checkpoint_data", "checkpoint_metrics"):
        tx.conn.execute(f"DELETE FROM {table} WHERE tenant = ? AND id = ?", (tenant, checkpoint_id))
    gone = archive_pb2.Checkpoint(checkpoint_id=checkpoint_id)
    tx.journal.append(tx.now_us, tenant, TOPIC, checkpoint_id, gone)


def named(conn: Connection, tenant: str, digest: str) -> bool:
    """Whether a checkpoint names an object, as its own or as what it was trained on."""
    return any(
        conn.execute(f"SELECT 1 FROM {table} WHERE tenant = ? AND digest = ? LIMIT 1", (tenant, digest)).fetchone()
        for table in ("checkpoints", "checkpoint_data")
    )


def _exists(conn: Connection, tenant: str, checkpoint_id: str) -> bool:
    query = "SELECT 1 FROM checkpoints WHERE tenant = ? AND id = ?"
    return conn.execute(query, (tenant, checkpoint_id)).fetchone() is not None


def _unknown(what: str) -> NotFound:
    return NotFound(f"{what}; see GET /v1/atlas/checkpoints", reason="CHECKPOINT_NOT_FOUND")
