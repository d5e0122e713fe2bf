"""Texture of a channel: how often differences at several lags exceed their usual size. Shape, variance and period show here.

Every feature lies in [0, 1]: a soft count of u > θ and u > −θ, where u is a first difference x(t) − x(t−k) or a second one over
its running mean absolute size (× 1.25: the standard deviation of normal noise). So features have no unit, no outlier moves
them by more than one, and their mean over a stretch estimates points of the distribution function of each difference. Two more
features are soft signs of u₁·u₁' and u₁₆·u₁₆', with u' of the next channel of the source: the correlation of neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .config import RAMP_AT, RAMP_GAIN, SCALE_MEMORY
from .layout import (
    FEATURE_SUMS,
    FIRST_LAGS,
    HISTORY,
    NORMALISED,
    SCALES,
    SECOND_LAGS,
    VALUES,
)

_FIRST_SECOND_LAG, _LAST_SECOND_LAG = SECOND_LAGS
_SLOW = 4  # place of lag 16, the slow coupling
_NORMAL = 1.25  # standard deviation over mean absolute deviation, normal noise
_LEAST = 1e-30


@njit(cache=True, nogil=True, inline="always")
def _unit(u: float) -> float:
    return 0.0 if u <= 0.0 else min(u, 1.0)


@njit(cache=True, nogil=True)
def _add(f: NDArray[np.float32], at: int, place: int, difference: float, seen: int, P: NDArray[np.float64]) -> float:
    """Count a difference into the features at `at`, given how many of its kind were seen; its normalised size."""
    scale = f[SCALES + place]
    scale += (abs(difference) - scale) / min(float(seen), P[SCALE_MEMORY])
    f[SCALES + place] = scale
    u = difference / (_NORMAL * scale + _LEAST)
    f[at] += _unit(0.5 + P[RAMP_GAIN] * (u - P[RAMP_AT]))
    f[at + 1] += _unit(0.5 + P[RAMP_GAIN] * (u + P[RAMP_AT]))
    return u


@njit(cache=True, nogil=True)
def add_features(
    f: NDArray[np.float32], n: int, x: float, neighbour: NDArray[np.float32], coupled: bool, P: NDArray[np.float64]
) -> None:
    """Add the features of value `x`, the n-th (from 0) of its channel, to the block being filled.

    `neighbour` is the state of the next channel; without one (not `coupled`) the couplings stay at one half.
    """
    at = FEATURE_SUMS
    for place in range(FIRST_LAGS):
        lag = 1 << place
        u = 0.0
        if n >= lag:
            u = _add(f, at, place, x - f[VALUES + ((n - lag) & (HISTORY - 1))], n - lag + 1, P)
        else:
            f[at] += 0.5
            f[at + 1] += 0.5
        if place == 0:
            f[NORMALISED] = u
        elif place == _SLOW:
            f[NORMALISED + 1] = u
        at += 2
    for place in range(2):
        lag = _FIRST_SECOND_LAG if place == 0 else _LAST_SECOND_LAG
        if n >= 2 * lag:
            middle = f[VALUES + ((n - lag) & (HISTORY - 1))]
            second = x - 2.0 * middle + f[VALUES + ((n - 2 * lag) & (HISTORY - 1))]
            _add(f, at, FIRST_LAGS + place, second, n - 2 * lag + 1, P)
        else:
            f[at] += 0.5
            f[at + 1] += 0.5
        at += 2
    fast, slow = 0.0, 0.0
    if coupled:
        fast, slow = f[NORMALISED] * neighbour[NORMALISED], f[NORMALISED + 1] * neighbour[NORMALISED + 1]
    f[at] += _unit(0.5 + 0.5 * fast)
    f[at + 1] += _unit(0.5 + 0.5 * slow)
    f[VALUES + (n & (HISTORY - 1))] = x
