"""A source's own meter: what it drew, by its own count."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# Timestamps travel in microseconds; a seam narrower than this is rounding, not a gap.
SEAM_S = 1e-4


@dataclass(frozen=True)
class _Interval:
    start_s: float
    end_s: float
    power_w: float
    ambient_c: float


class Meter:
    """Mean powers over adjoining intervals, kept for the last `keep_s` seconds."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._intervals: deque[_Interval] = deque()

    def add(self, start_s: float, end_s: float, *, power_w: float, ambient_c: float) -> None:
        """Counts an interval (start < end, not before the last one's end): mean power [W], ambient temperature [°C]."""
        if end_s <= start_s or (self._intervals and start_s < self._intervals[-1].end_s - SEAM_S):
            raise ValueError(f"the interval {start_s} … {end_s} s must come after what was counted and not be empty")
        self._intervals.append(_Interval(start_s, end_s, power_w, ambient_c))
        while self._intervals[0].end_s < end_s - self._keep_s:
            self._intervals.popleft()

    def energy_j(self, start_s: float, end_s: float) -> float | None:
        """Energy [J] over [start, end): Σ mean power × overlap. None if the window was not counted throughout."""
        return self._sum(start_s, end_s, lambda interval: interval.power_w)

    def ambient_k(self, start_s: float, end_s: float) -> float | None:
        """Mean ambient temperature [K] over [start, end). None if the window was not counted throughout."""
        total_cs = self._sum(start_s, end_s, lambda interval: interval.ambient_c)
        return None if total_cs is None else total_cs / (end_s - start_s) + 273.15

    def _sum(self, start_s: float, end_s: float, value: Callable[[_Interval], float]) -> float | None:
        covered_s = total = 0.0
        for interval in self._intervals:
            overlap_s = min(end_s, interval.end_s) - max(start_s, interval.start_s)
            if overlap_s > 0.0:
                covered_s += overlap_s
                total += value(interval) * overlap_s
        return None if end_s - start_s - covered_s > SEAM_S else total
