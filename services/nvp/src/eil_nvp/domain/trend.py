"""Damped trends, several at once: exponential smoothing of level and slope, with weights by how well each foresaw the newest past.

Each expert is Gardner and McKenzie's damped trend (Management Science 31, 1985): level and slope are corrected by shares `a` and `a·b`
of each error, and the slope fades by PHI a step. Its one-step errors are a fixed linear filter of the series, (1 − z⁻¹)(1 − PHI z⁻¹) over
its characteristic polynomial, so the whole past is predicted in one pass. Experts are weighted by exp(discounted log-likelihood) of their
errors before each instant, as in Bayesian model averaging with forgetting (Raftery, Kárný and Ettler, Technometrics 52, 2010). Series
that are never 0 or less are taken in logs: their errors are shares of the value.

It suits loads: noise around a mean that drifts, where a regression on lags must learn the smoothing first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]

EXPERTS = np.array(
    [
        (0.08, 0.0),
        (0.15, 0.0),
        (0.3, 0.0),
        (0.12, 0.03),
        (0.2, 0.05),
        (0.2, 0.15),
        (0.3, 0.1),
        (0.4, 0.2),
        (0.5, 0.25),
        (0.6, 0.1),
    ]
)
"""(a, b) of each."""
PHI = 0.8
FORGETTING = 0.98
"""Of log-likelihoods and of mean square errors, a step."""
_START = 0.08  # root mean square error assumed at first, of the series' size


@dataclass(frozen=True)
class Trend:
    """The smoothed past of a series of T values."""

    logs: bool
    level: Array
    """(T, E) of each expert, after each value."""
    slope: Array
    """(T, E)."""
    weights: Array
    """(T, E), by what was foreseen up to each value."""

    def forecasts(self, origins: npt.NDArray[np.intp] | slice, horizon: int) -> Array:
        """(n, horizon) from each origin, in the units of the series."""
        reach = np.cumsum(PHI ** np.arange(1, horizon + 1))
        level = (self.weights[origins] * self.level[origins]).sum(axis=1)
        slope = (self.weights[origins] * self.slope[origins]).sum(axis=1)
        path = level[:, None] + slope[:, None] * reach
        return np.exp(path) if self.logs else path


def follow(values: Array) -> Trend:
    """Smooth a series (T,), finite, oldest first."""
    logs = bool((values > 0.0).all())
    series = np.log(values) if logs else values
    start = series[0]
    a, b = EXPERTS.T
    # x' = M x + g v with x = (level, slope), g = (a, ab), M = F − g h, F = [[1, PHI], [0, PHI]], h = [1, PHI].
    trace, determinant = (1.0 - a) + PHI * (1.0 - a * b), PHI * (1.0 - a)
    error = np.stack(
        [
            lfilter([1.0, -(1.0 + PHI), PHI], [1.0, -t, d], series - start)
            for t, d in zip(trace, determinant, strict=True)
        ],
        axis=1,
    )
    slope = lfilter([1.0], [1.0, -PHI], error, axis=0) * (a * b)
    level = series[:, None] - (1.0 - a) * error
    moves = np.abs(np.diff(series)).mean() if series.size > 1 else 0.0
    size = _START if logs else max(_START * float(np.abs(series).mean()), float(moves), 1e-12)
    square = np.full((1, a.size), size**2)
    before = np.vstack([square, _discounted(error**2, 1.0 - FORGETTING, square)[:-1]])
    likelihood = -0.5 * np.minimum(error**2 / before, 25.0) - 0.5 * np.log(before)
    score = _discounted(likelihood, 1.0, np.zeros((1, a.size)))
    weights = np.exp(score - score.max(axis=1, keepdims=True))
    return Trend(logs, level, slope, weights / weights.sum(axis=1, keepdims=True))


def _discounted(values: Array, gain: float, start: Array) -> Array:
    """y' = FORGETTING · y + gain · value, from `start`."""
    found, _ = lfilter([gain], [1.0, -FORGETTING], values, axis=0, zi=FORGETTING * start)
    return found
