"""Where a change began: the split of the newest blocks that tells their two sides apart best, then finer and finer."""

from __future__ import annotations

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
def _block_split(f, level, first, last, known, span) -> int:
    """Best split s in [first, last] of the newest `known` block means: up to `span` blocks newer than s against as many older."""
    at = BLOCKS + level * RING
    best, split = -1.0, first
    for s in range(first, last + 1):
        newest, oldest = max(0, s - span), min(known, s + span)
        newer, older = 0.0, 0.0
        for r in range(newest, s):
            newer += f[at + r]
        for r in range(s, oldest):
            older += f[at + r]
        a, b = s - newest, oldest - s
        gain = a * b / (a + b) * (newer / a - older / b) ** 2
        if gain > best:
            best, split = gain, s
    return split


@njit(cache=True, nogil=True)
def step_age(f, h, level) -> int:
    """Values since a shift of level, found at `level`."""
    both = 2 * WINDOW
    age = _block_split(f, level, 1, both - 1, both, both) * (BASE << level)
    while level > 0:
        level -= 1
        block = BASE << level
        place = age // block
        if place + 3 > RING - 1:
            return age
        age = _block_split(f, level, max(1, place - 2), place + 2, RING, WINDOW) * block
    return _value_split(f, int(h[COUNT]), age)


@njit(cache=True, nogil=True)
def _value_split(f, n, age) -> int:
    """As `_block_split`, over single values around `age`."""
    best, split = -1.0, age
    for s in range(max(1, age - BASE), min(age + BASE + 1, HISTORY - BASE)):
        newest, oldest = max(0, s - 2 * BASE), min(HISTORY, s + 2 * BASE)
        if oldest > n:
            break
        newer, older = 0.0, 0.0
        for r in range(newest, s):
            newer += f[VALUES + ((n - 1 - r) & (HISTORY - 1))]
        for r in range(s, oldest):
            older += f[VALUES + ((n - 1 - r) & (HISTORY - 1))]
        a, b = s - newest, oldest - s
        gain = a * b / (a + b) * (newer / a - older / b) ** 2
        if gain > best:
            best, split = gain, s
    return split


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
