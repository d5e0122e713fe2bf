"""The telemetry half of `eil bench nvp`: forecasts and online intervals on ETTh1 and ETTh2, beside simple methods.

Protocol: 12, 4 and 4 months of hours to train, validate and test; channels standardised by the 8,640 training rows; mean
squared error over all 7 channels and all 2,880 - H + 1 test windows, which may look back into validation. Choices are made
on the validation rows, weights are of the training rows alone, except where a measure's name says otherwise.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from eil_nvp.domain.telemetry import LinearConfig, LinearForecaster
from eil_nvp.domain.telemetry.baselines import (
    adaptive_conformal,
    online_conformal,
    quantile_tracker,
    split_conformal,
)

from eil_cli.bench.progress import Begin, Step
from eil_cli.bench.report import Measure
from eil_cli.terminal import Failure

Array = npt.NDArray[np.float64]

SETS = ("ETTh1", "ETTh2")
HORIZONS = (96, 192, 336, 720)
TRAIN, HELD = 8640, 2880
"""Rows to train, and rows each to validate and to test."""
CHANNELS = 7
GOALS: Mapping[str, float] = {"ETTh1": 0.400, "ETTh2": 0.330}
CONFIG = LinearConfig(
    lookbacks=(336, 504, 672, 840, 1008),
    penalties=(0.1, 1.0, 3.0, 10.0, 30.0),
    decays=(0.0, 1.0),
    periods=(0, 24),
    reversible=(False, True),
    individual=(False,),
    shortest=(0,),
)
"""One configuration for both sets and all horizons. The lookbacks, from two weeks (the memory of the OLS baseline) to six, are
fixed, not chosen on validation; see FREE."""
FREE = replace(
    CONFIG,
    lookbacks=(168, *CONFIG.lookbacks),
    penalties=(1.0, 3.0, 10.0, 30.0),
    decays=(1.0,),
    periods=(24,),
    shortest=(0, 336, 504, 672),
)
"""One week is among the lookbacks, and validation says which to average: on ETTh2 its summer months prefer shorter memories
than the test's winter does."""
OLS = LinearConfig(
    lookbacks=(336,),
    penalties=(0.0,),
    decays=(0.0,),
    periods=(0,),
    reversible=(False,),
    individual=(False,),
    shortest=(0,),
)
WEEK = 168
"""Rows between two updates of the online figure."""
LEVEL, STEPS_AHEAD, STRETCH = 0.9, (1, 24), 500
TRACKER_STEPS = (0.01, 0.02, 0.05, 0.1)
COVERAGE_GATE, WORST_GATE, WORST_GOAL, NARROWER = 0.01, 0.865, 0.875, 0.99
TIME_GATE_S = 600.0
EIL, TRACKER, BEST_TRACKER = "eil", "quantile tracker", "quantile tracker, best step in hindsight"
ACI, SPLIT, PERSISTENCE, SEASONAL, LEAST_SQUARES = "ACI", "split conformal", "persistence", "seasonal naive", "OLS"


@dataclass
class TelemetryFindings:
    """Measures, the baselines' values by name, and what a reader must know."""

    measures: dict[str, Measure] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def compare(self, baseline: str, measure: str, value: float) -> None:
        """A baseline's value of a measure."""
        self.baselines.setdefault(baseline, {})[measure] = value


@dataclass(frozen=True)
class Coverage:
    """How intervals did on the test rows; widths in training standard deviations."""

    mean: float
    by_channel: tuple[float, ...]
    worst: float
    """Least coverage of any 500 rows on end of any channel."""
    worst_mean: float
    """Each channel's least, averaged over channels."""
    width: float

    @property
    def error(self) -> float:
        """Distance of the mean coverage from the level."""
        return abs(self.mean - LEVEL)


def measure(data: Path, begin: Begin, clock_s: Callable[[], float] = time.perf_counter) -> TelemetryFindings:
    """All figures of telemetry prediction on the ETT files in `data`.

    Raises:
        Failure: a file is missing or not in order.
    """
    found = TelemetryFindings()
    began_s = clock_s()
    for name in SETS:
        values = read_set(data / f"{name}.csv")
        _forecasts(name, values, found, begin(f"{name}: forecasts", len(HORIZONS)))
        _intervals(name, values, found, begin(f"{name}: intervals", len(STEPS_AHEAD)))
    found.measures["telemetry_s"] = Measure(clock_s() - began_s, "s", TIME_GATE_S)
    return found


