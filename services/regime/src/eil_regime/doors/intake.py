"""What was read of one request, by source, whatever its door."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from eil_mesh.errors import InvalidArgument

from eil_regime.doors.names import Metric, chosen, source_of
from eil_regime.doors.parts import Reading, Tally

MAX_POINTS = 100_000
"""Points of one request."""


@dataclass(slots=True)
class Intake:
    """Readings by source, and what became of points that are none."""

    readings: dict[str, list[Reading]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    points: int = 0

    @property
    def rows(self) -> int:
        """Samples: moments of sources of which something was read."""
        return sum(len({reading.time_us for reading in own}) for own in self.readings.values())

    def count(self, points: int) -> None:
        """Count points that are about to be read.

        Raises:
            InvalidArgument: they are too many for one request.
        """
        self.points += points
        if self.points > MAX_POINTS:
            raise InvalidArgument(
                f"the request has more than {MAX_POINTS} points; nothing of it was stored: send fewer at once"
            )

    def place(
        self, metrics: tuple[Metric, ...], labels: Mapping[str, str], points: int
    ) -> tuple[Metric, str, list[Reading]] | None:
        """Where points with these labels belong: the metric, its part, and its source's readings; None if nowhere, which is counted."""
        try:
            found = chosen(metrics, labels)
            if found is None:
                self.tally.ignored += points
                return None
            return *found, self.readings.setdefault(source_of(labels), [])
        except ValueError as error:
            self.tally.refuse(str(error), points)
            return None
