"""χ_m, the early warning: how much slower than white noise a channel forgets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MIN_BLOCKS = 8
_ERROR_LAGS = 2  # neighbouring blocks of a slow channel are correlated; beyond two blocks of useful length they are not


@dataclass(frozen=True)
class ChiM:
    """χ_m of a channel; white noise has 1, an AR(1) tends to (1+ρ)/(1−ρ) for large m."""

    value: float
    standard_error: float
    block: int
    """m, samples per block."""
    blocks: int


def chi_m(values: ArrayLike, block: int = 16, *, detrend: bool = True) -> ChiM:
    """χ_m = m·Var(block means)/Var(x) of a channel (n,), over its n // m whole blocks of m = ``block`` samples.

    With ``detrend`` a straight line is taken off first, since a trend would pass for slowing down. The standard error
    is that of a ratio of block sums, with the correlation of up to two neighbouring blocks (Bartlett weights). Raises
    ValueError for fewer than 8 whole blocks, a block of less than 2 samples, values that are not finite, or a
    constant channel.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not np.all(np.isfinite(x)):
        raise ValueError("χ_m needs a vector of finite values: drop missing samples")
    if block < 2:
        raise ValueError(f"a block of {block} samples has no mean of its own: give at least 2")
    blocks = x.size // block
    if blocks < _MIN_BLOCKS:
        raise ValueError(f"{x.size} samples make {blocks} blocks of {block}: give at least {_MIN_BLOCKS} blocks")
    x = x[x.size - blocks * block :]
    lost = 2 if detrend else 1
    x = _without_line(x) if detrend else x - x.mean()
    total = float(x @ x)
    if total <= 1e-24 * x.size * max(1.0, float(np.max(np.abs(np.asarray(values)))) ** 2):
        raise ValueError("the channel is constant: χ_m compares fluctuations and there are none")
    table = x.reshape(blocks, block)
    between = block * table.mean(axis=1) ** 2
    within = np.mean(table**2, axis=1)
    # Unbiased for white noise: each variance loses the parameters taken off, among blocks and among samples.
    unbias = blocks / (blocks - lost) * (x.size - lost) / x.size
    raw = float(between.sum() / within.sum())
    return ChiM(raw * unbias, unbias * _ratio_error(between - raw * within, float(within.mean())), block, blocks)


def chi_m_ar1(rho: float, block: int) -> float:
    """Exact χ_m of an AR(1) with |ρ| < 1: (1+ρ)/(1−ρ) − 2ρ(1−ρᵐ)/(m(1−ρ)²). Raises ValueError for other ρ or m < 1."""
    if not -1 < rho < 1 or block < 1:
        raise ValueError(f"ρ = {rho} and m = {block}: a stationary AR(1) needs |ρ| < 1, and a block at least 1 sample")
    return (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**block) / (block * (1 - rho) ** 2)


def _without_line(x: NDArray[np.float64]) -> NDArray[np.float64]:
    ramp = np.arange(x.size) - (x.size - 1) / 2
    centred = x - x.mean()
    return centred - ramp * (ramp @ centred) / (ramp @ ramp)


def _ratio_error(deviation: NDArray[np.float64], denominator: float) -> float:
    """Standard error of a ratio of means from its linearised per-block deviations."""
    count = deviation.size
    variance = float(deviation @ deviation)
    for lag in range(1, _ERROR_LAGS + 1):
        variance += 2 * (1 - lag / (_ERROR_LAGS + 1)) * float(deviation[lag:] @ deviation[:-lag])
    return math.sqrt(max(variance, 0.0)) / (count * denominator)
