"""What waits to be sent to one client of the stream: bounded, so that nobody's slowness costs the others memory."""

import asyncio
from collections import deque
from dataclasses import dataclass

from eil.events.v1 import event_log_pb2

LONGEST_REASON = 123
"""Bytes that a WebSocket close frame may carry as its reason."""
TRY_LATER = 1013


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ends: a WebSocket close code, a reason for people (at most 123 bytes), and its stable name for programs."""

    code: int
    reason: str
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.reason.encode()) > LONGEST_REASON:
            raise ValueError(f"a close frame takes {LONGEST_REASON} bytes: {self.reason!r}")


GONE = Ending(1000, "the client has left")
EXPIRED = Ending(4401, "the token has expired; get a new one with `eil token` and connect again")
TOO_SLOW = Ending(
    TRY_LATER, "events came faster than they were read; ask for fewer topics or for one source", "TOO_SLOW"
)
STOPPING = Ending(1001, "the bridge is stopping; connect again")
FAILED = Ending(1011, "an unexpected error happened here; connect again")


class Outbox:
    """A queue of events that ends instead of growing.

    Args:
        most_events: events that may wait.
        most_bytes: bytes of payload that may wait, if more than one event waits.
    """

    def __init__(self, most_events: int, most_bytes: int) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self._waiting: deque[event_log_pb2.Event] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._ending = GONE

    def put(self, event: event_log_pb2.Event) -> None:
        """Let an event wait; if too many do, the stream ends."""
        if self._ended.is_set():
            return
        size = len(event.payload)
        if len(self._waiting) >= self._most_events or (self._waiting and self._bytes + size > self._most_bytes):
            self.end(TOO_SLOW)
            return
        self._waiting.append(event)
        self._bytes += size
        self._changed.set()

    async def get(self) -> event_log_pb2.Event | None:
        """The next event, waiting for it; None once the stream has ended."""
        while not self._waiting and not self._ended.is_set():
            self._changed.clear()
            await self._changed.wait()
        if self._ended.is_set():
            return None
        event = self._waiting.popleft()
        self._bytes -= len(event.payload)
        return event

    def end(self, ending: Ending) -> None:
        """End the stream; what waits is dropped. The first ending stands."""
        if not self._ended.is_set():
            self._ending = ending
            self._waiting.clear()
            self._ended.set()
            self._changed.set()

    async def ended(self) -> Ending:
        """Wait for the end."""
        await self._ended.wait()
        return self._ending
