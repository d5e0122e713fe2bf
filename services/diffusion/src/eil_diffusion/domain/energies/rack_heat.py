"""Temperatures of a room of racks, as a field that heat pulls towards the steady state of its conductance graph."""

from collections.abc import Sequence

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy

Map = float | Sequence[Sequence[float]] | Tensor
"""One number for all racks, or one per rack as (rows, columns)."""

# Turbulent forced convection: the heat transfer coefficient grows with flow to the power 0.8 (Dittus-Boelter, 1930).
FLOW_EXPONENT = 0.8
MOST_RACKS = 2048
SLOWEST_FAN = 0.1


class RackHeatMap(QuadraticEnergy):
    """E(T) = ½(T - T*)ᵀ(L+U)(T - T*) [W·K], T [K] of rows x columns racks, T* the steady state (L+U)(T* - T_set) = P.

    L is the graph Laplacian of the conductances between neighbouring racks, U = diag(UA·fan^0.8) to the supply air.
    ∇E = (L+U)(T - T_set) - P [W] is the unbalanced heat flow, so C·dT/dt = -∇E is the racks' own thermal dynamics.
    `kt` of a sampler is in W·K: an isolated rack then scatters with standard deviation √(kt/UA) kelvin.
    Optimisation keeps T within [set_point_k, limit_k]: no rack is colder than its supply air nor hotter than allowed.

    Raises ValueError on wrong shapes, non-positive or non-finite figures, fan speeds outside [0.1, 1], or more than
    2048 racks (the modes come from a dense eigendecomposition).
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        power_w: Map,
        *,
        neighbour_w_per_k: float = 50.0,
        supply_w_per_k: Map = 500.0,
        fan_speed: Map = 1.0,
        set_point_k: float = 295.15,
        limit_k: float = 313.15,
    ) -> None:
        if rows < 1 or columns < 1 or rows * columns > MOST_RACKS:
            raise ValueError(f"{rows} x {columns} racks: give at least 1 x 1 and at most {MOST_RACKS} in all")
        if not 0 < set_point_k < limit_k < float("inf"):
            raise ValueError(f"set_point_k {set_point_k} and limit_k {limit_k}: the limit lies above the set-point")
        power = _map("power_w", power_w, rows, columns, 0.0, float("inf"))
        supply = _map("supply_w_per_k", supply_w_per_k, rows, columns, 1e-9, float("inf"))
        fan = _map("fan_speed", fan_speed, rows, columns, SLOWEST_FAN, 1.0)
        coupling = _map("neighbour_w_per_k", neighbour_w_per_k, 1, 1, 0.0, float("inf"))
        self.stiffness = _laplacian(rows, columns, float(coupling)) + torch.diag(
            (supply * fan**FLOW_EXPONENT).flatten()
        )
        """(N, N) L+U [W/K]."""
        eigenvalues, self.basis = torch.linalg.eigh(self.stiffness)
        rise = torch.linalg.solve(self.stiffness, power.flatten()).reshape(rows, columns)
        super().__init__(set_point_k + rise, eigenvalues.reshape(rows, columns))
        self.lower = torch.full((rows, columns), set_point_k, dtype=torch.float64)
        self.upper = torch.full((rows, columns), limit_k, dtype=torch.float64)

    def energy(self, x: Tensor) -> Tensor:
        """(batch, rows, columns) [K] → (batch,) [W·K]."""
        return 0.5 * each_sum((x - self.mean) * self.gradient(x))

    def gradient(self, x: Tensor) -> Tensor:
        """The unbalanced heat flow [W] of each rack, (batch, rows, columns)."""
        return ((x - self.mean).flatten(1) @ self.stiffness).reshape(x.shape)

    def to_modes(self, displacement: Tensor) -> Tensor:
        """Coordinates in the eigenvectors of L+U."""
        return (displacement.flatten(1) @ self.basis).reshape(displacement.shape)

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`."""
        return (modes.flatten(1) @ self.basis.T).reshape(modes.shape)


def _laplacian(rows: int, columns: int, conductance: float) -> Tensor:
    """(N, N) graph Laplacian of the grid whose neighbours, in a row or a column, exchange `conductance` [W/K]."""
    index = torch.arange(rows * columns).reshape(rows, columns)
    left = torch.cat([index[:, :-1].flatten(), index[:-1].flatten()])
    right = torch.cat([index[:, 1:].flatten(), index[1:].flatten()])
    adjacency = torch.zeros(rows * columns, rows * columns, dtype=torch.float64)
    adjacency[left, right] = conductance
    adjacency[right, left] = conductance
    return torch.diag(adjacency.sum(dim=1)) - adjacency


def _map(name: str, value: Map, rows: int, columns: int, least: float, most: float) -> Tensor:
    """`value` as (rows, columns) float64 within [least, most] and finite."""
    try:
        field = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no map of numbers ({error}): give one number or a full table") from error
    if field.ndim != 0 and field.shape != (rows, columns):
        raise ValueError(f"{name} has shape {tuple(field.shape)}: give one number or ({rows}, {columns}), one per rack")
    if not (field.isfinite().all() and (field >= least).all() and (field <= most).all()):
        raise ValueError(f"{name} must be finite and between {least:g} and {most:g}")
    return field.expand(rows, columns).clone()
