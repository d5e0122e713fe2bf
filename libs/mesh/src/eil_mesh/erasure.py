"""Erasing a source: what it sent and what was learned from it, in every service and in their journals.

Whoever deletes a source tells regime; its journal then holds an entry of `TOPIC`, which every service that knows sources follows. Each
deletes its rows at once and writes down that the journal's payloads under that key are to go. `erase_payloads` blanks them in the
background, payload and salt: the chain and its digests stand, and nobody can tell, or guess, what they were of. (Keys stay: the chain
covers them.) Whatever dies meanwhile, both go on where they were.
"""

import asyncio
from collections.abc import Callable

from eil.events.v1 import event_log_pb2

from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.store import Connection, Store, Tx

TOPIC = "eil.regime.erasures"
EVERY_S = 2.0
RETIRE_EVERY_S = 3600.0
ENTRIES = 20_000
"""Journal entries looked at in one transaction, so that nobody waits long."""


def mark(tx: Tx, tenant: str, key: str) -> None:
    """Have the payloads of all entries up to now under a tenant's key erased."""
    tx.conn.execute(
        'INSERT INTO erasures VALUES (?, ?, ?, 0) ON CONFLICT (tenant, key) DO UPDATE SET up_to = excluded.up_to, "done" = 0',
        (tenant, key, tx.journal.head.offset),
    )


def erasing(*tables: str) -> Callable[[Tx, event_log_pb2.Event], None]:
    """A handler for `follow`: deletes the rows of the erased source from tables that have columns `tenant` and `source`."""

    def handle(tx: Tx, event: event_log_pb2.Event) -> None:
        for table in tables:
            tx.conn.execute(f"DELETE FROM {table} WHERE tenant = ? AND source = ?", (event.tenant, event.key))
        mark(tx, event.tenant, event.key)

    return handle


async def erase_payloads(store: Store) -> None:
    """Blank what is marked, a stretch of the journal at a time, for ever."""
    while True:
        left = await store.write(_step)
        await asyncio.sleep(0.02 if left else EVERY_S)


def _step(tx: Tx) -> bool:
    """Blank the next stretch; returns whether something may be left."""
    row = tx.conn.execute('SELECT tenant, key, up_to, "done" FROM erasures WHERE "done" < up_to LIMIT 1').fetchone()
    if row is None:
        return False
    tenant, key, up_to, done = row
    end = min(done + ENTRIES, up_to)
    blank(tx.conn, done, end, "tenant = ? AND key = ?", (tenant, key))
    if end == up_to:
        tx.conn.execute("DELETE FROM erasures WHERE tenant = ? AND key = ?", (tenant, key))
    else:
        tx.conn.execute('UPDATE erasures SET "done" = ? WHERE tenant = ? AND key = ?', (end, tenant, key))
    return True


async def retire_payloads(store: Store, clock: Clock, topic: str, keep_s: float) -> None:
    """Blank the payloads of a topic that are older than `keep_s`, for ever. For bulk that lies elsewhere, never for evidence."""
    while True:
        oldest_us = clock.now_us() - round(keep_s * MICROSECONDS)
        left = await store.write(lambda tx, oldest_us=oldest_us: _retire(tx, topic, oldest_us))
        await asyncio.sleep(0.05 if left else RETIRE_EVERY_S)


def _retire(tx: Tx, topic: str, oldest_us: int) -> bool:
    """Blank the next stretch of a topic; returns whether something older may be left."""
    row = tx.conn.execute("SELECT up_to FROM retired WHERE topic = ?", (topic,)).fetchone()
    after = row[0] if row else 0
    end = tx.conn.execute(
        'SELECT max("offset") FROM (SELECT "offset", time_us FROM journal WHERE "offset" > ? ORDER BY "offset" LIMIT ?) AS next'
        " WHERE time_us < ?",
        (after, ENTRIES, oldest_us),
    ).fetchone()[0]
    if end is None:
        return False
    blank(tx.conn, after, end, "topic = ?", (topic,))
    tx.conn.execute(
        "INSERT INTO retired VALUES (?, ?) ON CONFLICT (topic) DO UPDATE SET up_to = excluded.up_to", (topic, end)
    )
    return end == after + ENTRIES


def blank(conn: Connection, after: int, end: int, which: str, values: tuple[object, ...]) -> None:
    """Take payload and salt from the entries of (after, end] that a condition names."""
    conn.execute(
        f'UPDATE journal SET payload = NULL, salt = ? WHERE "offset" > ? AND "offset" <= ? AND payload IS NOT NULL AND {which}',
        (b"", after, end, *values),
    )
