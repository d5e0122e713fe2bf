"""One client of the stream: what it has got, and how it comes to the end of its tenant's ring."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from eil.events.v1 import event_log_pb2
from eil_mesh import metrics

from eil_bridge import position
from eil_bridge.callers import Caller
from eil_bridge.endings import TOO_SLOW, Ending
from eil_bridge.pipes import Pipe
from eil_bridge.ring import Ring, Shared, Wish, Writing


class Client:
    """A client between its first and its last event.

    Args:
        caller: who it is.
        wish: what it wants.
        skips: whether events are dropped while it is too slow; otherwise its stream ends.
        writing: how its connection writes.
        pipe: the connection.
    """

    def __init__(self, caller: Caller, wish: Wish, skips: bool, writing: Writing, pipe: Pipe) -> None:
        self.caller, self.wish, self.writing = caller, wish, writing
        self.reached: dict[str, int] | None = None
        """By service, the newest offset passed, while that is not what the feed has passed: after a break."""
        self.pending: set[str] = set()
        """Services whose events still come from their journals."""
        self._skips, self._pipe = skips, pipe
        self._ring: Ring | None = None
        self._standing: Mapping[str, int] = {}
        self._next, self._apart = 0, False
        self._skipped, self._lost = 0, ""
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def begin(self, ring: Ring, standing: Mapping[str, int], reached: dict[str, int] | None) -> None:
        """Take events: from now on, or from where it had come.

        Args:
            ring: its tenant's.
            standing: what the feed has passed, by service, as it changes.
            reached: what the client had passed; None is "from now on".
        """
        if self._ending.done():
            return
        self._ring, self._standing, self.reached = ring, standing, reached
        self._next = ring.end if reached is None else ring.begin
        self._pipe.moved = self._moved
        if reached is not None:
            self.pending = {s for s in reached if not ring.floor.get(s, reached[s] + 1) <= reached[s] <= standing[s]}
        self._apart = True
        ring.put_apart(self)
        self.pump()

    def end(self, ending: Ending) -> None:
        """End the stream. The first ending stands."""
        if not self._ending.done():
            self._ending.set_result(ending)
            self._pipe.moved = lambda: None
            if self._ring:
                self._ring.leave(self)

    async def ended(self) -> Ending:
        """Wait for the end."""
        return await asyncio.shield(self._ending)

    async def send(self, service: str, event: event_log_pb2.Event, text: bytes) -> None:
        """Send an event of a journal, in the journal's order, once the connection takes it."""
        await self._pipe.writable()
        if self._ending.done() or self.reached is None:
            return
        self.reached[service] = event.offset
        if event.tenant == self.caller.principal.tenant and self.wish.takes(event.topic, event.key):
            self._say(position.encode(self.reached), text)

    def caught_up(self, service: str) -> None:
        """What was missed of a service's journal has been sent, up to where the feed is."""
        assert self.reached is not None, "whose events come from a journal has a place of its own"
        self.reached[service] = max(self.reached[service], self._standing[service])
        self.pending.discard(service)
        self.pump()

    def write(self, data: bytes) -> None:
        self._pipe.write(data)

    def pump(self) -> None:
        """Send what the ring holds and the connection takes; at the ring's end, step into a lane."""
        ring = self._ring
        if ring is None or self._ending.done():
            return
        while not self._pipe.paused and (shared := ring.at(self._next)) is not None:
            self._next += 1
            if self._wants(shared):
                self._say(self._place(shared), shared.text)
        if self._pipe.paused or self.pending or self._next < ring.end:
            return
        if self.reached and any(offset > self._standing.get(s, -1) for s, offset in self.reached.items()):
            return  # it has seen more of a journal than the feed: until that has come, too, its ids are its own
        self.reached, self._apart = None, False
        ring.put_in_lane(self)

    def lose(self, shared: Shared) -> None:
        if self._next > shared.number:
            return
        self._next = shared.number + 1
        if not self._wants(shared):
            return
        if not self._skips:
            self.end(TOO_SLOW)
        self._skipped += 1
        metrics.STREAM_SKIPPED.inc()
        self._lost = self._place(shared)

    def beat(self) -> None:
        """Show that the stream stands and, where that is known, the place from which it would go on."""
        if not (self._pipe.paused or self._ending.done()):
            self._pipe.write(self.writing.beat("" if self._apart else position.encode(self._standing)))

    def _wants(self, shared: Shared) -> bool:
        """Whether an event of the ring is to be sent; what comes from its journal, or did, is not."""
        if self.reached is not None:
            if shared.service in self.pending or shared.offset <= self.reached.get(shared.service, 0):
                return False
            self.reached[shared.service] = shared.offset
        return self.wish.takes(shared.topic, shared.key)

    def _place(self, shared: Shared) -> str:
        return shared.place if self.reached is None else position.encode(self.reached)

    def _say(self, place: str, text: bytes) -> None:
        if self._skipped:
            self._pipe.write(self.writing.event(self._lost, b'"skipped":%d' % self._skipped))
            self._skipped = 0
        metrics.EVENTS_SENT.inc()
        self._pipe.write(self.writing.event(place, text))

    def _moved(self) -> None:
        if self._ring is None or self._ending.done():
            return
        if not self._pipe.paused:
            self.pump()
        elif not self._apart:
            self._apart, self._next = True, self._ring.end
            self._ring.put_apart(self)
