"""Thermal nodes joined by conductances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class ThermalGraph:
    """n thermal nodes, frozen: C∘dT/dt = P − (L + U)(T − T_amb).

    Raises ValueError at construction when shapes do not fit, an edge names no node or joins a node with itself, a
    capacity is not positive or a conductance is negative.
    """

    capacity_j_per_k: NDArray[np.float64]
    """C (n,) [J/K]."""
    ambient_conductance_w_per_k: NDArray[np.float64]
    """UA (n,) [W/K], each node to the ambient."""
    edges: NDArray[np.intp]
    """(m, 2) pairs of node numbers, each pair once."""
    edge_conductance_w_per_k: NDArray[np.float64]
    """G (m,) [W/K]."""

    def __post_init__(self) -> None:
        """Convert to arrays and check."""
        capacity = np.asarray(self.capacity_j_per_k, dtype=np.float64)
        ambient = np.asarray(self.ambient_conductance_w_per_k, dtype=np.float64)
        edges = np.asarray(self.edges, dtype=np.intp).reshape(-1, 2)
        conductance = np.asarray(self.edge_conductance_w_per_k, dtype=np.float64)
        if capacity.ndim != 1 or ambient.shape != capacity.shape or conductance.shape != (len(edges),):
            raise ValueError("a graph of n nodes and m edges needs n capacities, n UA, m pairs and m conductances")
        if np.any(edges < 0) or np.any(edges >= capacity.size) or np.any(edges[:, 0] == edges[:, 1]):
            raise ValueError("an edge must join two different nodes of the graph: check its node numbers")
        if not np.all(capacity > 0) or not np.all(ambient >= 0) or not np.all(conductance >= 0):
            raise ValueError("capacities must be positive and conductances not negative: check units and signs")
        object.__setattr__(self, "capacity_j_per_k", capacity)
        object.__setattr__(self, "ambient_conductance_w_per_k", ambient)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "edge_conductance_w_per_k", conductance)

    @property
    def nodes(self) -> int:
        """n, number of nodes."""
        return self.capacity_j_per_k.size

    def conductance_matrix(self) -> NDArray[np.float64]:
        """L + U (n, n) [W/K], L the graph Laplacian of the conductances and U = diag(UA)."""
        matrix = np.diag(self.ambient_conductance_w_per_k)
        i, j = self.edges.T
        np.add.at(matrix, (i, i), self.edge_conductance_w_per_k)
        np.add.at(matrix, (j, j), self.edge_conductance_w_per_k)
        np.add.at(matrix, (i, j), -self.edge_conductance_w_per_k)
        np.add.at(matrix, (j, i), -self.edge_conductance_w_per_k)
        return matrix

    def checked_temperature(self, temperature_k: ArrayLike) -> NDArray[np.float64]:
        """Absolute temperatures (n,) [K]; raises ValueError for another shape or values that are not above 0 K."""
        temperature = np.asarray(temperature_k, dtype=np.float64)
        if temperature.shape != (self.nodes,):
            raise ValueError(f"{temperature.shape} temperatures for {self.nodes} nodes: give one for each")
        if not np.all(temperature > 0):
            raise ValueError("a temperature is not above 0 K: convert degrees Celsius with °C + 273.15")
        return temperature

    def entropy_rate_w_per_k(self, temperature_k: ArrayLike, rate_k_per_s: ArrayLike, ambient_k: float) -> float:
        """Ṡ_gen = Σ [UA_i(T_i−T_amb)/T_amb + C_i Ṫ_i/T_i] [W/K], the rate form of the node's entropy generation."""
        temperature = self.checked_temperature(temperature_k)
        leaving = self.ambient_conductance_w_per_k * (temperature - ambient_k) / ambient_k
        storing = self.capacity_j_per_k * np.asarray(rate_k_per_s, dtype=np.float64) / temperature
        return float(np.sum(leaving + storing))
