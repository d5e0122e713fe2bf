"""The journal as a stream: `EventLog.Subscribe` on one side, `follow` on the other.

A follower handles each event in a transaction of its own store that also records the offset: an event counts once however often it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc

from eil_mesh import metrics
from eil_mesh.call import acting_for, current_call
from eil_mesh.client import Peers
from eil_mesh.clock import from_us
from eil_mesh.errors import InvalidArgument, Unavailable
from eil_mesh.journal import Entry, entries
from eil_mesh.store import Connection, Store, Tx

log = structlog.get_logger("eil.events")
SCHEMA = """
CREATE TABLE IF NOT EXISTS followed (service TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT;
"""
LARGEST_OFFSET = 2**63 - 1
PAGE = 500
"""Entries read from the journal, and handled by a follower, at once."""
GATHER_S = 0.05
"""A subscriber's journal is read so often at most: the first entry after a pause leaves at once, a stream of them goes together, and its
follower commits them together."""


class EventLog(event_log_pb2_grpc.EventLogServiceServicer):
    """Serves a store's journal."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def Subscribe(  # noqa: N802 - the contract's name
        self, request: event_log_pb2.SubscribeRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[event_log_pb2.SubscribeResponse]:
        """Send entries from the offset on, then follow. A user sees one tenant; a service without a tenant sees all."""
        if request.from_offset > LARGEST_OFFSET:
            raise InvalidArgument(
                f"from_offset {request.from_offset} is beyond the end of any journal; 0 is what comes from now on",
                violations={"from_offset": f"must be at most {LARGEST_OFFSET}"},
            )
        call = current_call()
        tenant = call.principal.tenant if call else ""
        async with aclosing(
            tail(self._store, request.from_offset, tenant=tenant, topics=list(request.topics), gather_s=GATHER_S)
        ) as journal:
            async for entry in journal:
                yield event_log_pb2.SubscribeResponse(event=_event(entry))
                metrics.EVENTS_SENT.inc()


async def tail(
    store: Store, from_offset: int, *, tenant: str, topics: Sequence[str], gather_s: float = 0.0
) -> AsyncGenerator[Entry, None]:
    """Entries of a store's journal from an offset on (0: from now on), then as they are committed. Close it after use (`aclosing`).

    Once it has caught up it reads every `gather_s` at most [s].

    Raises:
        Unavailable: the service stops.
    """
    committed, now_s = store.watch(), asyncio.get_running_loop().time
    try:
        offset = from_offset or await store.read(_end) + 1
        while True:
            committed.clear()
            if store.released:
                break
            read_s = now_s()
            end, page = await store.read(
                lambda conn, offset=offset: (
                    _end(conn),
                    entries(conn, offset, tenant=tenant, topics=topics, limit=PAGE),
                )
            )
            for entry in page:
                yield entry
            if page:
                offset = page[-1].offset + 1
            else:
                offset = max(offset, end + 1)  # what others wrote is not read again at each commit
                await committed.wait()
                await asyncio.sleep(max(read_s + gather_s - now_s(), 0.0))
    finally:
        store.unwatch(committed)
    raise Unavailable("the service is stopping; subscribe again from the next offset", retry_after_s=1.0)


def _end(conn: Connection) -> int:
    return conn.execute('SELECT coalesce(max("offset"), 0) FROM journal').fetchone()[0]


def _event(entry: Entry) -> event_log_pb2.Event:
    return event_log_pb2.Event(
        offset=entry.offset,
        time=from_us(entry.time_us),
        tenant=entry.tenant,
        topic=entry.topic,
        key=entry.key,
        payload=entry.payload or b"",
        hash=entry.hash,
    )


async def follow(
    peers: Peers,
    store: Store,
    me: str,
    service: str,
    topics: Sequence[str],
    handle: Callable[[Tx, event_log_pb2.Event], None],
) -> None:
    """Follow another service's journal for ever, from where this store left it, reconnecting with back-off.

    Args:
        peers: channels.
        store: where offsets stand; its schema must contain `event_log.SCHEMA`.
        me: name of the following service.
        service: name of the followed service.
        topics: topics wanted.
        handle: applied to each event inside a transaction; it must not raise for events that it does not understand.
    """
    stub = peers.stub(event_log_pb2_grpc.EventLogServiceStub, service)
    pause_s = 0.2
    while True:
        offset = await store.read(lambda conn: _followed(conn, service))
        received: asyncio.Queue[event_log_pb2.Event] = asyncio.Queue(PAGE)
        request = event_log_pb2.SubscribeRequest(from_offset=offset + 1, topics=topics)
        with acting_for(me, ""):
            reader = asyncio.create_task(_receive(stub, request, received))
        try:
            while not (reader.done() and received.empty()):
                if page := await _page(received, reader):
                    await store.write(lambda tx, page=page: _apply(tx, service, page, handle))
                    metrics.EVENTS_FOLLOWED.labels(service).inc(len(page))
                    pause_s = 0.2
            await reader
        except grpc.aio.AioRpcError as error:
            log.info("subscription ended", service=service, code=error.code().name)
        finally:
            await _ended(reader)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 5.0)


async def _receive(
    stub: event_log_pb2_grpc.EventLogServiceAsyncStub,
    request: event_log_pb2.SubscribeRequest,
    received: asyncio.Queue[event_log_pb2.Event],
) -> None:
    async for response in stub.Subscribe(request):
        await received.put(response.event)


async def _page(received: asyncio.Queue[event_log_pb2.Event], reader: asyncio.Task[None]) -> list[event_log_pb2.Event]:
    """Everything that has arrived, waiting for the first; empty if the subscription ended."""
    first = asyncio.create_task(received.get())
    await asyncio.wait([first, reader], return_when=asyncio.FIRST_COMPLETED)
    if not first.done():
        await _ended(first)
        return []
    page = [first.result()]
    while len(page) < PAGE and not received.empty():
        page.append(received.get_nowait())
    return page


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, however it ends.

    To await the task itself and to suppress its CancelledError would suppress that of the waiting one, too, which would then never end.
    """
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # seen, so that nobody warns of it


def _followed(conn: Connection, service: str) -> int:
    row = conn.execute('SELECT "offset" FROM followed WHERE service = ?', (service,)).fetchone()
    return row[0] if row else 0


def _apply(
    tx: Tx, service: str, page: Sequence[event_log_pb2.Event], handle: Callable[[Tx, event_log_pb2.Event], None]
) -> None:
    known = _followed(tx.conn, service)
    for event in page:
        if event.offset > known:
            handle(tx, event)
            known = event.offset
    tx.conn.execute(
        'INSERT INTO followed VALUES (?, ?) ON CONFLICT (service) DO UPDATE SET "offset" = excluded."offset"',
        (service, known),
    )
