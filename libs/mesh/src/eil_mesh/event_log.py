"""What a service's journal answers: the stream of its entries, how many wait, and what this service follows and could not handle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing

import grpc
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc

from eil_mesh import dead_letters, follower, metrics
from eil_mesh.call import current_call
from eil_mesh.clock import from_us
from eil_mesh.errors import InvalidArgument, Unavailable
from eil_mesh.feed import PAGE
from eil_mesh.follower import Follower
from eil_mesh.journal import Entry, backlog, entries, newest
from eil_mesh.paging import newest_page_of
from eil_mesh.store import Store

SCHEMA = (
    follower.SCHEMA
    + dead_letters.SCHEMA
    + 'CREATE TABLE IF NOT EXISTS relayed (journal TEXT PRIMARY KEY, "offset" INTEGER NOT NULL) STRICT;\n'
)
"""Tables beside every journal: how far others were followed, what was put aside, how far a relay to Kafka has come."""
LARGEST_OFFSET = 2**63 - 1
PART_BYTES = 1024 * 1024
"""Payloads that go together in one message."""
GATHER_S = 0.05
"""A subscriber's journal is read so often at most: the first entry after a pause leaves at once, a stream of them goes together, and its
follower commits them together."""


class EventLog(event_log_pb2_grpc.EventLogServiceServicer):
    """Serves a store's journal, and speaks for its followers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followers: dict[str, Follower] = {}

    def speak_for(self, follower: Follower) -> None:
        """Answer for a follower of this store, too."""
        self._followers[follower.service] = follower

    async def Subscribe(  # noqa: N802 - the contract's name
        self, request: event_log_pb2.SubscribeRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[event_log_pb2.SubscribeResponse]:
        """Send entries from the offset on, then follow. A user sees one tenant; a service without a tenant sees all."""
        _check_offset(request.from_offset)
        async with aclosing(
            pages(
                self._store,
                request.from_offset,
                tenant=_tenant(),
                topics=list(request.topics),
                gather_s=max(GATHER_S, request.gather_ms / 1000),
            )
        ) as journal:
            async for page in journal:
                for part in _parts(page) if request.pages else ():
                    yield event_log_pb2.SubscribeResponse(events=map(_event, part))
                for entry in () if request.pages else page:
                    yield event_log_pb2.SubscribeResponse(event=_event(entry))
                metrics.EVENTS_SENT.inc(len(page))

    async def GetBacklog(  # noqa: N802
        self, request: event_log_pb2.GetBacklogRequest, context: grpc.aio.ServicerContext
    ) -> event_log_pb2.GetBacklogResponse:
        """Count what lies at and after an offset."""
        _check_offset(request.from_offset)
        tenant, topics = _tenant(), list(request.topics)
        head, (count, oldest_us) = await self._store.read(
            lambda conn: (newest(conn), backlog(conn, request.from_offset, tenant=tenant, topics=topics))
        )
        oldest = None if oldest_us is None else from_us(oldest_us)
        return event_log_pb2.GetBacklogResponse(head=head, entries=count, oldest=oldest)

    async def ListFollowed(  # noqa: N802
        self, request: event_log_pb2.ListFollowedRequest, context: grpc.aio.ServicerContext
    ) -> event_log_pb2.ListFollowedResponse:
        """Ask each follower how far it has come."""
        tenant = _tenant()
        followed = [await self._followers[name].standing(tenant) for name in sorted(self._followers)]
        return event_log_pb2.ListFollowedResponse(followed=followed)

    async def ListDeadLetters(  # noqa: N802
        self, request: event_log_pb2.ListDeadLettersRequest, context: grpc.aio.ServicerContext
    ) -> event_log_pb2.ListDeadLettersResponse:
        """A page of what was put aside, newest first."""
        tenant = _tenant()
        size, before = newest_page_of(request)
        letters = await self._store.read(lambda conn: dead_letters.waiting(conn, tenant, before, size))
        token = str(letters[-1].id) if len(letters) == size else ""
        return event_log_pb2.ListDeadLettersResponse(dead_letters=letters, next_page_token=token)

    async def ReplayDeadLetters(  # noqa: N802
        self, request: event_log_pb2.ReplayDeadLettersRequest, context: grpc.aio.ServicerContext
    ) -> event_log_pb2.ReplayDeadLettersResponse:
        """Handle letters anew, the oldest first: events of one key keep their order."""
        tenant, ids = _tenant(), sorted({number for number in request.ids if number <= LARGEST_OFFSET})
        known = await self._store.read(lambda conn: dead_letters.find(conn, tenant, ids))
        answer = event_log_pb2.ReplayDeadLettersResponse()
        for number in sorted(set(request.ids)):
            if problem := await self._replay(known.get(number)):
                answer.failed.add(id=number, reason=problem)
            else:
                answer.replayed.append(number)
        return answer

    async def _replay(self, found: dead_letters.Waiting | None) -> str:
        """Why a letter was not handled; "" if it was, now or before."""
        if found is None:
            return "there is no such dead letter"
        if found.replayed:
            return ""
        if (follower := self._followers.get(found.letter.service)) is None:
            return f"{found.letter.service} is not followed any more"
        return await follower.replay(found.id, found.letter)


def _tenant() -> str:
    """The caller's tenant; "" for a service in its own name, which sees all."""
    call = current_call()
    return call.principal.tenant if call else ""


def _check_offset(offset: int) -> None:
    if offset > LARGEST_OFFSET:
        raise InvalidArgument(
            f"from_offset {offset} is beyond the end of any journal; 0 is what comes from now on",
            violations={"from_offset": f"must be at most {LARGEST_OFFSET}"},
        )


async def tail(
    store: Store, from_offset: int, *, tenant: str, topics: Sequence[str], gather_s: float = 0.0
) -> AsyncGenerator[Entry, None]:
    """The entries of `pages`, one by one. Close it after use (`aclosing`). Raises as they do."""
    async with aclosing(pages(store, from_offset, tenant=tenant, topics=topics, gather_s=gather_s)) as found:
        async for page in found:
            for entry in page:
                yield entry


async def pages(
    store: Store, from_offset: int, *, tenant: str, topics: Sequence[str], gather_s: float = 0.0
) -> AsyncGenerator[Sequence[Entry], None]:
    """Pages of a store's journal from an offset on (0: from now on), then as they are committed. Close it after use (`aclosing`).

    Once it has caught up it reads every `gather_s` at most [s].

    Raises:
        Unavailable: the service stops.
    """
    committed, now_s = store.watch(), asyncio.get_running_loop().time
    try:
        offset = from_offset or await store.read(newest) + 1
        while True:
            committed.clear()
            if store.released:
                break
            read_s = now_s()
            end, page = await store.read(
                lambda conn, offset=offset: (
                    newest(conn),
                    entries(conn, offset, tenant=tenant, topics=topics, limit=PAGE),
                )
            )
            if page:
                yield page
                offset = page[-1].offset + 1
            else:
                offset = max(offset, end + 1)  # what others wrote is not read again at each commit
                await committed.wait()
                await asyncio.sleep(max(read_s + gather_s - now_s(), 0.0))
    finally:
        store.unwatch(committed)
    raise Unavailable("the service is stopping; subscribe again from the next offset", retry_after_s=1.0)


def _parts(page: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """A page in parts that fit into a message; an entry that is larger comes by itself."""
    first, nbytes = 0, 0
    for place, entry in enumerate(page):
        size = len(entry.payload or b"")
        if place > first and nbytes + size > PART_BYTES:
            yield page[first:place]
            first, nbytes = place, 0
        nbytes += size
    yield page[first:]


def _event(entry: Entry) -> event_log_pb2.Event:
    return event_log_pb2.Event(
        offset=entry.offset,
        time=from_us(entry.time_us),
        tenant=entry.tenant,
        topic=entry.topic,
        key=entry.key,
        payload=entry.payload or b"",
        hash=entry.hash,
        traceparent=entry.traceparent,
    )
