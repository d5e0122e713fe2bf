"""Windows: 60 s, half-open, aligned to the epoch; and the energy that power samples put into each.

A trailing energy state (the 60 s that end at a sample) reaches into the window before, so that adding such states up would count joules
twice wherever a source pauses. Energy is therefore integrated from the samples themselves, each window between its own edges: windows
share nothing and add up to ∫P dt of the covered time.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from eil_physics.series import joined, sample_period_s
from numpy.typing import ArrayLike, NDArray

WINDOW_S = 60.0
WINDOW_US = 60_000_000
LONGEST_PERIOD_S = 3600.0
"""Sample periods beyond this do not count as sampling: samples are joined over at most three of them."""
SURE_OF_PERIOD = 4
"""Fewer samples leave the period a guess; it is then taken as one window at most, lest a pause pass for a period."""


def window_start_us(time_us: int) -> int:
    """Begin of the window that a time lies in [µs]."""
    return time_us - time_us % WINDOW_US


def state_id(tenant: str, source: str, start_us: int, level_us: int = WINDOW_US) -> str:
    """Identity of the state of a tenant's source in a window, or in an hour or day: the same for ever, wherever it is computed."""
    level = () if level_us == WINDOW_US else (str(level_us),)
    name = "\x00".join((tenant, source, str(start_us), *level))
    return f"st_{hashlib.sha256(name.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class WindowEnergies:
    """Energy [J] and covered time [s] of adjoining windows, each (n,)."""

    energy_j: NDArray[np.float64]
    covered_s: NDArray[np.float64]


def window_energies(
    times_us: ArrayLike, power_w: ArrayLike, first_us: int, windows: int, kind: Literal["instant", "mean"]
) -> WindowEnergies:
    """∫P dt over each of `windows` adjoining windows, the first beginning at `first_us`.

    Args:
        times_us: times of the samples (m,) [µs], strictly increasing; neighbours outside of the windows make their edges exact.
        power_w: power (m,) [W].
        first_us: begin of the first window [µs].
        windows: how many windows.
        kind: `instant` joins neighbours by straight lines (trapezoid rule); `mean` is the average over the interval that ends at the time
            and began at the sample before or, after a gap, one period earlier.

    Samples more than three periods (the median spacing) apart are not joined: what lies between is not covered. Method as in
    `eil_physics.energy.integrate`, for all windows at once from the running integral at their edges.
    """
    t = (np.asarray(times_us, dtype=np.int64) - first_us).astype(np.float64) / 1e6
    watts = np.asarray(power_w, dtype=np.float64)
    period = sample_period_s(t)
    if period is None:
        return WindowEnergies(np.zeros(windows), np.zeros(windows))
    period = min(period, LONGEST_PERIOD_S if t.size >= SURE_OF_PERIOD else WINDOW_S)
    link = joined(t, period)
    if kind == "instant":
        begin, length, level, slope = t[:-1], t[1:] - t[:-1], watts[:-1], watts[1:] - watts[:-1]
        if not link.all():
            begin, length, level, slope = begin[link], length[link], level[link], slope[link]
        slope = slope / length
    else:
        begin = t - period
        begin[1:][link] = t[:-1][link]
        length, level, slope = t - begin, watts, np.zeros(t.size)
    if begin.size == 0:
        return WindowEnergies(np.zeros(windows), np.zeros(windows))
    edges = np.arange(windows + 1) * WINDOW_S
    last = begin.searchsorted(edges, side="right") - 1
    stretch = np.maximum(last, 0)  # edges before the first stretch reach zero seconds into it
    inside = np.minimum(np.maximum(edges - begin[stretch], 0.0), length[stretch])
    whole_j = np.concatenate(([0.0], np.cumsum(length * (level + slope * length / 2))))
    whole_s = np.concatenate(([0.0], np.cumsum(length)))
    running_j = whole_j[stretch] + inside * (level[stretch] + slope[stretch] * inside / 2)
    running_s = whole_s[stretch] + inside
    return WindowEnergies(running_j[1:] - running_j[:-1], running_s[1:] - running_s[:-1])
