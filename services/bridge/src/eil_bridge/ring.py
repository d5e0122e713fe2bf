"""The recent events of one tenant, shared by its clients: each event is written once and goes to all who want it.

A client that takes everything at once stands in a lane, with all others of the same wish: an event costs it one write. One that is
behind, or goes on after a break, stands apart and reads the ring at its own pace until it has come to the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from eil_mesh import metrics


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants: topics, and keys (empty: any)."""

    topics: frozenset[str]
    sources: frozenset[str]

    def takes(self, topic: str, key: str) -> bool:
        return topic in self.topics and (not self.sources or key in self.sources)


@dataclass(frozen=True, slots=True)
class Shared:
    """An event as all clients of its tenant get it."""

    number: int
    """Its place in the ring, dense."""
    service: str
    offset: int
    topic: str
    key: str
    place: str
    """`position.encode` of what the feed had passed with it."""
    text: bytes
    """The members of a JSON object, without braces and id."""


class Writing(Protocol):
    """How a kind of connection writes: WebSocket, or server-sent events."""

    def event(self, place: str, text: bytes) -> bytes:
        """What goes out for a message with this id."""
        ...

    def beat(self, place: str) -> bytes:
        """What goes out when nothing else does; empty if nothing needs to. `place` is the id to go on from, if it is known."""
        ...


class Member(Protocol):
    """A client, as its ring sees it."""

    wish: Wish
    writing: Writing

    def write(self, data: bytes) -> None:
        """Send, or let wait in the connection."""
        ...

    def beat(self) -> None:
        """Show that the stream stands."""
        ...

    def pump(self) -> None:
        """Take from the ring what it can; called while it stands apart."""
        ...

    def lose(self, shared: Shared) -> None:
        """An event leaves the ring; called while it stands apart."""
        ...


class Ring:
    """Events of one tenant, the newest last.

    Args:
        floor: what the feed had passed when the ring began, by service.
        most_events: events kept at most.
        most_bytes: bytes of text kept at most, if more than one event is kept.
    """

    def __init__(self, floor: Mapping[str, int], most_events: int, most_bytes: int) -> None:
        self.floor = dict(floor)
        """By service: whatever the tenant's journal holds behind this offset is in the ring, or still to come."""
        self.bytes, self.end = 0, 0
        """Bytes of text kept; number of the next event."""
        self._most_events, self._most_bytes = most_events, most_bytes
        self._events: deque[Shared] = deque()
        self._lanes: dict[tuple[Wish, Writing], set[Member]] = {}
        self._apart: set[Member] = set()

    @property
    def begin(self) -> int:
        """Number of the oldest event kept."""
        return self.end - len(self._events)

    def at(self, number: int) -> Shared | None:
        """The event of that number; None if it is still to come.

        Raises:
            IndexError: it is not kept any more.
        """
        if number >= self.end:
            return None
        if number < self.begin:
            raise IndexError(f"event {number} has left the ring, which begins at {self.begin}")
        return self._events[number - self.begin]

    def put_in_lane(self, member: Member) -> None:
        self._apart.discard(member)
        self._lanes.setdefault((member.wish, member.writing), set()).add(member)

    def put_apart(self, member: Member) -> None:
        self._leave_lane(member)
        self._apart.add(member)

    def leave(self, member: Member) -> None:
        self._leave_lane(member)
        self._apart.discard(member)

    def add(self, service: str, offset: int, topic: str, key: str, place: str, text: bytes) -> None:
        """Keep an event and send it to all who want it."""
        shared = Shared(self.end, service, offset, topic, key, place, text)
        self._events.append(shared)
        self.bytes, self.end = self.bytes + len(text), self.end + 1
        apart = list(self._apart)  # before the lanes: who falls out of one has this event already
        for (wish, writing), members in list(self._lanes.items()):
            if wish.takes(topic, key):
                data = writing.event(place, text)
                metrics.EVENTS_SENT.inc(len(members))
                for member in list(members):  # writing may move it out of the lane
                    member.write(data)
        for member in apart:
            member.pump()
        while len(self._events) > self._most_events or (len(self._events) > 1 and self.bytes > self._most_bytes):
            self.forget()

    def forget(self) -> None:
        """Let the oldest event go."""
        oldest = self._events.popleft()
        self.bytes -= len(oldest.text)
        self.floor[oldest.service] = oldest.offset
        for member in list(self._apart):
            member.lose(oldest)

    def beat(self) -> None:
        """Show every client that the stream stands."""
        for member in [*self._apart, *(member for lane in self._lanes.values() for member in lane)]:
            member.beat()

    def _leave_lane(self, member: Member) -> None:
        lane = self._lanes.get((member.wish, member.writing))
        if lane:
            lane.discard(member)
            if not lane:
                del self._lanes[member.wish, member.writing]
