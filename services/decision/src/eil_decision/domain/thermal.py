"""How warm it gets: the temperature's answer to power, ambient and set-points, learned from telemetry.

T' = c + φT + θP + ψT_amb + Σ γs: the thermal node of one time constant between two rows, and what set-points do to it, by Bayesian linear
regression. Where set-points were never moved the cooling's is taken to move T along as the ambient does, and others up to 5 K a step
either way. Sensor noise of σ pulls φ down by its share of T's variance, which widens the residuals and so the bound that is judged by.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eil_decision.domain.levers import SET_POINTS, Lever
from eil_decision.domain.plant import History, Vector
from eil_decision.domain.regression import MIN_ROWS, regress

UNKNOWN_K = 5.0
"""Standard deviation of what a step of an unknown set-point does to T' [K]."""
Z95 = 1.6449
LEAST_NOISE_K = 1e-3
_ANYTHING = 1e3


@dataclass(frozen=True, slots=True)
class ThermalLaw:
    """The learned law, and where the temperature is now."""

    mean: Vector
    """(3 + ambient + set-points,) of 1, T, P, T_amb if there is one, set-points."""
    covariance: Vector
    noise_k: float
    now_c: float
    ambient_c: float | None
    names: tuple[str, ...]
    """Levers of the set-points, in order."""

    def upper_c(self, power_w: float, setting: Mapping[str, float], rows: float) -> float:
        """Temperature that is not exceeded with a chance of 95 % after `rows` rows at a power and a setting [°C]."""
        given = [
            power_w,
            *([] if self.ambient_c is None else [self.ambient_c]),
            *(setting[name] for name in self.names),
        ]
        phi = float(np.clip(self.mean[1], 0.0, 0.999))
        drive = float(self.mean[0] + self.mean[2:] @ np.array(given))
        gathered = (1 - phi**rows) / (1 - phi)
        after_c = phi**rows * self.now_c + gathered * drive
        at = np.array([1.0, after_c, *given])
        variance = gathered**2 * float(at @ self.covariance @ at) + self.noise_k**2 * (1 - phi ** (2 * rows)) / (
            1 - phi**2
        )
        return after_c + Z95 * math.sqrt(max(variance, 0.0))


def learn_thermal(history: History, levers: Sequence[Lever]) -> ThermalLaw | None:
    """The law that a history shows; None where it holds too few temperatures."""
    if history.temperature_c is None:
        return None
    moved = [
        lever
        for lever in levers
        if lever.kind in SET_POINTS and np.isfinite(history.settings.get(lever.name, np.nan)).any()
    ]
    ambient = history.ambient_c if history.ambient_c is not None and np.isfinite(history.ambient_c).any() else None
    columns = [
        history.power_w,
        *([] if ambient is None else [ambient]),
        *(history.settings[lever.name] for lever in moved),
    ]
    after = np.column_stack([np.ones(history.power_w.size - 1), history.temperature_c[:-1], *(c[1:] for c in columns)])
    known = np.isfinite(after).all(axis=1) & np.isfinite(history.temperature_c[1:])
    if known.sum() < MIN_ROWS:
        return None
    design, target = after[known], history.temperature_c[1:][known]
    of_power = UNKNOWN_K * 10 / max(float(np.abs(design[:, 2]).mean()), 1e-9)
    before = [(0.0, _ANYTHING), (0.5, 0.5), (0.0, of_power), *([] if ambient is None else [(0.5, 0.5)])]
    for lever in moved:
        before.append((0.5, 0.5) if lever.kind == "cooling" else (0.0, UNKNOWN_K / (lever.unit_step or 1.0)))
    expected, deviation = np.array(before).T
    found = regress(design, target, expected, deviation, 1.0, LEAST_NOISE_K)
    now = history.temperature_c[np.isfinite(history.temperature_c)][-1]
    last_ambient = None if ambient is None else float(ambient[np.isfinite(ambient)][-1])
    return ThermalLaw(
        found.mean, found.covariance, found.noise, float(now), last_ambient, tuple(lever.name for lever in moved)
    )
