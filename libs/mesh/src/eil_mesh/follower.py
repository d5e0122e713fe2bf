"""Follows what others tell: handles each event once, in a transaction of the follower's own store that also records how far it came.

An event whose handling raises is tried again alone; if it raises again it is put aside as a dead letter, and what comes after it goes on.
A store that cannot be written is no fault of the event: that is tried again for ever.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import structlog
from eil.events.v1 import event_log_pb2

from eil_mesh import dead_letters, metrics, tracing
from eil_mesh.clock import Clock, from_us, to_us
from eil_mesh.errors import EilError, ResourceExhausted, Unavailable
from eil_mesh.feed import JOURNAL, Arrival, Feed, FeedLost, Reached
from eil_mesh.store import Connection, Store, Tx

T = TypeVar("T")
Handle = Callable[[Tx, Any], str | None]
"""Applied to each event inside a transaction. What it returns says what of the event could not be used: it is kept as a dead letter."""
HandlePage = Callable[[Tx, Sequence[Any]], None]
"""Applied to what is new of a page at once, where that is cheaper. If it raises, each event is handled by itself."""
log = structlog.get_logger("eil.events")
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS followed (service TEXT PRIMARY KEY, "offset" INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS followed_streams (
  service TEXT NOT NULL,
  stream TEXT NOT NULL,
  position INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  PRIMARY KEY (service, stream)
) STRICT, WITHOUT ROWID;
"""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
LOOK_S = 10.0
"""Seconds between looks at how far behind a follower is."""
NO_STORE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}
"""What SQLite says where the file, not the statement, is at fault."""


