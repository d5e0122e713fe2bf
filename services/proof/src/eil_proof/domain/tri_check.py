"""The PoE tri-check: a committed prediction against what was measured.

(1) energy: |E_pred − E_meas| ≤ max(5 %, 3u_E), inside the committed interval, and the first law not contradicted. A 1 % tolerance
    would fail a perfect forecast of a noisy fleet two times in three. Modelled power decides nothing: it would test the model
    against itself.
(2) entropy: the second law held in the measured window, S_gen ≥ −3u_S. Decided only where an identified thermal node measured it.
(3) feasibility: the measured window could happen at all (spectral residual, or bounds of power). Decided only with two nodes or more.

A check is false when contradicted; one without power to decide is listed in `untested` and earns nothing.
"""

import math
from dataclasses import dataclass

TOLERANCE = 0.05
COVERAGE_FACTOR = 3.0
MIN_COVERAGE = 0.9
"""Share of the window that samples must cover before anything is measured."""
REPORT_TOLERANCE = 0.02
"""Relative difference that the caller's own meter may show against the measurement."""


@dataclass(frozen=True, slots=True)
class State:
    """Energy [J] and entropy generated [J/K] of a window."""

    energy_j: float
    entropy_j_per_k: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, with standard uncertainties and what the physics says."""

    state: State
    u_energy_j: float = 0.0
    coverage: float = 1.0
    """Share of the window covered by samples."""
    first_law_holds: bool = True
    second_law_holds: bool = True
    feasible: bool = True
    untested: frozenset[str] = frozenset()
    """Names of checks without power to decide: energy, entropy, feasibility."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tri-check says. Errors are percent of the measured value, to two digits."""

    valid: bool
    energy_error_percent: float
    entropy_error_percent: float
    energy: bool
    entropy: bool
    feasibility: bool
    untested: frozenset[str]
    confidence: float
    """Probability that the true energy error lies within tolerance, given u_E (normal), times the coverage."""
    reason: str

    @property
    def decided(self) -> set[str]:
        """Checks decided in the prediction's favour."""
        held = {"energy": self.energy, "entropy": self.entropy, "feasibility": self.feasibility}
        return {name for name, holds in held.items() if holds and name not in self.untested}


def tri_check(committed: State, measured: Measured, interval: tuple[float, float] | None = None) -> Verdict:
    """Judge a committed state. `interval` is the committed 90 % interval of energy [J], None if none was committed.

    The prediction is valid if the energy check could decide and no check is contradicted.
    """
    actual = measured.state
    error_j = abs(committed.energy_j - actual.energy_j)
    tolerance_j = max(TOLERANCE * abs(actual.energy_j), COVERAGE_FACTOR * measured.u_energy_j)
    inside = interval is None or interval[0] <= actual.energy_j <= interval[1]
    energy = error_j <= tolerance_j and inside and measured.first_law_holds
    entropy, feasibility = measured.second_law_holds, measured.feasible
    valid = energy and entropy and feasibility and "energy" not in measured.untested
    return Verdict(
        valid=valid,
        energy_error_percent=_percent(error_j, actual.energy_j),
        entropy_error_percent=_percent(abs(committed.entropy_j_per_k - actual.entropy_j_per_k), actual.entropy_j_per_k),
        energy=energy,
        entropy=entropy,
        feasibility=feasibility,
        untested=measured.untested,
        confidence=measured.coverage * _probability_within(error_j, tolerance_j, measured.u_energy_j),
        reason=_reason(valid, energy, inside, error_j, tolerance_j, measured),
    )


def contradicts(reported: State, measured: Measured) -> bool:
    """Whether the caller's own figure of energy cannot be what was measured: off by more than 2 % and 3u_E."""
    allowed_j = max(REPORT_TOLERANCE * measured.state.energy_j, COVERAGE_FACTOR * measured.u_energy_j)
    return abs(reported.energy_j - measured.state.energy_j) > allowed_j


def _percent(error: float, value: float) -> float:
    if value == 0:
        return 0.0 if error == 0 else 100.0
    return round(100 * error / abs(value), 2)


def _probability_within(error_j: float, tolerance_j: float, u_j: float) -> float:
    if u_j <= 0:
        return 1.0 if error_j <= tolerance_j else 0.0
    cumulative = lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2)))  # noqa: E731 - the normal distribution's own name
    return cumulative((tolerance_j - error_j) / u_j) - cumulative((-tolerance_j - error_j) / u_j)


def _reason(valid: bool, energy: bool, inside: bool, error_j: float, tolerance_j: float, measured: Measured) -> str:
    if "energy" in measured.untested:
        return "power is modelled, not measured: nothing was proven"
    if valid:
        return f"off by {error_j:.1f} J, within the tolerance of {tolerance_j:.1f} J"
    if not energy and not measured.first_law_holds:
        return "the first law is contradicted: the measured energy is not where the thermal node says it must be"
    if not energy and not inside:
        return "the measured energy lies outside of the committed interval"
    if not energy:
        return f"off by {error_j:.1f} J, more than the tolerance of {tolerance_j:.1f} J"
    if not measured.second_law_holds:
        return "the second law is contradicted: check units and signs of the temperatures"
    return "the measured power is not possible for this plant"
