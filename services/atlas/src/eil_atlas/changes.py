"""What is recorded in the graph: an ordered list of changes, each of one source. Applying one twice is applying it once."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

END_OF_TIME_US = 2**62


class StateRow(NamedTuple):
    """A state: begin of its window [µs], energy [J], covered time [s], entropy [J/K], how power was known, regime."""

    start_us: int
    energy_j: float
    covered_s: float
    entropy: float
    power_method: str
    regime: str


@dataclass(frozen=True, slots=True)
class States:
    """States as they are now; they take the place of what stood in their windows."""

    source: str
    rows: Sequence[StateRow]


@dataclass(frozen=True, slots=True)
class Gone:
    """States that never should have been: the begins of their windows [µs]."""

    source: str
    starts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The regime of all states whose windows begin in [start_us, end_us)."""

    source: str
    start_us: int
    end_us: int
    regime: str


@dataclass(frozen=True, slots=True)
class Shift:
    """A regime shift: when it was detected and began [µs], the regime left and the one entered ("" while it is not known)."""

    source: str
    detected_us: int
    id: str
    onset_us: int
    from_regime: str
    to_regime: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source stands: its row and rack; None where it never said."""

    source: str
    row: float | None
    rack: float | None


@dataclass(frozen=True, slots=True)
class Link:
    """An edge of the topology from a source to another: feeds, calls or adjacent, and its weight; a weight of 0 takes the edge away."""

    source: str
    to_source: str
    kind: str
    weight: float


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Everything of a source is erased."""

    source: str


Change = States | Gone | Stretch | Shift | Place | Link | Forgotten
_KINDS: dict[str, type[Change]] = {
    kind.__name__: kind for kind in (States, Gone, Stretch, Shift, Place, Link, Forgotten)
}


def encode(changes: Iterable[Change]) -> str:
    """Changes as JSON: floats keep their bits."""
    return json.dumps(
        [[type(change).__name__, *(getattr(change, name) for name in change.__slots__)] for change in changes],
        separators=(",", ":"),
    )


def decode(text: str) -> list[Change]:
    """What `encode` was given."""
    changes: list[Change] = []
    for name, *fields in json.loads(text):
        if name == "States":
            fields[1] = [StateRow(*row) for row in fields[1]]
        changes.append(_KINDS[name](*fields))
    return changes
