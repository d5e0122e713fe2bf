"""What a sum of predictions errs by according to formulas: the checks beside the placebo windows, and what they replace.

Notation: n rows, p parameters, m reporting rows, r = y − ŷ of the baseline, σ² = Σr²/(n − p), ρ = lag-1 autocorrelation of r.
"""

from dataclasses import dataclass

import numpy as np
from eil_physics import t_quantile
from numpy.typing import NDArray

KAPPA = 1.26
"""Correction of ASHRAE Guideline 14's formula for hourly models (Sun and Baltazar 2013)."""


@dataclass(frozen=True, slots=True)
class Residuals:
    """Statistics of the baseline's residuals."""

    sigma: float
    """√(Σr²/(n − p)), in the target's unit."""
    rho: float
    n: int
    p: int

    @property
    def n_effective(self) -> float:
        """n' = n(1 − ρ)/(1 + ρ)."""
        return self.n * (1 - self.rho) / (1 + self.rho)


def residuals_of(r: NDArray[np.float64], held: NDArray[np.bool_], parameters: int) -> Residuals:
    """Statistics of residuals (n,), of which those in `held` count."""
    n = int(held.sum())
    sigma = float(np.sqrt((r[held] ** 2).sum() / max(n - parameters, 1)))
    pair = held[1:] & held[:-1]
    total = (r[held] ** 2).sum() / max(n, 1)
    rho = float((r[1:] * r[:-1])[pair].mean() / total) if pair.any() and total > 0 else 0.0
    return Residuals(sigma, min(max(rho, -0.999), 0.999), n, parameters)


def ar1_sum_variance(rho: float, m: float) -> float:
    """Variance of the sum of m values of a first-order autoregression with variance 1: m(1 + ρ)/(1 − ρ) − 2ρ(1 − ρᵐ)/(1 − ρ)²."""
    return float(m * (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**m) / (1 - rho) ** 2)


def hac(basis: NDArray[np.float64], r: NDArray[np.float64], rho: float) -> NDArray[np.float64]:
    """Covariance (q, q) of the coefficients that allows for autocorrelation (Newey and West 1987).

    Bartlett weights; the bandwidth is Andrews' 1991 plug-in for a first-order autoregression, 1.1447(αn)^⅓ with α = 4ρ²/(1 − ρ²)².

    Args:
        basis: (n, q), 0 in rows that do not count.
        r: (n,) residuals, 0 there too.
    """
    n, q = basis.shape
    score = basis * r[:, None]
    alpha = 4 * rho**2 / (1 - rho**2) ** 2
    lags = min(int(1.1447 * (alpha * n) ** (1 / 3)), n - 1)
    middle = score.T @ score
    for lag in range(1, lags + 1):
        cross = score[lag:].T @ score[:-lag]
        middle += (1 - lag / (lags + 1)) * (cross + cross.T)
    inner = basis.T @ basis
    bread = np.linalg.inv(inner + 1e-12 * np.trace(inner) / q * np.eye(q))
    return bread @ middle @ bread


def ar1_half_width(residuals: Residuals, m: int, model_variance: float, level: float) -> float:
    """Half width of the interval of a sum of m rows: exact for a first-order autoregression, plus the model's own error x_Σᵀ·V_HAC·x_Σ."""
    variance = residuals.sigma**2 * ar1_sum_variance(residuals.rho, m) + model_variance
    return _quantile(residuals, level) * float(np.sqrt(variance))


def iid_half_width(residuals: Residuals, m: int, model_factor: float, level: float) -> float:
    """Half width if errors were independent: σ√(m + x_Σᵀ(XᵀX)⁻¹x_Σ). Dishonest where they are not; kept to be compared with."""
    return _quantile(residuals, level) * residuals.sigma * float(np.sqrt(m + model_factor))


def guideline14_half_width(residuals: Residuals, mean: float, predicted: float, m: int, level: float) -> float:
    """ASHRAE Guideline 14 with autocorrelation, as OpenDSM computes it: E·t·CV'·√[(n/n')(1 + 2/n')/m]·1.26, CV' with n' − p degrees.

    Infinite where n' ≤ p."""
    effective = residuals.n_effective
    if effective <= residuals.p or mean == 0:
        return float("inf")
    cv = residuals.sigma * np.sqrt((residuals.n - residuals.p) / (effective - residuals.p)) / mean
    root = np.sqrt(residuals.n / effective * (1 + 2 / effective) / m)
    return abs(predicted) * _quantile(residuals, level) * float(cv * root) * KAPPA


def _quantile(residuals: Residuals, level: float) -> float:
    return t_quantile(0.5 + level / 2, max(residuals.n - residuals.p, 1))
