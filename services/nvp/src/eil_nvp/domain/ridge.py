"""A linear autoregression with planned inputs (ARX): closed-form ridge with leave-one-out penalties, rolled forward."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Penalties relative to the number of rows (columns are standardised), from interpolation to almost nothing learned.
PENALTIES = (1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Design:
    """One row per instant t that has a full window behind it; the last row is the newest instant."""

    windows: Array
    """(n, lags·d) raw values, oldest first."""
    inputs: Array
    """(n, q) what the regression sees: levels at t, changes since t-1 … t-lags+1, then plan(t+1) and its change.
    The last row's plan columns repeat plan(t) when no future plan is known."""
    targets: Array
    """(n-1, d) one-step changes x(t+1) - x(t); the newest instant has none."""


@dataclass(frozen=True)
class LinearModel:
    """x(t+1) = intercept + lag_weights'·window(t) + plan_weights'·[plan(t+1), plan(t+1) - plan(t)]."""

    lag_weights: Array
    """(lags·d, d)."""
    plan_weights: Array
    """(2p, d)."""
    intercept: Array
    """(d,)."""


def design(history: Array, plan: Array, lags: int) -> Design:
    """Lay out `history` (T, d) and `plan` (T+1 or more rows, p; row T is the first planned step) for `lags` lags."""
    steps, channels = history.shape
    count = steps - lags + 1
    windows = np.lib.stride_tricks.sliding_window_view(history, lags, axis=0)
    windows = np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(count, lags * channels)
    ahead = plan_inputs(plan)[lags - 1 : lags - 1 + count]
    inputs = np.hstack([windows @ _last_value_subtraction(lags, channels), ahead])
    return Design(windows, inputs, np.diff(history[lags - 1 :], axis=0))


def plan_inputs(plan: Array) -> Array:
    """(rows-1, 2p): for each instant t the planned input of t+1 and its change from t."""
    return np.hstack([plan[1:], np.diff(plan, axis=0)])


def fit(data: Design, rows: int, lags: int) -> LinearModel:
    """Ridge on the first `rows` rows; each channel takes the penalty with the least leave-one-out squared error.

    Columns are standardised and centred, so an infinite penalty leaves a pure drift; the change since k steps ago is
    then divided by k, so that distant lags must earn their weight (Litterman's prior, 1986). Leave-one-out is exact in
    closed form: e_i/(1 - h_ii) with the hat matrix's diagonal (Allen's PRESS, 1974). Run NumPy with one BLAS thread
    (OPENBLAS_NUM_THREADS=1): on contended cores a threaded eigendecomposition of this size takes tens of times longer.
    """
    inputs, targets = data.inputs[:rows], data.targets[:rows]
    channels = targets.shape[1]
    lagged = lags * channels
    centre, scale = inputs.mean(axis=0), _scale(inputs)
    scale[channels:lagged] *= np.repeat(np.arange(1, lags), channels)
    x = (inputs - centre) / scale
    drift, spread = targets.mean(axis=0), _scale(targets)
    y = (targets - drift) / spread
    eigenvalues, vectors = np.linalg.eigh(x.T @ x)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    scores = x @ vectors
    projected = scores.T @ y
    shrink = 1.0 / (eigenvalues[None, :] + rows * np.array(PENALTIES)[:, None])
    leverage = 1.0 / rows + shrink @ (scores**2).T
    fitted = np.matmul(scores, shrink[:, :, None] * projected)
    press = np.sum(((y - fitted) / np.maximum(1.0 - leverage, 1e-9)[:, :, None]) ** 2, axis=1)
    best = np.argmin(press, axis=0)
    weights = vectors @ (shrink[best].T * projected) / scale[:, None] * spread
    transform = _last_value_subtraction(lags, channels)
    lag_weights = transform @ weights[:lagged]
    lag_weights[-channels:] += np.eye(channels)  # the target is the change from the newest value
    return LinearModel(lag_weights, weights[lagged:], drift - centre @ weights)


def roll(models: list[LinearModel], windows: Array, ahead: Array) -> Array:
    """Roll each of k models forward from its own m windows, to (k, m, horizon, d).

    `windows` is (k, m, lags·d), `ahead` the plan inputs (k, m, horizon, 2p).

    A model with an explosive root may overflow to infinity: the caller compares held-out errors, and infinity loses.
    """
    channels = models[0].intercept.shape[0]
    count, each, lagged = windows.shape
    horizon = ahead.shape[2]
    weights = np.stack([model.lag_weights for model in models])
    known = np.matmul(ahead, np.stack([model.plan_weights for model in models])[:, None])
    known += np.stack([model.intercept for model in models])[:, None, None]
    path = np.empty((count, each, lagged + horizon * channels))
    path[:, :, :lagged] = windows
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(horizon):
            start = step * channels
            seen = path[:, :, start : start + lagged]
            path[:, :, start + lagged : start + lagged + channels] = np.matmul(seen, weights) + known[:, :, step]
    return path[:, :, lagged:].reshape(count, each, horizon, channels)


@lru_cache(64)
def _last_value_subtraction(lags: int, channels: int) -> Array:
    """(lags·d, lags·d): raw window → [x(t), x(t) - x(t-1), …, x(t) - x(t-lags+1)]."""
    per_channel = np.zeros((lags, lags))
    per_channel[-1] = 1.0
    for back in range(1, lags):
        per_channel[lags - 1 - back, back] = -1.0
    return np.kron(per_channel, np.eye(channels)).astype(np.float64)


def _scale(columns: Array) -> Array:
    """Standard deviation per column; 1 where a column is constant up to rounding, so that it stays silent."""
    spread = np.array(columns.std(axis=0), dtype=np.float64)
    spread[spread <= 1e-12 * np.abs(columns).max(axis=0)] = 1.0
    return spread
