"""Prediction intervals that need no distribution: split conformal, and what stands in when history is too short."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def residuals_needed(level: float) -> int:
    """The fewest held-out residuals for which the finite-sample quantile of `level` exists (9 for 0.9)."""
    n = 1
    while _rank(n, level) > n:
        n += 1
    return n


def conformal_radius(residuals: Array, level: float) -> Array:
    """The half-width that covers a new exchangeable residual with probability at least `level`.

    `residuals` is (n, ...); the answer has the trailing shape. It is the ceil((n+1)·level)-th smallest absolute
    residual (Papadopoulos 2002; Lei et al. 2018). Raises ValueError when n is too small for `level`: the honest
    half-width would be infinite.
    """
    n = len(residuals)
    rank = _rank(n, level)
    if rank > n:
        raise ValueError(
            f"{n} held-out residuals cannot support a {level:g} interval: "
            f"at least {residuals_needed(level)} are needed; give more history or lower the level"
        )
    return np.partition(np.abs(residuals), rank - 1, axis=0)[rank - 1]


def student_quantile(level: float, freedom: int) -> float:
    """Two-sided Student-t quantile at `level` with `freedom` >= 1 degrees.

    Exact at one degree, else the Cornish-Fisher expansion of Hill (1970): 2 % low at two degrees for 0.9.
    """
    if freedom == 1:
        return math.tan(math.pi * level / 2)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    n = freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def random_walk_radius(differences: Array, horizon: int, level: float) -> tuple[Array, Array]:
    """Half-widths per step (horizon, d) and of the sum over the horizon (d,) under a driftless random walk.

    `differences` is (n, d), n >= 1, the one-step changes seen. Step h has variance h·s², the sum of the first H steps
    s²·H(H+1)(2H+1)/6, with s² the mean squared change; Student's t with n degrees allows for the estimated s.
    """
    scale = np.sqrt(np.mean(differences**2, axis=0)) * student_quantile(level, len(differences))
    steps = np.sqrt(np.arange(1, horizon + 1, dtype=np.float64))[:, None] * scale
    return steps, scale * math.sqrt(horizon * (horizon + 1) * (2 * horizon + 1) / 6)


def _rank(n: int, level: float) -> int:
    # The small subtraction keeps 10 · 0.9 from becoming 10 through rounding.
    return math.ceil((n + 1) * level - 1e-9)
