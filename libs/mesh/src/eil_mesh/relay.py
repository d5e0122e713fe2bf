"""Relays a journal to Kafka: every entry to its topic, in the journal's order, from where the last acknowledged one stands.

A page of entries is one transaction of Kafka: readers see all of it or nothing (with `isolation.level=read_committed`), so that what
they see of a topic and key never has a gap that is filled later. The offset is recorded in the store once Kafka has committed. A process
that dies in between sends the page again, whole and in order; readers know repetitions by the offset. Whoever begins to relay the same
journal ends the transactions of the one before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from kafka.errors import KafkaError

from eil_mesh import metrics
from eil_mesh.broker import CONNECT_MS, Broker, record_of
from eil_mesh.call import current_call
from eil_mesh.errors import ResourceExhausted
from eil_mesh.follower import outlast
from eil_mesh.journal import Entry, entries, newest
from eil_mesh.store import Connection, Store, Tx

T = TypeVar("T")
log = structlog.get_logger("eil.relay")
PAGE, PAGE_BYTES = 2_000, 16 * 1024 * 1024
"""Entries of a transaction at most, and bytes that it is kept to by sending fewer of large ones."""
LOOK_S = 1.0
"""Seconds between looks at the backlog: writes of so long may pass its limit."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


class Relay:
    """Relays one store's journal.

    Args:
        store: whose journal.
        journal: the service's name.
        broker: the cluster.
        limit: entries that may wait; beyond, `admit` refuses.
    """

    def __init__(self, store: Store, journal: str, broker: Broker, limit: int) -> None:
        self._store, self._journal, self._broker, self._limit = store, journal, broker, limit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-write")
        self._producer: Any = None
        self._topics: set[str] = set()
        self._relayed, self._backlog, self._away = 0, 0, False

    def admit(self) -> None:
        """Let a write pass, or refuse it because Kafka is too far behind.

        Refused is what a user's or agent's token asks for, here or through another service. What services write in their own name
        passes: followers, settlements, and the relay's own progress, by which the backlog ends.

        Raises:
            ResourceExhausted: the backlog is over its limit.
        """
        call = current_call()
        if self._backlog > self._limit and call is not None and call.principal.token:
            raise ResourceExhausted(
                f"{self._backlog} events of {self._journal} wait for Kafka, more than {self._limit}; nothing was stored; "
                "send it again later, with the same id",
                reason="EVENTS_BACKLOG",
                retry_after_s=LONGEST_PAUSE_S,
            )

    async def run(self) -> None:
        """Relay for ever."""
        looking = asyncio.create_task(self._look())
        try:
            await self._relay()
        finally:
            looking.cancel()
            self._thread.submit(self._drop)
            self._thread.shutdown(wait=False)

    async def _relay(self) -> None:
        committed, limit = self._store.watch(), PAGE // 20
        self._relayed = await self._read(self._known)
        try:
            while not self._store.released:
                committed.clear()
                begin, most = self._relayed + 1, limit
                page = await self._read(lambda conn, begin=begin, most=most: entries(conn, begin, limit=most))
                if not page:
                    await committed.wait()
                    continue
                await self._deliver(page)
                self._relayed = page[-1].offset
                await self._record(self._relayed)
                metrics.RELAYED.inc(len(page))
                size = sum(len(entry.payload or b"") for entry in page)
                limit = max(1, min(PAGE, limit * 2, PAGE_BYTES * len(page) // max(size, 1)))
        finally:
            self._store.unwatch(committed)

    async def _deliver(self, page: Sequence[Entry]) -> None:
        """Have Kafka commit a page, trying for ever."""
        pause_s, loop = FIRST_PAUSE_S, asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._thread, self._commit, page)
            except (KafkaError, OSError) as error:
                if not self._away:
                    log.warning("Kafka is away; entries wait in the journal", journal=self._journal, why=repr(error))
                self._away = True
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                continue
            if self._away:
                log.info("Kafka is back", journal=self._journal)
            self._away = False
            return

    def _commit(self, page: Sequence[Entry]) -> None:
        sent = [entry for entry in page if entry.payload is not None]  # what was erased is not told any more
        if not sent:
            return
        try:
            if missing := {entry.topic for entry in sent} - self._topics:
                self._broker.ensure(missing)
                self._topics |= missing
            producer = self._producer = self._producer or self._broker.producer(f"eil-relay-{self._journal}")
            producer.begin_transaction()
            futures = [
                producer.send(self._broker.topic(entry.topic), **record_of(self._journal, entry)) for entry in sent
            ]
            producer.flush(timeout=6 * CONNECT_MS / 1000)
            for future in futures:
                future.get(timeout=0)
            producer.commit_transaction()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        """Give up the producer: its transaction ends with it, or when the next one begins."""
        producer, self._producer = self._producer, None
        self._topics.clear()
        if producer is not None:
            producer.close(timeout=0.5)

    async def _record(self, offset: int) -> None:
        """Note what is acknowledged. If that fails, what follows is sent all the same, and again after the next start."""

        def note(tx: Tx) -> None:
            tx.conn.execute(
                'INSERT INTO relayed VALUES (?, ?) ON CONFLICT (journal) DO UPDATE SET "offset" = excluded."offset"',
                (self._journal, offset),
            )

        try:
            await self._store.write(note)
        except Exception as error:
            log.warning("the relayed offset is not recorded", journal=self._journal, why=str(error))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        """As `Store.read`, for ever while the store cannot be read."""
        return await outlast(lambda: self._store.read(work), "the relay waits for the store", journal=self._journal)

    def _known(self, conn: Connection) -> int:
        row = conn.execute('SELECT "offset" FROM relayed WHERE journal = ?', (self._journal,)).fetchone()
        return row[0] if row else 0

    async def _look(self) -> None:
        """Keep the backlog's size, whatever becomes of Kafka."""
        while True:
            self._backlog = max(await self._read(newest) - self._relayed, 0)
            metrics.RELAY_BACKLOG.set(self._backlog)
            await asyncio.sleep(LOOK_S)
