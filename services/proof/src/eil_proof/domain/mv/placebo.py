"""Placebo windows: the model is refitted without each stretch of the reporting length and asked for that stretch's energy.
Nothing was done there, so what it errs by is what a saving of nothing looks like.

Windows overlap (they begin every seventh of their length), which wastes less of a short baseline than windows side by side.
Their errors are then not independent; scale and degrees of freedom follow from the design, as in Bell and McCaffrey 2002
(Survey Methodology 28, 169–181) for clustered errors: with d = A·e the errors of J windows and e uncorrelated working noise,

    V̂ = |d|²/J · V/E[V̂],   E[V̂] = tr(K)/J,   ν = tr(K)²/tr(K²),   K = A·Aᵀ,   V = m + x_Σᵀ(XᵀX)⁻¹x_Σ,

V being the variance of the reporting sum's error. The noise's own level and its correlation within windows cancel: |d|² measures
them. For windows side by side around a mean this is exactly the t interval with windows − 1 degrees. Every refit chooses among the
candidates anew, so that d contains the choice; A is that of the candidate chosen on all data.
"""

from dataclasses import dataclass

import numpy as np
from eil_physics import t_quantile
from numpy.typing import NDArray

from eil_proof.domain.mv.fitting import Fit, choose, gram, solve
from eil_proof.domain.mv.models import Candidate

STEPS = 7
"""Windows begin so many times within a window's length, where that makes no more than MAX_WINDOWS."""
MAX_WINDOWS = 200
"""Windows tried at most: a short reporting length would make thousands, which say no more."""
MIN_WINDOWS = 4
"""Windows that must fit side by side into the baseline."""
MIN_PRESENT = 0.9
"""Share of a window that must have been measured."""


@dataclass(frozen=True, slots=True)
class Placebo:
    """What J windows of the reporting length err by."""

    windows: int
    """Side by side."""
    errors: NDArray[np.float64]
    """(J,): predicted minus measured sum, scaled to a window without missing intervals."""
    kernel_trace: float
    """tr K, of windows without missing intervals."""
    degrees: float
    """ν."""

    @property
    def enough(self) -> bool:
        """Whether there are windows enough to decide by."""
        return self.windows >= MIN_WINDOWS and self.errors.size >= MIN_WINDOWS

    def standard_error(self, variance_factor: float, share: float) -> float:
        """Standard error of a reporting sum. `variance_factor` is V in units of one interval's variance, `share` the part of the reporting
        intervals that count."""
        if not self.kernel_trace > 0:
            return float("nan")
        return float(np.sqrt((self.errors**2).sum() * share * variance_factor / self.kernel_trace))

    def quantile(self, level: float) -> float:
        """Two-sided t quantile; NaN where no window tells anything."""
        return t_quantile(0.5 + level / 2, self.degrees) if self.degrees > 0 else float("nan")

    def coverage(self, half_width: float) -> float:
        """Share of the windows whose error lies within ± half_width."""
        if not self.errors.size or not np.isfinite(half_width):
            return float("nan")
        return float(np.mean(np.abs(self.errors) <= half_width))


def placebo(
    basis: NDArray[np.float64],
    target: NDArray[np.float64],
    held: NDArray[np.bool_],
    fit: Fit,
    tried: tuple[Candidate, ...],
    length: int,
    *,
    nonnegative: bool,
) -> Placebo:
    """Refit without every window of `length` intervals and see what it errs by.

    Args:
        basis: (n, k), 0 in rows that do not count.
        target: (n,), 0 there too.
        held: (n,) rows that count.
        fit: the candidate chosen on all rows.
        tried: the candidates that every refit chooses from.
    """
    n = target.size
    step = max(1, length // STEPS, -(-(n - length) // (MAX_WINDOWS - 1)))
    begins = np.arange((n - length) % step, n - length + 1, step)
    rows = begins[:, None] + np.arange(length)
    present = held[rows].sum(axis=1)
    kept = present >= MIN_PRESENT * length
    begins, rows, present = begins[kept], rows[kept], present[kept]
    if not begins.size:
        return Placebo(n // length, np.empty(0), 0.0, 0.0)
    grams = gram(basis, target) - gram(basis[rows], target[rows])
    sums, x_sums = target[rows].sum(axis=1), basis[rows].sum(axis=1)
    _, coefficients = choose(grams, held.sum() - present, target.sum() - sums, tried, nonnegative=nonnegative)
    scale = length / present
    errors = ((x_sums * coefficients).sum(axis=1) - sums) * scale
    trace, degrees = _degrees(basis, held, fit, begins, length, grams, x_sums, scale)
    return Placebo(n // length, errors, trace, degrees)


def _degrees(
    basis: NDArray[np.float64],
    held: NDArray[np.bool_],
    fit: Fit,
    begins: NDArray[np.int64],
    length: int,
    grams: NDArray[np.float64],
    x_sums: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> tuple[float, float]:
    """tr K and ν of the windows."""
    columns = list(fit.candidate.columns)
    inner = grams[:, columns][:, :, columns]
    pull = solve(inner, x_sums[:, columns])
    within = (np.arange(held.size) >= begins[:, None]) & (np.arange(held.size) < begins[:, None] + length)
    a = np.where(within, -1.0, pull @ basis[:, columns].T) * held * scale[:, None]
    kernel = a @ a.T
    trace = float(np.trace(kernel))
    return trace, trace**2 / float((kernel**2).sum()) if trace > 0 else 0.0
