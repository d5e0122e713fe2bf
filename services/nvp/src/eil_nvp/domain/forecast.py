"""Multi-step forecasts of telemetry that know how wrong they are and when they are out of their depth.

The point is a ridge autoregression, damped trends or persistence, whichever erred least on held-out, time-ordered origins;
the intervals are the conformal quantiles of those very errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from eil_nvp.domain.conformal import Array, conformal_radius, random_walk_radius, residuals_needed
from eil_nvp.domain.contest import STILL, Contest
from eil_nvp.domain.ridge import Design, LinearModel, design, fit, plan_inputs, roll
from eil_nvp.domain.trend import Trend, follow

TREND_ROWS = 8
"""Rows before the first origin on which trends are checked where ridge cannot be."""


@dataclass(frozen=True)
class ForecastConfig:
    """How much is learned from how much, and how doubt is priced."""

    max_history: int = 1024
    """Only the newest samples count, so that one forecast costs milliseconds."""
    max_lags: int = 32
    """Longest memory in samples."""
    rows_per_lag: int = 18
    """Samples that each lag must be backed by: with fewer, lags learn noise. On two cluster loads of 288 rows 16 lags err no more
    than 32, at half the cost."""
    max_lagged_inputs: int = 48
    """Lags times channels at most."""
    min_rows: int = 24
    """Training rows before the first held-out origin."""
    blocks: int = 1
    """Refits along the held-out stretch."""
    win_ratio: float = 0.96
    """Ridge must bring the held-out mean squared error below this share of persistence's."""
    range_margin: float = 0.1
    """Share of the training range by which an input may leave it and still count as inside."""
    widening: float = 2.0
    """Factor on every half-width of an answer that is wholly out of domain: checked on nothing, or a whole training range beyond it.
    Nearer by it grows in proportion to the distance: 5 % of noisy rows leave the range of some lag, and err hardly more."""
    assumed_relative: float = 1.0
    """Half-width, as a share of the value, assumed when history shows no change at all."""
    max_interpolated: float = 0.2
    """Share of interpolated values above which a history is out of domain."""


DEFAULTS = ForecastConfig()


@dataclass(frozen=True)
class Forecast:
    """A forecast in the units of the history; the interval holds each value, not the whole path, at the asked level."""

    point: Array
    """(horizon, d)."""
    low: Array
    """(horizon, d)."""
    high: Array
    """(horizon, d)."""
    total_point: Array
    """(d,), the sum over the horizon."""
    total_low: Array
    """(d,)."""
    total_high: Array
    """(d,)."""
    method: str
    """Methods other than persistence that a channel uses, e.g. "ridge and trend"; else "persistence"."""
    methods: tuple[str, ...]
    """The method of each channel."""
    in_domain: bool
    """False when the answer extrapolates beyond its evidence; its half-widths are then widened."""
    reason: str
    """What was chosen and why, in words."""
    trained_on: int
    """One-step changes that the point or its scale was learned from."""


