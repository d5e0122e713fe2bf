"""The regime service's journal, read from an offset to where it ends now: for who compares, and does not follow."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import grpc
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh.call import acting_for
from eil_mesh.clock import to_us
from eil_mesh.errors import Unavailable
from eil_mesh.feed import PAGE
from eil_mesh.journal import COUNTED

from eil_atlas.changes import END_OF_TIME_US
from eil_atlas.following import TOPICS

SILENT_S = 30.0
"""Longest wait for a page of entries that the journal has."""
Page = tuple[list[event_log_pb2.Event], int]
"""Entries, and how many are left."""


class JournalReader:
    """Reads the regime service's journal up to its end: of one tenant, or of all ("")."""

    def __init__(self, stub: event_log_pb2_grpc.EventLogServiceStub, tenant: str) -> None:
        self._stub, self._tenant = cast(Any, stub), tenant  # called on an asynchronous channel
        self._call: Any = None
        self._more = False

    async def pages(self, after: int) -> AsyncGenerator[Page, None]:
        """Entries behind an offset up to where the journal ends now, with how many are left; close it after use.

        Raises:
            Unavailable: the journal does not answer.
        """
        try:
            while left := await self._left(after):
                self._subscribe(after)
                while left:
                    page = await self._page(min(left, PAGE))
                    after, left = page[-1].offset, left - len(page)
                    yield page, left
                self._end()
                if not self._more:
                    return
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            why = error.code().name if isinstance(error, grpc.aio.AioRpcError) else "silence"
            raise Unavailable(
                f"the regime service's journal could not be read ({why}), so that nothing can be compared with it; see that it runs, and "
                "try again",
                reason="JOURNAL_UNREACHABLE",
                retry_after_s=5.0,
            ) from error
        finally:
            self._end()

    async def begin_at(self, time_us: int) -> int:
        """The last offset before the first entry that was written at a moment or later. Raises as `pages`."""
        with acting_for("atlas", self._tenant):
            head = (await self._stub.GetBacklog(event_log_pb2.GetBacklogRequest(from_offset=2**62))).head
        low, high = 0, head
        while low < high:
            middle = (low + high) // 2
            if await self._time_us(middle + 1) < time_us:
                low = middle + 1
            else:
                high = middle
        return low

    async def _time_us(self, offset: int) -> int:
        async with aclosing(self.pages(offset - 1)) as entries:
            async for page, _ in entries:
                return to_us(page[0].time)
        return END_OF_TIME_US

    async def _left(self, after: int) -> int:
        request = event_log_pb2.GetBacklogRequest(from_offset=after + 1, topics=TOPICS)
        with acting_for("atlas", self._tenant):
            found = await self._stub.GetBacklog(request)
        self._more = found.entries >= COUNTED
        return found.entries

    def _subscribe(self, after: int) -> None:
        request = event_log_pb2.SubscribeRequest(from_offset=after + 1, topics=TOPICS)
        with acting_for("atlas", self._tenant):
            self._call = self._stub.Subscribe(request)

    async def _page(self, size: int) -> list[event_log_pb2.Event]:
        page: list[event_log_pb2.Event] = []
        async with asyncio.timeout(SILENT_S):
            while len(page) < size:
                answer = await self._call.read()
                if not isinstance(answer, event_log_pb2.SubscribeResponse):
                    raise TimeoutError("the subscription ended")
                page.append(answer.event)
        return page

    def _end(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
