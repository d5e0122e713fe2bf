"""What comes next, and when: how likely the present regime is to end within the horizon, and which one follows.

Two models are mixed. The **base rate** is the share of rows that lay within a horizon before a reported onset, shrunk, and starting
from little: a regime has first to be established. It rises with the regime's age over the usual one, and just after a change.
**Episodes** are a semi-Markov model by example: the newest ones are kept, each a regime's name, how long it stood and what
followed. Every remembered duration stands for a narrow logistic in log time, and what the episodes of the present regime's name say
of its end is the share of those not yet over that would end within the horizon; episodes of other regimes of its kind count little,
and the base rate counts as a fraction of one. So one pump's faults that last 300 rows each are foreseen after three of them, and
durations without a pattern leave the base rate as it is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .config import (
    BASE_AGE,
    BASE_AT,
    BASE_FRESH,
    BASE_OWN,
    BASE_PRIOR_ROWS,
    BASE_PRIOR_SHIFTS,
    EPISODE_ENDED,
    EPISODE_KIND,
    EPISODE_LATE,
    EPISODE_LEVEL,
    EPISODE_PRIOR,
    EPISODE_WIDTH,
    ESTABLISHED_ROWS,
)
from .layout import CONFIDENCE, NEXT, ONSET_ROW, REGIME, ROWS
from .naming import DEPARTED

HORIZON = 60
"""Rows ahead of which the outlook speaks."""
EPISODES = 32
"""Newest episodes remembered."""

# o: float64, of the source
COVERED, NEWEST, SHIFTS, BEGUN, STANDS, KIND, ENDED, LIKE = range(8)
"""Rows within a horizon before a reported onset; the newest onset; shifts reported; row at which the present regime's name came up,
the name and its kind; row at which a departure ended, and how far it ended like earlier ones."""
REGULAR, TOLD = 8, 9
"""How regular the episodes of the present level were; episodes so far."""
COUNTERS = 10

# e: float32, per episode
REGIME_THEN, FOLLOWED_BY, LOG_ROWS = range(3)
"""Name (0: none), next name, log of the rows that it stood: negative for a departure."""
EPISODE = 3

_SHORTEST = 64.0  # rows: what passed more quickly was no regime
_ALIKE = 0.35  # log durations that differ by less are alike
_PAIRS = 2.0  # alike by chance, before any pair was seen
_FRESH_ROWS = 48.0
_AGE_PRIOR = 60.0  # rows
_OLDER, _YOUNGER = 1.0, -3.0  # bounds of the log of the relative age
_MOST = 0.95


@njit(cache=True, nogil=True)
def reported(o, onset_row) -> None:
    """Count a reported shift by its onset."""
    rows = float(HORIZON)
    if o[NEWEST] > 0.0:
        rows = min(rows, max(0.0, onset_row - o[NEWEST]))
    o[COVERED] += rows
    o[SHIFTS] += 1.0
    o[NEWEST] = max(o[NEWEST], onset_row)


@njit(cache=True, nogil=True)
def _ends(log_rows, episode, P) -> float:
    """Distribution function of the duration that an episode stands for, the logistic near to the normal."""
    z = (log_rows - abs(episode[LOG_ROWS])) / P[EPISODE_WIDTH]
    return 1.0 / (1.0 + np.exp(-1.7 * min(max(z, -20.0), 20.0)))


@njit(cache=True, nogil=True)
def _weight(episode, name, departed, P) -> float:
    """What an episode says of a regime."""
    if episode[REGIME_THEN] == name:
        return 1.0
    return P[EPISODE_KIND] if (episode[LOG_ROWS] < 0.0) == (departed > 0.0) else 0.0


@njit(cache=True, nogil=True)
def _regularity(e, name, P) -> float:
    """From 0 to 1: how far the episodes of a name lasted equally long, two kernels' widths at most apart."""
    pairs, alike = _PAIRS, 0.0
    for i in range(EPISODES):
        if e[i, REGIME_THEN] == name:
            for j in range(i):
                if e[j, REGIME_THEN] == name:
                    pairs += 1.0
                    alike += abs(abs(e[i, LOG_ROWS]) - abs(e[j, LOG_ROWS])) < 2.0 * P[EPISODE_WIDTH]
    return (alike / pairs) ** 2  # squared: by chance a few are alike


