"""Changes that wait in the store for a graph elsewhere: written with what caused them, taken away once the graph has them."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from eil_mesh.errors import Unavailable
from eil_mesh.store import Connection, Tx

from eil_atlas.changes import Change, States, decode, encode

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  changes TEXT NOT NULL,
  states INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox_ends (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  name TEXT NOT NULL,
  head INTEGER NOT NULL,
  applied INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS graph_tenants (tenant TEXT PRIMARY KEY) STRICT;
"""
STATES_A_ROW = 2000
"""States in a row of the outbox at most, so that no transaction of the graph grows beyond its memory."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: its position, whose it is, and its changes in their order."""

    seq: int
    tenant: str
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class Ends:
    """Name of this outbox, position of its newest row, and position up to which the graph is known to have everything."""

    name: str
    head: int
    applied: int

    @property
    def waiting(self) -> int:
        """Rows that the graph may not have."""
        return self.head - self.applied


def open_outbox(tx: Tx) -> None:
    """Give the outbox its name, once and for all."""
    tx.conn.execute("INSERT INTO outbox_ends VALUES (1, ?, 0, 0) ON CONFLICT (one) DO NOTHING", (uuid.uuid4().hex,))


def ends(conn: Connection) -> Ends:
    """Where the outbox stands."""
    return Ends(*tuple(conn.execute("SELECT name, head, applied FROM outbox_ends").fetchone()))


def append(tx: Tx, tenant: str, changes: Sequence[Change], most: int) -> None:
    """Add changes.

    Raises:
        Unavailable: `most` rows wait already; nothing was added.
    """
    now = ends(tx.conn)
    if now.waiting >= most:
        raise Unavailable(
            f"{most} changes wait for Neo4j, and no more are taken; see that it runs and keeps up; nothing is lost meanwhile",
            reason="GRAPH_BEHIND",
            retry_after_s=5.0,
        )
    rows = [
        (now.head + place, tenant, encode(part), sum(len(c.rows) for c in part if isinstance(c, States)))
        for place, part in enumerate(_parts(changes), 1)
    ]
    tx.conn.executemany("INSERT INTO outbox VALUES (?,?,?,?)", rows)
    tx.conn.execute("UPDATE outbox_ends SET head=?", (now.head + len(rows),))


def _parts(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Changes in their order, so many at a time that no part holds more states than a row may."""
    part: list[Change] = []
    room = STATES_A_ROW
    for change in changes:
        if isinstance(change, States):
            rows = change.rows
            while len(rows) > room:
                part.append(replace(change, rows=rows[:room]))
                yield part
                rows, part, room = rows[room:], [], STATES_A_ROW
            change, room = replace(change, rows=rows), room - len(rows)
        part.append(change)
    yield part


def waiting(conn: Connection, after: int, rows: int, states: int) -> list[Entry]:
    """The next entries after a position, so many that they hold about `states` states."""
    found: list[Entry] = []
    ask = "SELECT seq, tenant, changes, states FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
    for row in conn.execute(ask, (after, rows)).fetchall():
        if found and states < row[3]:
            break
        states -= row[3]
        found.append(Entry(row[0], row[1], decode(row[2])))
    return found


def applied(tx: Tx, position: int, tenants: Sequence[str]) -> None:
    """Take away what the graph has, up to a position."""
    tx.conn.execute("DELETE FROM outbox WHERE seq <= ?", (position,))
    tx.conn.execute("UPDATE outbox_ends SET applied=? WHERE applied<?", (position, position))
    tx.conn.executemany(
        "INSERT INTO graph_tenants VALUES (?) ON CONFLICT (tenant) DO NOTHING", [(tenant,) for tenant in tenants]
    )


def tenants(conn: Connection) -> list[str]:
    """Tenants of whom the graph has anything."""
    return [row[0] for row in conn.execute("SELECT tenant FROM graph_tenants ORDER BY tenant")]
