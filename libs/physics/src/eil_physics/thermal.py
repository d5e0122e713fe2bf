"""The thermal node: C dT/dt = P − UA·(T − T_amb), and what a window of temperature says about it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from eil_physics.energy import integrate_channel
from eil_physics.series import checked_series, joined, sample_period_s

AmbientSource = Literal["channel", "fitted", "default"]

DEFAULT_AMBIENT_K = 295.0
DEFAULT_AMBIENT_U_K = 10.0
MAX_RELATIVE_SE = 0.20
MAX_AMBIENT_SE_K = 3.0
QUANTISED_1K_STD_K = 1 / math.sqrt(12)
"""Standard deviation of rounding to whole kelvins [K], the usual board sensor."""


@dataclass(frozen=True)
class ThermalNode:
    """Parameters of one node with their standard errors, frozen before the window that they judge.

    Where the data identify nothing the parameters are NaN and their errors infinite; read ``identified`` first.
    """

    capacity_j_per_k: float
    """C [J/K]."""
    conductance_w_per_k: float
    """UA [W/K]."""
    ambient_k: float
    """T_amb [K]; the corrected channel's mean over the fit when ``ambient_source`` is ``channel``."""
    se_capacity_j_per_k: float
    se_conductance_w_per_k: float
    se_ambient_k: float
    ambient_source: AmbientSource
    frozen_at_s: float = -math.inf
    """Newest timestamp that the fit has seen; a window that starts earlier is not judged by this node."""
    ambient_offset_k: float = 0.0
    """What the true ambient exceeds the ambient channel by [K]; 0 without a channel."""

    @property
    def identified(self) -> bool:
        """Whether SE(C) and SE(UA) are below 20 % and SE(T_amb) is below 3 K."""
        return (
            self.capacity_j_per_k > 0
            and self.conductance_w_per_k > 0
            and self.se_capacity_j_per_k < MAX_RELATIVE_SE * self.capacity_j_per_k
            and self.se_conductance_w_per_k < MAX_RELATIVE_SE * self.conductance_w_per_k
            and self.se_ambient_k < MAX_AMBIENT_SE_K
        )

    @property
    def time_constant_s(self) -> float:
        """τ = C/UA [s]."""
        return self.capacity_j_per_k / self.conductance_w_per_k


@dataclass(frozen=True)
class ThermalWindow:
    """What the temperature did in a window, as the first law and the entropy balance need it."""

    start_s: float
    end_s: float
    start_k: float
    """T₁, temperature at the start [K]."""
    end_k: float
    """T₂, temperature at the end [K]."""
    mean_excess_k: float
    """Mean of T − T_amb over the window [K]."""
    ambient_k: float
    """Mean T_amb over the window [K]."""
    sensor_std_k: float
    """Standard deviation of one temperature reading [K]."""
    samples: int
    """Readings inside the window."""

    @property
    def window_s(self) -> float:
        """Length W of the window [s]."""
        return self.end_s - self.start_s

    @property
    def excess_k_s(self) -> float:
        """∫(T − T_amb) dt [K·s]."""
        return self.mean_excess_k * self.window_s

    @property
    def rise_k(self) -> float:
        """ΔT = T₂ − T₁ [K]."""
        return self.end_k - self.start_k


def observe_window(
    node: ThermalNode,
    timestamps_s: ArrayLike,
    temperature_k: ArrayLike,
    start_s: float,
    end_s: float,
    *,
    ambient_k: ArrayLike | None = None,
    sensor_std_k: float = QUANTISED_1K_STD_K,
    period_s: float | None = None,
) -> ThermalWindow | None:
    """The temperature series (n,) [K] summarised over [start_s, end_s); None when a gap hides part of the window.

    Temperatures at the window's edges are interpolated between neighbours. ``ambient_k`` is the ambient channel (n,)
    at the same timestamps, required when the node was fitted with one; otherwise the node's own T_amb is used. Raises
    ValueError for an invalid series, a temperature at or below 0 K (degrees Celsius passed as kelvins), a negative
    sensor noise, or a missing ambient channel.
    """
    if not sensor_std_k >= 0:
        raise ValueError(f"sensor_std_k is {sensor_std_k}: give a standard deviation of 0 K or more")
    if ambient_k is None and node.ambient_source == "channel":
        raise ValueError("the node was fitted against an ambient channel: pass that channel for the window too")
    time_s, temperature = checked_series(timestamps_s, temperature_k)
    ambient = np.full_like(time_s, node.ambient_k)
    if ambient_k is not None:
        ambient = checked_series(time_s, ambient_k)[1] + node.ambient_offset_k
    if np.any(temperature <= 0) or np.any(ambient <= 0):
        raise ValueError("a temperature is not above 0 K: convert degrees Celsius with °C + 273.15")
    excess = integrate_channel(time_s, temperature - ambient, start_s, end_s, period_s=period_s)
    if excess.gaps:
        return None
    around = integrate_channel(time_s, ambient, start_s, end_s, period_s=period_s)
    window_s = end_s - start_s
    return ThermalWindow(
        start_s=start_s,
        end_s=end_s,
        start_k=float(np.interp(start_s, time_s, temperature)),
        end_k=float(np.interp(end_s, time_s, temperature)),
        mean_excess_k=excess.value / window_s,
        ambient_k=around.value / window_s,
        sensor_std_k=sensor_std_k,
        samples=int(np.count_nonzero((time_s >= start_s) & (time_s < end_s))),
    )


def segments(timestamps_s: ArrayLike, period_s: float | None = None) -> list[slice]:
    """The stretches of a series (n,) [s] that no gap interrupts, in order."""
    (time_s,) = checked_series(timestamps_s)
    period = sample_period_s(time_s, period_s)
    if period is None:
        return [slice(0, time_s.size)]
    cuts = np.flatnonzero(~joined(time_s, period)) + 1
    edges = [0, *cuts.tolist(), time_s.size]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
