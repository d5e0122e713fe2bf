"""Persistence: what a prediction must beat to be rewarded, and what stands in where nothing could be forecast."""

import numpy as np
from numpy.typing import NDArray

MIN_STEPS = 8
ASSUMED_HALF_WIDTH = 0.10
"""Relative half-width of persistence's interval before it can be learned."""


def persistence_interval(
    energy_j: NDArray[np.float64], servers: NDArray[np.float64], servers_next: int
) -> tuple[float, float]:
    """90 % interval of the next window's energy by "as the last window, scaled by the servers".

    Args:
        energy_j: (n,) energies of past windows as long as the horizon, oldest first.
        servers: (n,) servers in each.
        servers_next: servers in the window that is predicted.

    The half-width is the 0.9 quantile of |E_k − E_{k−1}·n_k/n_{k−1}| over the past, or 10 % where there are fewer than 8 steps.

    Raises:
        ValueError: no window at all.
    """
    if energy_j.size == 0:
        raise ValueError("persistence needs at least one past window")
    expected = float(energy_j[-1]) * servers_next / max(float(servers[-1]), 1.0)
    errors = np.abs(energy_j[1:] - energy_j[:-1] * servers[1:] / np.maximum(servers[:-1], 1.0))
    half = float(np.quantile(errors, 0.9)) if errors.size >= MIN_STEPS else ASSUMED_HALF_WIDTH * expected
    return max(expected - half, 0.0), expected + half


def persistent_load(past: NDArray[np.float64], rows: int) -> tuple[float, float]:
    """The newest load (n >= 1, in fully used servers) as it is, and the half-width of its 90 % interval over the next `rows` rows.

    The half-width is the 0.9 quantile of |mean of the next rows − newest value| over the past, or 10 % where there are fewer than 8
    such steps.
    """
    now = float(past[-1])
    starts = np.arange(0, past.size - rows)
    if starts.size < MIN_STEPS:
        return now, ASSUMED_HALF_WIDTH * now
    sums = np.concatenate([[0.0], np.cumsum(past)])
    means = (sums[starts + 1 + rows] - sums[starts + 1]) / rows
    return now, float(np.quantile(np.abs(means - past[starts]), 0.9))
