"""A service's state: one SQLite file with one writing thread, group commit, and the journal in the same transactions.

Facts and their journal entries are written by functions that run inside the writer's transaction. Everything that waits while a commit
is under way goes into the next one, so that many callers share one fsync. A function that raises undoes its own work alone.
"""

import asyncio
import contextvars
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog

from eil_mesh import metrics
from eil_mesh.audit import audited
from eil_mesh.clock import Clock
from eil_mesh.database import Connection as Connection  # its name for the services
from eil_mesh.errors import FailedPrecondition, ResourceExhausted, Unavailable
from eil_mesh.journal import SCHEMA as JOURNAL_SCHEMA
from eil_mesh.journal import Journal
from eil_mesh.requests import SCHEMA as REQUESTS_SCHEMA

T = TypeVar("T")
log = structlog.get_logger("eil.store")
QUEUE = 10_000
"""Writes that may wait; more are refused with RESOURCE_EXHAUSTED."""
BATCH = 512
"""Writes that share one commit at most."""
BUSY_S = 10.0
"""Time that a commit waits for another program that has the file locked, such as a backup [s]."""


@dataclass(frozen=True, slots=True)
class Tx:
    """An open transaction: the connection (a `Connection`), the journal and the moment."""

    conn: Any
    journal: Journal
    now_us: int
    asides: list[int] = field(default_factory=list)
    """Changes that are no facts: numbers of rows by which answers were kept under request ids."""


