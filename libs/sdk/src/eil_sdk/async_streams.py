"""Streams of telemetry on an event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from eil.regime.v1 import regime_pb2 as pb

from eil_sdk import window
from eil_sdk.errors import EilError, Unavailable
from eil_sdk.services import AsyncServices
from eil_sdk.streams import CLOSE_S, END_S, MOST_ROWS, OnRefusal, Sending
from eil_sdk.values import Time, Times, Values


class AsyncIngestStream(Sending):
    """As IngestStream; tasks of one event loop may share it. Leave it by `async with` or `close()`."""

    def __init__(
        self, services: AsyncServices, on_refusal: OnRefusal | None = None, *, most_rows: int = MOST_ROWS
    ) -> None:
        super().__init__(on_refusal, most_rows)
        self._services, self._changed = services, asyncio.Condition()
        self._worker = asyncio.create_task(self._run(), name="eil-stream")

    async def send(self, source: str, time: Time, values: Mapping[str, float], *, power_kind: str = "") -> None:
        """As IngestStream.send."""
        kind, taken = window.checked_kind(power_kind), window.sample(source, time, values)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free(1))
            self._window.add(source, kind, taken)
            self._changed.notify_all()

    async def send_columns(
        self, source: str, times: Times, channels: Mapping[str, Values], *, power_kind: str = ""
    ) -> None:
        """As IngestStream.send_columns."""
        for batch in window.batches(source, times, channels, window.checked_kind(power_kind)):
            async with self._changed:
                await self._changed.wait_for(partial(self._free, len(batch.times_us)))
                self._window.add_batch(batch)
                self._changed.notify_all()

    async def flush(self, timeout_s: float | None = None) -> None:
        """As IngestStream.flush."""
        async with self._changed:
            last = self._window.close()
            self._changed.notify_all()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._changed.wait_for(lambda: self._through(last))
            except TimeoutError:
                raise self._late(timeout_s) from None

    async def close(self, timeout_s: float | None = CLOSE_S) -> None:
        """As IngestStream.close."""
        self._closing = True  # from here on nobody sends
        try:
            await self.flush(timeout_s)
        finally:
            async with self._changed:
                self._abandoned = self._window.rows > 0
                self._changed.notify_all()
            await asyncio.wait([self._worker], timeout=0.0 if self._abandoned else END_S)
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: not self._idle())
                    if self._finished():
                        return
                wait_s = self._broke(await self._connect())
                async with self._changed:
                    try:
                        async with asyncio.timeout(wait_s):
                            await self._changed.wait_for(self._finished)
                    except TimeoutError:
                        pass
        except EilError as error:
            await self._fail(error)
        except Exception as error:  # whoever waits must hear of it
            await self._fail(EilError(f"the stream ended by an unexpected error: {error!r}"))

    async def _connect(self) -> EilError:
        """Send, and take acknowledgements, until the connection ends; answers why it did."""
        answers = cast(Any, self._services.regime.IngestStream(self._requests()))
        try:
            async for answer in answers:
                async with self._changed:
                    refusals = self._acknowledge(answer)
                    self._changed.notify_all()
                for refusal in refusals:
                    self._on_refusal(refusal)
            return Unavailable("the mesh ended the stream")
        except EilError as error:
            return error
        finally:
            await answers.aclose()

    async def _requests(self) -> AsyncIterator[pb.IngestStreamRequest]:
        sent = 0
        while True:
            async with self._changed:
                message = None
                while not self._finished():
                    if message := self._window.next(sent):
                        break
                    await self._changed.wait()
            if message is None:
                return
            sent = message.sequence
            yield message

    async def _fail(self, error: EilError) -> None:
        async with self._changed:
            self._failure = error
            self._changed.notify_all()
