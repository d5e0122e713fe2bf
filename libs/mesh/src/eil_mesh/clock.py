"""Time, injected so that tests can hold it."""

import time
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

MICROSECONDS = 1_000_000


class Clock(Protocol):
    """Answers the time of day."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        ...


class SystemClock:
    """This machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, now_us: int = 1_800_000_000 * MICROSECONDS) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError("a clock does not run backwards")
        self._now_us += round(seconds * MICROSECONDS)


def to_us(timestamp: Timestamp) -> int:
    """Microseconds since 1970 of a protobuf timestamp; finer digits are cut."""
    return timestamp.seconds * MICROSECONDS + timestamp.nanos // 1000


def from_us(us: int) -> Timestamp:
    """Protobuf timestamp of microseconds since 1970."""
    return Timestamp(seconds=us // MICROSECONDS, nanos=us % MICROSECONDS * 1000)


def iso(us: int) -> str:
    """ISO 8601 in UTC, for messages that people read."""
    return datetime.fromtimestamp(us / MICROSECONDS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
