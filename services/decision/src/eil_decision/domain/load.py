"""The load to come, in fully used servers: from a forecast of its rows, or as it is where there is none."""

import math
from dataclasses import dataclass, replace

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
LEAST_REVISION, LARGEST_REVISION = 0.3, 0.5
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

    def scaled(self, factor: float) -> "Load":
        """The load in servers of another speed, now and later."""
        if factor == 1.0:
            return self
        return replace(self._times(factor), later=tuple(factor * mean for mean in self.later))

    def put_off(self, share: float) -> "Load":
        """The load without a share of what comes within the horizon."""
        return self._times(max(1.0 - share, 0.0))

    def _times(self, factor: float) -> "Load":
        return replace(
            self, mean=factor * self.mean, low=factor * self.low, high=factor * self.high, peak=factor * self.peak
        )

    def path(self, delay: int = 0) -> Path:
        """What it becomes, for the look ahead, from the stage on that an order can change: `delay` stages after the next."""
        means = self._means()
        means += [means[-1]] * (DEPTH + delay - len(means))
        return Path(tuple(means[delay : delay + DEPTH]), self._spread(delay), self.revision)

    def peak_within(self, delay: int = 0) -> float:
        """What a row's load exceeds once in 20 times, the largest of the stages before an order takes effect."""
        ahead = (mean * math.exp(Z90 * self._spread(k)) for k, mean in enumerate(self._means()[: delay + 1]))
        return max(self.peak, *ahead) if delay else self.peak

    def _means(self) -> list[float]:
        return [max(mean, 1e-6) for mean in (self.mean, *self.later)]

    def _spread(self, stage: int) -> float:
        """Standard deviation of the log of a row's load, as far as can be told now, some stages after the next."""
        mean = self._means()[0]
        return math.hypot(math.log(max(self.peak, mean) / mean) / Z90, math.sqrt(stage) * self.revision)


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
