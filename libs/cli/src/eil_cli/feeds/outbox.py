"""Samples on their way to the mesh: in order, kept while the door is shut, given up only within stated bounds."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from eil_cli.door import DoorError
from eil_cli.feeds.contact import Caller, is_passing
from eil_cli.feeds.times import rfc3339

CAPACITY = 600
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
# A backlog drains over several flushes, so that sampling goes on meanwhile.
MAX_PER_FLUSH = 50


@dataclass(frozen=True)
class Sample:
    """Telemetry of one moment."""

    time_s: float
    """Unix time [s]."""
    telemetry: Mapping[str, float]
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Tally:
    """What became of the samples."""

    sent: int = 0
    refused: int = 0
    """By the mesh, for good: their time or their values are wrong."""
    dropped: int = 0
    """The oldest, when more waited than there was room for."""
    failed_posts: int = 0


class Outbox:
    """Posts samples of one source to /v1/sense.

    Args:
        door: to post through.
        source: name of the source.
        say: takes lines for people.
    """

    def __init__(self, door: Caller, source: str, say: Callable[[str], None]) -> None:
        self._door, self._source, self._say = door, source, say
        self._waiting: deque[Sample] = deque()
        self._wait_s, self._retry_s = 0.0, float("-inf")
        self.tally = Tally()
        self.clock_s: float | None = None
        """Time of the newest sample that the mesh acknowledged: the source's clock."""

    def put(self, sample: Sample) -> None:
        """Takes a sample, later than those before. Of more than CAPACITY that wait the oldest is dropped."""
        self._waiting.append(sample)
        if len(self._waiting) > CAPACITY:
            self._waiting.popleft()
            self.tally.dropped += 1
            if self.tally.dropped % CAPACITY == 1:
                self._say(f"{CAPACITY} samples wait for the mesh; the oldest are dropped ({self.tally.dropped} so far)")

    def flush(self, now_s: float) -> None:
        """Posts what waits, unless the pause after a failure still lasts. Never raises for a failed post."""
        if now_s < self._retry_s:
            return
        for _ in range(min(len(self._waiting), MAX_PER_FLUSH)):
            sample = self._waiting[0]
            try:
                self._door.call("POST", "/v1/sense", self._body(sample))
            except DoorError as error:
                if is_passing(error):
                    self._pause(now_s, error)
                    return
                self.tally.refused += 1
                self._say(f"sample of {rfc3339(sample.time_s)} refused for good: {error.reason}: {error.message}")
            else:
                self.tally.sent += 1
                self.clock_s = sample.time_s
                self._resume()
            self._waiting.popleft()

    def _body(self, sample: Sample) -> dict[str, object]:
        return {
            "source": self._source,
            "timestamp": rfc3339(sample.time_s),
            "telemetry": dict(sample.telemetry),
            "context": dict(sample.context),
        }

    def _pause(self, now_s: float, error: DoorError) -> None:
        self.tally.failed_posts += 1
        self._wait_s = min(2 * self._wait_s or FIRST_WAIT_S, LONGEST_WAIT_S)
        self._retry_s = now_s + self._wait_s
        self._say(
            f"post failed ({error.reason}: {error.message}); {len(self._waiting)} samples wait, "
            f"next try in {self._wait_s:.0f} s, {self.tally.failed_posts} failed so far"
        )

    def _resume(self) -> None:
        if self._wait_s:
            self._say(f"the mesh answers again; {len(self._waiting) - 1} more samples wait")
        self._wait_s, self._retry_s = 0.0, float("-inf")