class Follower:
    """Follows one feed.

    Args:
        store: where positions stand and events are handled.
        service: name of what is followed.
        feed: where its events come from.
        handle: applied to each.
        prepare: makes what `handle` takes of an event, where the feed did not: for letters that are handled anew.
        handle_page: applied in place of `handle` to events that come together.
    """

    def __init__(
        self,
        store: Store,
        service: str,
        feed: Feed,
        handle: Handle,
        prepare: Callable[[event_log_pb2.Event], Any] = lambda event: event,
        handle_page: HandlePage | None = None,
    ) -> None:
        self.service = service
        self._store, self._feed, self._handle, self._prepare = store, feed, handle, prepare
        self._handle_page = handle_page
        self._oldest_us: int | None = None

    async def run(self) -> None:
        """Follow for ever, opening the feed again with back-off."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                reached = await self._store.read(self._reached)
                async with aclosing(self._feed.pages(reached)) as pages:
                    async for page in pages:
                        times_us = [to_us(arrival.event.time) for arrival in page if arrival.event is not None]
                        self._oldest_us = min(times_us, default=None)
                        await self._take(page)
                        self._oldest_us = None
                        metrics.EVENTS_FOLLOWED.labels(self.service).inc(len(times_us))
                        pause_s = FIRST_PAUSE_S
            except FeedLost as error:
                log.info("feed lost", service=self.service, why=str(error))
            except (EilError, sqlite3.Error) as error:
                if not store_failed(error):
                    raise
                log.warning("events wait for the store", service=self.service, why=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def watch(self, clock: Clock) -> None:
        """Say how far behind it is, for ever, in the metrics."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                now = await self.standing("")
            except (EilError, sqlite3.Error) as error:
                if not store_failed(error):
                    raise
                continue
            if not now.problem:
                if not now.entries and now.head > now.position:
                    await self._stored(lambda tx, head=now.head: self._pass(tx.conn, head))
                metrics.EVENTS_LAG.labels(self.service).set(now.entries)
                age_s = (clock.now_us() - to_us(now.oldest)) / 1e6 if now.HasField("oldest") else 0.0
                metrics.EVENTS_LAG_SECONDS.labels(self.service).set(max(age_s, 0.0))

    async def standing(self, tenant: str) -> event_log_pb2.Followed:
        """How far it has come, with the dead letters of one tenant, or of all."""
        reached, letters = await self._store.read(
            lambda conn: (self._reached(conn), dead_letters.count(conn, self.service, tenant))
        )
        answer = event_log_pb2.Followed(service=self.service, dead_letters=letters)
        try:
            lag = await self._feed.lag(reached)
        except FeedLost as error:
            answer.problem = str(error)
            return answer
        answer.position, answer.head, answer.entries = lag.position, lag.head, lag.entries
        oldest = [us for us in (self._oldest_us, lag.oldest_us) if us is not None]
        if oldest and lag.entries:
            answer.oldest.CopyFrom(from_us(min(oldest)))
        return answer

    async def replay(self, number: int, letter: event_log_pb2.DeadLetter) -> str:
        """Handle a dead letter anew; returns why it failed again, "" if it did not.

        Raises:
            EilError: the store cannot be written.
        """

        def again(tx: Tx) -> str:
            if not dead_letters.mark_replayed(tx, number):
                return ""
            return self._handle(tx, self._prepare(dead_letters.event_in(letter))) or ""

        def all_or_nothing(tx: Tx) -> None:
            if left := again(tx):
                raise _Unusable(left)

        try:
            await self._store.write(all_or_nothing)
        except Exception as error:
            if store_failed(error):
                raise
            return _reason(error)
        return ""

    async def _take(self, page: Sequence[Arrival]) -> None:
        """Handle a page in one transaction; if that raises, each of its events in its own."""
        try:
            await self._stored(lambda tx: self._apply(tx, page))
        except Exception as error:
            log.warning("a page could not be handled at once", service=self.service, why=_reason(error))
            for arrival in page:
                await self._take_alone(arrival)

    async def _take_alone(self, arrival: Arrival) -> None:
        try:
            await self._stored(lambda tx: self._apply(tx, [arrival]))
        except Exception as error:
            reason, event = _reason(error), arrival.event
            assert event is not None, "what is another's is not handled, and cannot fail"
            log.error("event put aside", service=self.service, topic=event.topic, offset=event.offset, exc_info=error)
            await self._stored(lambda tx: self._apply(tx, [arrival], put_aside=reason))

    async def _stored(self, work: Callable[[Tx], T]) -> T:
        """As `Store.write`, for ever while the store is at fault."""
        return await outlast(lambda: self._store.write(work), "events wait for the store", service=self.service)

    def _apply(self, tx: Tx, page: Sequence[Arrival], *, put_aside: str = "") -> None:
        """Handle what is new of a page, or put all of it aside, and record how far it goes."""
        reached, moved = self._reached(tx.conn), dict[str, Reached]()
        together, traceparents = list[Any](), list[str]()
        for arrival in page:
            event, before = arrival.event, moved.get(arrival.stream) or reached.get(arrival.stream, Reached())
            moved[arrival.stream] = Reached(arrival.position, max(before.offset, arrival.known_by))
            if event is None or _seen(arrival, event, {**reached, arrival.stream: before}):
                continue
            if put_aside or arrival.flaw:
                dead_letters.put_aside(tx, self.service, event, put_aside or arrival.flaw)
            elif not event.payload:  # erased ones say nothing any more
                continue
            elif self._handle_page and len(page) > 1:
                together.append(arrival.item)
                traceparents.append(event.traceparent)
            else:
                with tracing.followed(f"{event.topic} handled", [event.traceparent]):
                    left = self._handle(tx, arrival.item)
                if left:
                    dead_letters.put_aside(tx, self.service, event, left)
        if self._handle_page and together:
            with tracing.followed(f"{self.service}'s page handled", traceparents):
                self._handle_page(tx, together)
        for stream, at in moved.items():
            self._record(tx.conn, stream, at)

    def _reached(self, conn: Connection) -> dict[str, Reached]:
        """How far each stream was followed."""
        rows = conn.execute(
            'SELECT stream, position, "offset" FROM followed_streams WHERE service = ?', (self.service,)
        ).fetchall()
        reached = {row[0]: Reached(row[1], row[2]) for row in rows}
        row = conn.execute('SELECT "offset" FROM followed WHERE service = ?', (self.service,)).fetchone()
        if row:
            reached[JOURNAL] = Reached(row[0], row[0])
        return reached

    def _pass(self, conn: Connection, head: int) -> None:
        """Go on behind entries of a journal of which none is wanted: otherwise each subscription, and each look, would read them again."""
        reached = self._reached(conn)
        if reached.keys() <= {JOURNAL} and reached.get(JOURNAL, Reached()).position < head:
            self._record(conn, JOURNAL, Reached(head, head))

    def _record(self, conn: Connection, stream: str, at: Reached) -> None:
        if stream == JOURNAL:
            conn.execute(
                'INSERT INTO followed VALUES (?, ?) ON CONFLICT (service) DO UPDATE SET "offset" = excluded."offset"',
                (self.service, at.offset),
            )
            return
        conn.execute(
            "INSERT INTO followed_streams VALUES (?, ?, ?, ?) ON CONFLICT (service, stream)"
            ' DO UPDATE SET position = excluded.position, "offset" = excluded."offset"',
            (self.service, stream, at.position, at.offset),
        )


class _Unusable(Exception):
    """What of an event could not be used; its handling is undone."""


def _seen(arrival: Arrival, event: event_log_pb2.Event, reached: Mapping[str, Reached]) -> bool:
    """Whether the event was handled before, on whichever side it came then."""
    if not arrival.known_by:
        return False
    if arrival.known_by <= reached.get(JOURNAL, Reached()).offset:
        return True
    stream = arrival.stream
    if stream == JOURNAL:  # it may have come over Kafka, before the settings were changed
        partitions = sum(other.rpartition("/")[0] == event.topic for other in reached)
        if not partitions:
            return False
        from eil_mesh.broker import partition_of  # Kafka's client is loaded where it is used

        stream = f"{event.topic}/{partition_of(event.tenant, event.key, partitions)}"
    return arrival.known_by <= reached.get(stream, Reached()).offset


def store_failed(error: Exception) -> bool:
    """Whether the store, not what was to be stored, is at fault."""
    if isinstance(error, sqlite3.Error):
        return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in NO_STORE
    return isinstance(error, Unavailable | ResourceExhausted)


async def outlast(access: Callable[[], Awaitable[T]], waiting: str, **who: str) -> T:
    """What the access to a store gives, tried for ever while the store is at fault; each failed try logs `waiting`."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await access()
        except Exception as error:
            if not store_failed(error):
                raise
            log.warning(waiting, **who, why=str(error))
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EilError | _Unusable) else f"{type(error).__name__}: {error}"
