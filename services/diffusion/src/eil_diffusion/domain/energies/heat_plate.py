"""The steady temperatures of a room's floor plan as a continuum, and what is not known of its heat sources."""

import math
from typing import Self

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.quadratic import InModes, QuadraticEnergy
from eil_diffusion.domain.energies.rack_heat import Map, as_map

LARGEST_SIDE = 512


class HeatPlate(QuadraticEnergy):
    """E(T) = ½(T - T*)ᵀA(T - T*) [W·K], T [K] of side x side cells of h = extent/side metres, T* the steady state.

    -κΔT + u(T - T_set) = q, with the walls held at T_set, on cell-centred finite volumes: neighbours exchange κ [W/K] (a sheet's
    conductance, W/(m·K) times the room's height), a cell and its wall 2κ (half a cell lies between), a cell and the supply air uh².
    Second order in h, and the same equations as OpenFOAM's `laplacianFoam` on that grid. ∇E = A(T - T*) [W] is the unbalanced heat
    flow of each cell. The discrete sine transform (DST-II, by FFT) diagonalises A: λ = κ(4 - 2cos(πm/side) - 2cos(πn/side)) + uh².

    The Boltzmann law at `kt` [W·K] is that of heat flows with covariance kt·A: flows that take from a cell what they give to its
    neighbour. Sources of which strength or place is unknown are not like that: `UncertainHeat` describes those.
    Optimisation keeps T within [set_point_k, limit_k].

    Args:
        side: cells a side, 2 to 512.
        heat_w_per_m2: q [W/m²], one number or (side, side); positive where racks stand, negative where a cooler does.
        extent_m: the room's side [m].
        conductance_w_per_k: κ [W/K].
        loss_w_per_m2_k: u [W/(m²·K)] to supply air that comes through the floor.
        set_point_k: T_set [K].
        limit_k: the hottest allowed [K].
    Raises ValueError on wrong shapes or figures that are not finite or not of the sign that makes sense.
    """

    def __init__(
        self,
        side: int,
        heat_w_per_m2: Map = 0.0,
        *,
        extent_m: float = 10.0,
        conductance_w_per_k: float = 100.0,
        loss_w_per_m2_k: float = 0.0,
        set_point_k: float = 295.15,
        limit_k: float = 313.15,
    ) -> None:
        if not 2 <= side <= LARGEST_SIDE:
            raise ValueError(f"side is {side}: give between 2 and {LARGEST_SIDE} cells a side")
        if not (0 < extent_m < math.inf and 0 < conductance_w_per_k < math.inf and 0 <= loss_w_per_m2_k < math.inf):
            raise ValueError(
                f"extent_m {extent_m}, conductance_w_per_k {conductance_w_per_k}, loss_w_per_m2_k {loss_w_per_m2_k}: "
                "give positive, finite numbers; only the loss may be zero"
            )
        if not 0 < set_point_k < limit_k < math.inf:
            raise ValueError(f"set_point_k {set_point_k} and limit_k {limit_k}: the limit lies above the set-point")
        heat = as_map("heat_w_per_m2", heat_w_per_m2, side, side, -math.inf, math.inf)
        self.side, self.conductance = side, conductance_w_per_k
        self.cell_m2 = (extent_m / side) ** 2
        """h² [m²]."""
        self.loss = loss_w_per_m2_k * self.cell_m2
        """uh² [W/K]."""
        order = torch.arange(1, side + 1, dtype=torch.float64)
        self.half_cell = torch.polar(_sine_norm(order), -math.pi * order / (2 * side))
        """(side,) the norms of the sine waves, with the phase of half a cell."""
        hop = 2 - 2 * (math.pi * order / side).cos()
        eigenvalues = conductance_w_per_k * (hop[:, None] + hop[None, :]) + self.loss
        super().__init__(torch.full((side, side), set_point_k, dtype=torch.float64), eigenvalues)
        self.mean = set_point_k + self.precondition(heat[None] * self.cell_m2)[0]
        self.lower = torch.full((side, side), set_point_k, dtype=torch.float64)
        self.upper = torch.full((side, side), limit_k, dtype=torch.float64)

    def energy(self, x: Tensor) -> Tensor:
        """(batch, side, side) [K] → (batch,) [W·K]."""
        return 0.5 * each_sum((x - self.mean) * self.gradient(x))

    def gradient(self, x: Tensor) -> Tensor:
        """The unbalanced heat flow [W] out of each cell, (batch, side, side)."""
        return self.flow(x - self.mean)

    def flow(self, rise: Tensor) -> Tensor:
        """A·rise [W]: the heat that leaves each cell when the field is `rise` [K] above its walls and its supply air."""
        return self.loss * rise - self.conductance * (_bend(rise, -1) + _bend(rise, -2))

    def to_modes(self, displacement: Tensor) -> Tensor:
        """The two-dimensional discrete sine transform, orthonormal."""
        return self._sines(self._sines(displacement).mT).mT

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`."""
        return self._cells(self._cells(modes).mT).mT

    def _sines(self, x: Tensor) -> Tensor:
        """Along the last axis: c_k = s_k Σ_j x_j sin(πk(j + ½)/n), k = 1..n."""
        return -(torch.fft.rfft(x, n=2 * self.side)[..., 1:] * self.half_cell).imag

    def _cells(self, modes: Tensor) -> Tensor:
        """Along the last axis: x_j = Σ_k s_k c_k sin(πk(j + ½)/n)."""
        waves = -1j * self.side * self.half_cell.conj() * modes
        # The highest wave has no mirror image in the spectrum of a real signal: alone it counts once, the others twice.
        waves = torch.cat([torch.zeros_like(waves[..., :1]), waves[..., :-1], 2 * waves[..., -1:]], dim=-1)
        return torch.fft.irfft(waves, n=2 * self.side)[..., : self.side]


class UncertainHeat:
    """A plate whose heat sources are known but for independent Gaussian errors: E(T) = ½rᵀS⁻¹r, dimensionless, r = A(T - T*) [W].

    S = s² + Σ_b p_b p_bᵀ [W²] is the covariance of the sources: `background_w` (s, W per cell) for small unknown ones anywhere, and
    for each known source the pattern p_b [W per cell] that one standard deviation of its power adds. At kT = 1, the default
    everywhere, the Boltzmann law is the law of steady states of such a room, Gaussian with covariance A⁻¹SA⁻¹.
    For n sources at uniformly random places, of independent powers P, s² = n⟨P²⟩/cells (Campbell's theorem; exact for points).

    It satisfies `Gaussian`, so that observations of it are drawn exactly; `reference` keeps of its precision what is diagonal in
    the plate's sine waves.

    Args:
        plate: the room and what is expected of its sources.
        background_w: s, positive [W].
        patterns_w: (sources, side, side) or None for none.
    Raises ValueError on wrong shapes or figures.
    """

    def __init__(self, plate: HeatPlate, background_w: float, patterns_w: Tensor | None = None) -> None:
        if not 0 < background_w < math.inf:
            raise ValueError(f"background_w is {background_w}: give a positive number, for S must be invertible")
        # Without known sources one of no power: transforms refuse an empty batch.
        if patterns_w is None or len(patterns_w) == 0:
            patterns_w = plate.mean.new_zeros(1, *plate.shape)
        patterns = patterns_w.to(plate.mean)
        if patterns.shape[1:] != plate.shape or not patterns.isfinite().all():
            raise ValueError(
                f"patterns_w has shape {tuple(patterns.shape)}: give finite watts as (sources, side, side) of the plate"
            )
        self.plate, self.background_w = plate, background_w
        _, scale, self._wide = torch.linalg.svd(patterns.flatten(1), full_matrices=False)
        self._share = scale**2 / background_w**2
        in_modes = plate.to_modes(self._wide.unflatten(1, plate.shape)).square()
        damped = torch.einsum("b,b...->...", self._share / (1 + self._share), in_modes)
        self.reference = InModes(plate, plate.mean, plate.eigenvalues**2 * (1 - damped) / background_w**2)
        """The Gaussian, diagonal in the plate's sine waves, that is nearest in relative entropy to this law."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(side, side)."""
        return self.plate.shape

    @property
    def mean(self) -> Tensor:
        """(side, side) T* [K]."""
        return self.plate.mean

    @property
    def lower(self) -> Tensor | None:
        """The plate's."""
        return self.plate.lower

    @property
    def upper(self) -> Tensor | None:
        """The plate's."""
        return self.plate.upper

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        patterns = (self._share.sqrt() * self.background_w)[:, None] * self._wide
        return type(self)(self.plate.to(device), self.background_w, patterns.unflatten(1, self.shape).to(device))

    def energy(self, x: Tensor) -> Tensor:
        """(batch, side, side) [K] → (batch,)."""
        unbalanced = self.plate.gradient(x)
        return 0.5 * each_sum(unbalanced * self._sources(unbalanced, -1.0))

    def gradient(self, x: Tensor) -> Tensor:
        """A·S⁻¹·A(T - T*) [1/K], (batch, side, side)."""
        return self.plate.flow(self._sources(self.plate.gradient(x), -1.0))

    def precondition(self, gradient: Tensor) -> Tensor:
        """A⁻¹SA⁻¹·gradient: the covariance at kT = 1 times (batch, side, side)."""
        return self.plate.precondition(self._sources(self.plate.precondition(gradient), 1.0))

    def draw(self, count: int, kt: float, generator: torch.Generator) -> Tensor:
        """(count, side, side) independent, exact samples: a draw of the sources, and its steady state."""
        noise = torch.randn((count, *self.shape), generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + math.sqrt(kt) * self.plate.precondition(self._sources(noise, 0.5))

    def log_z(self, kt: float = 1.0) -> float:
        """log ∫exp(-E/kT) dT = (N/2) log(2π kT s²) - Σ log λ + ½ log det(S/s²), exact."""
        white = 0.5 * self.plate.size * math.log(2 * math.pi * kt * self.background_w**2)
        return white - float(self.plate.eigenvalues.log().sum()) + 0.5 * float(self._share.log1p().sum())

    def _sources(self, x: Tensor, power: float) -> Tensor:
        """S to a power, times x (batch, side, side)."""
        flat = x.flatten(1)
        along = (flat @ self._wide.T) * ((1 + self._share) ** power - 1)
        return self.background_w ** (2 * power) * (flat + along @ self._wide).reshape(x.shape)


def _sine_norm(order: Tensor) -> Tensor:
    """√(2/n), and √(1/n) of the highest, so that the waves are orthonormal."""
    norm = torch.full_like(order, math.sqrt(2 / len(order)))
    norm[-1] = math.sqrt(1 / len(order))
    return norm


def _bend(x: Tensor, axis: int) -> Tensor:
    """Second difference along an axis; beyond a wall held at zero the field goes on as its own negative mirror image."""
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
    return torch.cat([-first, x, -last], dim=axis).diff(n=2, dim=axis)
