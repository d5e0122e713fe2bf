"""How many independent samples an autocorrelated window is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def effective_samples_mean(samples: float, rho: ArrayLike) -> NDArray[np.float64]:
    """n(1−ρ)/(1+ρ): independent samples whose mean varies as much as that of n samples of an AR(1) with lag-one ρ."""
    lag_one = np.asarray(rho, dtype=np.float64)
    return samples * (1 - lag_one) / (1 + lag_one)


def effective_samples_variance(samples: float, rho: ArrayLike) -> NDArray[np.float64]:
    """n(1−ρ²)/(1+ρ²): independent samples whose variance varies as much as that of n samples of an AR(1)."""
    square = np.asarray(rho, dtype=np.float64) ** 2
    return samples * (1 - square) / (1 + square)


def unbiased_rho(raw_rho: ArrayLike, samples: float) -> NDArray[np.float64]:
    """Lag-one autocorrelation with its small-sample bias −(1+3ρ)/n removed (Marriott and Pope 1954; Kendall 1954).

    ``raw_rho`` is the mean of n − 1 lagged products over the mean of n squares, about the mean of a window of
    ``samples`` n > 3. The result is kept within
    [0, (n−2)/(n+2)]: negative correlation is not credited with extra samples, and two effective samples remain.
    """
    corrected = (samples * np.asarray(raw_rho, dtype=np.float64) + 1) / (samples - 3)
    return np.clip(corrected, 0.0, (samples - 2) / (samples + 2))