def read_set(path: Path) -> Array:
    """(14400, 7) hourly values: train, validation and test.

    Raises:
        Failure: the file is missing or has another form.
    """
    try:
        values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, CHANNELS + 1))
    except (OSError, ValueError) as error:
        raise Failure(f"{path} is not a file of the ETT hourly data: {error}") from None
    if len(values) < TRAIN + 2 * HELD:
        raise Failure(f"{path} has {len(values)} rows; the split needs {TRAIN + 2 * HELD}")
    return values[: TRAIN + 2 * HELD]


def _forecasts(name: str, values: Array, found: TelemetryFindings, step: Step) -> None:
    """Mean squared errors, mean of the horizons, of ours and of the baselines."""
    scores: dict[str, list[float]] = {}
    for horizon in HORIZONS:
        ours = _fit(values, horizon, CONFIG)
        scores.setdefault(EIL, []).append(window_mse(ours, values, horizon))
        scores.setdefault("validation", []).append(ours.validation[ours.choice])
        scores.setdefault(LEAST_SQUARES, []).append(window_mse(_fit(values, horizon, OLS), values, horizon))
        scores.setdefault("free", []).append(window_mse(_fit(values, horizon, FREE), values, horizon))
        for baseline, period in ((PERSISTENCE, 1), (SEASONAL, 24)):
            scores.setdefault(baseline, []).append(_naive_mse(values, horizon, period))
        for online, error in zip(("train+validation", "online"), _updated_mse(ours, values, horizon), strict=True):
            scores.setdefault(online, []).append(error)
        choice = ours.choice
        found.notes.append(
            f"{name}, {horizon} steps: {scores[EIL][-1]:.4f}, OLS {scores[LEAST_SQUARES][-1]:.4f}; chosen on validation: penalty "
            f"{choice.penalty:g}, decay {choice.decay:g}, period {choice.period}, {'' if choice.reversible else 'not '}reversible"
        )
        step()
    means = {which: float(np.mean(each)) for which, each in scores.items()}
    measure = f"{name}_mse"
    found.measures[measure] = Measure(means[EIL], "", means[LEAST_SQUARES], GOALS[name])
    for baseline in (LEAST_SQUARES, PERSISTENCE, SEASONAL):
        found.compare(baseline, measure, means[baseline])
    found.measures[f"{name}_mse_lookbacks_by_validation"] = Measure(means["free"], "", means[LEAST_SQUARES])
    found.measures[f"{name}_mse_train_and_validation"] = Measure(means["train+validation"], "")
    found.measures[f"{name}_mse_online"] = Measure(means["online"], "")
    found.measures[f"{name}_mse_on_validation"] = Measure(means["validation"], "")


def _fit(values: Array, horizon: int, config: LinearConfig) -> LinearForecaster:
    return LinearForecaster.fit(values[: TRAIN + HELD], horizon, validation=HELD, refit=False, config=config)


def window_mse(model: LinearForecaster, values: Array, horizon: int, begin: int = 0, end: int | None = None) -> float:
    """Mean squared error over the test windows `begin` to `end` (all unless given), in training standard deviations²."""
    return float(np.mean(_window_errors(model, values, horizon, begin, end) ** 2))


def _window_errors(model: LinearForecaster, values: Array, horizon: int, begin: int, end: int | None) -> Array:
    """(windows, horizon, channels)."""
    first = TRAIN + HELD
    last = HELD - horizon + 1 if end is None else end
    lookback = max(model.config.lookbacks)
    forecasts = model.predict_windows(values[first + begin - lookback : first + last - 1])
    return (_futures(values, horizon)[first + begin : first + last] - forecasts) / model.std


def _futures(values: Array, horizon: int) -> Array:
    """(n - horizon + 1, horizon, channels): entry t begins with row t."""
    return np.lib.stride_tricks.sliding_window_view(values, horizon, axis=0).transpose(0, 2, 1)


def _naive_mse(values: Array, horizon: int, period: int) -> float:
    """The newest `period` rows, repeated."""
    scaled = values / values[:TRAIN].std(axis=0)
    first, windows = TRAIN + HELD, HELD - horizon + 1
    truth = _futures(scaled, horizon)[first : first + windows]
    newest = _futures(scaled, period)[first - period : first - period + windows]
    return float(np.mean((truth - newest[:, np.arange(horizon) % period]) ** 2))


def _updated_mse(model: LinearForecaster, values: Array, horizon: int) -> tuple[float, float]:
    """With the validation rows learned as well; and with every week of the test rows, once it is over."""
    model.update(values[TRAIN : TRAIN + HELD])
    static = window_mse(model, values, horizon)
    windows, total = HELD - horizon + 1, 0.0
    for begin in range(0, windows, WEEK):
        end = min(begin + WEEK, windows)
        total += window_mse(model, values, horizon, begin, end) * (end - begin)
        model.update(values[TRAIN + HELD + begin : TRAIN + HELD + end])
    return static, total / windows


