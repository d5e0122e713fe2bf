"""Regimes by name: an open set of levels that a source returns to, each with departures from it by channel and direction.

Coarse: a jump that is large for its channel closes the stretch; the new stretch is compared with the levels known, and takes the
name of the nearest within reach or a new one. A channel counts by its share, the energy of its jumps over that of its differences
from stretch to stretch: one that wanders (a temperature) tells regimes apart less than one that jumps (a switch). Near-duplicates
merge; of MODELS models the lightest is forgotten. Fine: at every level each channel has a home, the mean of its smoothed values that
lie within its width, where the width is what holds HELD of them: an online shorth, blind to how far the others are away. A channel
whose root mean square distance from home is several widths has a tight core and far departures, and may be trusted: when it departs
it gives the source another name, by direction. A channel that wanders (about 2 widths; normal noise has 1.5 of its half-width) may not.
Everything is measured in the channel's own widths and scales, so that no unit matters.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .contrast import STEP
from .layout import BASE, BLOCKS, COUNT, LEVELS, NAMED, ONSET, ORIGIN, REGIME, RING

MODELS = 9

# m: float32, per channel
(MEAN, VARIANCE, SMOOTH, STRETCH, STRETCH_ROWS, JUMPS, DIFFERENCES, SQUARES, SIZES, SCALE, SHARE, REACH) = range(12)
AWAY = 12
"""Direction of the present departure: −1, 1, or 0 at home."""
LEVEL = 13
HOME = LEVEL + MODELS
WIDTH = HOME + MODELS
OFF = WIDTH + MODELS
"""Mean square distance from home, at most FAR widths each."""
FLOATS = OFF + MODELS
# w: uint16, per channel
BELOW, ABOVE = 0, MODELS
"""Names of the departures from each level, down and up (0: none yet)."""
WORDS = 2 * MODELS
# r: float32, per model, and beside them the source's own
WEIGHT, STOOD, NAME = range(3)
"""Rows learnt from (0: free), looks as the present one, name at home."""
# c: float64, of the source
CURRENT, PROVISIONAL, SINCE, STEP_SHIFTS, TEXTURE_SHIFTS, DEPARTED = range(6)
"""Present model; whether it may yet prove a known one; rows since it began; shifts by kind; whether the present name is a departure's."""
COUNTERS = 6

_LARGE = 0.6  # a jump beyond this many scales opens another level
_NEAR_LEVEL, _NEAR_JUMP = 0.5, 0.2  # reach of a known level: of the scale, and of the jump just made
_SHARPNESS = 12.0  # power of the share
_CLEAR = 3.0  # nats of evidence that make a channel's part in a shift
_PART = 0.3  # ... and share of the strongest
_SPREAD = 1.1  # scale in standard deviations of all that was seen
_LEAST_SHARE = 0.5
_DEPARTS, _RETURNS = 3.0, 1.8  # widths from home
_TRUSTED, _RELATIVE_TRUST = 4.0, 0.6  # root mean square distance from home in widths; and of the most trusted channel's
_HELD = 0.45  # share of the looks within a width of home
_WIDENING = 6.0
_FAR = 16.0  # widths beyond which a look counts no further
_OLDEST = 2000.0  # looks
_SMOOTHING = 0.16
_HEAVIEST = 4000.0
_FORGETTING = 0.99
_HISTORY = 131072.0
_YOUNG = 16.0  # looks
_NAMES = 65535.0
_LEAST = 1e-30  # a channel that never moved has no scale


@njit(cache=True, nogil=True)
def _rescale(m, c) -> None:
    step = m[c, SQUARES] / m[c, SIZES] if m[c, SIZES] > _LEAST else 0.0
    m[c, SCALE] = max(_SPREAD * np.sqrt(m[c, VARIANCE]), step) + _LEAST


