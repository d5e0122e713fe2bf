"""Where a follower's events come from: pages of arrivals from recorded positions on. Two sides: a journal's subscription, and Kafka.

Both promise: what was committed to a journal arrives at least once, and entries of one topic and key arrive in the journal's order. A
journal's subscription keeps its whole order. Kafka may show records of different topics, or of different keys, in another order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc

from eil_mesh.call import acting_for
from eil_mesh.client import Peers
from eil_mesh.clock import to_us

PAGE = 500
"""Entries read from a journal, and handled by a follower, at once."""
ENDING_S = 5.0
"""Time that ending a subscription may take."""
JOURNAL = ""
"""The stream of a feed that has one alone."""


class FeedLost(Exception):
    """The feed cannot be read now; the message says why. It is opened again."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a stream was followed."""

    position: int = 0
    """Where to go on: the last offset of the journal handled, or the next one of the partition."""
    offset: int = 0
    """Newest journal offset seen in it: what a relay sends again is known by it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event as it arrives."""

    stream: str
    """`JOURNAL`, or `topic/partition`. Events of a stream are in order."""
    position: int
    """Where the stream goes on once this is handled."""
    event: event_log_pb2.Event | None = None
    """None if the record is another's: its position is passed, and nothing else."""
    item: Any = None
    """What is handled: the event, or what was made of it on the way."""
    flaw: str = ""
    """Why it cannot be handled at all."""
    known_by: int = 0
    """Journal offset by which a repetition is known; 0 where the positions alone are enough."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What there is and is not handled yet; see `Followed` in the protos."""

    position: int
    head: int
    entries: int
    oldest_us: int | None = None


class Feed(Protocol):
    """One side."""

    def pages(self, reached: Mapping[str, Reached]) -> AsyncGenerator[Sequence[Arrival], None]:
        """Arrivals from there on, for ever; a page counts as handled when the next is asked for. Close it after use.

        Raises:
            FeedLost: it cannot be read now.
        """
        ...

    async def lag(self, reached: Mapping[str, Reached]) -> Lag:
        """How much lies behind these positions.

        Raises:
            FeedLost: nobody can say now.
        """
        ...


class JournalFeed:
    """The subscription to a service's journal, `EventLog.Subscribe`.

    Args:
        peers: channels.
        me: name of the following service.
        service: name of the followed service.
        topics: topics wanted.
        gather_s: how long entries may wait for each other [s].
    """

    def __init__(self, peers: Peers, me: str, service: str, topics: Sequence[str], gather_s: float = 0.0) -> None:
        self._stub = peers.stub(event_log_pb2_grpc.EventLogServiceStub, service)
        self._me, self._topics, self._gather_ms = me, topics, round(1000 * gather_s)

    async def pages(self, reached: Mapping[str, Reached]) -> AsyncGenerator[Sequence[Arrival], None]:
        received: asyncio.Queue[event_log_pb2.Event] = asyncio.Queue(PAGE)
        begin = reached.get(JOURNAL, Reached()).position + 1
        request = event_log_pb2.SubscribeRequest(
            from_offset=begin, topics=self._topics, pages=True, gather_ms=self._gather_ms
        )
        with acting_for(self._me, ""):
            reader = asyncio.create_task(self._receive(request, received))
        try:
            while not (reader.done() and received.empty()):
                if page := await _page(received, reader):
                    yield [Arrival(JOURNAL, event.offset, event, event, known_by=event.offset) for event in page]
            await reader
            raise FeedLost("the subscription ended")
        except grpc.aio.AioRpcError as error:
            raise FeedLost(error.code().name) from error
        finally:
            await _end(reader)

    async def lag(self, reached: Mapping[str, Reached]) -> Lag:
        position = reached.get(JOURNAL, Reached()).position
        request = event_log_pb2.GetBacklogRequest(from_offset=position + 1, topics=self._topics)
        try:
            with acting_for(self._me, ""):
                found = await self._stub.GetBacklog(request)
        except grpc.aio.AioRpcError as error:
            raise FeedLost(f"the journal does not answer: {error.code().name}") from error
        oldest_us = to_us(found.oldest) if found.HasField("oldest") else None
        return Lag(position, found.head, found.entries, oldest_us)

    async def _receive(
        self, request: event_log_pb2.SubscribeRequest, received: asyncio.Queue[event_log_pb2.Event]
    ) -> None:
        async for response in self._stub.Subscribe(request):
            for event in response.events or (response.event,):
                await received.put(event)


async def _page(received: asyncio.Queue[event_log_pb2.Event], reader: asyncio.Task[None]) -> list[event_log_pb2.Event]:
    """Everything that has arrived, waiting for the first; empty if the subscription ended."""
    first = asyncio.create_task(received.get())
    await asyncio.wait([first, reader], return_when=asyncio.FIRST_COMPLETED)
    if not first.done():
        await _end(first)
        return []
    page = [first.result()]
    while len(page) < PAGE and not received.empty():
        page.append(received.get_nowait())
    return page


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and see it end. Unlike awaiting it, this takes nobody else's cancellation for the task's."""
    task.cancel()
    await asyncio.wait([task], timeout=ENDING_S)
    if task.done() and not task.cancelled():
        task.exception()  # looked at: what it raised is of no use any more
