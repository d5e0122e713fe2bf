"""Sampled channels: what counts as a valid series, and when two samples belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

GAP_PERIODS = 3.0
"""Samples further apart than this many sample periods are not joined."""

CLOCK_TOLERANCE_S = 1e-6
# Unix seconds in float64 are exact to a quarter of a microsecond; a spacing of exactly three periods must not
# become a gap by rounding.


def checked_series(timestamps_s: ArrayLike, *channels: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Timestamps [s] and channels, each as a float64 vector of the same length.

    Raises ValueError when a vector is not one-dimensional, lengths differ, a value is not finite, or the timestamps
    do not strictly increase.
    """
    time_s = np.asarray(timestamps_s, dtype=np.float64)
    if time_s.ndim != 1 or not np.isfinite(time_s).all():
        raise ValueError("timestamps must be a vector of finite seconds: drop samples without a time")
    if (time_s[1:] <= time_s[:-1]).any():
        raise ValueError("timestamps must strictly increase: sort the samples and drop repeated ones")
    columns = [np.asarray(channel, dtype=np.float64) for channel in channels]
    for column in columns:
        if column.shape != time_s.shape:
            raise ValueError(
                f"a channel has shape {column.shape} but there are {time_s.size} timestamps: give one value per sample"
            )
        if not np.isfinite(column).all():
            raise ValueError("a channel holds a value that is not finite: drop the sample, its absence is a gap")
    return (time_s, *columns)


def sample_period_s(timestamps_s: NDArray[np.float64], declared_s: float | None = None) -> float | None:
    """The declared sample period, else the median spacing [s]; None when fewer than two samples leave it unknown.

    Raises ValueError when the declared period is not positive.
    """
    if declared_s is not None:
        if not declared_s > 0:
            raise ValueError(f"the sample period is {declared_s} s: declare a positive one, or none to use the median")
        return float(declared_s)
    if timestamps_s.size < 2:
        return None
    spacings = np.sort(timestamps_s[1:] - timestamps_s[:-1])  # np.median costs ten times as much on so few
    return float(0.5 * (spacings[(spacings.size - 1) // 2] + spacings[spacings.size // 2]))


def joined(timestamps_s: NDArray[np.float64], period_s: float) -> NDArray[np.bool_]:
    """For each of the n − 1 spacings, whether it is no gap (at most ``GAP_PERIODS`` sample periods)."""
    return timestamps_s[1:] - timestamps_s[:-1] <= GAP_PERIODS * period_s + CLOCK_TOLERANCE_S
