"""Coloured noise made white by an autoregression."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_MAX_ORDER = 16


def whitened(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (n, c) less what the autoregression ``weights`` (p,) foretells of each: (n − p, c); none of a stretch of p rows or less."""
    order = weights.size
    if order == 0:
        return rows
    white = rows[order:].copy()
    for lag, weight in enumerate(weights.tolist(), start=1):
        white -= weight * rows[order - lag : rows.shape[0] - lag]
    return white


def autoregression(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Yule–Walker weights, of the order (0 to 16) with the least AIC, for noise seen in stretches; Levinson–Durbin recursion."""
    lags = np.zeros(_MAX_ORDER + 1)
    for part in parts:
        lags += [part[lag:] @ part[: part.size - lag] for lag in range(lags.size)]
    variance = lags[0]
    weights = best = np.zeros(0)
    if variance <= 0:
        return best
    count = sum(part.size for part in parts)
    best_score = count * math.log(variance)
    for order in range(1, _MAX_ORDER + 1):
        reflection = (lags[order] - weights @ lags[order - 1 : 0 : -1]) / variance
        weights = np.append(weights - reflection * weights[::-1], reflection)
        variance *= 1 - reflection**2
        if not variance > 0:
            break
        score = count * math.log(variance) + 2 * order
        if score < best_score:
            best, best_score = weights, score
    return best
