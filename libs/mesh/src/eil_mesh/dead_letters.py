"""Events that a follower could not handle: put aside in its own journal, where they are listed, and from where they are handled anew.

An entry of topic `eil.dead-letters` holds the event and the reason; a table beside the journal says which of them wait. Since it is an
entry like any other, a relay sends it to Kafka, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eil.events.v1 import event_log_pb2

from eil_mesh import metrics
from eil_mesh.clock import from_us
from eil_mesh.store import Connection, Tx

TOPIC: Final = "eil.dead-letters"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS dead_letters (
  "offset" INTEGER PRIMARY KEY,
  service TEXT NOT NULL,
  tenant TEXT NOT NULL,
  replayed_us INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS dead_letters_waiting ON dead_letters (replayed_us, service);
"""
LONGEST_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A dead letter as the table has it."""

    id: int
    replayed: bool
    letter: event_log_pb2.DeadLetter


def put_aside(tx: Tx, service: str, event: event_log_pb2.Event, reason: str) -> None:
    """Append an event that could not be handled, in the transaction that passes it by."""
    letter = event_log_pb2.DeadLetter(
        service=service,
        topic=event.topic,
        offset=event.offset,
        key=event.key,
        tenant=event.tenant,
        time=event.time,
        payload=event.payload,
        reason=reason[:LONGEST_REASON],
    )
    offset = tx.journal.append(tx.now_us, event.tenant, TOPIC, event.key, letter)
    tx.conn.execute(
        'INSERT INTO dead_letters ("offset", service, tenant) VALUES (?, ?, ?)', (offset, service, event.tenant)
    )
    metrics.DEAD_LETTERS.labels(service).inc()


def event_in(letter: event_log_pb2.DeadLetter) -> event_log_pb2.Event:
    """The event as it came."""
    return event_log_pb2.Event(
        offset=letter.offset,
        time=letter.time,
        tenant=letter.tenant,
        topic=letter.topic,
        key=letter.key,
        payload=letter.payload,
    )


def waiting(conn: Connection, tenant: str, before: int, limit: int) -> list[event_log_pb2.StoredDeadLetter]:
    """Letters with ids below `before`, the newest first; of one tenant, if one is named. Those whose payload was erased are left out."""
    rows = conn.execute(
        'SELECT j."offset", j.time_us, j.payload FROM dead_letters d JOIN journal j ON j."offset" = d."offset"'
        " WHERE d.replayed_us = 0 AND (? = '' OR d.tenant = ?) AND j.payload IS NOT NULL AND d.\"offset\" < ?"
        ' ORDER BY d."offset" DESC LIMIT ?',
        (tenant, tenant, before, limit),
    )
    return [
        event_log_pb2.StoredDeadLetter(
            id=row[0], time=from_us(row[1]), letter=event_log_pb2.DeadLetter.FromString(row[2])
        )
        for row in rows
    ]


def find(conn: Connection, tenant: str, ids: Sequence[int]) -> dict[int, Waiting]:
    """The letters of these ids by id, replayed or not; another tenant's and erased ones are not there."""
    found: dict[int, Waiting] = {}
    for number in ids:
        row = conn.execute(
            'SELECT d.replayed_us, j.payload FROM dead_letters d JOIN journal j ON j."offset" = d."offset"'
            " WHERE d.\"offset\" = ? AND (? = '' OR d.tenant = ?) AND j.payload IS NOT NULL",
            (number, tenant, tenant),
        ).fetchone()
        if row:
            found[number] = Waiting(number, row[0] > 0, event_log_pb2.DeadLetter.FromString(row[1]))
    return found


def mark_replayed(tx: Tx, number: int) -> bool:
    """Mark a letter, in the transaction that handles it; False if another did so first, and then it must not be handled again."""
    marked = tx.conn.execute(
        'UPDATE dead_letters SET replayed_us = ? WHERE "offset" = ? AND replayed_us = 0 RETURNING "offset"',
        (tx.now_us, number),
    )
    return marked.fetchone() is not None


def count(conn: Connection, service: str, tenant: str) -> int:
    """Letters of a followed service that wait; of one tenant, if one is named."""
    return conn.execute(
        "SELECT count(*) FROM dead_letters WHERE replayed_us = 0 AND service = ? AND (? = '' OR tenant = ?)",
        (service, tenant, tenant),
    ).fetchone()[0]
