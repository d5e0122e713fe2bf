"""What online intervals are compared with: the plain quantile tracker, ACI and split conformal, on absolute errors.

In all of them `errors` is (n, C), oldest first; row t is the error of the forecast of row t, made `delay` rows earlier, so
the half-width for row t may rest on rows up to t - delay only. Each returns half-widths (n, C), infinite before the first
error is known.
"""

import numpy as np

from eil_nvp.domain.telemetry.intervals import ConformalConfig, OnlineConformal
from eil_nvp.domain.telemetry.moments import Array


def quantile_tracker(
    errors: Array, delay: int = 1, level: float = 0.9, step: float = 0.05, recent: int = 100, warm: int = 100
) -> Array:
    """q += step · B · (miss - (1 - level)), B the largest |error| of the `recent` newest (Angelopoulos et al. 2023).

    It begins at the level-quantile of the first `warm` errors known; until then it is infinite.
    """
    sizes, out = np.abs(errors), np.full(errors.shape, np.inf)
    quantile = np.full(errors.shape[1], np.inf)
    for t in range(len(sizes)):
        known = t - delay
        if known + 1 == warm:
            quantile = np.quantile(sizes[:warm], level, axis=0)
        elif known >= warm:
            scale = sizes[max(0, known + 1 - recent) : known + 1].max(axis=0)
            quantile = quantile + step * scale * ((sizes[known] > out[known]) - (1.0 - level))
        out[t] = quantile
    return out


def adaptive_conformal(
    errors: Array, delay: int = 1, level: float = 0.9, step: float = 0.005, recent: int = 500
) -> Array:
    """ACI: the level asked of the `recent` newest errors' empirical quantile moves by `step` (Gibbs and Candès 2021).

    A quantile beyond the largest error, which ACI makes infinite, is 3 times the largest here, so that it has a width.
    """
    sizes, out = np.abs(errors), np.full(errors.shape, np.inf)
    asked = np.full(errors.shape[1], 1.0 - level)
    channels = np.arange(errors.shape[1])
    for t in range(delay, len(sizes)):
        known = t - delay
        asked += step * ((1.0 - level) - (sizes[known] > out[known])) if np.isfinite(out[known]).all() else 0.0
        window = np.sort(sizes[max(0, known + 1 - recent) : known + 1], axis=0)
        rank = np.ceil((len(window) + 1) * (1.0 - asked)).astype(int) - 1
        inside = window[np.clip(rank, 0, len(window) - 1), channels]
        out[t] = np.where(rank >= len(window), 3.0 * window[-1], np.where(rank < 0, 0.0, inside))
    return out


def split_conformal(held: Array, count: int, level: float = 0.9) -> Array:
    """(count, C): the ceil((n+1)·level)-th smallest |error| of the held-out rows (n, C), for ever (Lei et al. 2018)."""
    n = len(held)
    rank = int(np.ceil((n + 1) * level - 1e-9))
    if rank > n:
        raise ValueError(f"{n} held-out errors cannot support a {level:g} interval: give more")
    return np.tile(np.sort(np.abs(held), axis=0)[rank - 1], (count, 1))


def online_conformal(errors: Array, delay: int = 1, config: ConformalConfig | None = None) -> Array:
    """`OnlineConformal` in the form of the others; NaN errors teach nothing."""
    count, channels = errors.shape
    tracker, out = OnlineConformal(channels, (delay,), config=config), np.full(errors.shape, np.inf)
    nothing = np.full((1, channels), np.nan)
    for t in range(count + delay - 1):
        target = t + delay - 1
        # A forecast that misses a truth of 0 by the error.
        low, high = tracker.issue(-errors[target : target + 1] if target < count else nothing)
        if target < count:
            out[target] = (high - low)[0] / 2
        tracker.observe(np.zeros(channels))
    return out
