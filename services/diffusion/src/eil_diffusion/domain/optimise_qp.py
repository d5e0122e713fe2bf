"""Convex quadratics over 0 ≤ x ≤ upper and Σ weights·x = total, solved pair by pair, each with a certificate.

Two coordinates at a time are moved along the total, to the exact minimum between them: sequential minimal optimisation
(Platt 1998) with the second-order choice of the pair (Fan, Chen & Lin 2005). It needs no strict convexity, reaches a
linear programme's vertex in finitely many moves, and starts where the last solution ended.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_MOVES = 200_000
# No pair moves when its marginal costs differ by less than this share of the largest.
TOLERANCE = 1e-11
# The total is met when it is off by less than this share.
ROUNDING = 1e-15


def minimise_pairs(
    linear: Array,
    hessian: Array,
    weights: Array,
    uppers: Array,
    total: float,
    start: Array,
    moves: int = MOST_MOVES,
) -> tuple[Array, Array]:
    """Minimise linear·x + ½xᵀ·hessian·x for each of k boxes: (k, n) minimisers, and (k,) proven bounds on their excess.

    Args:
        linear, start: (n,), or (k, n) for each box its own.
        weights: (n,), positive.
        hessian: (n, n), symmetric positive semidefinite.
        uppers: (k, n), k ≥ 0, upper bounds, at least zero, of which weights·upper reaches the total.
        total: at least zero.
        moves: of pairs, at most, for each box; what they leave undone is within the proven excess.
    """
    x = np.clip(start, 0.0, uppers)
    marginal = (linear + x @ hessian) / weights
    # In z = weights·x the total is a plain sum, and the Hessian is this.
    bend = np.ascontiguousarray(hessian / np.outer(weights, weights))
    z, room = x * weights, uppers * weights
    for k in range(len(z)):
        _fill(bend, room[k], float(total), z[k], marginal[k])
        _settle(bend, room[k], z[k], marginal[k], moves)
    x = np.minimum(z / weights, uppers)
    return x, excess_of(weights, uppers, total, x, linear + x @ hessian)


def excess_of(weights: Array, uppers: Array, total: float, x: Array, gradient: Array) -> Array:
    """g·x - min g·y over the feasible y, for each of the k rows of x and its gradient g, both (k, n).

    By convexity no less than what x costs above the optimum (Frank & Wolfe 1956). The cheapest y fills the coordinates
    in the order of their marginal cost.
    """
    order = np.argsort(gradient / weights, axis=1)
    room = np.take_along_axis(uppers * weights, order, axis=1)
    filled = np.diff(np.minimum(np.cumsum(room, axis=1), total), axis=1, prepend=0.0)
    least = (np.take_along_axis(gradient / weights, order, axis=1) * filled).sum(axis=1)
    return np.maximum(0.0, (gradient * x).sum(axis=1) - least)


# Plain loops: they compile in a fraction of the time that array expressions take.
@njit(cache=True, nogil=True)
def _fill(bend, room, total, z, marginal):
    """Meet the total: raise where it costs least, or lower where it spares most, one coordinate after the other."""
    n = len(z)
    for _ in range(2 * n):
        missing = total
        for i in range(n):
            missing -= z[i]
        if abs(missing) <= ROUNDING * total:
            return
        chosen, least = -1, np.inf
        for i in range(n):
            free = room[i] - z[i] if missing > 0.0 else z[i]
            cost = marginal[i] if missing > 0.0 else -marginal[i]
            if free > 0.0 and cost < least:
                chosen, least = i, cost
        if chosen < 0:
            return
        before = z[chosen]
        z[chosen] = min(max(before + missing, 0.0), room[chosen])
        for i in range(n):
            marginal[i] += bend[chosen, i] * (z[chosen] - before)


@njit(cache=True, nogil=True)
def _settle(bend, room, z, marginal, moves):
    """Move the pair that gains most, until every coordinate that can rise costs as much as every one that can fall."""
    n = len(z)
    for _ in range(moves):
        up, cheapest, size = -1, np.inf, 0.0
        for i in range(n):
            size = max(size, abs(marginal[i]))
            if z[i] < room[i] and marginal[i] < cheapest:
                up, cheapest = i, marginal[i]
        if up < 0:
            return
        down, most, move = -1, 0.0, 0.0
        for j in range(n):
            spread = marginal[j] - cheapest
            if z[j] <= 0.0 or spread <= TOLERANCE * size:
                continue
            curvature = max(bend[up, up] + bend[j, j] - 2.0 * bend[up, j], 0.0)
            free = min(room[up] - z[up], z[j])
            length = spread / curvature if curvature * free > spread else free
            gain = length * (spread - 0.5 * curvature * length)
            if gain > most:
                down, most, move = j, gain, length
        if down < 0:
            return
        # A move that ends on a bound ends there exactly, or rounding would repeat it.
        before_up, before_down = z[up], z[down]
        z[up] = room[up] if move >= room[up] - before_up else before_up + move
        z[down] = 0.0 if move >= before_down else before_down - move
        for i in range(n):
            marginal[i] += bend[up, i] * (z[up] - before_up) + bend[down, i] * (z[down] - before_down)
