"""How fast a source can warm up or cool down at most: what its power can do to its heat capacity, and no more."""

import math
from dataclasses import dataclass

import numpy as np
from eil_physics import QUANTISED_1K_STD_K, ThermalNode
from numpy.typing import NDArray

_SENSOR_K = 3 * math.sqrt(2) * QUANTISED_1K_STD_K
"""By how much two readings of a sensor may differ at one temperature: three standard deviations [K]."""


@dataclass(frozen=True, slots=True)
class Heating:
    """First law, dT/dt = (P − UA·(T − T_amb))/C: with 0 ≤ P ≤ P_max, and never hotter than P_max makes it, |dT/dt| ≤ P_max/C."""

    nameplate_w: float
    capacity_j_per_k: float
    """The smallest that the fit allows, three standard errors below C."""

    @classmethod
    def of(cls, node: ThermalNode | None, nameplate_w: float) -> "Heating | None":
        """What is known of a source; None where its node or its largest power is not."""
        if node is None or not node.identified or not nameplate_w > 0:
            return None
        return cls(nameplate_w, node.capacity_j_per_k - 3 * node.se_capacity_j_per_k)

    @property
    def rate_k_per_s(self) -> float:
        """The largest |dT/dt| [K/s]."""
        return self.nameplate_w / self.capacity_j_per_k

    def too_fast(self, times_s: NDArray[np.float64], temperature: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of the readings (n,), in order of time, cannot follow the ones before them that can. NaN is a missing value; the
        first reading is taken as it is."""
        wrong = np.zeros(times_s.size, np.bool_)
        there = np.flatnonzero(~np.isnan(temperature))
        steps = np.abs(temperature[there[1:]] - temperature[there[:-1]])
        if (steps <= self.rate_k_per_s * (times_s[there[1:]] - times_s[there[:-1]]) + _SENSOR_K).all():
            return wrong
        last = there[0]
        for place in there[1:]:
            step_k = abs(temperature[place] - temperature[last])
            if step_k <= self.rate_k_per_s * (times_s[place] - times_s[last]) + _SENSOR_K:
                last = place
            else:
                wrong[place] = True
        return wrong
