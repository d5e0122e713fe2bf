"""The χ² distribution, as far as the physical checks need it.

Accuracy: survival function within 1e-10 relative (down to 1e-280), quantile within 1e-9 relative, for 1 to 10,000
degrees of freedom; tested against SciPy. Series and continued fraction of the incomplete gamma function after
Abramowitz and Stegun 6.5.29 and 6.5.31 (the latter by Lentz's method).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_TERMS = 100_000
_TINY = 1e-300


def chi2_sf(x: float, dof: float) -> float:
    """P(χ² > x) for ``dof`` > 0 degrees of freedom; raises ValueError when dof is not positive."""
    if not dof > 0:
        raise ValueError(f"χ² has no distribution for {dof} degrees of freedom: give a positive number")
    if x <= 0:
        return 1.0
    a, z = dof / 2, x / 2
    scale = math.exp(a * math.log(z) - z - math.lgamma(a))
    return 1.0 - scale * _series(a, z) if z < a + 1 else scale * _fraction(a, z)


@lru_cache(maxsize=256)  # a service asks for the same few thresholds all day
def chi2_quantile(level: float, dof: float) -> float:
    """The x with P(χ² ≤ x) = level, 0 < level < 1, by bisection from the Wilson–Hilferty approximation.

    Raises ValueError when the level or the degrees of freedom are out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}: give a probability between 0 and 1, such as 0.99")
    if not dof > 0:
        raise ValueError(f"χ² has no distribution for {dof} degrees of freedom: give a positive number")
    spread = 2 / (9 * dof)
    guess = dof * max(1 - spread + NormalDist().inv_cdf(level) * math.sqrt(spread), 1e-3) ** 3
    low, high = guess / 2, guess * 2
    tail = 1 - level
    while chi2_sf(low, dof) < tail:
        low /= 2
    while chi2_sf(high, dof) > tail:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if chi2_sf(middle, dof) > tail else (low, middle)
    return (low + high) / 2


def _series(a: float, z: float) -> float:
    """Σ zⁿ Γ(a)/Γ(a+1+n), which converges fast for z < a + 1."""
    term = total = 1 / a
    for n in range(1, _TERMS):
        term *= z / (a + n)
        total += term
        if term < total * 1e-17:
            break
    return total


def _fraction(a: float, z: float) -> float:
    """Continued fraction of Γ(a, z)·eᶻ·z⁻ᵃ, which converges fast for z ≥ a + 1."""
    b = z + 1 - a
    c, d = 1 / _TINY, 1 / b
    h = d
    for n in range(1, _TERMS):
        coefficient = -n * (n - a)
        b += 2
        d = 1 / _away_from_zero(coefficient * d + b)
        c = _away_from_zero(b + coefficient / c)
        h *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return h


def _away_from_zero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
