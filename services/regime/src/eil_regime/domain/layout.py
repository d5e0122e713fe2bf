"""Where the numbers of a channel lie in its flat state, and the time scales that they speak of.

A channel is three rows of numbers: `f` (float32), `u` (uint8) and `h` (float64), so that a hundred thousand streams are
three arrays, a stream is saved by copying its rows, and one compiled kernel serves every number of channels.
"""

from __future__ import annotations

BASE = 4
"""Values in the finest block."""
LEVELS = 9
"""Block lengths BASE·2^l: 4 … 1,024 values. A window is WINDOW blocks: 16 … 4,096 values."""
WINDOW = 4
"""Blocks in a window; a window is compared each time one more of its blocks is full."""
RING = 12
"""Newest block means kept at every level."""

FIRST_LAGS = 6
"""First differences at lags 1, 2, 4 … 32."""
SECOND_LAGS = (2, 8)
"""Lags of second differences, x(t) − 2x(t−k) + x(t−2k)."""
DIFFERENCES = FIRST_LAGS + len(SECOND_LAGS)
HISTORY = 32
"""Newest values kept, for the differences and for placing an onset to the row."""
FEATURES = 2 * DIFFERENCES + 2
"""Texture features: two thresholds for each difference, and two couplings with the next channel."""
TEXTURE_BASE = 3
"""Texture is compared from this level on (blocks of 32 values, windows of 128)."""
TEXTURE_LEVELS = 4
TEXTURE_RING = 6
"""Newest texture blocks kept at every level, one byte a feature."""

# f: float32
BLOCKS = 0
SPREAD = BLOCKS + LEVELS * RING
"""Winsorised mean square of the difference of adjacent windows, by level."""
SPREAD_PLAIN = SPREAD + LEVELS
USUAL = SPREAD_PLAIN + LEVELS
"""Largest statistic that was no shift, fading, by level: the tail that this channel usually has."""
COMPARED = USUAL + LEVELS
"""Comparisons so far, by level, up to the memory."""
SCALES = COMPARED + LEVELS
"""Mean absolute difference, by lag."""
VALUES = SCALES + DIFFERENCES
SUM = VALUES + HISTORY
FEATURE_SUMS = SUM + 1
"""Of the texture block being filled."""
REGIME_SUMS = FEATURE_SUMS + FEATURES
"""Features summed since the regime began."""
TEXTURE_SPREAD = REGIME_SUMS + FEATURES
TEXTURE_USUAL = TEXTURE_SPREAD + TEXTURE_LEVELS * FEATURES
TEXTURE_COMPARED = TEXTURE_USUAL + TEXTURE_LEVELS
NORMALISED = TEXTURE_COMPARED + TEXTURE_LEVELS
"""Newest difference at lags 1 and 16, over its scale: what the couplings multiply."""
LEANING = NORMALISED + 2
"""Fading mean sign of the differences of adjacent windows of LEANING_LEVEL: ±1 is a steady trend."""
LEANING_LEVEL = 3
LEVEL_FAST = LEANING + 1
"""Fading mean of the values, from which the moments of the early warning are taken."""
MOMENTS = LEVEL_FAST + 1
"""Variance and lag-1 covariance of block means: recent, then of long standing; and the block mean before."""
LOWEST = MOMENTS + 5
HIGHEST = LOWEST + 1
OUTSIDE = HIGHEST + 1
"""Consecutive values far outside the range seen."""
FLOATS = OUTSIDE + 1

# u: uint8
BYTES = TEXTURE_LEVELS * TEXTURE_RING * FEATURES

# h: float64
ORIGIN = 0
"""First value: everything in `f` is relative to it, so that float32 suffices."""
COUNT = 1
"""Values taken."""
ONSET = 2
"""Values before the present regime."""
FEATURED = 3
"""Values in REGIME_SUMS and the block being filled."""
ABSENT = 4
"""Rows since the last value."""
MISSING = 5
"""Values owed: NaN, infinite or absent."""
PENDING = 6
"""Evidence beyond the threshold of the newest comparisons (never positive: then it is a shift); it fades while there are none."""
DOUBLES = 7

# s: float64, of the source
ROWS = 0
ONSET_ROW = 1
"""Rows before the present regime."""
REPORTED_ROW = 2
"""Rows before the report of the latest shift; −inf before any."""
REGIME = 3
"""Number of the present regime."""
NAMED = 4
"""Numbers given so far."""
LABEL = 5
NEXT = 6
"""Number of the likeliest regime a horizon ahead."""
CONFIDENCE = 7
SOURCE = 8
