"""The load to come, in fully used servers: from a forecast of its rows, or as it is where there is none."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_decision.domain.baseline import persistent_load
from eil_decision.domain.lookahead import DEPTH, STAGE_S, STAGES, Path

Z90 = 1.6449
"""Half-width of a 90 % interval in standard deviations."""
MIN_HISTORY = 10
"""Rows of load below which a forecast has nothing to learn from and the load is taken as it is."""
MAX_FORECAST = 120
"""Rows forecast at most: beyond them the load is taken to stay."""
LEAST_REVISION, LARGEST_REVISION = 0.1, 0.5
"""Of a forecast from stage to stage: a share of a row's spread at least, and in logs at most."""


@dataclass(frozen=True, slots=True)
class Load:
    """Mean load over the horizon in fully used servers, with a 90 % interval of the mean and the peak to be planned for."""

    mean: float
    low: float
    high: float
    peak: float
    """That a row's load exceeds once in 20 times."""
    source: str
    """How it was forecast, for people."""
    later: tuple[float, ...] = ()
    """Means of the stages after the first."""
    revision: float = 0.0
    """Standard deviation of the log by which the forecast is revised from stage to stage."""

    def path(self) -> Path:
        """What it becomes, for the look ahead."""
        mean = max(self.mean, 1e-6)
        spread = math.log(max(self.peak, mean) / mean) / Z90
        means = [mean, *(max(later, 1e-6) for later in self.later)]
        return Path((*means, *[means[-1]] * (DEPTH - len(means))), spread, self.revision)


def stage_rows(rows: int, step_s: float) -> int:
    """Rows of a stage, for a horizon of `rows` rows `step_s` apart."""
    return max(1, min(max(rows, round(STAGE_S / step_s)), MAX_FORECAST // STAGES))


def from_forecast(
    point: ArrayLike, low: ArrayLike, high: ArrayLike, total_width: float, rows: int, source: str
) -> Load:
    """The load of the next `rows` rows and the stages after the first, from a forecast of STAGES stages.

    Args:
        point, low, high: (STAGES · stage,) of each row, the interval at 90 %.
        total_width: of the 90 % interval of their sum.
        rows: in the horizon.
        source: who forecast it, for people.
    """
    mean_of, below, above = (np.maximum(np.asarray(values, np.float64), 0.0) for values in (point, low, high))
    stage = mean_of.size // STAGES
    rows = min(rows, mean_of.size)
    share = (above - below) / np.maximum(
        2.0 * Z90 * mean_of, 1e-9
    )  # standard deviation of a row, as a share of the load
    near, far = float(share[:stage].mean()), float(share[-stage:].mean())
    revision = math.sqrt(max((far**2 - near**2) / (STAGES - 1), (LEAST_REVISION * near) ** 2))
    # The half-width of a sum of n rows grows between √n (independent errors) and n: as it does over all that was predicted.
    row, whole = 0.5 * float(above[0] - below[0]), 0.5 * total_width
    power = math.log(max(whole, row, 1e-9) / max(row, 1e-9)) / math.log(mean_of.size)
    half = row * rows ** (min(max(power, 0.5), 1.0) - 1.0)
    mean = float(mean_of[:rows].mean())
    return Load(
        mean=mean,
        low=max(mean - half, 0.0),
        high=mean + half,
        peak=float(above[:rows].max()),
        source=source,
        later=tuple(mean_of.reshape(STAGES, stage).mean(axis=1)[1:].tolist()),
        revision=min(revision, LARGEST_REVISION),
    )


def as_it_is(past: NDArray[np.float64], rows: int, why: str) -> Load:
    """Persistence of the load (n >= 1), and why it had to stand in."""
    now, half = persistent_load(past, rows)
    text = f"the load as it is, ± {half / now if now else 0:.0%}: {why}"
    revision = min(half / max(now, 1e-9) / Z90, LARGEST_REVISION)
    return Load(now, max(now - half, 0.0), now + half, now + half, text, (now,) * (STAGES - 1), revision)