@dataclass(slots=True)
class _Write:
    work: Callable[[Tx], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context


_Result = tuple[_Write, Any, BaseException | None]


class Store:
    """SQLite in WAL mode. Open with `Store(path, …)`, close with `close()`. One process at a time may have it open.

    Args:
        path: the file; it is made at first.
        schema: statements that make the service's tables if they do not exist.
        clock: stamps transactions and journal entries.
        durable: True survives power loss (fsync at each commit); False survives the process, and may lose the last second to power loss.

    Raises:
        FailedPrecondition: another process has it open.
        sqlite3.Error: the file is no such database.
    """

    admit: Callable[[], None] = staticmethod(lambda: None)
    """Asked before each write, in the caller's context: what it raises refuses the write."""

    def __init__(self, path: Path, schema: str, clock: Clock, *, durable: bool = True) -> None:
        self.path, self._clock, self._durable = path, clock, durable
        self._schema = schema
        self._queue: queue.Queue[_Write | None] = queue.Queue(QUEUE)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-read")
        self._local = threading.local()
        self._watchers: set[asyncio.Event] = set()
        self._opened: queue.Queue[BaseException | None] = queue.Queue(1)
        self._closed = False
        self.released = False
        self._claim = _claim(path)
        self._writer = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._writer.start()
        if error := self._opened.get():
            os.close(self._claim)
            raise error

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction and return its result once it is durable. See `audit` for what else it may write.

        Raises:
            ResourceExhausted: too many writes wait, or `admit` refuses.
            Unavailable: the store is closed.
            Exception: whatever `work` raised; its changes are undone.
        """
        if self._closed:
            raise Unavailable("the service is stopping; try again", retry_after_s=1.0)
        self.admit()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            self._queue.put_nowait(_Write(audited(work), future, loop, contextvars.copy_context()))
        except queue.Full:
            raise ResourceExhausted(
                f"{QUEUE} writes are waiting; slow down and try again", reason="QUEUE_FULL", retry_after_s=0.5
            ) from None
        return await future

    async def read(self, work: Callable[[Any], T]) -> T:
        """Run `work` on a read-only connection beside the writer."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        return await loop.run_in_executor(self._readers, lambda: context.run(work, self._reader()))

    def glance(self, work: Callable[[Any], T]) -> T:
        """Run `work` on a read-only connection of the calling thread: for look-ups by key, which a way to another thread would cost more
        than."""
        return work(self._reader())

    def watch(self) -> asyncio.Event:
        """An event that is set after every commit that wrote to the journal, and at the end; give it back with `unwatch`.

        Clear it, leave if the store is `released`, read, and wait: in this order nothing is missed.
        """
        event = asyncio.Event()
        self._watchers.add(event)
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        """Stop setting the event."""
        self._watchers.discard(event)

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the service stops."""
        woken = self.watch()
        try:
            async with asyncio.timeout(seconds):
                while not self.released:
                    await woken.wait()
                    woken.clear()
        except TimeoutError:
            pass
        finally:
            self.unwatch(woken)

    def release(self) -> None:
        """Wake every watcher for the last time: the service stops."""
        self.released = True
        for event in self._watchers:
            event.set()

    def close(self) -> None:
        """Finish what waits, then close the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join()
            self._readers.shutdown()
            if conn := getattr(self._local, "conn", None):
                conn.close()
            os.close(self._claim)

    def _connect(self) -> sqlite3.Connection:
        conn = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
        conn.row_factory = sqlite3.Row
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
        conn.execute("PRAGMA foreign_keys=ON")
        return conn

    def _reader(self) -> sqlite3.Connection:
        if not hasattr(self._local, "conn"):
            self._local.conn = self._connect()
            self._local.conn.execute("PRAGMA query_only=ON")
        return self._local.conn

    def _run(self) -> None:
        try:
            conn = self._connect()
            conn.executescript(JOURNAL_SCHEMA + REQUESTS_SCHEMA + self._schema)
            journal = Journal(conn)
        except sqlite3.Error as error:
            self._opened.put(error)
            return
        self._opened.put(None)
        while batch := self._take():
            with committing(batch):
                self._commit(conn, journal, batch)
        conn.close()

    def _take(self) -> list[_Write]:
        """The next writes, waiting for the first; empty when the store closes."""
        first = self._queue.get()
        batch: list[_Write] = []
        while first is not None:
            batch.append(first)
            if len(batch) >= BATCH or self._queue.empty():
                break
            first = self._queue.get()
            if first is None:
                self._queue.put(None)
        return batch

    def _commit(self, conn: sqlite3.Connection, journal: Journal, batch: Sequence[_Write]) -> None:
        before = journal.head
        try:
            conn.execute("BEGIN IMMEDIATE")
            results = [self._perform(conn, journal, write) for write in batch]
            conn.execute("COMMIT")
        except (
            sqlite3.Error
        ) as error:  # locked, full or failing: everybody in the batch hears of it, and this thread serves on
            log.error("commit failed", path=str(self.path), exc_info=error)
            metrics.STORE_FAILURES.inc()
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            journal.head = before
            failure = Unavailable(
                "the state could not be written; nothing was changed; try again",
                reason="STORE_FAILED",
                retry_after_s=1.0,
            )
            results = [(write, None, failure) for write in batch]
        self._answer(results, wrote=journal.head != before)

    def _perform(self, conn: sqlite3.Connection, journal: Journal, write: _Write) -> _Result:
        """One write inside the batch's transaction: its value, or its error once its changes are undone."""
        head, value, failure = journal.head, None, None
        conn.execute("SAVEPOINT work")
        try:
            value = write.context.run(write.work, Tx(conn, journal, self._clock.now_us()))
        except BaseException as error:  # the caller gets it: this thread serves everybody else on
            conn.execute("ROLLBACK TO work")
            journal.head, failure = head, error
        conn.execute("RELEASE work")
        return write, value, failure

    def _answer(self, results: Sequence[_Result], *, wrote: bool) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
        for result in results:
            by_loop.setdefault(result[0].loop, []).append(result)
        for loop, own in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._resolve, own, wrote)

    def _resolve(self, results: Sequence[_Result], wrote: bool) -> None:
        for write, value, error in results:
            if write.future.cancelled():
                continue
            if error is not None:
                write.future.set_exception(error)
            else:
                write.future.set_result(value)
        if wrote:
            for event in self._watchers:
                event.set()


def committing(batch: Sequence[object]) -> AbstractContextManager[object]:
    """Measures a commit of these writes."""
    metrics.STORE_COMMIT_WRITES.observe(len(batch))
    return metrics.STORE_COMMIT_SECONDS.time()


def _claim(path: Path) -> int:
    """Take the state for this process until the returned descriptor is closed: a second writer would break the journal's chain."""
    held = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise FailedPrecondition(
            f"{path} is in use by another process, and two writers would break its journal; stop that process, or start this one "
            "in another state folder",
            reason="STATE_IN_USE",
        ) from None
    return held
