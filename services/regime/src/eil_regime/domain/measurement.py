"""What a window of telemetry says: energy, entropy and the checks of the physics. Pure: arrays in, figures out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from eil_physics.energy import Energy, integrate
from eil_physics.entropy import entropy_generated
from eil_physics.first_law import FirstLaw, first_law
from eil_physics.thermal import DEFAULT_AMBIENT_K, DEFAULT_AMBIENT_U_K, ThermalNode, ThermalWindow, observe_window
from numpy.typing import NDArray

from eil_regime.domain.bounds import ABSOLUTE_ZERO_C, AMBIENT, POWER, TEMPERATURE, UTILISATION

MEASURED = (POWER, TEMPERATURE, AMBIENT, UTILISATION)
"""Channels that energy and the checks of the physics are measured from."""
AMBIENT_SENSOR_U_K = 0.5
IDLE_SHARE = 0.5
"""Idle power as a share of the nameplate in modelled power: typical of servers (SPECpower 40–60 %)."""
MODELLED_U = 0.30
DEFAULT_U: Mapping[str, float] = {"metered": 0.01, "estimated": 0.30, "simulated": 0.01, "unenrolled": 0.01}
"""Relative standard uncertainty of power by kind of source, where none was declared."""
METHODS = {"metered": "METERED", "estimated": "MODELLED", "simulated": "SIMULATED", "unenrolled": "REPORTED"}
"""How the power channel of each kind of source came about."""


@dataclass(frozen=True, slots=True)
class Series:
    """One channel: times [s] and values, each (n,)."""

    time_s: NDArray[np.float64]
    value: NDArray[np.float64]
    period_s: float | None = None
    """Spacing of the channel's samples around here, those left out of this series included; None is the spacing of the series."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What was declared of a source, and its thermal node."""

    kind: str = "unenrolled"
    power_kind: str = "instant"
    power_u: float = 0.0
    """Relative standard uncertainty of power; 0 is the kind's default."""
    nameplate_w: float = 0.0
    node: ThermalNode | None = None

    @property
    def relative_u(self) -> float:
        """Relative standard uncertainty of measured power."""
        return self.power_u or DEFAULT_U[self.kind]

    @property
    def ceiling_w(self) -> float:
        """The most that power can be measured at [W]: the nameplate and three uncertainties; infinite where none was declared."""
        return self.nameplate_w * (1 + 3 * self.relative_u) if self.nameplate_w > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Measurement:
    """Figures of one window, units as named."""

    energy: Energy
    entropy_j_per_k: float
    u_entropy_j_per_k: float
    entropy_method: str
    entropy_valid: bool
    power_method: str
    balance: FirstLaw | None
    within_bounds: bool
    untested: tuple[str, ...]
    samples: int
    newest_power_w: float
    channel: str
    """The channel that power came from."""
    node: ThermalNode | None
    """The thermal node that may judge this window, and what the temperature did in it; None without one, or with a gap."""
    window: ThermalWindow | None


def power_series(channels: Mapping[str, Series], facts: SourceFacts) -> tuple[Series | None, str, float]:
    """Power of a source, the method and its relative standard uncertainty.

    Measured where there is a power channel; modelled from utilisation and nameplate, P = P_max·(0.5 + 0.5u), where these are known
    (±30 %); otherwise unknown: (None, "", 0), never zero watts.
    """
    if POWER in channels:
        method = METHODS[facts.kind]
        return channels[POWER], method, facts.relative_u
    if UTILISATION in channels and facts.nameplate_w > 0:
        used = channels[UTILISATION]
        watts = facts.nameplate_w * (IDLE_SHARE + (1 - IDLE_SHARE) * used.value)
        return Series(used.time_s, watts, used.period_s), "MODELLED", MODELLED_U
    return None, "", 0.0


