"""Readings of sources in the frames of a map, from the energy of their windows and how much of the time samples cover.

Energy of covered time is scaled up to the whole frame, and says so in its uncertainty: what is not covered is taken to draw the mean of
what is, ± the spread of the source's own power from step to step, all of it at once; ± 100 % where there are fewer than FEWEST_STEPS steps
to tell a spread. Where samples cover less than half of a frame there is no reading, and never a zero.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LEAST_COVERAGE = 0.5
"""Share of a frame that samples must cover for a reading, and of a step for it to count in the spread."""
FEWEST_STEPS = 3
Quantity = Literal["energy", "power", "entropy"]
UNITS: dict[Quantity, str] = {"energy": "J", "power": "W", "entropy": "J/K"}


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a source in a step of time that begins at `start_us`."""

    source: str
    start_us: int
    energy_j: float
    covered_s: float
    entropy: float
    """Entropy generated [J/K]."""
    regime: str
    """Newest one of the step."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A source's value over a whole frame, in the quantity's unit, with its standard uncertainty."""

    source: str
    value: float
    uncertainty: float
    covered_s: float
    regime: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A source of which samples cover too little of a frame [s]."""

    source: str
    covered_s: float


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of `steps` steps of `step_us` each, the first beginning at `start_us`."""

    start_us: int
    step_us: int
    steps: int
    count: int

    @property
    def length_us(self) -> int:
        """Length of a frame."""
        return self.step_us * self.steps

    def begin_us(self, number: int) -> int:
        """Begin of a frame."""
        return self.start_us + number * self.length_us

    @property
    def end_us(self) -> int:
        """End of the last frame."""
        return self.begin_us(self.count)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in a frame, by name of the source."""

    readings: tuple[Reading, ...]
    gaps: tuple[Gap, ...]


@dataclass(slots=True)
class _History:
    """Figures of a source, each (frames, steps)."""

    energy_j: NDArray[np.float64]
    covered_s: NDArray[np.float64]
    entropy: NDArray[np.float64]
    regimes: dict[int, str] = field(default_factory=dict)
    """Newest regime by number of the frame."""


def measure(
    rows: Iterable[Energy], frames: Frames, quantity: Quantity, sources: Collection[str] = ()
) -> list[Measured]:
    """Readings and gaps of every frame, for the sources of rows and those named; rows outside of the frames do not count."""

    def blank() -> _History:
        energy_j, covered_s, entropy = np.zeros((3, frames.count, frames.steps))
        return _History(energy_j, covered_s, entropy)

    histories: defaultdict[str, _History] = defaultdict(blank)
    for row in sorted(rows, key=lambda row: row.start_us):
        number, step = divmod((row.start_us - frames.start_us) // frames.step_us, frames.steps)
        if not 0 <= number < frames.count:
            continue
        history = histories[row.source]
        history.energy_j[number, step] += row.energy_j
        history.covered_s[number, step] += row.covered_s
        history.entropy[number, step] += row.entropy
        history.regimes[number] = row.regime
    told = {name: _readings(name, histories[name], frames, quantity) for name in sorted({*histories, *sources})}
    return [
        Measured(
            tuple(found for each in told.values() if isinstance(found := each[number], Reading)),
            tuple(found for each in told.values() if isinstance(found := each[number], Gap)),
        )
        for number in range(frames.count)
    ]


def _readings(name: str, history: _History, frames: Frames, quantity: Quantity) -> list[Reading | Gap]:
    """A source's reading, or gap, in each frame."""
    length_s = frames.length_us / 1e6
    spread_w = _spread_w(history, frames.step_us / 1e6)
    found: list[Reading | Gap] = []
    for number, covered_s in enumerate(history.covered_s.sum(axis=1).tolist()):
        if covered_s < LEAST_COVERAGE * length_s:
            found.append(Gap(name, covered_s))
            continue
        power_w = float(history.energy_j[number].sum()) / covered_s
        lacking = max(0.0, 1.0 - covered_s / length_s)
        doubt_w = lacking * (abs(power_w) if spread_w is None else spread_w)
        if quantity == "entropy":
            value = float(history.entropy[number].sum()) * length_s / covered_s
            uncertainty = abs(value) * doubt_w / abs(power_w) if power_w else 0.0
        else:
            scale = length_s if quantity == "energy" else 1.0
            value, uncertainty = power_w * scale, doubt_w * scale
        found.append(Reading(name, value, uncertainty, covered_s, history.regimes[number]))
    return found


def _spread_w(history: _History, step_s: float) -> float | None:
    """Standard deviation of a source's power from step to step [W]; None where there are too few steps to tell."""
    known = history.covered_s >= LEAST_COVERAGE * step_s
    if np.count_nonzero(known) < FEWEST_STEPS:
        return None
    return float(np.std(history.energy_j[known] / history.covered_s[known], ddof=1))
