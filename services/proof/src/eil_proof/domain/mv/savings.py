"""The saving of a reporting period: what the baseline model says would have been used, minus what was used, with its intervals."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eil_proof.domain.mv import errors
from eil_proof.domain.mv.baseline import MAX_MISSING, Baseline
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.models import basis

LEVEL = 0.9
"""Of the two-sided interval that decides."""
INSUFFICIENT_DATA, PROVEN, NOT_PROVEN, REFUTED = "INSUFFICIENT_DATA", "PROVEN", "NOT_PROVEN", "REFUTED"


@dataclass(frozen=True, slots=True)
class Saving:
    """A saving [J], negative where more was used, and half widths of its 90 % intervals [J]."""

    saving_j: float
    predicted_j: float
    """Counterfactual: the model's energy of the intervals that count."""
    measured_j: float
    """Measured energy of the same intervals."""
    half_width_j: float
    """Of the interval that decides: placebo windows."""
    ar1_half_width_j: float
    """Exact for a first-order autoregression, with the model's HAC error: the cross-check."""
    guideline14_half_width_j: float
    """ASHRAE Guideline 14's formula, for the auditor."""
    iid_half_width_j: float
    """As if errors were independent: too narrow wherever they are not."""
    counted: int
    """Intervals that count."""
    missing: float
    """Share of the committed intervals that do not count: not measured, excluded, or beyond the baseline's span."""
    placebo_coverage: float
    """Share of the placebo windows whose error lies within ± half_width_j."""
    ar1_coverage: float
    """The same of ar1_half_width_j: whether the cross-check holds on this source."""
    state: str
    reason: str

    @property
    def low_j(self) -> float:
        """Lower end of the deciding interval: what may be credited."""
        return self.saving_j - self.half_width_j

    @property
    def high_j(self) -> float:
        """Its upper end."""
        return self.saving_j + self.half_width_j


def beyond(baseline: Baseline, reporting: Intervals) -> NDArray[np.bool_]:
    """(m,): measured intervals that the model refuses to predict: the driver lies beyond the baseline's span, or the time group is new."""
    held = reporting.present(driver=baseline.spec.uses_driver)
    return held & ~np.isfinite(basis(baseline.spec, reporting)).all(axis=1)


def save(baseline: Baseline, reporting: Intervals, excluded: NDArray[np.bool_]) -> Saving:
    """The saving over the intervals of `reporting` that were measured, that the model can predict and that are not `excluded` (m,).

    Raises:
        ValueError: the period is not as long as the baseline was tried for.
    """
    m = len(reporting)
    if m != baseline.length or excluded.shape != (m,):
        raise ValueError(f"{m} reporting intervals, but {baseline.length} were committed")
    rows = basis(baseline.spec, reporting)[:, list(baseline.fit.candidate.columns)]
    counted = reporting.present(driver=baseline.spec.uses_driver) & ~excluded & ~beyond(baseline, reporting)
    rows = rows[counted]
    count = int(counted.sum())
    x_sum = rows.sum(axis=0)
    predicted = float(x_sum @ baseline.fit.coefficients)
    measured = float(reporting.energy_j[counted].sum())
    factor = float(x_sum @ baseline.inverse @ x_sum)
    found = baseline.placebo
    residuals = baseline.residuals
    half = found.quantile(LEVEL) * found.standard_error(count + factor, 1.0) if count and found.enough else math.nan
    ar1 = errors.ar1_half_width(residuals, count, float(x_sum @ baseline.covariance @ x_sum), LEVEL)
    result = Saving(
        saving_j=predicted - measured,
        predicted_j=predicted,
        measured_j=measured,
        half_width_j=half,
        ar1_half_width_j=ar1,
        guideline14_half_width_j=errors.guideline14_half_width(
            residuals, baseline.mean_j, predicted, max(count, 1), LEVEL
        ),
        iid_half_width_j=errors.iid_half_width(residuals, count, factor, LEVEL),
        counted=count,
        missing=1 - count / m,
        placebo_coverage=found.coverage(half),
        ar1_coverage=found.coverage(ar1),
        state="",
        reason="",
    )
    state, reason = _judge(baseline, result)
    return replace(result, state=state, reason=reason)


def _judge(baseline: Baseline, found: Saving) -> tuple[str, str]:
    if lacking := baseline.lacking:
        return INSUFFICIENT_DATA, "; ".join(lacking)
    if found.missing > MAX_MISSING or not math.isfinite(found.half_width_j):
        return (
            INSUFFICIENT_DATA,
            f"{found.missing:.0%} of the reporting intervals do not count; at most {MAX_MISSING:.0%} may",
        )
    return verdict(found.low_j, found.high_j, baseline.failed_gates)


def verdict(low: float, high: float, failed_gates: tuple[str, ...] = ()) -> tuple[str, str]:
    """State and reason by the ends of the two-sided interval, and the gates that the model misses."""
    ends = f"the 90 % interval is {low:.6g} to {high:.6g} J"
    if high < 0:
        return REFUTED, f"{ends}: more was used than without the measure"
    if low > 0 and not failed_gates:
        return PROVEN, f"{ends}: its lower end is above zero"
    if failed_gates:
        return NOT_PROVEN, f"{ends}, but nothing is proven by this baseline: {'; '.join(failed_gates)}"
    return NOT_PROVEN, f"{ends}: it holds zero"
