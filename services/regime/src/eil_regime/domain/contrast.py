"""The online test of one channel: adjacent stretches compared at dyadic time scales, for a change of level or of texture.

Every difference is judged by the differences of its own kind that the channel has shown before: whatever autocorrelation,
trend, daily cycle or heavy tail there is, it is in that yardstick. With z the difference over its usual root mean square and ν
the comparisons behind that, the evidence is the log-likelihood ratio of Student's t, ½(ν+1)·log(1 + z²/ν) − ½ [nat], less
log C for the C channels, less the prior of a shift within the last L of T rows, and less a threshold. A level is compared with
the window just before; a texture with all of the regime before the window, features weighted by their usual spread.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .config import (
    FINER_SHARE,
    FINER_WEIGHT,
    STEP_EVIDENCE,
    STEP_FLOOR,
    STEP_LEAST,
    STEP_MEMORY,
    STEP_PRIOR,
    STEP_UNANIMITY,
    STEP_WINSOR,
    TEXTURE_EVIDENCE,
    TEXTURE_FINER_SHARE,
    TEXTURE_FLOOR,
    TEXTURE_LEFT,
    TEXTURE_MEMORY,
    TEXTURE_PRIOR,
    TEXTURE_WEIGHT,
    TEXTURE_WINSOR,
    USUAL_STEP,
    USUAL_STEP_FADING,
    USUAL_TEXTURE,
    USUAL_TEXTURE_FADING,
)
from .layout import (
    BASE,
    BLOCKS,
    COMPARED,
    COUNT,
    FEATURE_SUMS,
    FEATURED,
    FEATURES,
    LEANING,
    LEANING_LEVEL,
    LEVELS,
    ONSET,
    ORIGIN,
    REGIME_SUMS,
    RING,
    SPREAD,
    SPREAD_PLAIN,
    SUM,
    TEXTURE_BASE,
    TEXTURE_COMPARED,
    TEXTURE_LEVELS,
    TEXTURE_RING,
    TEXTURE_SPREAD,
    TEXTURE_USUAL,
    USUAL,
    WINDOW,
)
from .texture import add_features

STEP, TEXTURE = 0, 1
"""Kinds of change."""
_MOST = 1e12  # largest statistic: a constant channel that moves has no yardstick
_LEANING_FADING = 0.125


@njit(cache=True, nogil=True)
def _step_evidence(f, level, length, rows, log_channels, P):
    """Evidence that the newest window has another level than the one before: beyond the threshold, and in all."""
    at = BLOCKS + level * RING
    left = 0.25 * (f[at + 4] + f[at + 5] + f[at + 6] + f[at + 7])
    a, b, c, d = f[at] - left, f[at + 1] - left, f[at + 2] - left, f[at + 3] - left
    difference = 0.25 * (a + b + c + d)
    agreed = 0.0
    if (a > 0.0) == (b > 0.0) and (b > 0.0) == (c > 0.0) and (c > 0.0) == (d > 0.0):
        least = min(min(abs(a), abs(b)), min(abs(c), abs(d)))
        agreed = min(abs(difference), P[STEP_UNANIMITY] * least)
        right = left + difference
        for r in range(WINDOW, 2 * WINDOW):  # a burst that ended is no shift either
            before = (right - f[at + r]) * np.sign(difference)
            agreed = min(agreed, P[STEP_UNANIMITY] * max(before, 0.0))
    compared, spread = f[COMPARED + level], f[SPREAD + level]
    suggested, weight = 0.0, 0.0
    if level > 0:
        suggested, weight = f[SPREAD + level - 1] * P[FINER_SHARE], P[FINER_WEIGHT]
    evidence, square = 0.0, 0.0
    if compared + weight >= P[STEP_LEAST]:
        size = max(abs(f[at]), abs(left))
        usual = (spread * compared + suggested * weight) / (compared + weight)
        usual += P[STEP_FLOOR] * f[SPREAD_PLAIN + level] + 1e-12 * size * size + 1e-37
        freedom = min(compared + weight, P[STEP_MEMORY])
        square = min(agreed * agreed / usual, _MOST)
        tamed = square * min(1.0, P[USUAL_STEP] / max(f[USUAL + level], 1e-9))
        evidence = 0.5 * ((freedom + 1.0) * np.log(1.0 + tamed / freedom) - 1.0)
    plain_evidence = evidence
    evidence -= log_channels + P[STEP_PRIOR] * np.log(rows / length) + P[STEP_EVIDENCE]
    if compared < P[STEP_MEMORY]:
        compared += 1.0
        f[COMPARED + level] = compared
    plain = difference * difference
    f[SPREAD_PLAIN + level] += (plain - f[SPREAD_PLAIN + level]) / max(compared, 1.0)
    if evidence < 0.0:
        f[USUAL + level] = max(f[USUAL + level] * P[USUAL_STEP_FADING], square)
    winsorised = min(plain, P[STEP_WINSOR] * spread) if compared > 4.0 else plain
    f[SPREAD + level] = spread + (winsorised - spread) / compared
    if level == LEANING_LEVEL:
        f[LEANING] += (np.sign(difference) - f[LEANING]) * _LEANING_FADING
    return evidence, plain_evidence


@njit(cache=True, nogil=True)
def _texture_evidence(f, u, scale, length, featured, rows, log_channels, P, differences):
    """Evidence that the newest window has another texture than the regime before it: beyond the threshold, and in all."""
    before = featured - length
    at = scale * TEXTURE_RING * FEATURES
    compared = f[TEXTURE_COMPARED + scale]
    weight = 2.0 if scale > 0 else 0.0
    known = compared + weight >= 2.0
    widening = 1.0 + length / before
    total = 0.0
    for j in range(FEATURES):
        window = 0
        for r in range(WINDOW):
            window += u[at + r * FEATURES + j]
        mean = window / (255.0 * WINDOW)
        difference = mean - (f[REGIME_SUMS + j] - length * mean) / before
        differences[j] = difference
        if known:
            usual = f[TEXTURE_SPREAD + scale * FEATURES + j] * compared
            if scale > 0:
                usual += f[TEXTURE_SPREAD + (scale - 1) * FEATURES + j] * P[TEXTURE_FINER_SHARE] * weight
            usual = usual / (compared + weight) * widening + P[TEXTURE_FLOOR] * P[TEXTURE_FLOOR]
            total += difference * difference / usual
    evidence = 0.0
    if known:
        freedom = min(compared + weight, P[TEXTURE_MEMORY])
        evidence = (freedom + 1.0) * np.log(1.0 + total / FEATURES / freedom) - 1.0
        evidence *= 0.5 * P[TEXTURE_WEIGHT] * FEATURES
    plain = evidence
    usual_here = f[TEXTURE_USUAL + scale]
    evidence -= max(0.0, usual_here - P[USUAL_TEXTURE])
    evidence -= log_channels + P[TEXTURE_PRIOR] * np.log(rows / length) + P[TEXTURE_EVIDENCE]
    f[TEXTURE_USUAL + scale] = max(usual_here * P[USUAL_TEXTURE_FADING], plain if evidence < 0.0 else 0.0)
    if compared < P[TEXTURE_MEMORY]:
        compared += 0.25
        f[TEXTURE_COMPARED + scale] = compared
    share = 0.25 / max(compared, 1.0) if compared > 1.0 else 1.0
    for j in range(FEATURES):
        at = TEXTURE_SPREAD + scale * FEATURES + j
        square = differences[j] * differences[j] / widening
        if compared > 2.0:
            square = min(square, P[TEXTURE_WINSOR] * f[at])
        f[at] += (square - f[at]) * share
    return evidence, plain


@njit(cache=True, nogil=True)
def _push_texture(f, u, scale) -> None:
    """A texture block is full: from the sums being filled at the finest scale, else the mean of the two newest of the finer."""
    size = TEXTURE_RING * FEATURES
    at = scale * size
    for i in range(at + size - 1, at + FEATURES - 1, -1):
        u[i] = u[i - FEATURES]
    if scale == 0:
        for j in range(FEATURES):
            total = f[FEATURE_SUMS + j]
            f[REGIME_SUMS + j] += total
            u[at + j] = np.uint8(total * (255.0 / (BASE << TEXTURE_BASE)) + 0.5)
            f[FEATURE_SUMS + j] = 0.0
    else:
        for j in range(FEATURES):  # halves are rounded up for odd features, down for even ones: no drift
            pair = int(u[at - size + j]) + int(u[at - size + FEATURES + j])
            u[at + j] = np.uint8((pair + (j & 1)) >> 1)


@njit(cache=True, nogil=True)
def take(f, u, h, x, neighbour, coupled, rows, log_channels, P, found, work) -> None:
    """Take one finite value of a channel.

    Args:
        f, u, h: the channel's state (layout.py).
        x: the value, in the channel's unit.
        neighbour: `f` of the source's next channel; `coupled`: whether there is one.
        rows: rows of the source so far, this one included.
        log_channels: log of the number of channels tested.
        P: settings (config.py).
        found: (4,) out: evidence beyond the threshold, level, kind and all evidence of the strongest comparison that this value
            completes (level −1 and evidence −inf if it completes none).
        work: (FEATURES,) scratch.
    """
    n = int(h[COUNT])
    if n == 0:
        h[ORIGIN] = x
    x -= h[ORIGIN]
    add_features(f, n, x, neighbour, coupled, P)
    f[SUM] += x
    n += 1
    h[COUNT] = n
    h[FEATURED] += 1.0
    found[0], found[1], found[2], found[3] = -np.inf, -1.0, 0.0, 0.0
    if n & (BASE - 1):
        return
    mean = f[SUM] / BASE
    f[SUM] = 0.0
    onset = int(h[ONSET])
    for level in range(LEVELS):
        block = BASE << level
        if n & (block - 1):
            break
        length = WINDOW * block
        at = BLOCKS + level * RING
        if level > 0:
            mean = 0.5 * (f[at - RING] + f[at - RING + 1])
        for i in range(at + RING - 1, at, -1):
            f[i] = f[i - 1]
        f[at] = mean
        if n - 2 * length >= onset:
            evidence, plain = _step_evidence(f, level, length, rows, log_channels, P)
            if evidence > found[0]:
                found[0], found[1], found[2], found[3] = evidence, level, STEP, plain
        scale = level - TEXTURE_BASE
        if 0 <= scale < TEXTURE_LEVELS:
            _push_texture(f, u, scale)
            featured = h[FEATURED] - int(h[FEATURED]) % (BASE << TEXTURE_BASE)
            if n >= length and featured - length >= P[TEXTURE_LEFT] * length:
                evidence, plain = _texture_evidence(f, u, scale, length, featured, rows, log_channels, P, work)
                if evidence > found[0]:
                    found[0], found[1], found[2], found[3] = evidence, level, TEXTURE, plain


@njit(cache=True, nogil=True)
def restart(f, u, h, age, level, kind) -> None:
    """A regime began `age` values ago: windows lie within it from now on, and its texture is learnt anew."""
    h[ONSET] = max(h[COUNT] - age, h[ONSET] + 1.0)
    blocks = BASE << TEXTURE_BASE
    h[FEATURED] = h[COUNT] % blocks
    for j in range(FEATURES):
        f[REGIME_SUMS + j] = 0.0
    if kind == TEXTURE:
        block = BASE << level
        size = TEXTURE_RING * FEATURES
        at = (level - TEXTURE_BASE) * size
        known = min(age // block, TEXTURE_RING)
        for r in range(known):
            for j in range(FEATURES):
                f[REGIME_SUMS + j] += u[at + r * FEATURES + j] * (block / 255.0)
        h[FEATURED] += known * block
