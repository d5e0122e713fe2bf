"""Energy and means over a row of adjoining intervals, from samples that reach beyond them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eil_physics.energy import SampleKind, integrate

BEFORE = 32
"""Samples before an interval that are looked at: they tell the sample period."""


def interval_energies(
    time_s: NDArray[np.float64],
    power_w: NDArray[np.float64],
    edges_s: NDArray[np.float64],
    kind: SampleKind,
    *,
    period_s: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy [J] and covered part [s] of each interval, both (n,); NaN and 0 where no sample covers any of it.

    Args:
        time_s: times of the samples (m,) [s], strictly rising, with neighbours outside of the intervals.
        power_w: power (m,) [W], finite.
        edges_s: edges of the intervals (n + 1,) [s], rising.
        kind: whether a sample is a moment's power, or the mean since the sample before.
        period_s: declared sample period [s]; absent is the median spacing near each interval.
    """
    energy_j, covered_s = np.full(edges_s.size - 1, np.nan), np.zeros(edges_s.size - 1)
    if time_s.size:
        for place, (begin_s, end_s) in enumerate(pairwise(edges_s.tolist())):
            first, last = np.searchsorted(time_s, (begin_s, end_s), side="right")
            near = slice(max(0, first - BEFORE), last + 1)
            found = integrate(time_s[near], power_w[near], begin_s, end_s, kind=kind, period_s=period_s)
            if found.covered_s > 0:
                energy_j[place], covered_s[place] = found.energy_j, found.covered_s
    return energy_j, covered_s


def interval_means(
    times: NDArray[np.generic], values: NDArray[np.float64], edges: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Mean (n,) of the samples (m,) in each interval (begin, end]; NaN where it has none. Times rise, in the unit of the edges (n + 1,)."""
    places = np.searchsorted(times, edges, side="right")
    total = np.concatenate(([0.0], np.cumsum(values)))
    counts = np.diff(places)
    return np.where(counts > 0, (total[places[1:]] - total[places[:-1]]) / np.maximum(counts, 1), np.nan)