@njit(cache=True, nogil=True)
def _remember(o, e, name, departed, rows, P) -> None:
    """The name has changed: the episode that ended is kept unless it was too short."""
    stood = rows - o[BEGUN]
    if stood >= _SHORTEST:
        log_rows = np.log(stood)
        if o[KIND] > 0.0:
            alike, weights = 0.0, P[EPISODE_PRIOR]
            for j in range(EPISODES):
                weight = _weight(e[j], o[STANDS], o[KIND], P) if e[j, REGIME_THEN] > 0.0 else 0.0
                if weight > 0.0:
                    weights += weight
                    alike += weight * (_ends(log_rows + _ALIKE, e[j], P) - _ends(log_rows - _ALIKE, e[j], P))
            o[ENDED], o[LIKE] = rows, alike / weights
        at = int(o[TOLD]) % EPISODES
        o[TOLD] += 1.0
        e[at, REGIME_THEN], e[at, FOLLOWED_BY] = o[STANDS], name
        e[at, LOG_ROWS] = -log_rows if o[KIND] > 0.0 else log_rows
    o[BEGUN] = rows
    o[REGULAR] = _regularity(e, name, P)


@njit(cache=True, nogil=True)
def _base_rate(s, o, P) -> float:
    rows = s[ROWS]
    established = rows * rows / (rows * rows + P[ESTABLISHED_ROWS] * P[ESTABLISHED_ROWS])
    rate = P[BASE_OWN] * o[COVERED] + HORIZON * P[BASE_PRIOR_SHIFTS] * established
    rate = min(0.9, max(1e-4, rate / (rows + P[BASE_PRIOR_ROWS])))
    logit = np.log(rate / (1.0 - rate)) + P[BASE_AT]
    if o[SHIFTS] > 0.0:
        age = rows - s[ONSET_ROW]
        relative = np.log((age + _AGE_PRIOR) / (rows / (o[SHIFTS] + 1.0) + _AGE_PRIOR))
        logit += P[BASE_AGE] * min(_OLDER, max(_YOUNGER, relative)) + P[BASE_FRESH] * np.exp(-age / _FRESH_ROWS)
    return 1.0 / (1.0 + np.exp(-logit))


@njit(cache=True, nogil=True)
def _follower(e, name, log_age, log_then, P):
    """The likeliest name after the present one if it ends within the horizon, and how likely it is then; 0 if none is known."""
    follower, most, total = 0.0, 0.0, P[EPISODE_PRIOR]
    for i in range(EPISODES):
        if e[i, REGIME_THEN] != name:
            continue
        total += _ends(log_then, e[i], P) - _ends(log_age, e[i], P)
        share = 0.0
        for j in range(EPISODES):
            if e[j, REGIME_THEN] == name and e[j, FOLLOWED_BY] == e[i, FOLLOWED_BY]:
                share += _ends(log_then, e[j], P) - _ends(log_age, e[j], P)
        if share > most:
            follower, most = e[i, FOLLOWED_BY], share
    return follower, most / total


@njit(cache=True, nogil=True)
def look_ahead(state, P) -> None:
    """Say which regime is likeliest a horizon ahead, and how likely; once in BASE rows and at a shift, after naming."""
    s, o, e = state.s, state.o, state.e
    rows, name, departed = s[ROWS], s[REGIME], state.c[DEPARTED]
    if o[STANDS] == 0.0:
        o[BEGUN] = rows
    elif name != o[STANDS]:
        _remember(o, e, name, departed, rows, P)
    o[STANDS], o[KIND] = name, departed
    base = _base_rate(s, o, P)
    log_age = np.log(max(rows - o[BEGUN], 1.0))
    log_then = np.log(max(rows - o[BEGUN], 1.0) + HORIZON - P[EPISODE_LATE])
    left, ending = 0.0, 0.0
    for j in range(EPISODES):
        if e[j, REGIME_THEN] == 0.0:
            break
        weight = _weight(e[j], name, departed, P)
        if weight > 0.0:
            over = _ends(log_age, e[j], P)
            left += weight * (1.0 - over)
            ending += weight * (_ends(log_then, e[j], P) - over)
    trust = left / (left + P[EPISODE_PRIOR])
    if departed == 0.0:
        trust *= P[EPISODE_LEVEL] + (1.0 - P[EPISODE_LEVEL]) * o[REGULAR]
    leaves = (1.0 - trust) * base + trust * ending / (left + 1e-9)
    if departed == 0.0 and o[ENDED] > 0.0 and rows - o[ENDED] < P[EPISODE_LATE]:
        leaves += (1.0 - leaves) * o[LIKE] * P[EPISODE_ENDED]
    leaves = min(_MOST, max(1.0 / (rows + HORIZON), leaves))  # rule of succession: no surer than the rows seen allow
    s[NEXT], s[CONFIDENCE] = name, 1.0 - leaves
    if leaves > 0.5:
        follower, share = _follower(e, name, log_age, log_then, P)
        if follower > 0.0 and share * leaves > 1.0 - leaves:
            s[NEXT], s[CONFIDENCE] = follower, share * leaves