def forecast(
    history: np.ndarray,
    horizon: int,
    *,
    planned: np.ndarray | None = None,
    planned_history: np.ndarray | None = None,
    level: float = 0.9,
    config: ForecastConfig = DEFAULTS,
) -> Forecast:
    """Forecast `horizon` steps beyond `history` (T, d), equally spaced, oldest first; NaN marks a missing value.

    `planned` (horizon, p) holds inputs known in advance (server count, set-point) and `planned_history` (T, p) what
    they were. Each channel takes ridge, trend or persistence by held-out squared error; intervals are the (n+1) conformal
    quantile of the held-out residuals per step, per channel and of the sum over the horizon. Needs:

    * ridge: T >= lags + min_rows + horizon + max(horizon, residuals_needed(level)) - 1
    * persistence with conformal intervals: T >= horizon + max(horizon, residuals_needed(level))
    * less, down to 2: persistence with a random-walk interval scaled by the changes seen; 1: an assumed interval.
      Both are out of domain, since nothing was held out to check them.

    Raises ValueError on wrong shapes, a non-positive horizon, a level outside (0, 1), infinite values, NaN in the
    plan, or a channel without a single value.
    """
    values, missing = _filled(history)
    plan = _plan(values, horizon, planned, planned_history)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}: an interval's level lies strictly between 0 and 1, for example 0.9")
    values, plan = values[-config.max_history :], plan[-config.max_history - horizon :]
    held_out = max(horizon, residuals_needed(level))
    if len(values) < horizon + held_out:
        answer, far = _assumed(values, horizon, level, config), 1.0
    else:
        answer, far = _learned(values, plan, horizon, held_out, level, config)
    doubts = []
    if plan.shape[1] and (left := _beyond(plan[: len(values)], plan[len(values) :], config.range_margin)):
        doubts.append("the planned inputs leave the range they had in history")
        far = max(far, left)
    if missing > config.max_interpolated * values.size:
        doubts.append(f"more than {config.max_interpolated:.0%} of the history is interpolated")
        far = 1.0
    if doubts:
        answer = replace(answer, in_domain=False, reason="; ".join([answer.reason, *doubts]))
    if plan.shape[1] and answer.method == "persistence":
        answer = replace(answer, reason=f"{answer.reason}; persistence does not use the planned inputs")
    if missing:
        answer = replace(answer, reason=f"{answer.reason}; {missing} missing values linearly interpolated")
    return answer if answer.in_domain else _widened(answer, 1.0 + (config.widening - 1.0) * far)


def _filled(history: np.ndarray) -> tuple[Array, int]:
    """History as float64 with NaN linearly interpolated (held at the ends), and how many values that were."""
    values = np.array(history, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"history has shape {values.shape}: give (T, d) with at least one sample and one channel")
    if np.isinf(values).any():
        raise ValueError("history holds infinite values: mark missing samples with NaN instead")
    absent = np.isnan(values)
    instants = np.arange(len(values))
    for channel in np.flatnonzero(absent.any(axis=0)):
        gone = absent[:, channel]
        if gone.all():
            raise ValueError(f"channel {channel} has no value at all: leave the channel out")
        values[gone, channel] = np.interp(instants[gone], instants[~gone], values[~gone, channel])
    return values, int(absent.sum())


def _plan(values: Array, horizon: int, planned: np.ndarray | None, past: np.ndarray | None) -> Array:
    """Past and future plan in one (T + horizon, p) array; p is 0 without a plan."""
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}: forecast at least one step ahead")
    if (planned is None) != (past is None):
        raise ValueError("planned and planned_history go together: a plan means nothing without what it was before")
    if planned is None or past is None:
        return np.zeros((len(values) + horizon, 0))
    before, ahead = np.asarray(past, dtype=np.float64), np.asarray(planned, dtype=np.float64)
    if before.ndim != 2 or ahead.shape != (horizon, before.shape[1]) or len(before) != len(values):
        raise ValueError(
            f"planned is {ahead.shape} and planned_history {before.shape}: "
            f"give ({horizon}, p) and ({len(values)}, p) with the same p"
        )
    plan = np.vstack([before, ahead])
    if not np.isfinite(plan).all():
        raise ValueError("the plan holds missing or infinite values: planned inputs are known, so state them all")
    return plan


def _assumed(values: Array, horizon: int, level: float, config: ForecastConfig) -> Forecast:
    """Persistence without any held-out check: too little history for one."""
    samples, channels = values.shape
    assumed = config.assumed_relative * np.maximum(np.abs(values[-1]), 1.0) / samples
    steps = np.broadcast_to(assumed, (horizon, channels))
    total = assumed * horizon
    why = f"the interval is an assumption (±{config.assumed_relative:.0%} of the value, at least ±1, over the samples)"
    if samples > 1:
        changes = np.diff(values, axis=0)
        walked, walked_total = random_walk_radius(changes, horizon, level)
        moved = changes.any(axis=0)
        steps, total = np.where(moved, walked, steps), np.where(moved, walked_total, total)
        if moved.all():
            why = "the interval is a random walk's, scaled by the changes seen"
        elif moved.any():
            why = f"the interval is a random walk's; for channels that never changed {why}"
    needed = horizon + max(horizon, residuals_needed(level))
    reason = f"persistence: {samples} samples, {needed} are needed to check {horizon} steps on held-out data; {why}"
    return _around(values, np.repeat(values[-1:], horizon, axis=0), steps, total, reason, trained_on=samples - 1)


