"""Where the nodes of a graph are drawn: springs from a circle, so that the same links always lie the same."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = (60, 500)
"""Fewest and most rounds of the springs."""
MOST_PUSHES = 1_500_000
"""Pairs of nodes that push each other apart, in all rounds: about a tenth of a second."""


def spring_layout(nodes: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Places (nodes, 2) within ±1: links pull, everything else pushes, from a circle and for a fixed number of rounds. What no link holds
    stands in a line beneath.

    T. Fruchterman, E. Reingold: Graph drawing by force-directed placement, 1991.
    """
    i, j = np.asarray(edges, dtype=np.intp).reshape(-1, 2).T
    held, loose = np.unique((i, j)), np.setdiff1d(np.arange(nodes), (i, j))
    at = np.zeros((nodes, 2))
    if not held.size:
        angles = np.pi / 2 - 2 * np.pi * np.arange(nodes) / nodes
        return np.stack((np.cos(angles), np.sin(angles)), axis=1) if nodes > 1 else at
    angles = 2 * np.pi * np.arange(held.size) / held.size
    springs = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    i, j, ideal = np.searchsorted(held, i), np.searchsorted(held, j), (4.0 / held.size) ** 0.5
    for heat in np.linspace(0.2, 0.005, int(np.clip(MOST_PUSHES / nodes**2, *ROUNDS))):
        apart = springs[:, None] - springs[None]
        distance2 = np.maximum(np.sum(apart**2, axis=2), 1e-4)
        force = np.sum(apart * (ideal**2 / distance2)[:, :, None], axis=1)
        pull = (springs[i] - springs[j]) * np.sqrt(distance2[i, j])[:, None] / ideal
        np.add.at(force, i, -pull)
        np.add.at(force, j, pull)
        force -= springs * 0.3 * ideal  # parts that no link joins stay on the picture
        length = np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        springs = springs + force / length * np.minimum(length, heat)
    springs -= springs.mean(axis=0)
    _, axes = np.linalg.eigh(springs.T @ springs)
    springs = springs @ axes[:, ::-1]  # a picture is wider than high
    springs *= np.where(springs[0] < 0, -1.0, 1.0)
    springs -= (springs.max(axis=0) + springs.min(axis=0)) / 2
    springs /= np.maximum(np.abs(springs).max(axis=0), 1e-9)
    if loose.size:
        at[loose] = np.stack((np.linspace(-1, 1, loose.size + 2)[1:-1], np.full(loose.size, -1.0)), axis=1)
        springs[:, 1] = 0.2 + 0.8 * springs[:, 1]
    at[held] = springs
    return at
