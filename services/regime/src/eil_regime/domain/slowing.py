"""Critical slowing down: whether a channel swings more and recovers more slowly than it used to (Scheffer et al. 2009)."""

from __future__ import annotations

import math

import numpy as np
from eil_physics import chi_m, effective_samples_variance, unbiased_rho
from numpy.typing import NDArray

STRETCH = 128
"""Blocks in a stretch whose memory is compared with that of earlier ones."""
_MEMORY_BLOCK = 8
_RELATIVE_FLOOR = 1e-3  # smallest deviation believed in, as a share of the level: constants and quantised sensors


def memory(values: NDArray[np.float64]) -> list[float] | None:
    """ln variance, arctanh ρ, ln χ_m of a stretch and the standard error of each; None of a channel at rest.

    ``values`` are the means of ``STRETCH`` blocks, in any unit.
    """
    floor = _RELATIVE_FLOOR * float(np.abs(values).max())
    # A stretch of a daily cycle is no line, and its bow would pass for a long memory.
    rest = values - _PARABOLA @ (_PARABOLA.T @ values)
    variance = float(rest @ rest) / STRETCH
    if variance <= floor**2 + 1e-24:
        return None
    rho = float(unbiased_rho(float(rest[1:] @ rest[:-1]) / (STRETCH - 1) / variance, STRETCH))
    slow = chi_m(rest, _MEMORY_BLOCK)
    if slow.value <= 0:
        return None
    return [
        math.log(variance), math.atanh(rho), math.log(slow.value),
        math.sqrt(2 / float(effective_samples_variance(STRETCH, rho))), 1 / math.sqrt(STRETCH * (1 - rho**2)),
        slow.standard_error / slow.value,
    ]  # fmt: skip


def rise(now: list[float], earlier: list[list[float]]) -> float:
    """Significance with which variance, ρ and χ_m have all risen above those of earlier stretches; 0 unless all have.

    Each rise counts against its own error and the spread of the earlier values. The three are correlated, about one half under
    an AR(1), so that their sum has the standard deviation √6.
    """
    past = np.array(earlier)[:, :3]
    middle = _median(past)
    spread = 1.4826 * _median(np.abs(past - middle))
    # 1.57 is the variance of a median over that of a mean.
    error = np.sqrt(np.square(now[3:]) * (1 + 1.57 / len(earlier)) + spread**2)
    z = (np.array(now[:3]) - middle) / error
    return float(z.sum()) / math.sqrt(6) if z.min() > 0 else 0.0


def _median(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(rows, axis=0)
    return (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2


_PARABOLA = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, STRETCH), 3))[0]
