"""Two-dimensional incompressible flow (Navier–Stokes) by its vorticity: ∂ω/∂t + ∇·(uω) = ν∇²ω, u = (∂ψ/∂y, −∂ψ/∂x), ∇²ψ = −ω."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from .domain import FieldDomain, Trajectories
from .spectral import (
    Etdrk4,
    Spectrum,
    derivative_axes,
    grid_of,
    random_field,
    record,
    to_fields,
    to_spectrum,
    torch_derivatives,
    wavenumbers,
)

VISCOSITY = 5e-3
"""ν [m²/s]."""
REFINEMENT = 5


class Fluid(FieldDomain):
    """Vorticity of a decaying flow; the velocity that follows from it has no divergence."""

    name = "fluid"
    states = ("vorticity [1/s]",)
    extent = 2.0 * np.pi
    step_s = 0.1
    substeps = 4
    stages = 3
    terms = 1

    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int) -> Trajectories:
        """Pseudo-spectral ETDRK4 without aliases (2/3 rule), 5 steps to a recording; Taylor–Green's vortex is met to rounding."""
        shape = (points, points)
        solver = vorticity_solver(points, self.extent, self.step_s / self.substeps / REFINEMENT)
        starts = [3.0 * random_field(rng, shape, 1, 6) for _ in range(trajectories)]
        states = record(solver, starts, steps * self.substeps, REFINEMENT)
        return Trajectories(states, np.empty((trajectories, steps, 0, *shape)))

    def products(self, spectrum: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """∇·(uω), what the flow carries away."""
        shape = grid_of(spectrum)
        factors = _vorticity_and_velocity(shape, self.extent, spectrum.device)
        fields = to_fields(factors * spectrum, shape)
        flux = to_spectrum(fields[:, :1] * fields[:, 1:])
        dx, dy = torch_derivatives(shape, self.extent, spectrum.device)
        return dx * flux[:, :1] + dy * flux[:, 1:]

    def mean_law(self) -> NDArray[np.float64]:
        """Circulation stays."""
        return np.array([[1.0]])

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """½⟨|u|²⟩ [J/kg]."""
        shape = tuple(states.shape[2:])
        factors = _vorticity_and_velocity(shape, self.extent, states.device)[1:]
        return 0.5 * to_fields(factors * to_spectrum(states), shape).square().sum(1).mean((1, 2))


@lru_cache(32)
def _vorticity_and_velocity(shape: tuple[int, ...], extent: float, device: torch.device) -> torch.Tensor:
    """(3, *half): what a vorticity's spectrum is multiplied by for itself and for the velocity (Biot and Savart), without mean flow."""
    kx, ky = wavenumbers(shape, extent)
    square = kx**2 + ky**2
    dx, dy = derivative_axes(shape, extent)
    inverse = np.divide(1.0, square, out=np.zeros_like(square), where=square > 0.0)
    return torch.as_tensor(np.stack([np.ones_like(square) + 0j, dy * inverse, -dx * inverse]), device=device)


def vorticity_solver(points: int, extent: float, step_s: float, viscosity: float = VISCOSITY) -> Etdrk4:
    """The trusted solver of the vorticity's spectrum."""
    shape = (points, points)
    kx, ky = wavenumbers(shape, extent)
    square = kx**2 + ky**2
    inverse = np.divide(1.0, square, out=np.zeros_like(square), where=square > 0.0)
    dx, dy = derivative_axes(shape, extent)
    highest = points / 3.0 * 2.0 * np.pi / extent
    kept = (abs(kx) < highest) & (abs(ky) < highest)

    def advection(spectrum: Spectrum) -> Spectrum:
        potential = spectrum * inverse
        fields = np.fft.irfft2(np.stack([dy * potential, -dx * potential, spectrum]) * kept, s=shape)
        fluxes = np.fft.rfft2(fields[:2] * fields[2])
        return -(dx * fluxes[0] + dy * fluxes[1]) * kept

    return Etdrk4(-viscosity * square, advection, step_s)
