"""Online conformal intervals that keep their coverage while the errors drift.

Three layers, each of a few numbers per horizon and channel:

1. scales: how large an error is to be expected, from its mean by the phase of the day, and from recent errors at several speeds;
2. experts: each combines the scales in its own way and tracks the level-quantile of |error| / scale by the quantile tracker
   (Angelopoulos, Candès and Tibshirani 2023); their half-widths are averaged with weights that fall exponentially with the
   pinball loss (Vovk 1990; for conformal inference Zaffran et al. 2022), old losses being forgotten;
3. a gain on the average, stepped on each miss and hit as in Gibbs and Candès (2021): over any stretch of n errors the share
   of misses differs from 1 - level by at most (range of log gain) / (step · n), whatever the errors are.

The error of a forecast h steps ahead is known h rows later, so all tracking steps shrink as 1/√h (Joulani et al. 2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eil_nvp.domain.telemetry.moments import Array


@dataclass(frozen=True)
class Expert:
    """scale = profile^seasonal · recent^share · slow^(1 - share)."""

    seasonal: float
    speed: int
    """Index of the recent scale."""
    share: float


EXPERTS = (
    Expert(0.0, 0, 0.0),
    Expert(1.0, 0, 0.0),
    Expert(0.0, 0, 0.4),
    Expert(1.0, 0, 0.4),
    Expert(1.0, 1, 0.4),
    Expert(1.0, 0, 0.8),
    Expert(1.0, 1, 0.8),
    Expert(0.0, 1, 0.6),
)


@dataclass(frozen=True)
class ConformalConfig:
    """Rates are per error seen. The defaults were settled on ETTh1 and ETTh2, so figures there flatter them a little."""

    level: float = 0.9
    """Share of truths that an interval is to hold."""
    period: int = 24
    """Samples after which the size of errors recurs; 1: it does not."""
    gain_step: float = 0.08
    """Of the log gain, divided by √h: larger holds coverage in shorter stretches, at the price of width."""
    quantile_step: float = 0.01
    """Of an expert's log quantile, divided by √h."""
    learning: float = 0.1
    """An expert's log weight falls by this times its pinball loss over the mean error."""
    memory: float = 0.99
    """Of losses."""
    speeds: tuple[float, float] = (0.15, 0.4)
    """Rates of the recent scales."""
    slow: float = 0.003
    """Rate of the slow scale."""
    profile: float = 0.02
    """Rate of a phase's scale, per period."""
    least: int = 9
    """Errors before which an interval is infinite: fewer bear no 0.9-quantile."""


