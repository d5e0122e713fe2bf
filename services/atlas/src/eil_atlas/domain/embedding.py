"""When two states are alike: the distance of their vectors.

A state's vector has five entries: ln(1 + mean power [W]), the covered share of its window, ln(1 + 10⁶·rate of entropy [W/K])/10, and the
time of day as a point on a circle of radius ½. A factor of e in power thus weighs as much as all of the coverage.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DAY_S = 86400.0
CIRCLE = 0.5


def vectors(
    start_us: ArrayLike, energy_j: ArrayLike, covered_s: ArrayLike, entropy: ArrayLike, length_us: int
) -> NDArray[np.float64]:
    """Vectors (n, 5) of n states of one length from begin [µs], energy [J], covered time [s] and entropy [J/K]."""
    covered = np.asarray(covered_s, dtype=np.float64)
    seconds = np.where(covered > 0, covered, 1.0)
    power_w = np.maximum(np.asarray(energy_j, dtype=np.float64), 0.0) / seconds
    rate = np.maximum(np.asarray(entropy, dtype=np.float64), 0.0) / seconds
    angle = 2 * np.pi * (np.asarray(start_us, dtype=np.int64) / 1e6 % DAY_S) / DAY_S
    return np.column_stack(
        [
            np.log1p(power_w),
            covered / (length_us / 1e6),
            np.log1p(1e6 * rate) / 10,
            CIRCLE * np.cos(angle),
            CIRCLE * np.sin(angle),
        ]
    )


def distances(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distance (n,) of a vector (5,) from others (n, 5)."""
    return np.linalg.norm(others - one, axis=1)
