"""What is measured: energy and driver of adjoining intervals, and which of them count."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOUR_US = 3_600_000_000
HOURS_A_WEEK = 168
EPOCH_HOUR_OF_WEEK = 72
"""1970 began on a Thursday; hours count from Monday, 00:00 UTC."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """n adjoining intervals of one source. A value that was not measured is NaN."""

    start_us: int
    """Begin of the first, µs since 1970."""
    interval_s: int
    energy_j: NDArray[np.float64]
    """(n,) [J]."""
    driver: NDArray[np.float64]
    """(n,): what the energy depends on, in its own unit; all NaN if the model needs none."""

    def __post_init__(self) -> None:
        if self.energy_j.ndim != 1 or self.energy_j.shape != self.driver.shape:
            raise ValueError(f"energy {self.energy_j.shape} and driver {self.driver.shape} must be rows of one length")
        if self.interval_s <= 0:
            raise ValueError(f"interval_s is {self.interval_s}: an interval lasts a second or more")

    def __len__(self) -> int:
        return self.energy_j.size

    @property
    def starts_us(self) -> NDArray[np.int64]:
        """(n,): begin of each."""
        return self.start_us + np.arange(len(self), dtype=np.int64) * (self.interval_s * 1_000_000)

    @property
    def hour_of_week(self) -> NDArray[np.int64]:
        """(n,): 0–167, UTC, Monday's first hour is 0."""
        return (self.starts_us // HOUR_US + EPOCH_HOUR_OF_WEEK) % HOURS_A_WEEK

    def present(self, *, driver: bool) -> NDArray[np.bool_]:
        """(n,): which were measured; with `driver`, it too."""
        held = np.isfinite(self.energy_j)
        return held & np.isfinite(self.driver) if driver else held
