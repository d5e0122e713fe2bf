"""What the detector is compared with: trivial and published detectors, each with one frozen configuration for every series."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

ADWIN_DELTA = 1e-6
PELT_PENALTY = 3.0
"""Per channel, in units of ln(rows) times the channel's variance."""
PELT_LEAST_ROWS = 5

Values = NDArray[np.float64]
"""(rows, channels), NaN where missing."""


@dataclass(frozen=True)
class Guess:
    """What a detector said about a series."""

    shifts: list[tuple[int, int]]
    """(row that reports it, onset)."""
    regime: NDArray[np.int64]
    """Number of the segment, (rows,), as known at each row: these detectors recognise nothing that comes back."""


@dataclass(frozen=True)
class Baseline:
    """A detector to compare with."""

    name: str
    configuration: str
    """For people."""
    guess: Callable[[Values], Guess]
    package: str | None = None
    """Package of the extra `bench` that it needs; its module has the same name."""
    slow: bool = False
    stream: Callable[[], Any] | None = None
    """Makes the detector of one channel, where it takes a sample at a time with `update`."""

    @property
    def missing(self) -> bool:
        """Whether the package is not installed."""
        return self.package is not None and find_spec(self.package) is None


def causal(shifts: list[tuple[int, int]], rows: int) -> Guess:
    """A segment begins at the row that reports it."""
    reported = np.zeros(rows, np.int64)
    np.add.at(reported, [row for row, _ in shifts], 1)
    return Guess(shifts, np.cumsum(reported))


def never(values: Values) -> Guess:
    """No shift at all."""
    return causal([], len(values))


def timer(values: Values) -> Guess:
    """A shift every tenth of the rows, whatever they say."""
    rows = len(values)
    shifts = [(row, row) for row in range(rows // 10, rows, max(1, rows // 10))]
    return Guess(shifts, np.arange(rows) * 10 // rows)


def first_alarm(values: Values, make: Callable[[], Any]) -> Guess:
    """One of river's drift detectors on each channel; any alarm is a shift at its own row, after which all channels start anew."""
    shifts: list[tuple[int, int]] = []
    channels = range(values.shape[1])
    detectors = [make() for _ in channels]
    for row, sample in enumerate(values.tolist()):
        alarm = False
        for detector, value in zip(detectors, sample, strict=True):
            if value == value:  # a missing value says nothing
                detector.update(value)
                alarm |= detector.drift_detected
        if alarm:
            shifts.append((row, row))
            detectors = [make() for _ in channels]
    return causal(shifts, len(values))


def adwin() -> Any:
    """Adaptive windowing (Bifet & Gavaldà 2007)."""
    return import_module("river.drift").ADWIN(delta=ADWIN_DELTA)


def page_hinkley() -> Any:
    """Page's test of the mean (1954), as river sets it up."""
    return import_module("river.drift").PageHinkley()


def pelt(values: Values) -> Guess:
    """Exact least-squares segmentation (Killick et al. 2012) of the whole series at once: it sees the future."""
    filled = np.where(np.isfinite(values), values, np.nanmean(values, axis=0))
    spread = filled.std(axis=0)
    scaled = (filled - filled.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    rows, channels = scaled.shape
    if rows < 2 * PELT_LEAST_ROWS:
        return never(values)
    # The linear kernel's cost is the least-squares cost, and ruptures solves it by PELT in C.
    search = import_module("ruptures").KernelCPD(kernel="linear", min_size=PELT_LEAST_ROWS).fit(scaled)
    changes = search.predict(pen=PELT_PENALTY * channels * np.log(rows))[:-1]
    return causal([(change, change) for change in changes], rows)


ANY_CHANNEL = "any channel, all of them anew after a shift"
BASELINES = (
    Baseline("never", "no shift at all", never),
    Baseline("timer", "a shift every tenth of the rows", timer),
    Baseline(
        "adwin",
        f"river, delta {ADWIN_DELTA:g}, {ANY_CHANNEL}",
        partial(first_alarm, make=adwin),
        "river",
        stream=adwin,
    ),
    Baseline(
        "page_hinkley",
        f"river's defaults, {ANY_CHANNEL}",
        partial(first_alarm, make=page_hinkley),
        "river",
        stream=page_hinkley,
    ),
    Baseline(
        "pelt_offline",
        f"ruptures, least squares, penalty {PELT_PENALTY:g} ln n variances a channel; it sees the future",
        pelt,
        "ruptures",
        slow=True,
    ),
)
