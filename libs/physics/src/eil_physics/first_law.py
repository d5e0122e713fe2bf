"""The first law as a check: energy in, minus energy stored, minus energy lost, must be nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from eil_physics.energy import Energy, SampleKind, integrate
from eil_physics.series import CLOCK_TOLERANCE_S, checked_series, joined, sample_period_s
from eil_physics.thermal import QUANTISED_1K_STD_K, ThermalNode, ThermalWindow
from eil_physics.thermal_track import track_window
from eil_physics.verdict import Verdict

TOLERANCE = 0.02
COVERAGE_FACTOR = 3.0
FIDELITY_MAX_U = 0.01


@dataclass(frozen=True)
class FirstLaw:
    """The energy balance of one window, relative to the energy that went in."""

    residual: float | None
    """r [1]; None when nothing could be computed."""
    u_residual: float | None
    """Standard uncertainty of r [1]."""
    verdict: Verdict
    reason: str
    """Why the check is untested, or what the verdict means; for people."""

    @property
    def contradicted(self) -> bool:
        """Whether |r| > max(2 %, 3u_r)."""
        return self.verdict == "contradicted"


@dataclass(frozen=True)
class EnergyFidelity:
    """1 − |r| on the shortest window, ending with the newest sample, that knows r within 1 %."""

    fidelity: float
    u_residual: float
    window_s: float


def residual_u(node: ThermalNode, energy_j: float, u_energy_j: float, window_s: float, sensor_std_k: float) -> float:
    """u_r [1] with u_r² = [2C²σ_T² + u_E² + (UA·W·u_Tamb)²]/E².

    The two end temperatures, the meter and the ambient temperature are taken as independent. Raises ValueError when
    the energy is not positive.
    """
    if not energy_j > 0:
        raise ValueError(f"the energy is {energy_j} J: a residual relative to it needs a positive one")
    stored = math.sqrt(2) * node.capacity_j_per_k * sensor_std_k
    ambient = node.conductance_w_per_k * window_s * node.se_ambient_k
    return math.hypot(stored, u_energy_j, ambient) / energy_j


def first_law(
    node: ThermalNode, energy: Energy, window: ThermalWindow | None, *, modelled_power: bool = False
) -> FirstLaw:
    """r = [E − CΔT − UA∫(T−T_amb)dt]/E over one window, contradicted when |r| > max(2 %, 3u_r).

    Untested when power is modelled from utilisation (the check would be circular), the node is not identified, the
    node was fitted on samples of the window itself, a gap hides part of the window, no energy went in, or 3u_r ≥ 1
    (even if all energy vanished it would not show). Raises ValueError when ``energy`` and ``window`` differ in length.
    """
    if modelled_power:
        return _untested("power is modelled, not measured: the balance would only test the model against itself")
    if not node.identified:
        return _untested("the thermal node is not identified: let the load vary, or give the ambient temperature")
    if window is None or energy.gaps:
        return _untested("a gap hides part of the window: judge a window that the samples cover")
    if abs(window.window_s - energy.window_s) > CLOCK_TOLERANCE_S:
        raise ValueError(
            f"energy is over {energy.window_s} s but temperature over {window.window_s} s: integrate one window"
        )
    if window.start_s < node.frozen_at_s - CLOCK_TOLERANCE_S:
        return _untested("the node was fitted on samples of this window: judge a window after the fit")
    if not energy.energy_j > 0:
        return _untested("no energy went in: there is nothing to balance")
    stored = node.capacity_j_per_k * window.rise_k
    lost = node.conductance_w_per_k * window.excess_k_s
    residual = (energy.energy_j - stored - lost) / energy.energy_j
    u_r = residual_u(node, energy.energy_j, energy.u_energy_j, window.window_s, window.sensor_std_k)
    if COVERAGE_FACTOR * u_r >= 1:
        return FirstLaw(residual, u_r, "untested", "the window is too short: its uncertainty is as large as its energy")
    if abs(residual) > max(TOLERANCE, COVERAGE_FACTOR * u_r):
        return FirstLaw(residual, u_r, "contradicted", "the energy is not where the thermal node says it must be")
    return FirstLaw(residual, u_r, "holds", "energy in, stored and lost agree within their uncertainty")


def energy_fidelity(
    node: ThermalNode,
    timestamps_s: ArrayLike,
    power_w: ArrayLike,
    temperature_k: ArrayLike,
    *,
    ambient_k: ArrayLike | None = None,
    power_kind: SampleKind = "instant",
    period_s: float | None = None,
    sensor_std_k: float = QUANTISED_1K_STD_K,
    meter_relative_u: float = 0.0,
    modelled_power: bool = False,
) -> EnergyFidelity | None:
    """1 − |r| on the shortest window with u_r ≤ 1 % among those from a sample to the newest sample.

    Power [W] and temperature [K] share the timestamps (n,) [s]. None when no such window exists after the node was
    frozen and since the last gap, or when the first law is untested there. Raises ValueError as
    ``integrate`` and ``observe_window`` do.
    """
    time_s, power, temperature = checked_series(timestamps_s, power_w, temperature_k)
    period = sample_period_s(time_s, period_s)
    if period is None or not node.identified:
        return None
    gaps = np.flatnonzero(~joined(time_s, period))
    first = max(
        int(gaps[-1]) + 1 if gaps.size else 0,
        int(np.searchsorted(time_s, node.frozen_at_s - CLOCK_TOLERANCE_S)),
    )
    weight = (power[:-1] + power[1:]) / 2 if power_kind == "instant" else power[1:]
    energy_to_end = np.cumsum((weight * np.diff(time_s))[::-1])[::-1][first:]
    start = time_s[first : time_s.size - 1]
    # u_r of every window at once; where no energy went in there is none.
    heat = np.where(energy_to_end > 0, energy_to_end, math.nan)
    stored = math.sqrt(2) * node.capacity_j_per_k * sensor_std_k
    ambient = node.conductance_w_per_k * node.se_ambient_k * (time_s[-1] - start)
    sure = np.flatnonzero(np.sqrt(stored**2 + ambient**2 + (meter_relative_u * heat) ** 2) <= FIDELITY_MAX_U * heat)
    if sure.size == 0:
        return None
    start_s, end_s = float(start[sure[-1]]), float(time_s[-1])
    energy = integrate(
        time_s, power, start_s, end_s, kind=power_kind, period_s=period, meter_relative_u=meter_relative_u
    )
    window = track_window(
        node,
        time_s,
        power,
        temperature,
        start_s,
        end_s,
        ambient_k=ambient_k,
        power_kind=power_kind,
        sensor_std_k=sensor_std_k,
        period_s=period,
    )
    balance = first_law(node, energy, window, modelled_power=modelled_power)
    if balance.residual is None or balance.u_residual is None:
        return None
    return EnergyFidelity(1 - abs(balance.residual), balance.u_residual, end_s - start_s)


def _untested(reason: str) -> FirstLaw:
    return FirstLaw(None, None, "untested", reason)