@njit(cache=True, nogil=True)
def _reshare(m, c) -> None:
    own = m[c, SCALE] * m[c, SCALE]
    m[c, SHARE] = min(1.0, (m[c, JUMPS] + own + _LEAST) / (m[c, DIFFERENCES] + own + _LEAST))


@njit(cache=True, nogil=True)
def _largest_share(m) -> float:
    largest = 1e-9
    for c in range(m.shape[0]):
        largest = max(largest, m[c, SHARE])
    return largest


@njit(cache=True, nogil=True)
def _distance(m, k) -> float:
    """Of the present stretch from a level, in reaches."""
    largest, distance = _largest_share(m), 0.0
    for c in range(m.shape[0]):
        reach = _NEAR_LEVEL * m[c, SCALE] + m[c, REACH] + _LEAST
        d = (m[c, SHARE] / largest) ** _SHARPNESS * abs(m[c, STRETCH] - m[c, LEVEL + k]) / reach
        distance = max(distance, d)
    return distance


@njit(cache=True, nogil=True)
def observe(state, row) -> None:
    """Follow the values of a row, before its shift, if any, is handled."""
    m, h = state.m, state.h
    state.c[SINCE] += 1.0
    for c in range(row.shape[0]):
        if not np.isfinite(row[c]):
            continue
        x = row[c] - h[c, ORIGIN]
        n = min(h[c, COUNT], _HISTORY)
        if n <= 1.0:
            m[c, SMOOTH] = x
        d = x - m[c, MEAN]
        m[c, MEAN] += d / n
        m[c, VARIANCE] += (d * (x - m[c, MEAN]) - m[c, VARIANCE]) / n
        m[c, SMOOTH] += _SMOOTHING * (x - m[c, SMOOTH])
        m[c, STRETCH_ROWS] += 1.0
        m[c, STRETCH] += (x - m[c, STRETCH]) / m[c, STRETCH_ROWS]


