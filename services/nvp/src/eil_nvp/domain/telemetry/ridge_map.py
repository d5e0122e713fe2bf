"""Ridge in closed form from second moments: the linear map from a window to all steps of the horizon at once."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from eil_nvp.domain.telemetry.moments import Array, Layout


@dataclass(frozen=True)
class Choice:
    """What validation chooses."""

    penalty: float
    """Of the squared weights, relative to the mean variance of a lag."""
    decay: float = 0.0
    """Lag k is penalised as k^decay, normalised to mean 1: distant lags must earn their weight (Litterman's prior, 1986)."""
    period: int = 0
    """Weights shrink towards the window's mean plus, with a period, the mean deviation at the same phase; 0: the mean only."""
    reversible: bool = False
    """Second moments are averaged with those of the time-reversed series (forward-backward, Nuttall 1976)."""
    individual: bool = False
    """A map for each channel instead of one for all."""
    coupled: bool = False
    """The recent past of the other channels is an input."""
    shortest: int = 0
    """Lookbacks below it are left out of the mean over lookbacks, if the history bears a longer one."""


@dataclass(frozen=True)
class RidgeMap:
    """forecast(step) = own window · lags[:, step] + extras · inputs[:, step]."""

    lags: Array
    """(L, H), the columns sum to 1: a shift of the level shifts the forecast."""
    inputs: Array
    """(extras, H)."""


def anchor(lookback: int, horizon: int, period: int) -> Array:
    """(L, H) what the weights shrink towards; the columns sum to 1. Without a whole period in the window, its mean."""
    weights = np.full((lookback, horizon), 1.0 / lookback)
    cycles = lookback // period if period else 0
    if cycles:
        weights[lookback - cycles * period :] -= 1.0 / (cycles * period)
        for step in range(horizon):
            first = lookback - period + step % period
            weights[first - period * np.arange(cycles), step] += 1.0 / cycles
    return weights


def solve(layout: Layout, moments: Array, lookback: int, choice: Choice) -> RidgeMap:
    """The penalised least-squares map over the newest `lookback` <= layout.lookback samples.

    `moments` (width, width) are the means of row'·row. The own window enters relative to its mean, so the fit does not
    depend on the level; its penalty is choice.penalty times the mean variance of a lag, that of extras likewise. The
    extras of a step differ from step to step, so they are solved for by the Schur complement of the lags' block.
    """
    J = _reversed_mean(moments, layout) if choice.reversible else moments
    own = slice(layout.lookback - lookback, layout.lookback)
    ahead = slice(layout.lookback, layout.span)
    extra = slice(layout.span, layout.width)
    prior = anchor(lookback, layout.horizon, choice.period)
    XX, XY = _centred(_centred(J[own, own]).T), _centred(J[own, ahead] - J[own, own] @ prior)
    ages = np.arange(lookback, 0, -1.0) ** choice.decay
    scale = np.trace(XX) / lookback
    # The floor keeps a channel that never changed solvable; its weights are then the anchor's.
    ridge = choice.penalty * scale * ages / ages.mean() + 1e-9 * scale + 1e-12
    factor = cho_factor(XX + np.diag(ridge), lower=True, check_finite=False)
    weights = cho_solve(factor, XY, check_finite=False)
    inputs = np.zeros((layout.extras, layout.horizon))
    if layout.extras:
        XU = _centred(J[own, extra])
        UY = J[extra, ahead] - J[extra, own] @ prior
        from_inputs = cho_solve(factor, XU, check_finite=False)
        UU, UXY = J[extra, extra] - XU.T @ from_inputs, UY - XU.T @ weights
        small = choice.penalty * np.trace(J[extra, extra]) / layout.extras / layout.lookback + 1e-12
        for step in range(layout.horizon):
            columns = layout.extras_of(step, choice.coupled)
            if columns.size:
                block = UU[np.ix_(columns, columns)] + small * np.eye(columns.size)
                inputs[columns, step] = np.linalg.solve(block, UXY[columns, step])
        weights = weights - from_inputs @ inputs
    return RidgeMap(_centred(weights) + prior, inputs)


def mean_square(layout: Layout, moments: Array, ridge: RidgeMap) -> Array:
    """(H,) mean squared error of the map over the rows that `moments` (width, width) average."""
    errors = np.zeros((layout.width, layout.horizon))
    errors[layout.lookback - len(ridge.lags) : layout.lookback] = -ridge.lags
    errors[layout.lookback : layout.span] = np.eye(layout.horizon)
    errors[layout.span :] = -ridge.inputs
    return np.einsum("ij,ij->j", errors, moments @ errors)


def average(layout: Layout, maps: list[RidgeMap]) -> RidgeMap:
    """The map whose forecast is the mean of the maps' forecasts, over the longest lookback among them."""
    longest = max(len(one.lags) for one in maps)
    lags = np.zeros((longest, layout.horizon))
    for one in maps:
        lags[longest - len(one.lags) :] += one.lags / len(maps)
    return RidgeMap(lags, sum((one.inputs for one in maps), np.zeros_like(maps[0].inputs)) / len(maps))


def _centred(rows: Array) -> Array:
    """Applies I - 11'/L from the left: subtracts the mean over the lags."""
    return rows - rows.mean(axis=0)


def _reversed_mean(moments: Array, layout: Layout) -> Array:
    """Own window only: inputs cause what comes after them, so with inputs time has a direction."""
    if layout.extras:
        return moments
    return 0.5 * (moments + moments[::-1, ::-1])
