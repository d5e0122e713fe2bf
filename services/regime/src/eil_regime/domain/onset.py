"""Where a change began: the split of the newest blocks that tells their two sides apart best, then finer and finer."""

from __future__ import annotations

import numpy as np
from numba import njit

from .layout import (
    BASE,
    BLOCKS,
    COUNT,
    FEATURES,
    HISTORY,
    RING,
    TEXTURE_BASE,
    TEXTURE_RING,
    TEXTURE_SPREAD,
    VALUES,
    WINDOW,
)

_QUANTUM = 1e-6  # variance of a feature kept in one byte, about


@njit(cache=True, nogil=True)
def _split(means, first, last, known, span, fallback) -> int:
    """Best split s in [first, last] of the `known` newest, newest first: up to `span` newer than s against as many older."""
    best, split = -1.0, fallback
    for s in range(first, last + 1):
        newest, oldest = max(0, s - span), min(known, s + span)
        newer, older = 0.0, 0.0
        for r in range(newest, s):
            newer += means[r]
        for r in range(s, oldest):
            older += means[r]
        a, b = s - newest, oldest - s
        gain = a * b / (a + b) * (newer / a - older / b) ** 2
        if gain > best:
            best, split = gain, s
    return split


@njit(cache=True, nogil=True)
def step_age(f, h, level) -> int:
    """Values since a shift of level, found at `level`."""
    both = 2 * WINDOW
    at = BLOCKS + level * RING
    age = _split(f[at : at + RING], 1, both - 1, both, both, 1) * (BASE << level)
    while level > 0:
        level -= 1
        block = BASE << level
        place = age // block
        if place + 3 > RING - 1:
            return age
        at = BLOCKS + level * RING
        age = _split(f[at : at + RING], max(1, place - 2), place + 2, RING, WINDOW, place) * block
    n = int(h[COUNT])
    values = np.empty(HISTORY, np.float32)
    for r in range(HISTORY):
        values[r] = f[VALUES + ((n - 1 - r) & (HISTORY - 1))]
    last = HISTORY - BASE - 1 if n >= HISTORY else n - 2 * BASE
    return _split(values, max(1, age - BASE), min(age + BASE, last), HISTORY, 2 * BASE, age)


@njit(cache=True, nogil=True)
def texture_age(f, u, level) -> int:
    """Values since a change of texture, found at `level`, to the block."""
    scale = level - TEXTURE_BASE
    at = scale * TEXTURE_RING * FEATURES
    best, split = -1.0, WINDOW
    for s in range(1, TEXTURE_RING):
        gain = 0.0
        for j in range(FEATURES):
            newer, older = 0.0, 0.0
            for r in range(s):
                newer += u[at + r * FEATURES + j]
            for r in range(s, TEXTURE_RING):
                older += u[at + r * FEATURES + j]
            difference = (newer / s - older / (TEXTURE_RING - s)) / 255.0
            gain += difference * difference / (f[TEXTURE_SPREAD + scale * FEATURES + j] + _QUANTUM)
        gain *= s * (TEXTURE_RING - s)
        if gain > best:
            best, split = gain, s
    return split * (BASE << level)
