"""Energy: the integral of power over real timestamps. Gaps are reported, never bridged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_physics.series import CLOCK_TOLERANCE_S, checked_series, joined, sample_period_s

SampleKind = Literal["instant", "mean"]
"""``instant``: the value at the timestamp. ``mean``: the average over the interval that ends at the timestamp."""


@dataclass(frozen=True)
class Gap:
    """A stretch of the window, [start_s, end_s), about which the samples say nothing."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length of the gap [s]."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Integral:
    """∫ x dt over the covered part of a window; ``covered_s`` and the gaps' durations add up to ``window_s``."""

    value: float
    """Unit of the channel times second."""
    covered_s: float
    window_s: float
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class Energy:
    """∫ P dt over the covered part of a window; ``covered_s`` and the gaps' durations add up to ``window_s``."""

    energy_j: float
    covered_s: float
    window_s: float
    gaps: tuple[Gap, ...]
    u_energy_j: float
    """Standard uncertainty of ``energy_j`` from the meter; what the gaps hide is not in it."""

    @property
    def complete(self) -> bool:
        """Whether the samples cover the whole window."""
        return not self.gaps

    @property
    def mean_power_w(self) -> float | None:
        """Mean power over the covered part [W]; None when nothing is covered."""
        return self.energy_j / self.covered_s if self.covered_s > 0 else None


def integrate(
    timestamps_s: ArrayLike,
    power_w: ArrayLike,
    start_s: float,
    end_s: float,
    *,
    kind: SampleKind = "instant",
    period_s: float | None = None,
    meter_relative_u: float = 0.0,
) -> Energy:
    """Energy [J] of a power series (n,) [W] over the half-open window [start_s, end_s).

    The meter's relative standard uncertainty is taken as one common factor (a gain error), which does not average out:
    u_E = u_rel·|E|. Method and errors as in :func:`integrate_channel`; additionally ValueError when
    ``meter_relative_u`` is negative.
    """
    if not meter_relative_u >= 0:
        raise ValueError(f"meter_relative_u is {meter_relative_u}: give a relative standard uncertainty of 0 or more")
    part = integrate_channel(timestamps_s, power_w, start_s, end_s, kind=kind, period_s=period_s)
    return Energy(part.value, part.covered_s, part.window_s, part.gaps, meter_relative_u * abs(part.value))


def integrate_channel(
    timestamps_s: ArrayLike,
    values: ArrayLike,
    start_s: float,
    end_s: float,
    *,
    kind: SampleKind = "instant",
    period_s: float | None = None,
) -> Integral:
    """∫ x dt of a channel (n,) over [start_s, end_s), exact for a channel that is linear between its samples.

    ``instant`` joins neighbouring samples by straight lines (trapezoid rule), also across the edges of the window:
    give the neighbours just outside. ``mean`` counts x·(overlap of the sample's interval with the window); the
    interval begins at the previous sample or, after a gap and for the first sample, one period before the timestamp.
    Samples more than three periods apart (``period_s``, else the median spacing) are not joined. Every stretch of the
    window that is not covered, its edges included, is a gap. Windows that adjoin add up when the same samples and the
    same ``period_s`` are given for each.

    Raises ValueError for an invalid series (see ``checked_series``) or a window that does not end after its start.
    """
    time_s, value = checked_series(timestamps_s, values)
    if not (np.isfinite(start_s) and np.isfinite(end_s) and end_s > start_s):
        raise ValueError(f"the window [{start_s}, {end_s}) is empty: it must end after it starts")
    window_s = end_s - start_s
    period = sample_period_s(time_s, period_s)
    if period is None or time_s.size == 0:
        return Integral(0.0, 0.0, window_s, (Gap(start_s, end_s),))
    # Seconds since the window's start keep the digits that Unix time would spend on the epoch.
    t = time_s - start_s
    link = joined(time_s, period)
    if kind == "instant":
        inside = np.minimum(np.maximum(t, 0.0), window_s)
        lo, hi = inside[:-1], inside[1:]
        slope = (value[1:] - value[:-1]) / (t[1:] - t[:-1])
        middle = value[:-1] + slope * ((lo + hi) / 2 - t[:-1])
        if not link.all():
            lo, hi, middle = lo[link], hi[link], middle[link]
    else:
        begins = np.concatenate(([t[0] - period], np.where(link, t[:-1], t[1:] - period)))
        lo, hi = np.clip(begins, 0, window_s), np.clip(t, 0, window_s)
        middle = value
    length = hi - lo
    return Integral(
        value=float((middle * length).sum()),
        covered_s=float(length.sum()),
        window_s=window_s,
        gaps=_uncovered(lo, hi, start_s, end_s),
    )


def _uncovered(lo: NDArray[np.float64], hi: NDArray[np.float64], start_s: float, end_s: float) -> tuple[Gap, ...]:
    """The parts of [start_s, end_s) outside the ascending intervals [lo, hi), which count from start_s."""
    window_s = end_s - start_s
    inside = hi > lo
    begins = np.concatenate(([0.0], hi[inside]))
    ends = np.concatenate((lo[inside], [window_s]))
    wide = ends - begins > CLOCK_TOLERANCE_S
    return tuple(
        # The window's own edges are passed on untouched, so that adjoining windows name the same instant.
        Gap(start_s if a == 0 else start_s + float(a), end_s if b == window_s else start_s + float(b))
        for a, b in zip(begins[wide], ends[wide], strict=True)
    )
