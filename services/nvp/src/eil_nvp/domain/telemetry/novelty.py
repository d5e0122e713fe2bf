"""How far a history is outside what a model was trained on: widen the interval, or abstain."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from eil_nvp.domain.telemetry.gaps import checked, filled
from eil_nvp.domain.telemetry.moments import Array


@dataclass(frozen=True)
class NoveltyConfig:
    """When a window is strange, and what follows."""

    window: int = 24
    """Samples looked at."""
    quantile: float = 0.99
    """Of the training distances that still counts as usual."""
    range_margin: float = 0.1
    """Share of the training range by which level and inputs may leave it."""
    abstain_above: float = 3.0
    """Widening from which no forecast is to be trusted."""
    max_missing: float = 0.2
    """Share of missing values in the window above which it is strange."""


@dataclass(frozen=True)
class Verdict:
    """What is to be done about one history."""

    widening: Array
    """(d,) factor on half-widths, 1 inside the domain."""
    abstain: bool
    """The history is so far outside that no interval derived from training means anything."""
    reasons: tuple[str, ...]
    """In words; empty inside the domain."""

    @property
    def in_domain(self) -> bool:
        """Whether nothing is strange."""
        return not self.reasons


@dataclass(frozen=True)
class Novelty:
    """Per channel: the shape of a window by its Mahalanobis distance, its level and the inputs by their range.

    The distance is the leverage of the centred window w, w'(Σ + ridge)⁻¹w / window, in the training windows' covariance Σ:
    what a linear model's variance grows with (Cook and Weisberg 1982). It is large for shapes and for volatility never seen.
    """

    config: NoveltyConfig
    covariance: Array
    """(d, window, window), with its ridge."""
    usual: Array
    """(d,) the quantile of the training windows' distances."""
    levels: Array
    """(2, d) least and largest window mean in training."""
    inputs: Array
    """(2, p) least and largest planned input in training."""

    @classmethod
    def fit(
        cls, history: np.ndarray, *, plan: np.ndarray | None = None, config: NoveltyConfig | None = None
    ) -> "Novelty":
        """From training `history` (T, d), NaN where missing, and `plan` (T, p). Raises ValueError on fewer than two windows."""
        config = config or NoveltyConfig()
        raw, inputs = checked(history, plan, 1)
        if len(raw) <= config.window:
            raise ValueError(f"{len(raw)} samples: a window of {config.window} needs at least {config.window + 1}")
        values = filled(raw, config.window // 4)
        covariance, usual, levels = [], [], []
        for channel in values.T:
            rows = np.lib.stride_tricks.sliding_window_view(channel, config.window)
            rows = rows[np.isfinite(rows).all(axis=1)]
            if not len(rows):
                raise ValueError("a channel has no window without long gaps: give more history")
            mean = rows.mean(axis=1)
            centred = rows - mean[:, None]
            sigma = centred.T @ centred / len(rows)
            # The ridge keeps directions that training hardly moved in from turning noise into alarm.
            sigma += (1e-2 * np.trace(sigma) / config.window + 1e-12 * (1.0 + np.mean(mean**2))) * np.eye(config.window)
            covariance.append(sigma)
            usual.append(np.quantile(_distance(sigma, centred), config.quantile))
            levels.append((mean.min(), mean.max()))
        bounds = np.array([inputs.min(axis=0), inputs.max(axis=0)])
        return cls(config, np.array(covariance), np.array(usual), np.array(levels).T, bounds)

    def judge(self, history: np.ndarray, *, plan: np.ndarray | None = None) -> Verdict:
        """Judge the newest window of `history` (n, d) and all of `plan` (m, p), future included.

        A short history is judged by what there is, its oldest value repeated. Raises ValueError on wrong shapes.
        """
        raw = np.asarray(history, dtype=np.float64)[-self.config.window :]
        raw, _ = checked(raw, None, 1)
        if raw.shape[1] != len(self.usual):
            raise ValueError(f"{raw.shape[1]} channels were given, {len(self.usual)} were trained on")
        values = filled(raw, len(raw))
        values = np.vstack([np.repeat(values[:1], self.config.window - len(values), axis=0), values])
        widening, reasons = np.ones(raw.shape[1]), []
        for channel, window in enumerate(values.T):
            level = window.mean()
            distance = float(_distance(self.covariance[channel], (window - level)[None])[0])
            strange = np.sqrt(distance / self.usual[channel]) if self.usual[channel] > 0 else 1.0 + (distance > 1.0)
            beyond = self._beyond(level, self.levels[:, channel])
            widening[channel] = max(1.0, strange) * (1.0 + beyond)
            if strange > 1.0:
                reasons.append(f"channel {channel}: the newest window is {strange:.1f} times as far out as usual")
            if beyond > 0.0:
                reasons.append(f"channel {channel}: the level leaves the range of training by {beyond:.0%} of it")
        factor = 1.0
        for i, series in enumerate(_inputs(plan, self.inputs.shape[1]).T):
            beyond = max(self._beyond(edge, self.inputs[:, i]) for edge in (series.min(), series.max()))
            if beyond > 0.0:
                factor *= 1.0 + beyond
                reasons.append(f"planned input {i} leaves the range of training by {beyond:.0%} of it")
        if np.isnan(raw).mean() > self.config.max_missing:
            factor *= 2.0
            reasons.append(f"{np.isnan(raw).mean():.0%} of the newest window is missing")
        widening = widening * factor
        return Verdict(widening, bool((widening > self.config.abstain_above).any()), tuple(reasons))

    def _beyond(self, value: float, bounds: Array) -> float:
        """By how much of their range `value` leaves `bounds` (low, high); 0 within the margin, at most 1000."""
        low, high = float(bounds[0]), float(bounds[1])
        extent = max(high - low, 1e-9 * max(abs(low), abs(high), 1e-300))
        beyond = max(low - value, value - high, 0.0) / extent
        return float(min(beyond, 1e3)) if beyond > self.config.range_margin else 0.0

    def arrays(self) -> dict[str, np.ndarray]:
        """All state as arrays."""
        one = self.config
        fixed = [one.window, one.quantile, one.range_margin, one.abstain_above, one.max_missing]
        return {
            "fixed": np.array(fixed, dtype=np.float64),
            "covariance": self.covariance,
            "usual": self.usual,
            "levels": self.levels,
            "inputs": self.inputs,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Novelty":
        """The object whose `arrays` these are. Raises KeyError when one is missing."""
        window, *rest = arrays["fixed"].tolist()
        config = NoveltyConfig(int(window), *rest)
        covariance, usual, levels, inputs = (
            np.array(arrays[name]) for name in ("covariance", "usual", "levels", "inputs")
        )
        return cls(config, covariance, usual, levels, inputs)


def _distance(sigma: Array, centred: Array) -> Array:
    """(n,) w'Σ⁻¹w per sample of the window."""
    factor = cho_factor(sigma, lower=True)
    return np.einsum("ij,ji->i", centred, cho_solve(factor, centred.T)) / centred.shape[1]


def _inputs(plan: np.ndarray | None, expected: int) -> Array:
    given = np.zeros((1, 0)) if plan is None else np.asarray(plan, dtype=np.float64)
    if expected and (given.ndim != 2 or given.shape[1] != expected or not len(given)):
        raise ValueError(f"plan has shape {given.shape}: give (n, {expected}), as in training")
    if not np.isfinite(given).all():
        raise ValueError("the plan holds missing or infinite values: planned inputs are known, so state them all")
    return given
