"""How low a convex quadratic with a fixed charge for every coordinate above zero can fall: branch and bound, best first."""

import heapq
import itertools

import numpy as np
from numpy.typing import NDArray

from eil_diffusion.domain.optimise_qp import Array, minimise_pairs

# Nodes branched at once: together their programmes cost little more than one.
BATCH = 16
# Of pairs in a programme, at most: its excess is subtracted in any case, and its children go on from where it ended.
MOVES = 1000
# A load nearer to 0 or 1 than this is there: nothing is to be won by branching on it.
WHOLE = 1e-9

Mask = NDArray[np.bool_]


def fixed_charge_bound(
    charge: Array, linear: Array, hessian: Array, weights: Array, total: float, start: Array, nodes: int
) -> float:
    """A proven lower bound of Σ charge·[x > 0] + linear·x + ½xᵀ·hessian·x over 0 ≤ x ≤ 1, Σ weights·x = total.

    Where nothing is decided of a coordinate it is charged charge·x, the largest convex function below charge·[x > 0] in
    the box. That is a convex programme, and its minimum, less the proven excess of the solution, bounds a node. The node
    of the lowest bound is split by the coordinate that is charged too little by most: into always charged, and zero.
    When that node is charged in full its bound is the optimum; after `nodes` of them it is what is proven so far. Alike
    coordinates defeat the search, so that the fewest that can carry the total, at the lowest charges, are tried as well.

    Args:
        charge, linear, weights, start: (n,); charges not negative, weights positive.
        hessian: (n, n), symmetric positive semidefinite.
        total: from zero to the sum of weights.
    """
    count = itertools.count()

    def solved(on: Mask, off: Mask, first: Array) -> list[tuple[float, int, Mask, Mask, Array, Array]]:
        """Nodes of these (k, n) decisions that can carry the total: bound, order, decisions, undercharges and solution."""
        able = (~off) @ weights >= total * (1 - 1e-12)
        on, off, first = on[able], off[able], first[able]
        cost = linear + np.where(on, 0.0, charge)
        x, excess = minimise_pairs(cost, hessian, weights, (~off).astype(np.float64), total, first, MOVES)
        bounds = (on @ charge) + (cost * x).sum(axis=1) + 0.5 * ((x @ hessian) * x).sum(axis=1) - excess
        short = np.where(on | (x < WHOLE), 0.0, charge * (1 - x))
        return [(float(bounds[k]), next(count), on[k], off[k], short[k], x[k]) for k in range(len(x))]

    none = np.zeros((1, len(charge)), dtype=bool)
    fewest = _fewest_charges(charge, weights, total)
    if fewest > 0:
        spread, excess = minimise_pairs(linear, hessian, weights, np.ones((1, len(charge))), total, start, MOVES)
        fewest += float(linear @ spread[0] + 0.5 * spread[0] @ hessian @ spread[0]) - float(excess[0])
    frontier = solved(none, none, start[None])
    while next(count) < nodes:
        split = [heapq.heappop(frontier) for _ in range(min(BATCH, len(frontier)))]
        settled = [node for node in split if float(node[4].max()) <= WHOLE * float(charge.max())]
        if settled and settled[0] is split[0]:
            return max(settled[0][0], fewest)
        on, off, first = [], [], []
        for _, _, charged, zero, short, x in (node for node in split if all(node is not done for done in settled)):
            chosen = np.arange(len(short)) == short.argmax()
            on += [charged | chosen, charged]
            off += [zero, zero | chosen]
            first += [x, x]
        for node in settled + solved(np.array(on), np.array(off), np.array(first)):
            heapq.heappush(frontier, node)
    return max(frontier[0][0], fewest)


def _fewest_charges(charge: Array, weights: Array, total: float) -> float:
    """The lowest charges of as many coordinates as the total takes at least."""
    reached = np.cumsum(np.sort(weights)[::-1])
    count = min(int(np.searchsorted(reached, total * (1 - 1e-12))) + 1, len(charge)) if total > 0 else 0
    return float(np.sort(charge)[:count].sum())
