"""How autocorrelated a channel's noise is: what turns evidence against white noise into evidence against its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MAX_AUTOCORRELATION = 0.98


class Moments:
    """Mean, variance and autocovariances at lags one and two with a fading memory of `memory` samples."""

    __slots__ = ("_memory", "lag1", "lag2", "square", "total", "weight")

    def __init__(self, memory: int) -> None:
        self._memory = float(memory)
        self.weight = self.total = self.square = self.lag1 = self.lag2 = 0.0

    def add(self, value: float, next1: float = 0.0, next2: float = 0.0) -> None:
        """Take a value with the two neighbours on one side."""
        if self.weight >= self._memory:
            keep = 1.0 - 1.0 / self._memory
            self.weight, self.total, self.square = self.weight * keep, self.total * keep, self.square * keep
            self.lag1, self.lag2 = self.lag1 * keep, self.lag2 * keep
        self.weight += 1.0
        self.total += value
        self.square += value * value
        self.lag1 += value * next1
        self.lag2 += value * next2

    def mean_and_variance(self) -> tuple[float, float]:
        """Plain moments; needs a value."""
        mean = self.total / self.weight
        return mean, max(self.square / self.weight - mean * mean, 0.0)

    def estimate(self, least_variance: float) -> Noise:
        """The noise that would explain the moments, its variance no smaller than `least_variance`."""
        n = self.weight
        mean, variance = self.mean_and_variance()
        if variance <= least_variance:
            return Noise(mean, least_variance, 0.0, 0.0, n)
        covariance = self.lag1 / n - mean * mean
        rho = _unbiased(covariance / variance, n)
        phi = rho
        if rho > 2.0 / math.sqrt(n):
            longest = 1.0 - 2.0 / math.sqrt(n)  # a short stretch cannot show a longer memory
            phi = max(rho, min(_unbiased((self.lag2 / n - mean * mean) / covariance, n), longest))
        lost = min((1.0 + 2.0 * rho / (1.0 - phi)) / n, 0.5)  # share of the variance that the sample mean took up
        return Noise(mean, variance / (1.0 - lost), rho, phi, n)


def _unbiased(coefficient: float, n: float) -> float:
    """Marriott and Pope (1954): r + (1 + 3 r)/n. Negative coefficients count as none, which is on the safe side."""
    return min(max((n * coefficient + 1.0) / (n - 3.0), 0.0), _MAX_AUTOCORRELATION)


@dataclass(frozen=True, slots=True)
class Noise:
    """Autocorrelated noise: rho at lag one, falling by `phi` at each further lag.

    phi = rho is AR(1); phi > rho is AR(1) seen through white measurement noise, which lag one alone would take for
    nearly independent. `samples` is the weight on which the estimate rests.
    """

    mean: float
    variance: float
    rho: float
    phi: float
    samples: float

    @property
    def long_run_variance(self) -> float:
        """Limit of n Var(mean of n): variance (1 + 2 rho/(1 - phi)), both coefficients taken one standard error high."""
        error = math.sqrt((1.0 - self.phi**2) / self.samples)
        rho = min(self.rho + error, _MAX_AUTOCORRELATION)
        phi = min(self.phi + error, _MAX_AUTOCORRELATION)
        return self.variance * (1.0 + 2.0 * rho / (1.0 - phi))
