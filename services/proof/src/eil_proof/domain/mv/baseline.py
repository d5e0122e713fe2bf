"""The baseline: a model of what was, its quality, and whether it can decide at the committed reporting length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eil_proof.domain.mv import errors
from eil_proof.domain.mv.fitting import Fit, choose, gram, independent, solve
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.models import Candidate, Spec, basis, candidates, spec_of
from eil_proof.domain.mv.placebo import MIN_WINDOWS, Placebo, placebo

MAX_MISSING = 0.1
"""Share of intervals, of baseline and reporting alike, that may be missing."""
MAX_CV = 0.30
MAX_NMBE = 0.10
"""ASHRAE Guideline 14, hourly: CV(RMSE) ≤ 30 %, |NMBE| ≤ 10 %. Made for calibrated simulations, applied here to a single meter."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A frozen model with everything that an evaluation needs of the baseline."""

    spec: Spec
    fit: Fit
    mean_j: float
    """Mean energy of an interval."""
    residuals: errors.Residuals
    cv: float
    """CV(RMSE) = σ/ȳ."""
    nmbe_blocked: float
    """Bias of blocked cross-validation, see `_blocked_bias`: in sample it is 0."""
    adjusted_r2: float
    missing: float
    """Share of the baseline's intervals."""
    length: int
    """Reporting intervals that the placebo windows were made for."""
    placebo: Placebo
    inverse: NDArray[np.float64]
    """(q, q): (XᵀX)⁻¹ of the chosen columns."""
    covariance: NDArray[np.float64]
    """(q, q): HAC covariance of the coefficients [J²]."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """Why the data cannot decide; empty if they can."""
        found = []
        if self.missing > MAX_MISSING:
            found.append(f"{self.missing:.0%} of the baseline is missing; at most {MAX_MISSING:.0%} may be")
        effective, p = self.residuals.n_effective, self.residuals.p
        if effective <= 2 * p:
            found.append(
                f"{self.residuals.n} intervals with autocorrelation {self.residuals.rho:.2f} are worth {effective:.0f} independent ones; "
                f"a model of {p} parameters needs more than {2 * p}"
            )
        if not self.placebo.enough:
            found.append(
                f"only {self.placebo.windows} windows of {self.length} intervals fit into the baseline; {MIN_WINDOWS} are needed: "
                "a longer baseline or a shorter reporting length"
            )
        return tuple(found)

    @property
    def failed_gates(self) -> tuple[str, ...]:
        """Gates that the model's quality misses: then nothing can be proven with it."""
        found = []
        if not self.cv <= MAX_CV:
            found.append(f"CV(RMSE) is {self.cv:.1%}, above {MAX_CV:.0%}")
        if not abs(self.nmbe_blocked) <= MAX_NMBE:
            found.append(f"NMBE by blocked cross-validation is {self.nmbe_blocked:+.1%}, beyond ±{MAX_NMBE:.0%}")
        return tuple(found)


def fit_baseline(intervals: Intervals, model: str, length: int) -> Baseline:
    """Fit a model and try it on placebo windows of `length` intervals.

    Raises:
        ValueError: there is no such model, too little was measured to fit anything, or energy is not positive on average.
    """
    if length < 1:
        raise ValueError(f"the reporting length is {length} intervals: it must be 1 or more")
    spec = spec_of(model, intervals)
    held = intervals.present(driver=spec.uses_driver)
    n = int(held.sum())
    mean_j = float(intervals.energy_j[held].mean())
    if not mean_j > 0:
        raise ValueError("the baseline's mean energy is not positive: nothing can be saved of it")
    rows = np.where(held[:, None], basis(spec, intervals), 0.0)
    target = np.where(held, intervals.energy_j, 0.0) / mean_j
    whole = gram(rows, target)
    tried = independent(whole, candidates(spec))
    if not tried or n <= tried[0].parameters + 1:
        raise ValueError(f"{n} measured intervals are too few for the model {model!r}")
    nonnegative = model == "change_point"
    fit = _fit(whole, n, float(target.sum()), tried, nonnegative=nonnegative)
    columns = list(fit.candidate.columns)
    used = rows[:, columns]
    r = np.where(held, target - used @ fit.coefficients, 0.0)
    residuals = errors.residuals_of(r, held, fit.candidate.parameters)
    inner = whole[np.ix_(columns, columns)]
    return Baseline(
        spec=spec,
        fit=Fit(fit.candidate, fit.coefficients * mean_j),
        mean_j=mean_j,
        residuals=errors.Residuals(residuals.sigma * mean_j, residuals.rho, n, residuals.p),
        cv=residuals.sigma,
        nmbe_blocked=_blocked_bias(rows, target, held, tried, nonnegative=nonnegative),
        adjusted_r2=_adjusted_r2(r, target, held, residuals.p),
        missing=1 - n / len(intervals),
        length=length,
        placebo=_in_joules(placebo(rows, target, held, fit, tried, length, nonnegative=nonnegative), mean_j),
        inverse=solve(np.broadcast_to(inner, (len(columns), *inner.shape)), np.eye(len(columns))).T,
        covariance=errors.hac(used, r, residuals.rho) * mean_j**2,
    )


def _fit(whole: NDArray[np.float64], n: int, total: float, tried: tuple[Candidate, ...], *, nonnegative: bool) -> Fit:
    place, coefficients = choose(whole[None], np.array([n]), np.array([total]), tried, nonnegative=nonnegative)
    chosen = tried[int(place[0])]
    return Fit(chosen, coefficients[0, list(chosen.columns)])


def _in_joules(found: Placebo, mean_j: float) -> Placebo:
    return Placebo(found.windows, found.errors * mean_j, found.kernel_trace, found.degrees)


def _adjusted_r2(r: NDArray, target: NDArray, held: NDArray[np.bool_], parameters: int) -> float:
    n = held.sum()
    total = ((target[held] - target[held].mean()) ** 2).sum()
    return float(1 - ((r**2).sum() / max(n - parameters, 1)) / (total / max(n - 1, 1))) if total > 0 else 0.0


def _blocked_bias(
    rows: NDArray[np.float64],
    target: NDArray[np.float64],
    held: NDArray[np.bool_],
    tried: tuple[Candidate, ...],
    *,
    nonnegative: bool,
    folds: int = 5,
) -> float:
    """Bias of blocked cross-validation: the root of the mean square over folds of Σ(y − ŷ)/Σy, with the sign of the mean."""
    biases = []
    for block in np.array_split(np.arange(target.size), folds):
        out = np.zeros(target.size, np.bool_)
        out[block] = True
        kept = held & ~out
        if kept.sum() <= 2 or not target[block].sum() > 0:
            continue
        x, y = rows * kept[:, None], target * kept
        fit = _fit(gram(x, y), int(kept.sum()), float(y.sum()), tried, nonnegative=nonnegative)
        predicted = rows[block][:, list(fit.candidate.columns)] @ fit.coefficients
        biases.append(float((target[block] - predicted).sum() / target[block].sum()))
    if not biases:
        return float("nan")
    return float(np.copysign(np.sqrt(np.mean(np.square(biases))), np.mean(biases)))