def measure(channels: Mapping[str, Series], facts: SourceFacts, start_s: float, end_s: float) -> Measurement | None:
    """Energy, entropy and checks over [start_s, end_s); None where power is unknown.

    `channels` must hold the neighbours just outside of the window, so that its edges can be interpolated.
    """
    power, method, relative_u = power_series(channels, facts)
    if power is None or power.time_s.size == 0:
        return None
    kind = "mean" if facts.power_kind == "mean" else "instant"
    energy = integrate(
        power.time_s, power.value, start_s, end_s, kind=kind, period_s=power.period_s, meter_relative_u=relative_u
    )
    first, last = np.searchsorted(power.time_s, (start_s, end_s), side="right")
    node, window = facts.node, _observed(channels, facts.node, start_s, end_s)
    law = first_law(node, energy, window, modelled_power=method == "MODELLED") if node and window else None
    untested = ["feasibility_check"]  # one node: that is the first law again
    if law is None or law.verdict == "untested":
        untested.append("energy_conservation")
    if node and window:
        generated = entropy_generated(node, energy, window)
        entropy, u_entropy, entropy_method = generated.entropy_j_per_k, generated.u_entropy_j_per_k, "thermal_node"
        entropy_valid = generated.verdict != "contradicted"
    else:
        entropy, u_entropy = _ambient_ratio(channels, energy, start_s, end_s)
        entropy_method, entropy_valid = "ambient_ratio", True
        untested.append("entropy_valid")
    ceiling = facts.nameplate_w if facts.nameplate_w > 0 else math.inf
    return Measurement(
        energy=energy,
        entropy_j_per_k=entropy,
        u_entropy_j_per_k=u_entropy,
        entropy_method=entropy_method,
        entropy_valid=entropy_valid,
        power_method=method,
        balance=law,
        within_bounds=bool(power.value.min() >= 0 and power.value.max() <= ceiling * (1 + 3 * relative_u)),
        untested=tuple(untested),
        samples=int(last - first),
        newest_power_w=float(power.value[-1]),
        channel=POWER if POWER in channels else UTILISATION,
        node=node if window else None,
        window=window,
    )


def _observed(
    channels: Mapping[str, Series], node: ThermalNode | None, start_s: float, end_s: float
) -> ThermalWindow | None:
    """What the temperature did, where an identified node stands that was frozen before the window."""
    if node is None or not node.identified or node.frozen_at_s > start_s or TEMPERATURE not in channels:
        return None
    temperature = channels[TEMPERATURE]
    temperature_k = temperature.value - ABSOLUTE_ZERO_C
    ambient_k = _ambient_k(channels, temperature.time_s) if node.ambient_source == "channel" else None
    if ambient_k is None and node.ambient_source == "channel":
        return None
    coldest_k = temperature_k.min(initial=math.inf)
    if ambient_k is not None:
        coldest_k = min(coldest_k, ambient_k.min(initial=math.inf) + node.ambient_offset_k)
    if coldest_k <= 0:
        return None  # a sensor that reads absolute zero is broken: nothing is known, as in a gap
    return observe_window(
        node, temperature.time_s, temperature_k, start_s, end_s, ambient_k=ambient_k, period_s=temperature.period_s
    )


def _ambient_k(channels: Mapping[str, Series], time_s: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if AMBIENT not in channels or channels[AMBIENT].time_s.size == 0:
        return None
    ambient = channels[AMBIENT]
    return np.interp(time_s, ambient.time_s, ambient.value) - ABSOLUTE_ZERO_C


def _ambient_ratio(channels: Mapping[str, Series], energy: Energy, start_s: float, end_s: float) -> tuple[float, float]:
    """S = E/T_amb [J/K] and its standard uncertainty: all of E ends as heat at T_amb. T_amb is the channel's mean, else 295 ± 10 K."""
    ambient_k, u_k = DEFAULT_AMBIENT_K, DEFAULT_AMBIENT_U_K
    if AMBIENT in channels:
        ambient = channels[AMBIENT]
        inside = (ambient.time_s >= start_s) & (ambient.time_s <= end_s)
        if inside.any():
            ambient_k, u_k = float(np.mean(ambient.value[inside])) - ABSOLUTE_ZERO_C, AMBIENT_SENSOR_U_K
    entropy = energy.energy_j / ambient_k
    return entropy, math.hypot(energy.u_energy_j / ambient_k, entropy * u_k / ambient_k)
