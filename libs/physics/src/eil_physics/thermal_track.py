"""The temperature of a window as all of its readings tell it, instead of the two at its edges alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from eil_physics.energy import SampleKind, integrate
from eil_physics.series import checked_series
from eil_physics.thermal import QUANTISED_1K_STD_K, ThermalNode, ThermalWindow, observe_window
from eil_physics.thermal_simulation import Stretch, decayed, response

_MIN_READINGS = 6  # fewer say no more than the two at the edges


def track_window(
    node: ThermalNode,
    timestamps_s: ArrayLike,
    power_w: ArrayLike,
    temperature_k: ArrayLike,
    start_s: float,
    end_s: float,
    *,
    ambient_k: ArrayLike | None = None,
    power_kind: SampleKind = "instant",
    sensor_std_k: float = QUANTISED_1K_STD_K,
    period_s: float | None = None,
) -> ThermalWindow | None:
    """As ``observe_window``, with T₁, T₂ and the mean from the path that fits every reading of the window best.

    The path obeys C dT/dt = sP − UA(T − T_amb) with the first temperature and the share s of the power that arrives as
    heat both free, by least squares. So nothing presupposes the balance: the residual of the first law on this window
    is 1 − s, its minimum-variance estimate for white sensor noise, where two edge readings of 1 K steps leave
    √2·0.29 K. ``sensor_std_k`` stays that of one reading, which makes u_r an upper bound. Rows (n,) are shared by all
    channels; windows of less than 6 readings, or whose first and last rows are not its edges, are merely observed.
    Raises ValueError as ``observe_window`` does.
    """
    window = observe_window(
        node,
        timestamps_s,
        temperature_k,
        start_s,
        end_s,
        ambient_k=ambient_k,
        sensor_std_k=sensor_std_k,
        period_s=period_s,
    )
    if window is None or not node.identified:
        return window
    time_s, power, temperature = checked_series(timestamps_s, power_w, temperature_k)
    ambient = (
        np.full_like(time_s, node.ambient_k) if ambient_k is None else np.asarray(ambient_k) + node.ambient_offset_k
    )
    inside = (time_s >= start_s) & (time_s <= end_s)
    row_s = time_s[inside]
    if row_s.size < _MIN_READINGS or row_s[0] != start_s or row_s[-1] != end_s:
        return window
    stretch = Stretch(row_s, power[inside], temperature[inside], ambient[inside], False, power_kind == "instant")
    tau = node.time_constant_s
    heating = response(stretch, stretch.power_w, tau, linear=stretch.linear_power) / node.conductance_w_per_k
    around = stretch.ambient_k[0] + response(stretch, stretch.ambient_k - stretch.ambient_k[0], tau, linear=True)
    decay = decayed(stretch, tau)
    design = np.column_stack((decay, heating))
    start_excess, share = np.linalg.lstsq(design, stretch.temperature_k - around, rcond=None)[0].tolist()
    path_end = float(around[-1] + decay[-1] * start_excess + heating[-1] * share)
    path_start = float(around[0] + start_excess)
    energy = integrate(time_s, power, start_s, end_s, kind=power_kind, period_s=period_s)
    lost_j = share * energy.energy_j - node.capacity_j_per_k * (path_end - path_start)
    return replace(
        window,
        start_k=path_start,
        end_k=path_end,
        mean_excess_k=lost_j / (node.conductance_w_per_k * window.window_s),
    )
