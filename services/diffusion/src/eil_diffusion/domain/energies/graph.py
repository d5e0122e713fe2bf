"""Coupled levels on a graph: what is linked wants to be alike, and pulls hold it near targets."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from eil_diffusion.domain.energies.user_quadratic import DenseQuadratic, Vector, box, numbers, per_coordinate

MOST_NODES = 1024


class GraphEnergy(DenseQuadratic):
    """E(x) = ½Σ_edges w(x_i - x_j)² + ½Σ_i k_i(x_i - h_i)², x (nodes,), in whatever unit the numbers have.

    `edges` are rows (i, j, w), nodes counted from zero, whose weights add up where repeated; `pull` is k and `target` h,
    one number for all or one a node. `nodes` may be left out where `pull` is a list. Without pull somewhere in every
    connected component the energy would be flat along the component's mean, and log Z infinite.

    Raises ValueError on wrong shapes, non-finite numbers, negative weights or pulls, an edge to itself or to no node,
    more than 1024 nodes, a box with its sides swapped, or a component without pull.
    """

    def __init__(
        self,
        edges: Sequence[Sequence[float]] | Tensor,
        pull: Vector,
        target: Vector = 0.0,
        *,
        nodes: int | None = None,
        lower: Vector | None = None,
        upper: Vector | None = None,
    ) -> None:
        given = numbers("pull", pull)
        if nodes is None and given.ndim == 0:
            raise ValueError("pull is one number and nodes left out: give nodes, or one pull for each node")
        count = len(given) if nodes is None else nodes
        if not 1 <= count <= MOST_NODES:
            raise ValueError(f"the graph has {count} nodes: give between 1 and {MOST_NODES}")
        pulls, targets = per_coordinate("pull", given, count), per_coordinate("target", target, count)
        if bool((pulls < 0).any()):
            at = int(pulls.argmin())
            raise ValueError(f"the pull of node {at} is {float(pulls[at]):g}: give zero or more")
        left, right, weights = _edges(edges, count)
        _require_pull(left, right, weights, pulls)
        adjacency = torch.zeros(count, count, dtype=torch.float64)
        adjacency.index_put_((torch.cat([left, right]), torch.cat([right, left])), weights.repeat(2), accumulate=True)
        remedy = "the pulls are too weak beside the weights to be told from zero; strengthen the weakest"
        matrix = torch.diag(adjacency.sum(dim=1) + pulls) - adjacency
        super().__init__(matrix, pulls * targets, *box(lower, upper, count), remedy)
        # Summed as the formula is, so that a graph at rest on its targets has exactly no energy left.
        strain = 0.5 * float((weights * (self.mean[left] - self.mean[right]) ** 2).sum())
        self.offset = strain + 0.5 * float((pulls * (self.mean - targets) ** 2).sum())


def _edges(edges: Any, nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Both ends (edges,) int64 and the weights (edges,) of rows (i, j, w)."""
    table = numbers("edges", edges)
    if table.numel() == 0:
        table = table.reshape(0, 3)
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError(f"edges have shape {tuple(table.shape)}: give rows of two nodes and a weight")
    ends, weights = table[:, :2], table[:, 2]
    known = ((ends >= 0) & (ends < nodes) & (ends == ends.floor())).all(dim=1)
    wrong = ~known | (ends[:, 0] == ends[:, 1]) | (weights < 0)
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        i, j, w = table[at].tolist()
        raise ValueError(
            f"edge {at} is ({i:g}, {j:g}, {w:g}): give two different nodes between 0 and {nodes - 1} "
            "and a weight of zero or more"
        )
    return ends[:, 0].long(), ends[:, 1].long(), weights


def _require_pull(left: Tensor, right: Tensor, weights: Tensor, pulls: Tensor) -> None:
    """Raises ValueError naming a node that no edge of positive weight joins, near or far, to a node with pull."""
    linked = weights > 0
    a, b = torch.cat([left[linked], right[linked]]), torch.cat([right[linked], left[linked]])
    held = pulls > 0
    reached = -1
    while int(held.sum()) > reached:
        reached = int(held.sum())
        held[b[held[a]]] = True
    if reached < len(pulls):
        node = int((~held).nonzero()[0])
        raise ValueError(
            f"nothing pulls node {node} or any node joined to it, so their common level is free and the energy flat: "
            "give one of them a positive pull, or join them to a node that has one"
        )
