"""The heat kernel exp(−tL) as a covariance: how much two spots have in common after heat has spread for a time t.

L is the Laplacian of a grid of cells with free boundaries (nothing flows out of a hall), or of a graph of links. Both kernels are scaled to
a mean variance of 1, so that an amplitude is the standard deviation of a field. They are positive definite for every t > 0.

R. Kondor, J. Lafferty: Diffusion kernels on graphs and other discrete structures, ICML 2002.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_CELLS = 128
"""Cells along one side of a grid."""
MOST_NODES = 2000
"""Nodes of a graph: its kernel takes one eigendecomposition of that size, about three seconds of one core."""
AXIS_TIMES = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0)
"""Diffusion times tried along an axis [steps²]; heat spreads √(2t) steps."""
GRAPH_TIMES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Diffusion times tried on a graph whose links weigh 1 on average."""

Times = tuple[float, float]
"""Diffusion times along rows and along racks; on a graph the same one twice."""
Spots = NDArray[np.intp]
"""Numbers of cells or nodes."""


class Kernel(Protocol):
    """A covariance between spots, for each of a few diffusion times."""

    @property
    def times(self) -> Sequence[Times]:
        """Diffusion times to choose from."""
        ...

    def covariance(self, times: Times, a: Spots, b: Spots) -> NDArray[np.float64]:
        """Covariance (len(a), len(b)) between spots, of mean variance 1."""
        ...

    def variance(self, times: Times, a: Spots) -> NDArray[np.float64]:
        """Variance (len(a),) at spots: `covariance`'s diagonal."""
        ...


@dataclass(frozen=True, slots=True)
class Axis:
    """Cells along one side: the first begins half a step of the hall before the first place, the last ends half a step after the last."""

    begin: float
    """Lower edge of the first cell [steps]."""
    step: float
    """Width of a cell [steps]."""
    cells: int

    @classmethod
    def over(cls, places: ArrayLike, cells: int = 0) -> "Axis":
        """The axis over coordinates (n,), n ≥ 1 [steps], by default with a cell for each step.

        Raises:
            ValueError: more than MOST_CELLS cells are asked for.
        """
        if cells > MOST_CELLS:
            raise ValueError(f"{cells} cells along a side: a map has at most {MOST_CELLS}")
        given = np.asarray(places, dtype=np.float64)
        low, length = float(given.min()), float(np.ptp(given)) + 1.0
        cells = cells or min(MOST_CELLS, max(1, round(length)))
        return cls(low - 0.5, length / cells, cells)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Coordinates of the cells' centres (cells,) [steps]."""
        return self.begin + (np.arange(self.cells, dtype=np.float64) + 0.5) * self.step

    @property
    def times(self) -> tuple[float, ...]:
        """Diffusion times to choose from; a single cell has nowhere to spread to."""
        return tuple(time * max(1.0, self.step) ** 2 for time in AXIS_TIMES) if self.cells > 1 else AXIS_TIMES[:1]

    def cell_of(self, places: ArrayLike) -> Spots:
        """Numbers of the cells that coordinates (n,) lie in."""
        inside = np.floor((np.asarray(places, dtype=np.float64) - self.begin) / self.step)
        return np.clip(inside, 0, self.cells - 1).astype(np.intp)


@lru_cache(maxsize=64)
def path_kernel(cells: int, step: float, time: float) -> NDArray[np.float64]:
    """exp(−tL) (cells, cells) of a row of cells with free ends, L = tridiag(−1, 2, −1)/step² with 1/step² at its corners.

    Its eigenvectors are the rows of the orthonormal cosine transform (DCT-II), its eigenvalues 2(1 − cos(πk/cells))/step². `time` and
    `step`² are in the same unit. Do not write to what is returned: it is kept.
    """
    order = np.arange(cells)
    modes = np.cos(np.pi * np.outer(order, order + 0.5) / cells) * np.sqrt(np.where(order == 0, 1, 2) / cells)[:, None]
    rates = 2 * (1 - np.cos(np.pi * order / cells)) / step**2
    return (modes.T * np.exp(-time * rates)) @ modes


@dataclass(frozen=True)
class GridKernel:
    """Cells of rows × racks, numbered row by row. L is the sum of both axes' Laplacians, so that exp(−tL) is a product of theirs."""

    rows: Axis
    racks: Axis

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.rows.cells * self.racks.cells

    @property
    def times(self) -> Sequence[Times]:
        """Every pair of times of the axes: heat spreads along an aisle farther than across it."""
        return tuple(itertools.product(self.rows.times, self.racks.times))

    def spots(self, rows: ArrayLike, racks: ArrayLike) -> Spots:
        """Numbers of the cells at coordinates (n,)."""
        return self.rows.cell_of(rows) * self.racks.cells + self.racks.cell_of(racks)

    def covariance(self, times: Times, a: Spots, b: Spots) -> NDArray[np.float64]:
        """See Kernel."""
        (along_rows, along_racks), n = self._factors(times), self.racks.cells
        return along_rows[np.ix_(a // n, b // n)] * along_racks[np.ix_(a % n, b % n)]

    def variance(self, times: Times, a: Spots) -> NDArray[np.float64]:
        """See Kernel."""
        (along_rows, along_racks), n = self._factors(times), self.racks.cells
        return along_rows.diagonal()[a // n] * along_racks.diagonal()[a % n]

    def _factors(self, times: Times) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        along_rows, along_racks = (
            path_kernel(axis.cells, axis.step, time) for axis, time in zip((self.rows, self.racks), times, strict=True)
        )
        return along_rows / along_rows.diagonal().mean(), along_racks / along_racks.diagonal().mean()


def laplacian(nodes: int, edges: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """L = D − W (nodes, nodes) of undirected edges (m, 2) with weights (m,) ≥ 0, which add up where a pair comes twice."""
    i, j = np.asarray(edges, dtype=np.intp).reshape(-1, 2).T
    adjacency = np.zeros((nodes, nodes))
    np.add.at(adjacency, (i, j), np.asarray(weights, dtype=np.float64))
    adjacency += adjacency.T
    np.fill_diagonal(adjacency, 0.0)  # a link to itself carries nothing
    return np.diag(adjacency.sum(axis=1)) - adjacency


class GraphKernel:
    """Nodes of a graph of links. Parts that no link joins have nothing in common but the field's mean."""

    times: Sequence[Times] = tuple((time, time) for time in GRAPH_TIMES)

    def __init__(self, nodes: int, edges: ArrayLike, weights: ArrayLike) -> None:
        """Decompose the Laplacian of edges (m, 2) between `nodes` nodes with weights (m,).

        Raises:
            ValueError: there are more than MOST_NODES nodes.
        """
        if nodes > MOST_NODES:
            raise ValueError(
                f"a graph of {nodes} nodes is too large for a map, which takes {MOST_NODES}: ask for a grid"
            )
        self.nodes = nodes
        self._rates, self._modes = np.linalg.eigh(laplacian(nodes, edges, weights))

    def covariance(self, times: Times, a: Spots, b: Spots) -> NDArray[np.float64]:
        """See Kernel."""
        decay = self._decay(times)
        return (self._modes[a] * decay) @ self._modes[b].T

    def variance(self, times: Times, a: Spots) -> NDArray[np.float64]:
        """See Kernel."""
        return self._modes[a] ** 2 @ self._decay(times)

    def _decay(self, times: Times) -> NDArray[np.float64]:
        decay = np.exp(-times[0] * np.maximum(self._rates, 0.0))
        return decay / decay.mean()
