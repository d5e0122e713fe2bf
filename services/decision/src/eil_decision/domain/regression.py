"""Bayesian linear regression with normal priors and a noise that is learned along (empirical Bayes, three rounds)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MIN_ROWS = 8
"""Rows below which a law is assumed, not learned: the noise stays as given."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of the coefficients, (d,) and (d, d), and of one row's noise."""

    mean: Vector
    covariance: Vector
    noise: float
    loss: float
    """Negative log likelihood of the residuals, up to a constant; 0 where the noise was not learned."""


def regress(
    design: Vector, target: Vector, expected: Vector, deviation: Vector, noise: float, least: float
) -> Posterior:
    """Regress `target` (n,) on `design` (n, d).

    Args:
        expected, deviation: (d,) mean and standard deviation of the coefficients before anything was seen.
        noise, least: standard deviation of a row from the law before it is learned, and at least.
    """
    precision, moment = np.diag(1 / deviation**2), design.T @ design
    towards = precision @ expected
    mean, covariance, loss = expected, np.diag(deviation**2), 0.0
    for _ in range(3):  # the noise is learned from the residuals of the law it weights
        covariance = np.asarray(np.linalg.inv(precision + moment / noise**2), dtype=np.float64)
        mean = covariance @ (towards + design.T @ target / noise**2)
        if len(design) >= MIN_ROWS:
            residual = target - design @ mean
            noise = max(math.sqrt(float(residual @ residual) / max(len(design) - design.shape[1], 1)), least)
            loss = len(design) * math.log(noise)
    return Posterior(mean, covariance, noise, loss)