def _learned(
    values: Array, plan: Array, horizon: int, held_out: int, level: float, config: ForecastConfig
) -> tuple[Forecast, float]:
    """Ridge, trend or persistence per channel, by their errors on the same held-out origins; and how far it is out of domain."""
    steps, channels = values.shape
    lags = _lags(steps, channels, config)
    first, last = lags - 1 + config.min_rows, steps - horizon  # origins t in [first, last) have a known future
    truth, trends = _futures(values, horizon), [follow(column) for column in values.T]
    if last - first < held_out:
        origins = np.arange(min(TREND_ROWS, last - held_out), last)
        from_still = (truth[origins] - values[origins][:, None])[None]
        contest = Contest(from_still, {"trend": _trend_residuals(trends, truth, origins)[None]}, config.win_ratio)
        rest = config.min_rows - 1 + horizon + held_out
        needed = next(n for n in count(steps) if n >= _lags(n, channels, config) + rest)
        point = _points(values, {"trend": _trend(trends, horizon)}, contest.winner, horizon)
        reason = (
            f"{contest.sentence()}; {steps} samples, {needed} are needed to train and check ridge over {horizon} steps"
        )
        radii = _radii(contest.residuals(), level)
        answer = _around(values, point, *radii, reason, trained_on=steps - 1, in_domain=True, methods=contest.winner)
        return _checked(answer, values[:-1], values[-1:], config)
    data = design(values, plan[: steps + 1], lags)
    origins = _origins(max(first, min(steps // 2, last - held_out)), last, held_out, config.blocks)
    from_ridge = truth[origins] - _backtest(data, plan, origins, horizon, lags)
    from_still = truth[origins] - values[origins][:, :, None]
    from_trend = _trend_residuals(trends, truth, origins.ravel()).reshape(from_still.shape)
    both = 0.5 * (from_ridge + from_trend)  # errors that differ in kind cancel
    others = {"ridge": from_ridge, "trend": from_trend, "their mean": both}
    contest = Contest(from_still, others, config.win_ratio)
    trend = _trend(trends, horizon)
    ridge = trend  # stands in where no channel takes it
    if {"ridge", "their mean"} & set(contest.winner):
        model = fit(data, len(data.targets), lags)
        ahead = plan_inputs(plan[steps - 1 :])[None, None]
        ridge = roll([model], data.windows[None, -1:], ahead)[0, 0]
    paths = {"ridge": ridge, "trend": trend, "their mean": 0.5 * (ridge + trend)}
    contest.strike(paths)
    answer = _around(
        values,
        _points(values, paths, contest.winner, horizon),
        *_radii(contest.residuals(), level),
        contest.sentence(),
        trained_on=len(data.targets),
        in_domain=True,
        methods=contest.winner,
    )
    return _checked(answer, data.inputs[:-1], data.inputs[-1:], config, values)


def _points(values: Array, paths: dict[str, Array], winner: list[str], horizon: int) -> Array:
    still = np.repeat(values[-1:], horizon, axis=0)
    return np.stack([(paths[name] if name != STILL else still)[:, c] for c, name in enumerate(winner)], axis=1)


def _trend(trends: Sequence[Trend], horizon: int) -> Array:
    """(horizon, d) by damped trends."""
    return np.stack([trend.forecasts(slice(-1, None), horizon)[0] for trend in trends], axis=1)


def _trend_residuals(trends: Sequence[Trend], truth: Array, origins: np.ndarray) -> Array:
    """(n, horizon, d): each origin predicted from its past alone."""
    paths = [trend.forecasts(origins, truth.shape[1]) for trend in trends]
    return truth[origins] - np.stack(paths, axis=-1)


def _lags(steps: int, channels: int, config: ForecastConfig) -> int:
    return max(2, min(config.max_lags, config.max_lagged_inputs // channels, steps // config.rows_per_lag))


def _origins(first: int, last: int, held_out: int, blocks: int) -> np.ndarray:
    """(blocks, m) consecutive origins up to `last`, in one block when there are too few to share out."""
    used = blocks if last - first >= blocks * held_out else 1
    return np.arange(last - (last - first) // used * used, last).reshape(used, -1)


def _backtest(data: Design, plan: Array, origins: np.ndarray, horizon: int, lags: int) -> Array:
    """(blocks, m, horizon, d): each block predicted by a model that saw nothing after the block's first origin."""
    models: list[LinearModel] = [fit(data, int(block[0]) - (lags - 1), lags) for block in origins]
    ahead = np.lib.stride_tricks.sliding_window_view(plan_inputs(plan), horizon, axis=0).transpose(0, 2, 1)
    return roll(models, data.windows[origins - (lags - 1)], ahead[origins])


def _futures(values: Array, horizon: int) -> Array:
    """(T - horizon, horizon, d): the `horizon` values after each instant."""
    return np.lib.stride_tricks.sliding_window_view(values[1:], horizon, axis=0).transpose(0, 2, 1)


def _radii(residuals: Array, level: float) -> tuple[Array, Array]:
    """Half-widths per step (horizon, d) and of the sum (d,) from held-out residuals (n, horizon, d)."""
    return conformal_radius(residuals, level), conformal_radius(residuals.sum(axis=1), level)


def _around(
    values: Array,
    point: Array,
    steps: Array,
    total: Array,
    reason: str,
    *,
    trained_on: int,
    in_domain: bool = False,
    methods: Sequence[str] | None = None,
) -> Forecast:
    """A forecast with half-widths `steps` (horizon, d) and `total` (d,) around `point`."""
    chosen = tuple(methods or [STILL] * values.shape[1])
    sums = point.sum(axis=0)
    return Forecast(
        point=point,
        low=point - steps,
        high=point + steps,
        total_point=sums,
        total_low=sums - total,
        total_high=sums + total,
        method=" and ".join(sorted(set(chosen) - {STILL})) or STILL,
        methods=chosen,
        in_domain=in_domain,
        reason=reason,
        trained_on=trained_on,
    )


def _checked(
    answer: Forecast, seen: Array, now: Array, config: ForecastConfig, levels: Array | None = None
) -> tuple[Forecast, float]:
    """Mark the answer out of domain when today's inputs, or the path that is fed back, leave what was seen, and say how far they do."""
    doubts = []
    far = _beyond(seen, now, config.range_margin)
    if far:
        doubts.append("the newest inputs leave the range seen in training")
    if levels is not None and (left := _beyond(levels, answer.point, config.range_margin)):
        doubts.append("the forecast leaves the range seen in training")
        far = max(far, left)
    if not doubts:
        return answer, 0.0
    return replace(answer, in_domain=False, reason="; ".join([answer.reason, *doubts])), far


def _beyond(seen: Array, now: Array, margin: float) -> float:
    """How far rows of `now` leave [min, max] of `seen`, in ranges, 1 at most; 0 where it is less than `margin` of that range."""
    low, high = seen.min(axis=0), seen.max(axis=0)
    left = np.maximum(low - now.min(axis=0), now.max(axis=0) - high)
    slack = margin * (high - low) + 1e-9 * np.maximum(np.abs(low), np.abs(high))
    ranges = left / np.maximum(high - low, 1e-30)
    return float(min(ranges.max(where=left > slack, initial=0.0), 1.0))


def _widened(answer: Forecast, factor: float) -> Forecast:
    """The same forecast with every half-width multiplied by `factor`, and saying so."""
    return replace(
        answer,
        low=answer.point - factor * (answer.point - answer.low),
        high=answer.point + factor * (answer.high - answer.point),
        total_low=answer.total_point - factor * (answer.total_point - answer.total_low),
        total_high=answer.total_point + factor * (answer.total_high - answer.total_point),
        reason=f"{answer.reason}; out of domain, so the interval is widened {factor:g} times",
    )
