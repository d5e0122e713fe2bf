"""The normal distribution over arrays.

Accuracy: within 1e-15; tested against SciPy. Taylor's series about the nearest point of a table, whose values are the
standard library's.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

_REACH: Final = 9.0
"""Beyond ± this Φ is 0 or 1 within 1e-18."""
_STEP: Final = 1 / 256
_ORDER: Final = 4


def _series() -> NDArray[np.float64]:
    """Taylor's coefficients (order + 1, points): Φ⁽ᵏ⁾/k!.

    Φ⁽ᵏ⁾(x) = (−1)ᵏ⁻¹·Heₖ₋₁(x)·φ(x) with Hermite's Heₖ₊₁ = x·Heₖ − k·Heₖ₋₁.
    """
    points, normal = np.arange(-_REACH, _REACH + _STEP / 2, _STEP), NormalDist()
    cdf = [0.5 * math.erfc(-x / math.sqrt(2)) for x in points.tolist()]
    density = np.array([normal.pdf(x) for x in points.tolist()])
    before, hermite, rows = np.zeros_like(points), np.ones_like(points), [np.array(cdf)]
    for k in range(_ORDER):
        rows.append((-1) ** k * hermite * density / math.factorial(k + 1))
        before, hermite = hermite, points * hermite - k * before
    return np.stack(rows)


_SERIES: Final = _series()


def normal_cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Φ(x) = P(N ≤ x) of each value."""
    within = np.minimum(np.maximum(x, -_REACH), _REACH)  # not clip, which costs a few times as much on small arrays
    place = np.rint((within + _REACH) / _STEP).astype(np.intp)
    beyond = within - (place * _STEP - _REACH)
    total = _SERIES[-1].take(place)
    for row in _SERIES[-2::-1]:
        total *= beyond
        total += row.take(place)
    return total
