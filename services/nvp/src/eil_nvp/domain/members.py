"""The members of a source's ensemble: five ways of forecasting telemetry that fail in different ways.

persistence (the last value), seasonal (the value a period ago, moved to the present level), smoothed (exponential smoothing, Brown
1956: the mean of the recent past), autoregressive (ridge ARX, rolled forward: `ridge.py`), direct (a linear map from the past to every
step at once: `telemetry/forecaster.py`). The first three need no training; until the others have enough to learn from they are absent;
and where a plan is about to change, those that do not read it are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eil_nvp.domain.ridge import LinearModel, design, fit, plan_inputs, roll
from eil_nvp.domain.telemetry.forecaster import LinearConfig, LinearForecaster

Array = npt.NDArray[np.float64]
NAMES = ("direct", "autoregressive", "persistence", "smoothed", "seasonal")
LAGS = 24
SMOOTHING = 0.3
LEAST_ROWS = 64
"""Rows before anything is trained."""
DIRECT = LinearConfig(
    lookbacks=(24, 48, 96), penalties=(0.1, 1.0, 10.0), decays=(0.0, 1.0), periods=(0,), input_lags=12
)


@dataclass
class Trained:
    """What the trained members have learnt."""

    direct: LinearForecaster | None
    autoregressive: LinearModel | None
    lags: int
    period: int
    """Rows of the strongest cycle; 0 where there is none."""


def train(rows: Array, plan: Array, horizon: int) -> Trained:
    """Learn from rows (n, d), n >= LEAST_ROWS, and what the planned inputs were, (n, p)."""
    lags = max(2, min(LAGS, LAGS * 3 // rows.shape[1], len(rows) // 8))
    try:
        direct = LinearForecaster.fit(rows, horizon, plan=plan if plan.shape[1] else None, config=DIRECT)
    except ValueError:  # too few rows for the horizon: the others speak
        direct = None
    data = design(rows, np.vstack([plan, plan[-1:]]), lags)
    return Trained(direct, fit(data, len(data.targets), lags), lags, cycle(rows))


def cycle(rows: Array) -> int:
    """The lag, 2 … n/3, of the strongest autocorrelation of the detrended rows, if above ½ and a maximum; else 0."""
    centred = rows - rows.mean(axis=0)
    size = np.square(centred).sum(axis=0)
    if not size.all():
        return 0
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(rows), axis=0)) ** 2
    correlation = (np.fft.irfft(spectrum, axis=0)[: len(rows)] / size).mean(axis=1)
    longest = len(rows) // 3
    inner = np.arange(2, longest)
    peaks = inner[(correlation[inner] > correlation[inner - 1]) & (correlation[inner] >= correlation[inner + 1])]
    best = max(peaks, key=lambda lag: correlation[lag], default=0)
    return int(best) if best and correlation[best] > 0.5 else 0


def predict(trained: Trained | None, rows: Array, steps: int, plan: Array) -> Array:
    """(M, steps, d) what each member says after rows (n, d); NaN where it cannot. `plan` is (n + steps, p)."""
    absent = np.full((steps, rows.shape[1]), np.nan)
    held = np.repeat(plan[len(rows) - 1 : len(rows)], steps, axis=0)
    blind = trained is not None and not np.array_equal(plan[len(rows) :], held)
    makers: dict[str, Callable[[], Array]] = {
        "direct": lambda: _direct(trained, rows, steps, plan) if trained else absent,
        "autoregressive": lambda: _autoregressive(trained, rows, steps, plan) if trained else absent,
        "persistence": lambda: absent if blind else np.repeat(rows[-1:], steps, axis=0),
        "smoothed": lambda: absent if blind else np.repeat(_smoothed(rows)[None], steps, axis=0),
        "seasonal": lambda: absent if blind else _seasonal(trained.period if trained else 0, rows, steps),
    }
    return np.stack([makers[name]() for name in NAMES])


def _direct(trained: Trained, rows: Array, steps: int, plan: Array) -> Array:
    if trained.direct is None or len(rows) < trained.direct.needed:
        return np.full((steps, rows.shape[1]), np.nan)
    ahead = max(steps, trained.direct.horizon)
    inputs = np.vstack([plan, np.repeat(plan[-1:], ahead - steps, axis=0)]) if plan.shape[1] else None
    return trained.direct.predict(rows, ahead, plan=inputs)[:steps]


def _autoregressive(trained: Trained, rows: Array, steps: int, plan: Array) -> Array:
    if trained.autoregressive is None or len(rows) < trained.lags:
        return np.full((steps, rows.shape[1]), np.nan)
    window = rows[-trained.lags :].reshape(1, 1, -1)
    ahead = plan_inputs(plan[len(rows) - 1 :])[None, None]
    return roll([trained.autoregressive], window, ahead)[0, 0]


def _smoothed(rows: Array) -> Array:
    newest = rows[-64:]
    weights = SMOOTHING * (1.0 - SMOOTHING) ** np.arange(len(newest))[::-1]
    return weights @ newest / weights.sum()


def _seasonal(period: int, rows: Array, steps: int) -> Array:
    if not period or len(rows) < 2 * period:
        return np.repeat(rows[-1:], steps, axis=0)
    ahead = len(rows) - period + np.arange(steps) % period
    return rows[ahead] + rows[-period:].mean(axis=0) - rows[-2 * period : -period].mean(axis=0)
