"""One source through its rows: every channel tested, shifts reported, regimes named, labelled and looked ahead."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import naming, outlook
from .contrast import STEP, restart, take
from .kernels import drop_stale
from .layout import (
    ABSENT,
    BASE,
    BYTES,
    CONFIDENCE,
    COUNT,
    DOUBLES,
    FEATURES,
    FLOATS,
    LABEL,
    MISSING,
    NAMED,
    NEXT,
    ONSET_ROW,
    PENDING,
    REGIME,
    REPORTED_ROW,
    ROWS,
    SOURCE,
)
from .onset import step_age, texture_age
from .warning import LEANS, QUIET, sign_of, watch_block, watch_value

STABLE, DRIFTING, TRANSITION, CRITICAL = 0, 1, 2, 3
"""Places in `verdict.LABELS`."""
SETTLING = 16
"""Rows for which a source is in transition after a report."""
FORGOTTEN = 2000
"""Rows without a value after which a channel no longer counts as one."""
_NEARLY = -2.0  # evidence this close below the threshold is drift
_FADING = 0.25  # nats a block that pending evidence loses

AT, AGE, LEVEL, KIND, TRIGGER, EVIDENCE, LEFT, ENTERED, KNOWN = range(9)
"""Columns of a reported shift: row of the report (from 0 in the call), rows since the onset, level, kind, channel, evidence beyond
the threshold [nat], number of the regime left and entered, and whether the latter was known."""
SHIFT = 9


class State(NamedTuple):
    """Everything remembered of one source with C channels (layout.py)."""

    f: NDArray[np.float32]  # (C, FLOATS)
    u: NDArray[np.uint8]  # (C, BYTES)
    h: NDArray[np.float64]  # (C, DOUBLES)
    s: NDArray[np.float64]  # (SOURCE,)
    m: NDArray[np.float32]  # (C, naming.FLOATS)
    w: NDArray[np.uint16]  # (C, naming.WORDS)
    r: NDArray[np.float32]  # (naming.MODELS, 3)
    c: NDArray[np.float64]  # (naming.COUNTERS,)
    o: NDArray[np.float64]  # (outlook.COUNTERS,)
    e: NDArray[np.float32]  # (outlook.EPISODES, outlook.EPISODE)


CHANNELWISE = ("f", "u", "h", "m", "w")
"""Parts whose first axis is the channel."""


def grown(state: State) -> State:
    """With one more channel, not seen yet."""
    one = fresh(1)
    joined = {part: np.concatenate([getattr(state, part), getattr(one, part)]) for part in CHANNELWISE}
    return state._replace(**joined)


def fresh(channels: int) -> State:
    """The state of a source before its first row."""
    s, h = np.zeros(SOURCE), np.zeros((channels, DOUBLES))
    s[REPORTED_ROW] = -math.inf
    h[:, ABSENT] = FORGOTTEN  # until its first value a channel is none
    h[:, PENDING] = -math.inf
    f, u = np.zeros((channels, FLOATS), np.float32), np.zeros((channels, BYTES), np.uint8)
    m, w = np.zeros((channels, naming.FLOATS), np.float32), np.zeros((channels, naming.WORDS), np.uint16)
    models, counters = np.zeros((naming.MODELS, 3), np.float32), np.zeros(naming.COUNTERS)
    episodes = np.zeros((outlook.EPISODES, outlook.EPISODE), np.float32)
    return State(f, u, h, s, m, w, models, counters, np.zeros(outlook.COUNTERS), episodes)


@njit(cache=True, nogil=True)
def bridge(state: State) -> None:
    """After a gap: no window reaches across it, so that nothing is concluded from what was not seen."""
    for c in range(state.h.shape[0]):
        restart(state.f[c], state.u[c], state.h[c], 0, 0, STEP)


@njit(cache=True, nogil=True)
def _take_row(state: State, row: NDArray[np.float64], P: NDArray[np.float64], found, work, evidence, best) -> None:
    """Take a row; best: evidence, level, kind and channel of the strongest comparison it completes."""
    f, u, h, s = state.f, state.u, state.h, state.s
    channels = row.shape[0]
    s[ROWS] += 1.0
    present = 0
    for c in range(channels):
        present += h[c, ABSENT] < FORGOTTEN
    log_channels = math.log(max(present, 1))
    best[0], best[3] = -np.inf, -1.0
    for c in range(channels):
        x = row[c]
        evidence[c] = 0.0
        if not np.isfinite(x):
            h[c, ABSENT] += 1.0
            h[c, MISSING] += 1.0
            continue
        h[c, ABSENT] = 0.0
        take(f[c], u[c], h[c], x, f[(c + 1) % channels], channels > 1, s[ROWS], log_channels, P, found, work)
        watch_value(f[c], h[c], x)
        if int(h[c, COUNT]) & (BASE - 1) == 0:
            watch_block(f[c])
            h[c, PENDING] = max(found[0], h[c, PENDING] - _FADING)
        evidence[c] = max(found[3], 0.0)
        if found[0] > max(best[0], 0.0):
            best[0], best[1], best[2], best[3] = found[0], found[1], found[2], c


@njit(cache=True, nogil=True)
def _label(state: State) -> int:
    s = state.s
    worst, pending = QUIET, -np.inf
    for c in range(state.h.shape[0]):
        if state.h[c, ABSENT] > 0.0:
            continue
        worst = max(worst, sign_of(state.f[c], state.h[c]))
        pending = max(pending, state.h[c, PENDING])
    if s[ROWS] - s[REPORTED_ROW] <= SETTLING:
        return TRANSITION
    if worst > LEANS:
        return CRITICAL
    return DRIFTING if worst == LEANS or pending > _NEARLY else STABLE


@njit(cache=True, nogil=True)
def _begin(state: State, best, evidence, shift) -> None:
    """A shift was found: place its onset, begin the new regime there and write the record."""
    f, u, h, s = state.f, state.u, state.h, state.s
    trigger, level, kind = int(best[3]), int(best[1]), int(best[2])
    age = step_age(f[trigger], h[trigger], level) if kind == STEP else texture_age(f[trigger], u[trigger], level)
    age = int(max(1.0, min(float(age), s[ROWS] - s[ONSET_ROW] - 1.0)))
    s[ONSET_ROW] = s[ROWS] - age
    s[REPORTED_ROW] = s[ROWS] - 1.0
    outlook.reported(state.o, s[ONSET_ROW])
    naming.shifted(state, age, kind, evidence)
    for c in range(h.shape[0]):
        restart(f[c], u[c], h[c], age, level, kind)
        h[c, PENDING] = -np.inf
    shift[AGE], shift[LEVEL], shift[KIND], shift[TRIGGER], shift[EVIDENCE] = age, level, kind, trigger, best[0]
    shift[LEFT] = s[REGIME]


@njit(cache=True, nogil=True)
def advance(state: State, X, P, regime, next_regime, confidence, label, shifts, evidences) -> int:
    """Take n rows of a source.

    Args:
        state: changed in place.
        X: (n, C) values, NaN where missing.
        P: settings (config.py).
        regime, next_regime, confidence, label: (n,) out, per row.
        shifts: (m, SHIFT) out, records of shifts; `evidences`: (m, C) out, all evidence by channel [nat]. Beyond m shifts no more are
            written; they are counted.

    Returns: the number of shifts.
    """
    channels = X.shape[1]
    found, best = np.zeros(4), np.zeros(4)
    work, evidence, trust = np.zeros(FEATURES), np.zeros(channels), np.zeros(channels)
    spare = np.zeros(SHIFT)
    count = 0
    s = state.s
    for i in range(X.shape[0]):
        _take_row(state, X[i], P, found, work, evidence, best)
        naming.observe(state, X[i])
        record = shifts[count] if count < shifts.shape[0] else spare
        if best[3] >= 0.0:
            _begin(state, best, evidence, record)
            record[AT] = i
        if int(s[ROWS]) & (BASE - 1) == 0 or best[3] >= 0.0 or s[ROWS] <= 1.0:
            named = s[NAMED]
            naming.name(state, trust)
            s[LABEL] = _label(state)
            outlook.look_ahead(state, P)
            if best[3] >= 0.0:
                record[ENTERED], record[KNOWN] = s[REGIME], s[REGIME] <= named
                if count < shifts.shape[0]:
                    evidences[count] = evidence
                count += 1
        regime[i] = s[REGIME]
        next_regime[i] = s[NEXT]
        confidence[i] = s[CONFIDENCE]
        label[i] = s[LABEL]
    return count


if advance.stats.cache_path is not None:
    drop_stale(Path(advance.stats.cache_path), Path(__file__).parent)
