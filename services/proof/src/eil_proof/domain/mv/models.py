"""Baseline models of interval energy: each is a basis of columns, and candidates that use some of them.

All candidates are sub-matrices of one Gram matrix, so that a model is chosen and refitted without any window by small solves alone.

* `mean`: one number.
* `change_point`: μ + β·max(x − c, 0), μ + β·max(c − x, 0), or both, over a grid of break points c, β ≥ 0 (CalTRACK 3.4 with load in the
  place of temperature). Chosen by adjusted R²; a break point counts as a parameter.
* `time_of_week_load`: a level for each hour of the week, or fewer where the baseline is short, and a slope within each of up to five bins
  of load (time of week and temperature, Mathieu et al. 2011, with load in the place of temperature).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eil_proof.domain.mv.intervals import Intervals

MODELS = ("change_point", "time_of_week_load", "mean")
BREAKS = 8
"""Break points tried between the driver's 5th and 95th percentile."""
BINS = 5
PER_GROUP = 10
"""Intervals that each time group must hold; where one holds fewer, a coarser grouping serves."""
SPAN_MARGIN = 0.1
"""Share of the baseline's span of the driver by which later values may lie beyond it."""
WEEKEND_HOUR = 120


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that uses some columns of a basis."""

    name: str
    columns: tuple[int, ...]
    parameters: int
    """Honest number: chosen break points count."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Columns of a basis, fixed by the baseline's driver and times alone."""

    model: str
    knots: tuple[float, ...]
    """Break points, or edges of load bins, in the driver's unit."""
    low: float
    high: float
    """Smallest and largest driver of the baseline."""
    grouping: str = ""
    groups: tuple[int, ...] = ()
    """Time groups of the baseline."""

    @property
    def uses_driver(self) -> bool:
        """Whether the driver must be known."""
        return self.model != "mean"


def spec_of(model: str, baseline: Intervals) -> Spec:
    """The basis that a baseline leads to.

    Raises:
        ValueError: there is no such model, or nothing was measured.
    """
    if model not in MODELS:
        raise ValueError(f"there is no model {model!r}; there are: {', '.join(MODELS)}")
    held = baseline.present(driver=model != "mean")
    if not held.any():
        raise ValueError("no interval of the baseline was measured")
    if model == "mean":
        return Spec(model, (), 0.0, 0.0)
    driver = baseline.driver[held]
    low, high = float(driver.min()), float(driver.max())
    if model == "change_point":
        low_quantile, high_quantile = np.quantile(driver, (0.05, 0.95)).tolist()
        inner = np.linspace(low_quantile, high_quantile, BREAKS)
        return Spec(model, tuple(np.unique(inner[(inner > low) & (inner < high)]).tolist()), low, high)
    edges = np.unique(np.quantile(driver, np.linspace(0, 1, BINS + 1)))
    grouping, groups = _grouping(baseline.hour_of_week[held])
    return Spec(model, tuple(edges.tolist()), low, high, grouping, groups)


def _grouping(hour_of_week: NDArray[np.int64]) -> tuple[str, tuple[int, ...]]:
    for name in ("hour_of_week", "hour_of_workday_or_weekend", "hour_of_day"):
        codes, counts = np.unique(_codes(name, hour_of_week), return_counts=True)
        if counts.min() >= PER_GROUP:
            return name, tuple(codes.tolist())
    return "none", (0,)


def _codes(grouping: str, hour_of_week: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,): the time group of each interval."""
    hour = hour_of_week % 24
    return {
        "hour_of_week": hour_of_week,
        "hour_of_workday_or_weekend": hour + 24 * (hour_of_week >= WEEKEND_HOUR),
        "hour_of_day": hour,
        "none": 0 * hour,
    }[grouping]


def basis(spec: Spec, intervals: Intervals) -> NDArray[np.float64]:
    """(n, k): the columns, each without unit and of order one; NaN where the spec cannot answer: driver or time group unknown, or driver
    further beyond the baseline's span than `SPAN_MARGIN` allows."""
    ones = np.ones((len(intervals), 1))
    if spec.model == "mean":
        return ones
    span = spec.high - spec.low
    x = intervals.driver
    beyond = ~((x >= spec.low - SPAN_MARGIN * span) & (x <= spec.high + SPAN_MARGIN * span))
    unit = span or 1.0
    if spec.model == "change_point":
        line = (x[:, None] - spec.low) / unit
        past = (x[:, None] - np.array(spec.knots)) / unit
        columns = np.hstack((ones, line, np.maximum(past, 0.0), np.maximum(-past, 0.0)))
    else:
        codes = _codes(spec.grouping, intervals.hour_of_week)
        dummies = (codes[:, None] == np.array(spec.groups)).astype(float)
        beyond = beyond | (dummies.sum(axis=1) == 0)
        columns = np.hstack((dummies, _bins(spec.knots, x) / unit))
    columns[beyond] = np.nan
    return columns


def _bins(edges: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, bins): how far x reaches into each bin; the outer bins go on beyond their edges."""
    if len(edges) < 2:
        return np.empty((x.size, 0))
    low, high = np.array(edges[:-1]), np.array(edges[1:])
    low_open, high_open = low.copy(), high.copy()
    low_open[0], high_open[-1] = -np.inf, np.inf
    return np.clip(x[:, None], low_open, high_open) - low


def candidates(spec: Spec) -> tuple[Candidate, ...]:
    """What may be chosen; slopes of `change_point` must come out at 0 or more."""
    if spec.model == "mean":
        return (Candidate("mean", (0,), 1),)
    if spec.model == "time_of_week_load":
        count = len(spec.groups) + max(len(spec.knots) - 1, 0)
        return (Candidate(f"{spec.grouping}+load", tuple(range(count)), count),)
    flat = Candidate("mean", (0,), 1)
    if spec.high <= spec.low:
        return (flat,)
    breaks = len(spec.knots)
    rising = [Candidate(f"above:{c}", (0, 2 + c), 3) for c in range(breaks)]
    falling = [Candidate(f"below:{c}", (0, 2 + breaks + c), 3) for c in range(breaks)]
    both = [
        Candidate(f"below:{c}+above:{d}", (0, 2 + d, 2 + breaks + c), 5) for d in range(breaks) for c in range(d + 1)
    ]
    return (flat, Candidate("line", (0, 1), 2), *rising, *falling, *both)
