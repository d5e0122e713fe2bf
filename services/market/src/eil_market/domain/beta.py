"""Quantiles of the Beta distribution, needed for posterior intervals of a share."""

from math import exp, lgamma, log, log1p
from typing import Final

_TINY: Final = 1e-300
_PRECISION: Final = 1e-15
_MAX_TERMS: Final = 100_000


def regularised_incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), the probability that a Beta(a, b) variable is at most x; a, b > 0.

    Continued fraction DLMF 8.17.22 by Lentz's method, on the side of the mean where O(√max(a, b)) terms suffice.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - regularised_incomplete_beta(b, a, 1.0 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front * _continued_fraction(a, b, x)


def _continued_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _MAX_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            value *= d * c
        if abs(d * c - 1.0) < _PRECISION:
            return value
    raise ArithmeticError(f"I_x(a, b) did not converge for a={a}, b={b}, x={x}: the counts are beyond 10⁹.")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def beta_quantile(a: float, b: float, probability: float) -> float:
    """The x with I_x(a, b) = probability in (0, 1), by bisection to the last bits of a double."""
    low, high = 0.0, 1.0
    while True:
        middle = 0.5 * (low + high)
        if middle in (low, high) or high - low < 1e-15:
            return middle
        if regularised_incomplete_beta(a, b, middle) < probability:
            low = middle
        else:
            high = middle
