"""Gaps in time: across one nothing is compared, so that what was not seen is no change."""

from __future__ import annotations

import math

from numba import njit
from numpy.typing import NDArray

_GAP = 16.0  # usual times between rows: the shortest window
_MEMORY = 256.0  # rows over which the usual time is averaged


@njit(cache=True, nogil=True)
def find_gaps(times_s: NDArray, timing: NDArray, gaps: NDArray) -> None:
    """Mark the rows that follow a gap.

    Args:
        times_s: (n,) ascending, later than the clock [s].
        timing: (3,) clock [s], usual time between rows [s] (NaN at first), gaps so far; changed in place.
        gaps: (n,) out.
    """
    clock_s, period_s, count = timing[0], timing[1], timing[2]
    for i in range(times_s.size):
        step_s = times_s[i] - clock_s
        clock_s = times_s[i]
        if math.isinf(step_s):
            continue
        if math.isnan(period_s):
            period_s = step_s
        elif step_s > _GAP * period_s:
            gaps[i] = True
            count += 1.0
        if gaps[i]:
            continue
        period_s += (step_s - period_s) / _MEMORY if abs(step_s - period_s) > 1e-9 * period_s else 0.0
    timing[0], timing[1], timing[2] = clock_s, period_s, count