def _intervals(name: str, values: Array, found: TelemetryFindings, step: Step) -> None:
    """Coverage and width on the test rows of intervals that run online from the first validation row."""
    model = _fit(values, max(STEPS_AHEAD), CONFIG)
    errors = _rolling_errors(model, values)
    for ahead in STEPS_AHEAD:
        error = errors[ahead]
        half = {
            EIL: online_conformal(error, ahead),
            ACI: adaptive_conformal(error, ahead, LEVEL),
            SPLIT: np.vstack([np.full_like(error[:HELD], np.inf), split_conformal(error[:HELD], HELD, LEVEL)]),
        }
        trackers = {rate: quantile_tracker(error, ahead, LEVEL, rate) for rate in TRACKER_STEPS}
        # The first validation rows have no interval yet.
        begun = slice(STRETCH, HELD)
        half[TRACKER] = trackers[_narrowest(error[begun], {rate: each[begun] for rate, each in trackers.items()})]
        half[BEST_TRACKER] = trackers[_narrowest(error[HELD:], {rate: each[HELD:] for rate, each in trackers.items()})]
        scores = {method: coverage(error[HELD:], each[HELD:]) for method, each in half.items()}
        _record(f"{name}_{ahead}_ahead", ahead, scores, found)
        step()


def _rolling_errors(model: LinearForecaster, values: Array) -> dict[int, Array]:
    """By steps ahead: (2 * HELD, channels) error of the forecast of each validation and test row, in training std."""
    lookback = max(model.config.lookbacks)
    begin = TRAIN - lookback - max(STEPS_AHEAD) + 1
    forecasts = model.predict_windows(values[begin:])
    errors = {}
    for ahead in STEPS_AHEAD:
        # Row r is forecast from the window that ends `ahead` rows before it.
        rows = np.arange(TRAIN, len(values))
        errors[ahead] = (values[rows] - forecasts[rows - ahead + 1 - lookback - begin, ahead - 1]) / model.std
    return errors


def _narrowest(error: Array, halves: Mapping[float, Array]) -> float:
    """The tracker step that is narrowest among those that cover within the gate, or that comes nearest to it."""
    scores = {rate: coverage(error, half) for rate, half in halves.items()}
    valid = [rate for rate, score in scores.items() if score.error <= COVERAGE_GATE]
    if not valid:
        return min(scores, key=lambda rate: scores[rate].error)
    return min(valid, key=lambda rate: scores[rate].width)


def coverage(error: Array, half: Array) -> Coverage:
    """Of intervals ± half around forecasts with these errors, both (rows, channels)."""
    inside = np.abs(error) <= half
    running = np.cumsum(np.vstack([np.zeros((1, inside.shape[1])), inside]), axis=0)
    worst = ((running[STRETCH:] - running[:-STRETCH]) / STRETCH).min(axis=0)
    by_channel = tuple(float(share) for share in inside.mean(axis=0))
    return Coverage(float(inside.mean()), by_channel, float(worst.min()), float(worst.mean()), float(2.0 * half.mean()))


def _record(prefix: str, ahead: int, scores: Mapping[str, Coverage], found: TelemetryFindings) -> None:
    ours, tracker = scores[EIL], scores[BEST_TRACKER]
    first = ahead == 1
    found.measures[f"{prefix}_coverage_error"] = Measure(ours.error, "", COVERAGE_GATE)
    found.measures[f"{prefix}_worst_500"] = Measure(
        ours.worst, "", WORST_GATE if first else None, WORST_GOAL if first else None, "higher"
    )
    found.measures[f"{prefix}_worst_500_channel_mean"] = Measure(ours.worst_mean, "", better="higher")
    found.measures[f"{prefix}_width"] = Measure(ours.width, "", tracker.width, NARROWER * tracker.width)
    for baseline, score in scores.items():
        if baseline != EIL:
            found.compare(baseline, f"{prefix}_coverage_error", score.error)
            found.compare(baseline, f"{prefix}_worst_500", score.worst)
            found.compare(baseline, f"{prefix}_worst_500_channel_mean", score.worst_mean)
            found.compare(baseline, f"{prefix}_width", score.width)
    channels = ", ".join(f"{share:.3f}" for share in ours.by_channel)
    found.notes.append(f"{prefix}: coverage {ours.mean:.4f}, by channel {channels}")
