"""What comes next: how likely the present regime is to end within the horizon.

Two models are mixed. The base rate is the share of rows that lay within a horizon before a reported onset, shrunk, and starting from
little: a regime has first to be established. Excursions are semi-Markov: of each channel and direction it is learnt how long the
channel stays away before it moves back (mean and variance of the log duration), and whether such returns are regular at all: the
running log odds of Student's t in log time against a memoryless stay. Only kinds of excursion that proved regular have a say.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .config import (
    BASE_AT,
    BASE_OWN,
    BASE_PRIOR_ROWS,
    BASE_PRIOR_SHIFTS,
    BASE_RECENT,
    BASE_SLOPE,
    ESTABLISHED_ROWS,
    REGULAR_POWER,
    REGULAR_SHARE,
    REGULAR_WEIGHT,
)
from .layout import BASE, CONFIDENCE, ROWS, WINDOW

HORIZON = 60
"""Rows ahead of which the outlook speaks."""

# o: float64, of the source
COVERED, RECENT, NEWEST = range(3)
"""Rows within a horizon before a reported onset; their fading share; the newest onset."""
COUNTERS = 3

# k: float32, per channel: for a move down, then for a move up
TIMES, LOG_MEAN, LOG_SQUARES, ODDS, LEFT, NEWEST_MOVE = range(6)
"""Returns seen, mean and sum of squares of the log duration, log odds of regularity, row of the move (−1: none, or it has returned:
then minus the row, minus 2), and the newest row at which this move was seen."""
KIND = 6
FLOATS = 2 * KIND

_FADING_ROWS = 400.0
_SAME_MOVE = 40.0  # rows within which a move is seen again rather than made again
_SHORTEST = 20.0
_LATE = 30.0  # rows by which people place a change later than the first sign of it
_PRIOR_TIMES, _PRIOR_SD = 2.0, 0.15
_TAIL = 0.12
_PRIOR_ODDS, _ODDS_FADING, _MOST_ODDS = -2.0, 0.85, 6.0
_ODD_ONES = 0.2  # share of returns that fit no pattern
_OUTLIER_TIMES, _OUTLIER_SD, _OUTLIER_WEIGHT = 3.0, 3.0, 0.2
_MEMORY = 30.0
_WRAP = 16777216.0  # rows are kept in float32, modulo what it holds exactly


@njit(cache=True, nogil=True, inline="always")
def _since(row: float, then: float) -> float:
    return (row - then) % _WRAP


@njit(cache=True, nogil=True)
def reported(o, onset_row) -> None:
    """Count a reported shift by its onset."""
    rows = float(HORIZON)
    if o[NEWEST] > 0.0:
        rows = min(rows, max(0.0, onset_row - o[NEWEST]))
    o[COVERED] += rows
    o[RECENT] += rows / _FADING_ROWS
    o[NEWEST] = max(o[NEWEST], onset_row)


@njit(cache=True, nogil=True)
def moved(k, rows, level, up) -> None:
    """Note a move of a channel: evidence for a step at `level`, reported or not, and its direction."""
    onset = (rows - WINDOW * (BASE << level)) % _WRAP
    own, other = (KIND, 0) if up else (0, KIND)
    if k[own + NEWEST_MOVE] > 0.0 and _since(onset + _WRAP / 2, k[own + NEWEST_MOVE]) < _SAME_MOVE + _WRAP / 2:
        if _since(onset, k[own + NEWEST_MOVE]) < _WRAP / 2:
            k[own + NEWEST_MOVE] = onset
        return
    k[own + NEWEST_MOVE] = onset
    if k[other + LEFT] > 0.0 and _SHORTEST < _since(onset, k[other + LEFT]) < _WRAP / 2:
        _learn(k, other, np.log(_since(onset, k[other + LEFT])))
        k[other + LEFT] = -k[other + LEFT]
    left = abs(k[own + LEFT])
    if left == 0.0 or _since(onset, left) > HORIZON:
        k[own + LEFT] = max(onset, 1.0)


@njit(cache=True, nogil=True)
def _learn(k, at, x) -> None:
    """A move has been taken back after exp(x) rows."""
    times = k[at + TIMES]
    freedom = times + _PRIOR_TIMES
    off = x - k[at + LOG_MEAN]
    sd = np.sqrt((k[at + LOG_SQUARES] + _PRIOR_TIMES * _PRIOR_SD**2) / freedom * (1.0 + 1.0 / (times + 0.5)))
    odds = k[at + ODDS] + _PRIOR_ODDS  # kept relative to the prior, so that a fresh state is all zeros
    if times >= 1.0:
        z = off / sd
        regular = 0.38 / sd * (1.0 + z * z / freedom) ** (-(freedom + 1.0) / 2.0)
        u = off - 0.577
        memoryless = np.exp(u - np.exp(min(u, 5.0))) + 0.02
        gain = np.log(((1.0 - _ODD_ONES) * regular + _ODD_ONES * memoryless) / memoryless)
        odds = _PRIOR_ODDS + _ODDS_FADING * (odds - _PRIOR_ODDS) + gain
        k[at + ODDS] = min(_MOST_ODDS, max(-_MOST_ODDS, odds)) - _PRIOR_ODDS
    weight = _OUTLIER_WEIGHT if times >= _OUTLIER_TIMES and abs(off) > _OUTLIER_SD * sd else 1.0
    k[at + TIMES] = min(times + weight, _MEMORY)
    k[at + LOG_MEAN] += off * weight / k[at + TIMES]
    k[at + LOG_SQUARES] += weight * off * (x - k[at + LOG_MEAN])
    if k[at + TIMES] >= _MEMORY:
        k[at + LOG_SQUARES] *= 1.0 - weight / _MEMORY


@njit(cache=True, nogil=True)
def _ends(log_age, mean, sd) -> float:
    """Distribution function of the log duration, the logistic near to the normal."""
    return 1.0 / (1.0 + np.exp(-1.7 * (log_age - mean) / sd))


@njit(cache=True, nogil=True)
def _excursion(k, at, rows):
    """How far an excursion is to be believed, and the probability that it ends within the horizon."""
    times, left = k[at + TIMES], abs(k[at + LEFT])
    if left == 0.0 or times < 1.0:
        return 0.0, 0.0
    age = _since(rows, left) - _LATE
    mean = k[at + LOG_MEAN]
    sd = np.sqrt((k[at + LOG_SQUARES] + _PRIOR_TIMES * _PRIOR_SD**2) / (times + _PRIOR_TIMES) * (1.0 + 1.0 / times))
    soon = _ends(np.log(age + HORIZON), mean, sd) if age + HORIZON > 1.0 else 0.0
    now = _ends(np.log(age), mean, sd) if age > 1.0 else 0.0
    out = 1.0 - now
    odds = k[at + ODDS] + _PRIOR_ODDS
    return out / (out + _TAIL) / (1.0 + np.exp(-odds)), (soon - now) / (out + _TAIL)


@njit(cache=True, nogil=True)
def look_ahead(s, o, k, P) -> None:
    """Say how likely it is that the present regime still stands a horizon ahead."""
    rows = s[ROWS]
    established = rows * rows / (rows * rows + P[ESTABLISHED_ROWS] * P[ESTABLISHED_ROWS])
    rate = P[BASE_OWN] * o[COVERED] + HORIZON * P[BASE_PRIOR_SHIFTS] * established
    rate = min(0.9, max(1e-4, rate / (rows + P[BASE_PRIOR_ROWS])))
    logit = P[BASE_SLOPE] * np.log(rate / (1.0 - rate)) + P[BASE_AT]
    logit += P[BASE_RECENT] * np.log((o[RECENT] + 0.05) / (rate + 0.05))
    base = 1.0 / (1.0 + np.exp(-logit))
    belief, ending = 0.0, 0.0
    for c in range(k.shape[0]):
        for at in range(0, FLOATS, KIND):
            b, e = _excursion(k[c], at, rows % _WRAP)
            if b > belief:
                belief, ending = b, e
    weight = min(1.0, P[REGULAR_WEIGHT] * belief ** P[REGULAR_POWER])
    leaves = weight * P[REGULAR_SHARE] * ending + (1.0 - weight) * base
    unseen = 1.0 / (rows + HORIZON)  # rule of succession: nothing is surer than the rows seen allow
    s[CONFIDENCE] = 1.0 - min(0.95, max(unseen, leaves))


@njit(cache=True, nogil=True)
def fade(o) -> None:
    """Once a row."""
    o[RECENT] *= 1.0 - 1.0 / _FADING_ROWS