class OnlineConformal:
    """Intervals of one source for steps ahead and for sums over the horizon; each column is a step or a sum.

    Call `observe` with each new row, then `issue` with the forecasts made from it; rows must not be skipped (NaN is a row).
    """

    def __init__(
        self, channels: int, steps: tuple[int, ...], totals: tuple[int, ...] = (), config: ConformalConfig | None = None
    ) -> None:
        """`steps` are horizons h >= 1, `totals` lengths T >= 1 of sums over the next T rows. Raises ValueError otherwise."""
        self.config = config or ConformalConfig()
        self.steps, self.totals, self.channels = tuple(steps), tuple(totals), channels
        delays = np.array([*steps, *totals], dtype=np.int64)
        if channels < 1 or not delays.size or delays.min() < 1:
            raise ValueError(
                f"steps {steps} and totals {totals} for {channels} channels: give at least one, each at least 1"
            )
        if not 0.0 < self.config.level < 1.0:
            raise ValueError(f"level is {self.config.level}: it lies strictly between 0 and 1, for example 0.9")
        self._delays, self._pace = delays, 1.0 / np.sqrt(delays)[:, None]
        shape, depth = (delays.size, channels), int(delays.max())
        self._clock = 0
        self._seen = np.zeros(shape)
        self._profile = np.ones((self.config.period, *shape))
        self._fast = np.ones((len(self.config.speeds), *shape))
        self._slow = np.ones(shape)
        self._quantile = np.full((len(EXPERTS), *shape), np.log(1.8))
        self._weight = np.zeros((len(EXPERTS), *shape))
        self._gain = np.zeros(shape)
        self._rows = np.full((depth, channels), np.nan)
        self._origin = np.full(depth, -1, dtype=np.int64)
        self._point = np.full((depth, *shape), np.nan)
        self._half = np.full((depth, *shape), np.nan)
        self._scales = np.ones((depth, 4, *shape))

    def intervals(self, point: np.ndarray) -> tuple[Array, Array]:
        """Low and high (K, C) around `point` (K, C), columns as steps then totals; infinite before `least` errors."""
        half, _ = self._widths()
        return point - half, point + half

    def issue(self, point: np.ndarray) -> tuple[Array, Array]:
        """As `intervals`, and remembers the forecast until its truth is known. NaN: no forecast, no interval."""
        point = np.asarray(point, dtype=np.float64)
        if point.shape != self._seen.shape:
            raise ValueError(f"point has shape {point.shape}: give {self._seen.shape}, a row for each step and total")
        half, scales = self._widths()
        slot = self._clock % len(self._origin)
        self._origin[slot], self._point[slot] = self._clock, point
        self._half[slot], self._scales[slot] = half, scales
        return point - half, point + half

    def observe(self, row: np.ndarray) -> None:
        """Take the next row (C,), NaN where missing, and learn from the forecasts whose truth it completes."""
        row = np.asarray(row, dtype=np.float64)
        if row.shape != (self.channels,) or np.isinf(row).any():
            raise ValueError(f"row has shape {row.shape}: give ({self.channels},), finite or NaN where missing")
        self._clock += 1
        depth = len(self._origin)
        self._rows[self._clock % depth] = row
        truth = np.empty_like(self._seen)
        truth[: len(self.steps)] = row
        for i, length in enumerate(self.totals):
            truth[len(self.steps) + i] = self._rows[(self._clock - np.arange(length)) % depth].sum(axis=0)
        origins = self._clock - self._delays
        slots, columns = origins % depth, np.arange(self._delays.size)
        due = (self._origin[slots] == origins)[:, None]
        error = np.where(due, truth - self._point[slots, columns], np.nan)
        self._learn(error, self._half[slots, columns], self._scales[slots, :, columns].transpose(1, 0, 2))

    def arrays(self) -> dict[str, np.ndarray]:
        """All state; `restore` on an object made with the same arguments continues bit-exactly."""
        return {name: np.array(getattr(self, f"_{name}")) for name in STATE}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the state that `arrays` gave. Raises ValueError when it is of other steps, channels or period."""
        for name in STATE:
            given, own = np.array(arrays[name]), getattr(self, f"_{name}")
            if given.shape != np.shape(own):
                raise ValueError(
                    f"{name} has shape {given.shape}, not {np.shape(own)}: this state belongs to other intervals"
                )
            setattr(self, f"_{name}", int(given) if name == "clock" else given)

    def _phases(self) -> np.ndarray:
        """(K,) phase of the time each column is a forecast of."""
        return (self._clock + self._delays) % self.config.period

    def _widths(self) -> tuple[Array, Array]:
        """Half-widths (K, C) and the log scales (4, K, C) they rest on: profile, two recent ones, slow."""
        columns = np.arange(self._delays.size)
        profile = self._profile[self._phases(), columns]
        scales = np.log(np.concatenate([profile[None], self._fast, self._slow[None]]))
        weights = np.exp(self._weight - self._weight.max(axis=0))
        weights /= weights.sum(axis=0)
        half = (weights * np.exp(self._quantile + _combined(scales))).sum(axis=0) * np.exp(self._gain)
        return np.where(self._seen < self.config.least, np.inf, half), scales

    def _learn(self, error: Array, half: Array, scales: Array) -> None:
        """One error per column and channel, NaN where none is due."""
        config, known = self.config, np.isfinite(error)
        size = np.where(known, np.abs(error), 0.0)
        # Zero errors must not make a scale zero: it would never recover.
        size = np.maximum(size, 1e-9 * self._slow)
        miss_share = 1.0 - config.level
        first = known & (self._seen == 0)
        self._slow = np.where(first, size, self._slow)
        self._fast = np.where(first, size, self._fast)
        scales = np.where(
            first, np.log(np.concatenate([np.ones_like(size)[None], self._fast, self._slow[None]])), scales
        )
        self._seen = self._seen + known
        expected = np.exp(self._quantile + _combined(scales))
        over = size > expected
        step = np.maximum(config.quantile_step, 1.0 / (self._seen + 10.0)) * self._pace
        loss = np.where(over, config.level * (size - expected), miss_share * (expected - size)) / self._slow
        moved = config.memory * self._weight - config.learning * np.minimum(loss, 20.0)
        self._quantile = np.where(known, self._quantile + step * (over - miss_share), self._quantile)
        self._weight = np.where(known, moved, self._weight)
        judged = known & np.isfinite(half)
        missed = (size > half) - miss_share
        self._gain = self._gain + np.where(judged, config.gain_step * self._pace * missed, 0.0)
        self._rescale(size, known)

    def _rescale(self, size: Array, known: np.ndarray) -> None:
        """Move the scales towards |error|."""
        config, columns = self.config, np.arange(self._delays.size)
        phase = np.full(columns.shape, self._clock % config.period)
        profile = self._profile[phase, columns]
        flat = size / profile
        fast = self._fast + np.array(config.speeds)[:, None, None] * (flat - self._fast)
        slow = self._slow + np.maximum(config.slow, 1.0 / (self._seen + 1.0)) * (flat - self._slow)
        self._slow = np.where(known, slow, self._slow)
        self._fast = np.where(known, np.maximum(fast, 0.05 * self._slow), self._fast)
        rate = np.maximum(config.profile, 1.0 / (self._seen / config.period + 4.0)) if config.period > 1 else 0.0
        moved = np.maximum(profile + rate * (size / self._slow - profile), 0.05)
        self._profile[phase, columns] = np.where(known, moved, profile)


STATE = (
    "clock",
    "seen",
    "profile",
    "fast",
    "slow",
    "quantile",
    "weight",
    "gain",
    "rows",
    "origin",
    "point",
    "half",
    "scales",
)
_SEASONAL = np.array([one.seasonal for one in EXPERTS])[:, None, None]
_SPEED = np.array([one.speed for one in EXPERTS])
_SHARE = np.array([one.share for one in EXPERTS])[:, None, None]


def _combined(scales: Array) -> Array:
    """(E, K, C) each expert's log scale from the log scales (4, K, C)."""
    return _SEASONAL * scales[0] + _SHARE * scales[1:3][_SPEED] + (1.0 - _SHARE) * scales[3]
