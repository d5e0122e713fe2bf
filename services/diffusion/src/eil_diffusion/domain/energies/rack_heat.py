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
    """E(T) = ½(T - T*)ᵀ(L+U)(T - T*) [W·K], T [K] of rows x columns racks, T* the steady state (L+U)T* = P + U·T_set.

    L is the graph Laplacian of the conductances between neighbouring racks, U = diag(UA·fan^0.8) to the supply air.
    ∇E = LT + U(T - T_set) - P [W] is the unbalanced heat flow, so C·dT/dt = -∇E is the racks' own thermal dynamics.
    `kt` of a sampler is in W·K: an isolated rack then scatters with standard deviation √(kt/UA) kelvin.
    Optimisation keeps T between the coldest supply air, below which nothing here can fall, and each rack's limit.

    Each figure is one number for all racks, or one per rack as (rows, columns):
        power_w: P [W], not negative.
        neighbour_w_per_k: conductance between two neighbours [W/K]. One per rack stands for its two halves in series: a and b
            exchange 2ab/(a+b), so that a zero (containment, a blanked slot) lets nothing pass.
        supply_w_per_k: UA [W/K] at full fan speed, positive.
        fan_speed: 0.1 to 1.
        set_point_k: T_set [K], temperature of the supply air.
        limit_k: the hottest allowed [K], above the set-point everywhere.

    Raises ValueError on wrong shapes, non-positive or non-finite figures, fan speeds outside [0.1, 1], or more than
    2048 racks (the modes come from a dense eigendecomposition).
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        power_w: Map,
        *,
        neighbour_w_per_k: Map = 50.0,
        supply_w_per_k: Map = 500.0,
        fan_speed: Map = 1.0,
        set_point_k: Map = 295.15,
        limit_k: Map = 313.15,
    ) -> None:
        if rows < 1 or columns < 1 or rows * columns > MOST_RACKS:
            raise ValueError(f"{rows} x {columns} racks: give at least 1 x 1 and at most {MOST_RACKS} in all")
        set_point = as_map("set_point_k", set_point_k, rows, columns, 1e-9, float("inf"))
        limit = as_map("limit_k", limit_k, rows, columns, 1e-9, float("inf"))
        if not bool((set_point < limit).all()):
            raise ValueError(f"set_point_k {set_point_k} and limit_k {limit_k}: the limit lies above the set-point")
        power = as_map("power_w", power_w, rows, columns, 0.0, float("inf"))
        supply = as_map("supply_w_per_k", supply_w_per_k, rows, columns, 1e-9, float("inf"))
        fan = as_map("fan_speed", fan_speed, rows, columns, SLOWEST_FAN, 1.0)
        coupling = as_map("neighbour_w_per_k", neighbour_w_per_k, rows, columns, 0.0, float("inf"))
        cooling = supply * fan**FLOW_EXPONENT
        self.stiffness = _laplacian(coupling) + torch.diag(cooling.flatten())
        """(N, N) L+U [W/K]."""
        eigenvalues, self.basis = torch.linalg.eigh(self.stiffness)
        coldest = set_point.min()
        heat = (power + cooling * (set_point - coldest)).flatten()
        rise = torch.linalg.solve(self.stiffness, heat).reshape(rows, columns)
        super().__init__(coldest + rise, eigenvalues.reshape(rows, columns))
        self.lower = coldest.expand(rows, columns).clone()
        self.upper = limit

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


def _laplacian(conductance: Tensor) -> Tensor:
    """(N, N) graph Laplacian of the grid whose neighbours, in a row or a column, exchange 2ab/(a+b) of `conductance` [W/K]."""
    index = torch.arange(conductance.numel()).reshape(conductance.shape)
    left = torch.cat([index[:, :-1].flatten(), index[:-1].flatten()])
    right = torch.cat([index[:, 1:].flatten(), index[1:].flatten()])
    a, b = conductance.flatten()[left], conductance.flatten()[right]
    between = torch.where(a + b > 0, 2 * a * b / (a + b), 0.0)
    adjacency = conductance.new_zeros(conductance.numel(), conductance.numel())
    adjacency[left, right] = between
    adjacency[right, left] = between
    return torch.diag(adjacency.sum(dim=1)) - adjacency


def as_map(name: str, value: Map, rows: int, columns: int, least: float, most: float) -> Tensor:
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
