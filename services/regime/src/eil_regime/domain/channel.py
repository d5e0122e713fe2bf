"""One channel of a source: what its present regime looks like, and how strongly the newest values contradict it."""

from __future__ import annotations

import math
from array import array
from collections import deque
from typing import Any

import numpy as np

from .config import DetectorConfig
from .focus import Change, Focus
from .noise import Moments, Noise

_PENDING_BURN_INS = 4  # an unproven change older than this is the regime's own wander, to be learnt
_HISTORY_MEMORIES = 5  # the history fades this many times more slowly than a regime's own moments
_GAUSSIAN_MAD = 1.4826  # standard deviation over median absolute deviation


class Channel:
    """Learns for `burn_in` values, then tests each further one.

    A residual is (x - location)/scale, clipped. Division by their long-run variance turns the likelihood
    ratio of independent noise into that of an autocorrelated process; coefficients enter one standard error high,
    because what is not known yet must not alarm. Learning goes on with values older than `burn_in` samples, and stops while a shift is
    pending. Consecutive present values count as neighbours: a gap lowers the apparent autocorrelation slightly.
    """

    __slots__ = (
        "_config", "_effect_size", "_focus", "_known", "_least_variance", "_limit", "_moments", "_origin", "absent", "change",
        "high", "history", "learned", "location", "long_run_variance", "low", "missing", "noise", "outside", "scale", "statistic",
        "times", "values", "warnings",
    )  # fmt: skip

    def __init__(self, config: DetectorConfig) -> None:
        self._config = config
        self.times: deque[float] = deque(maxlen=config.burn_in)
        self.values: deque[float] = deque(maxlen=config.burn_in)
        self.low, self.high = math.inf, -math.inf  # of everything older than the window
        self.missing = 0
        self.absent = 0
        self.history = Moments(_HISTORY_MEMORIES * config.memory)  # of clipped values, over all regimes
        self._origin: float | None = None  # first location, about which the history is kept
        self._begin()

    def _begin(self) -> None:
        self.learned = False
        self.location, self.scale, self._least_variance = 0.0, 1.0, 1.0
        self._limit = self._config.winsor_sd
        self._focus = Focus(min_before=self._config.burn_in // 4)
        self._moments = Moments(self._config.memory)
        self._known = 0  # values in the window which the moments already hold
        self.noise = Noise(0.0, 1.0, 0.0, 0.0, 0.0)  # of the residuals; known once `learned`
        self.long_run_variance = 1.0
        self.change: Change | None = None
        self._effect_size: float | None = None  # of the present `change`, once asked for
        self.statistic = 0.0
        self.outside = 0
        self.warnings = 0

    def restart(self, since_s: float) -> None:
        """Forget the regime; values from `since_s` on are the beginning of the next one."""
        while self.times and self.times[0] < since_s:
            self.times.popleft()
            self._widen(self.values.popleft())
        self._begin()

    def miss(self) -> None:
        """No value this time. After a burn-in's worth of nothing, what was known is stale and is learnt anew."""
        self.missing += 1
        self.absent += 1
        if self.absent == self._config.burn_in:
            self.restart(math.inf)

    def update(self, t_s: float, value: float, threshold: float) -> None:
        """Take a finite value; `threshold` on the statistic tells whether a shift is pending."""
        self.absent = 0
        if len(self.values) == self._config.burn_in:
            pending = self.pending(threshold)
            self.times.popleft()
            self._retire(self.values.popleft(), pending)
        self.times.append(t_s)
        self.values.append(value)
        if self.learned:
            y = self.residual(value)
            self._focus.update(y, t_s)
            self._recall(y)
            self._assess()
            self._watch_range(value)
        elif len(self.values) == self._config.burn_in:
            self._learn()

    def exceeds(self, threshold: float) -> bool:
        """Whether the evidence is over `threshold`, and the change is large and lasting enough to be a regime."""
        if not self.learned or self.change is None or self.statistic <= threshold:
            return False
        if self._focus.count - self.change.index < self._config.min_after:
            return False
        config = self._config
        least = max(
            config.min_effect_sd * math.sqrt(self.noise.variance) * self.scale, config.min_effect_spread * self.spread()
        )
        return self._effect(self.change) >= least

    def _effect(self, change: Change) -> float:
        """How far the level went, in the channel's unit: medians, since the clipped mean would hide it, of all values
        since the change and of the last few, which tell whether it stands still."""
        if self._effect_size is None:
            before = self.location + self.scale * change.mean_before
            after = [x for t_s, x in zip(self.times, self.values, strict=True) if t_s >= change.mark]
            size = _median(after) - before
            still = _median(after[-(self._config.min_after // 2) :]) - before
            self._effect_size = abs(size) if still * size >= 0.5 * size * size else 0.0
        return self._effect_size

    def spread(self) -> float:
        """Standard deviation of the channel over all regimes so far, in its unit; 0 before anything is learnt."""
        if self.history.weight == 0.0:
            return 0.0
        return math.sqrt(self.history.mean_and_variance()[1])

    def pending(self, threshold: float) -> bool:
        """Whether a shift may be under way: half the threshold is passed, and not so long ago that it is mere wander."""
        if not self.exceeds(0.5 * threshold) or self.change is None:
            return False
        return self._focus.count - self.change.index <= _PENDING_BURN_INS * self._config.burn_in

    def residual(self, value: float) -> float:
        """Standardised by the burn-in's location and scale, and clipped."""
        return min(max((value - self.location) / self.scale, -self._limit), self._limit)

    def signature(self) -> tuple[float, float]:
        """(mean, log standard deviation) of the present stretch, in the channel's unit; needs `learned`."""
        noise = self._moments.estimate(self._least_variance)
        return self.location + self.scale * noise.mean, math.log(self.scale * math.sqrt(noise.variance))

    def first_signature(self) -> tuple[float, float]:
        """(mean, log standard deviation) of the window alone, before anything is learnt; needs a value."""
        location, scale, floor = self._robust(np.array(self.values))
        return location, math.log(max(scale, floor))

    def trend_z(self) -> float:
        """Significance (in standard errors, signed) of the linear trend over the window."""
        y, slope = self._window_trend()
        n = y.size
        return slope / math.sqrt(12.0 * self.long_run_variance / (n * (n * n - 1)))

    def warns(self) -> bool:
        """Critical slowing down: variance and autocorrelation of the detrended window both above the regime's own."""
        y, _ = self._window_trend()
        n = y.size
        variance = float(y @ y) / n
        rho = float(y[1:] @ y[:-1]) / n / max(variance, 1e-300)
        usual = self.noise
        spread = math.sqrt(2.0 * (1.0 + usual.rho**2) / ((1.0 - usual.rho**2) * n))
        error = math.sqrt((1.0 - usual.rho**2) / n)
        return variance > usual.variance * (1.0 + 3.0 * spread) and rho > usual.rho + 2.0 * error

    def _window_trend(self) -> tuple[np.ndarray, float]:
        """The window's residuals about their least-squares line, and its slope per sample."""
        y = np.clip((np.array(self.values) - self.location) / self.scale, -self._limit, self._limit)
        k = np.arange(y.size) - 0.5 * (y.size - 1)
        slope = float(k @ y) / (y.size * (y.size**2 - 1) / 12.0)
        return y - y.mean() - slope * k, slope

    def _retire(self, value: float, pending: bool) -> None:
        self._widen(value)
        if self._known > 0:
            self._known -= 1
        elif self.learned and not pending:
            self._moments.add(self.residual(value), self.residual(self.values[0]), self.residual(self.values[1]))

    def _widen(self, value: float) -> None:
        self.low = min(self.low, value)
        self.high = max(self.high, value)

    def _robust(self, x: np.ndarray) -> tuple[float, float, float]:
        location = float(np.median(x))
        scale = _GAUSSIAN_MAD * float(np.median(np.abs(x - location)))
        if scale == 0.0:  # more than half of the values are equal
            scale = float(x.std())
        floor = max(self._config.relative_floor * abs(location), 1e-12)
        return location, scale, floor

    def _learn(self) -> None:
        x = np.array(self.values)
        self.location, scale, floor = self._robust(x)
        self.scale = max(scale, floor)
        self._least_variance = (floor / self.scale) ** 2
        if self._origin is None:
            self._origin = self.location
        y = [self.residual(value) for value in self.values]
        for k in range(2, len(y)):
            self._moments.add(y[k], y[k - 1], y[k - 2])
        noise = self._moments.estimate(self._least_variance)
        # A short stretch of autocorrelated noise understates its own scale, while each of its values weighs less.
        self._limit *= (noise.long_run_variance / noise.variance) ** 0.25
        for t_s, value in zip(self.times, self.values, strict=True):
            residual = self.residual(value)
            self._focus.update(residual, t_s)
            self._recall(residual)
        self._known = len(self.values)
        self.learned = True
        self._assess()

    def _recall(self, residual: float) -> None:
        assert self._origin is not None
        value = self.location - self._origin + self.scale * residual
        self.history.add(value)

    def _assess(self) -> None:
        self.noise = self._moments.estimate(self._least_variance)
        self.long_run_variance = self.noise.long_run_variance
        self.change = self._focus.change()
        self._effect_size = None
        self.statistic = self.change.statistic / self.long_run_variance if self.change is not None else 0.0

    def _watch_range(self, value: float) -> None:
        if self.low > self.high:
            return
        wide = self._config.range_margin * max(self.high - self.low, 6.0 * self.scale)
        beyond = value > self.high + wide or value < self.low - wide
        self.outside = self.outside + 1 if beyond else 0

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        m, h = self._moments, self.history
        numbers = (self.low, self.high, self.location, self.scale, self._least_variance, self._limit)
        numbers += (m.weight, m.total, m.square, m.lag1, m.lag2, h.weight, h.total, h.square)
        return {
            "times": array("d", self.times),
            "values": array("d", self.values),
            "numbers": array("d", numbers),
            "origin": self._origin,
            "counts": [int(self.learned), self._known, self.missing, self.absent, self.outside, self.warnings],
            "focus": self._focus.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, for a channel built with the same settings."""
        self.times.extend(state["times"])
        self.values.extend(state["values"])
        m, h = self._moments, self.history
        self.low, self.high, self.location, self.scale, self._least_variance, self._limit = state["numbers"][:6]
        m.weight, m.total, m.square, m.lag1, m.lag2, h.weight, h.total, h.square = state["numbers"][6:]
        self._origin = state["origin"]
        learned, self._known, self.missing, self.absent, self.outside, self.warnings = state["counts"]
        self.learned = bool(learned)
        self._focus.restore(state["focus"])
        if self.learned:
            self._assess()


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
