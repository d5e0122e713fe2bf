"""The Gaussian free field on a periodic square lattice: a reference with exact truths."""

import math

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.lattice import Lattice

LARGEST_SIDE = 2048


class GaussianFreeField(QuadraticEnergy):
    """E = ½Σ_x[Σ_μ(φ(x+μ) - φ(x))² + m²φ(x)²], dimensionless, on side x side sites, periodic.

    Modes are the Hartley transform, real and orthonormal, with λ(k) = 4 - 2cos k₁ - 2cos k₂ + m². E/kT ~ Gamma(N/2, 1).
    Raises ValueError unless `side` is between 2 and 2048 and `mass2` (m²) is positive and finite.
    """

    def __init__(self, side: int, mass2: float) -> None:
        if not 2 <= side <= LARGEST_SIDE:
            raise ValueError(f"side is {side}: give a lattice between 2 and {LARGEST_SIDE} sites a side")
        if not (math.isfinite(mass2) and mass2 > 0):
            raise ValueError(f"mass2 is {mass2}: give a positive number, for without mass the mean level is unbounded")
        self.side, self.mass2 = side, mass2
        self.lattice = Lattice((side, side))
        super().__init__(torch.zeros(side, side, dtype=torch.float64), self.lattice.eigenvalues() + mass2)

    def energy(self, x: Tensor) -> Tensor:
        """(batch, side, side) → (batch,)."""
        across, down = x.roll(-1, 2) - x, x.roll(-1, 1) - x
        return 0.5 * each_sum(across**2 + down**2 + self.mass2 * x**2)

    def gradient(self, x: Tensor) -> Tensor:
        """(m² - Δ)φ with the five-point lattice Laplacian."""
        neighbours = x.roll(1, 1) + x.roll(-1, 1) + x.roll(1, 2) + x.roll(-1, 2)
        return (4 + self.mass2) * x - neighbours

    def precondition(self, gradient: Tensor) -> Tensor:
        """A⁻¹·gradient by the Fourier transform of real fields, which costs half of Hartley's."""
        waves = torch.fft.rfft2(gradient) / self.eigenvalues[:, : self.side // 2 + 1]
        return torch.fft.irfft2(waves, s=(self.side, self.side))

    def to_modes(self, displacement: Tensor) -> Tensor:
        """The two-dimensional Hartley transform, its own inverse."""
        return self.lattice.to_modes(displacement)

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`, which is itself."""
        return self.lattice.from_modes(modes)