@njit(cache=True, nogil=True)
def _sides(f, h, age):
    """Means of about the newest `age` values and of as many before them, within the regime that ends."""
    level = 0
    while level < LEVELS - 1 and age > 6 * (BASE << level):
        level += 1
    block = BASE << level
    newer = max(1, min(6, (age + block // 2) // block))
    older = max(0, min(newer, (int(h[COUNT]) - age - int(h[ONSET])) // block))
    at = BLOCKS + level * RING
    after, before = 0.0, 0.0
    for r in range(newer):
        after += f[at + r]
    after /= newer
    for r in range(newer, newer + older):
        before += f[at + r]
    return after, before / older if older > 0 else after


@njit(cache=True, nogil=True)
def shifted(state, age, kind, evidence) -> None:
    """A shift was found `age` rows ago with this evidence by channel [nat]; to be called before the windows restart there."""
    m, r, s = state.m, state.r, state.c
    channels = m.shape[0]
    s[STEP_SHIFTS if kind == STEP else TEXTURE_SHIFTS] += 1.0
    strongest, large = 0.0, False
    sides = np.empty((channels, 2))
    for c in range(channels):
        sides[c, 0], sides[c, 1] = _sides(state.f[c], state.h[c], age)
        strongest = max(strongest, evidence[c])
        _rescale(m, c)
        _reshare(m, c)
    largest = _largest_share(m)
    for c in range(channels):
        jump = abs(sides[c, 0] - sides[c, 1])
        large |= jump > _LARGE * m[c, SCALE] and evidence[c] > _CLEAR and m[c, SHARE] > _LEAST_SHARE * largest
    texture = kind != STEP and s[TEXTURE_SHIFTS] > s[STEP_SHIFTS] and not large
    for c in range(channels):
        if kind == STEP and evidence[c] > _CLEAR and evidence[c] >= _PART * strongest:
            jump = abs(sides[c, 0] - sides[c, 1])
            m[c, SQUARES] = m[c, SQUARES] * _FORGETTING + jump * jump
            m[c, SIZES] = m[c, SIZES] * _FORGETTING + jump
            _rescale(m, c)
        if not (large or texture) and evidence[c] > _CLEAR and evidence[c] >= _PART * strongest:
            m[c, SMOOTH] = sides[c, 0]
    if large or texture:
        _close(m, r, int(s[CURRENT]), age, s[SINCE], sides)
        _open(state, age, sides, large)


@njit(cache=True, nogil=True)
def _close(m, r, current, age, since, sides) -> None:
    """Learn the level of the stretch that ended, without the rows after the onset; the new stretch begins with these."""
    rows = max(since - age, 1.0)
    for c in range(m.shape[0]):
        after, before = sides[c, 0], sides[c, 1]
        level = m[c, LEVEL + current]
        if since > age:
            level = (m[c, STRETCH] * since - age * after) / rows
        m[c, LEVEL + current] += (level - m[c, LEVEL + current]) * rows / (r[current, WEIGHT] + rows)
        jump = after - before
        m[c, JUMPS] += jump * jump
        m[c, DIFFERENCES] += (after - level) ** 2
        _reshare(m, c)
        m[c, REACH] = _NEAR_JUMP * abs(jump)
        m[c, STRETCH], m[c, STRETCH_ROWS] = after, age
    r[current, WEIGHT] = min(r[current, WEIGHT] + rows, _HEAVIEST)


@njit(cache=True, nogil=True)
def _nearest(m, r, but) -> int:
    best, nearest = 1.0, -1
    for k in range(MODELS):
        if r[k, WEIGHT] > 0.0 and k != but:
            d = _distance(m, k)
            if d < best:
                best, nearest = d, k
    return nearest


@njit(cache=True, nogil=True)
def _open(state, age, sides, large) -> None:
    m, w, r, s = state.m, state.w, state.r, state.c
    current = int(s[CURRENT])
    found = _nearest(m, r, -1) if large else -1
    s[PROVISIONAL] = 0.0
    if found < 0:
        s[PROVISIONAL] = 1.0 if large else 0.0
        for k in range(MODELS):
            if k != current and (found < 0 or r[k, WEIGHT] < r[found, WEIGHT]):
                found = k
        r[found] = 0.0
        for c in range(m.shape[0]):
            m[c, LEVEL + found] = sides[c, 0]
            w[c, BELOW + found] = w[c, ABOVE + found] = 0
    found = _merge(m, w, r, found)
    s[CURRENT], s[SINCE] = found, age
    for c in range(m.shape[0]):
        m[c, SMOOTH], m[c, AWAY] = sides[c, 0], 0.0
        if r[found, STOOD] == 0.0:
            m[c, HOME + found] = sides[c, 0]
            m[c, WIDTH + found] = m[c, OFF + found] = 0.0


@njit(cache=True, nogil=True)
def _merge(m, w, r, current) -> int:
    """Levels within half a scale of each other become one, the heavier; the present one's place."""
    largest = _largest_share(m)
    for i in range(MODELS):
        for k in range(i + 1, MODELS):
            if r[i, WEIGHT] <= 0.0 or r[k, WEIGHT] <= 0.0:
                continue
            distance = 0.0
            for c in range(m.shape[0]):
                d = (m[c, SHARE] / largest) ** _SHARPNESS * abs(m[c, LEVEL + i] - m[c, LEVEL + k])
                distance = max(distance, d / (_NEAR_LEVEL * m[c, SCALE] + _LEAST))
            if distance >= 1.0:
                continue
            a, b = (k, i) if r[k, WEIGHT] > r[i, WEIGHT] else (i, k)
            total = r[a, WEIGHT] + r[b, WEIGHT]
            for c in range(m.shape[0]):
                level = m[c, LEVEL + a] * r[a, WEIGHT] + m[c, LEVEL + b] * r[b, WEIGHT]
                m[c, LEVEL + a] = level / total
                if r[a, STOOD] == 0.0:
                    for part in (HOME, WIDTH, OFF):
                        m[c, part + a] = m[c, part + b]
            if r[a, STOOD] == 0.0:
                r[a, STOOD] = r[b, STOOD]
            r[a, WEIGHT], r[b, WEIGHT] = min(total, _HEAVIEST), 0.0
            if current == b:
                current = a
    return current


@njit(cache=True, nogil=True)
def _reconsider(state) -> None:
    """A new level is compared again with the known ones once more of it was seen."""
    m, r, s = state.m, state.r, state.c
    current = int(s[CURRENT])
    for c in range(m.shape[0]):
        _rescale(m, c)
        _reshare(m, c)
    found = _nearest(m, r, current)
    if found >= 0:
        r[current, STOOD] = 0.0
        s[CURRENT], s[PROVISIONAL] = found, 0.0
        for c in range(m.shape[0]):
            m[c, AWAY] = 0.0


@njit(cache=True, nogil=True)
def _follow_home(m, c, k, looks) -> float:
    """Follow home and width of a channel at level k; how far to trust it: root mean square distance from home in widths."""
    share = max(1.0 / (looks + 1.0), 1.0 / _OLDEST)
    off = m[c, SMOOTH] - m[c, HOME + k]
    distance, width = abs(off), m[c, WIDTH + k]
    if looks <= 2.0 or width <= 0.0:
        width = max(width, distance)
    width *= np.exp(_WIDENING * share * (_HELD if distance > width else _HELD - 1.0))
    m[c, WIDTH + k] = width
    if distance <= width:
        m[c, HOME + k] += 2.0 * share * off
    m[c, OFF + k] += share * (min(distance, _FAR * width) ** 2 - m[c, OFF + k])
    return np.sqrt(m[c, OFF + k]) / (width + _LEAST)


@njit(cache=True, nogil=True)
def name(state, trust) -> None:
    """Look, once in BASE rows and at a shift, which name the regime has: the present level's, or that of the strongest departure.

    Args:
        trust: (C,) scratch.
    """
    m, w, r, c, s = state.m, state.w, state.r, state.c, state.s
    rows = c[SINCE]
    if c[PROVISIONAL] > 0.0 and (rows // BASE == 8.0 or rows // BASE == 16.0 or rows // BASE == 32.0):
        _reconsider(state)
    k = int(c[CURRENT])
    r[k, STOOD] += 1.0
    most, who, strongest = 0.0, -1, 0.0
    for i in range(m.shape[0]):
        trust[i] = _follow_home(m, i, k, r[k, STOOD])
        most = max(most, trust[i])
    for i in range(m.shape[0]):
        off = m[i, SMOOTH] - m[i, HOME + k]
        away = abs(off) / (m[i, WIDTH + k] + _LEAST)
        if m[i, AWAY] == 0.0:
            if away > _DEPARTS:
                m[i, AWAY] = 1.0 if off > 0.0 else -1.0
        elif away < _RETURNS or (off > 0.0) != (m[i, AWAY] > 0.0):
            m[i, AWAY] = 0.0
        trusted = r[k, STOOD] > _YOUNG and trust[i] > max(_TRUSTED, _RELATIVE_TRUST * most)
        if m[i, AWAY] != 0.0 and trusted and away > strongest:
            strongest, who = away, i
    c[DEPARTED] = 0.0
    if who >= 0 and s[NAMED] < _NAMES:
        c[DEPARTED] = 1.0
        at = (ABOVE if m[who, AWAY] > 0.0 else BELOW) + k
        if w[who, at] == 0:
            s[NAMED] += 1.0
            w[who, at] = np.uint16(s[NAMED])
        s[REGIME] = w[who, at]
        return
    if r[k, NAME] == 0.0:
        s[NAMED] += 1.0
        r[k, NAME] = s[NAMED]
    s[REGIME] = r[k, NAME]
