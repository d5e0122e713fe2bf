"""Signs that come before a shift, or instead of one: a value far outside, rising variance and memory, a steady trend.

Rising variance together with rising lag-1 autocorrelation is critical slowing down (Scheffer et al., Nature 461, 53, 2009). Both
are taken over block means around their own fading mean, recent (512 values) against long standing (4,096).
"""

from __future__ import annotations

from numba import njit

from .layout import BASE, BLOCKS, COUNT, HIGHEST, LEANING, LEVEL_FAST, LOWEST, MOMENTS, ORIGIN, OUTSIDE

QUIET, LEANS, SLOWS, STANDS_OUT = 0, 1, 2, 3
"""What a channel shows, worst last."""
_RANGE_KNOWN = 64  # values before a range means anything
_RANGE_MARGIN = 1.0  # spans beyond the range seen
_OUTSIDE = 3  # consecutive values far outside that are more than a spike
_MEAN_SHARE, _RECENT_SHARE, _LONG_SHARE = 1 / 16, 1 / 128, 1 / 1024
_MOMENTS_KNOWN = 4096
_VARIANCE_RISE = 2.0
_MEMORY_RISE = 0.25  # of what is left to 1
_STEADY = 0.98


@njit(cache=True, nogil=True)
def watch_value(f, h, x) -> None:
    """Follow the range of a channel; to be called after the value was taken."""
    x -= h[ORIGIN]
    n = h[COUNT]
    if n <= 1.0:
        f[LOWEST] = x
        f[HIGHEST] = x
    span = f[HIGHEST] - f[LOWEST]
    far = x > f[HIGHEST] + _RANGE_MARGIN * span or x < f[LOWEST] - _RANGE_MARGIN * span
    f[OUTSIDE] = f[OUTSIDE] + 1.0 if far and n > _RANGE_KNOWN and span > 0.0 else 0.0
    if f[OUTSIDE] < 1.0 or f[OUTSIDE] > 4.0 * _OUTSIDE:
        f[LOWEST] = min(f[LOWEST], x)
        f[HIGHEST] = max(f[HIGHEST], x)


@njit(cache=True, nogil=True)
def watch_block(f) -> None:
    """Follow the moments of block means; to be called when a block of BASE values is full."""
    f[LEVEL_FAST] += (f[BLOCKS] - f[LEVEL_FAST]) * _MEAN_SHARE
    e = f[BLOCKS] - f[LEVEL_FAST]
    square, product = e * e, e * f[MOMENTS + 4]
    f[MOMENTS] += (square - f[MOMENTS]) * _RECENT_SHARE
    f[MOMENTS + 1] += (product - f[MOMENTS + 1]) * _RECENT_SHARE
    f[MOMENTS + 2] += (square - f[MOMENTS + 2]) * _LONG_SHARE
    f[MOMENTS + 3] += (product - f[MOMENTS + 3]) * _LONG_SHARE
    f[MOMENTS + 4] = e


@njit(cache=True, nogil=True)
def sign_of(f, h) -> int:
    """The worst that a channel shows now."""
    if f[OUTSIDE] >= _OUTSIDE:
        return STANDS_OUT
    if h[COUNT] > _MOMENTS_KNOWN and f[MOMENTS] > _VARIANCE_RISE * f[MOMENTS + 2] > 0.0:
        long = f[MOMENTS + 3] / f[MOMENTS + 2]
        if f[MOMENTS + 1] / f[MOMENTS] > long + _MEMORY_RISE * (1.0 - long):
            return SLOWS
    return LEANS if abs(f[LEANING]) > _STEADY and h[COUNT] > _RANGE_KNOWN * BASE else QUIET
