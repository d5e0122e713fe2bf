"""The Ising model as a smooth field: a relaxation from which the spins, and their log Z, come back exactly."""

import copy
import math
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import softplus

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.lattice import Lattice

LARGEST_SIDE = 512
LARGEST_BETA = 5.0
# Smallest eigenvalue of A. With 1, the Hessian A⁻¹ - diag(sech² x) lies in (-1, 1] at every β and size: one step length fits
# all. Less would make the stiffest wave stiffer; more raises c, deepens the two wells of every site and slows single flips.
MARGIN = 1.0
BISECTIONS = 60


class StationaryGaussian(QuadraticEnergy):
    """E = ½xᵀBx with B the same at every site of a periodic square, hence diagonal in the modes of its lattice."""

    def __init__(self, eigenvalues: Tensor) -> None:
        """`eigenvalues` (side, side) of B, positive, ordered as those of `Lattice`."""
        side, _ = eigenvalues.shape
        self.lattice = Lattice((side, side))
        super().__init__(torch.zeros_like(eigenvalues), eigenvalues)

    def energy(self, x: Tensor) -> Tensor:
        """(batch, side, side) → (batch,)."""
        return 0.5 * each_sum(self.eigenvalues * self.to_modes(x) ** 2)

    def gradient(self, x: Tensor) -> Tensor:
        """Bx."""
        return self._filtered(x, self.eigenvalues)

    def precondition(self, gradient: Tensor) -> Tensor:
        """B⁻¹·gradient (batch, side, side)."""
        return self._filtered(gradient, 1 / self.eigenvalues)

    def to_modes(self, displacement: Tensor) -> Tensor:
        """The lattice's modes."""
        return self.lattice.to_modes(displacement)

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`."""
        return self.lattice.from_modes(modes)

    def _filtered(self, x: Tensor, gain: Tensor) -> Tensor:
        """Each mode times its `gain`, by the Fourier transform of real fields, which costs half of Hartley's."""
        side = len(gain)
        return torch.fft.irfft2(torch.fft.rfft2(x) * gain[:, : side // 2 + 1], s=(side, side))


class IsingField:
    """E(x) = ½xᵀA⁻¹x - Σᵢ log 2cosh xᵢ, dimensionless, kT = 1: the spins of exp(βΣ_⟨ij⟩ sᵢsⱼ), periodic, made continuous.

    A = βJ + cI with the adjacency J of the square lattice and c = 4β + 1, so that A is positive definite. By the
    Gaussian integral (Hubbard, 1959; Stratonovich, 1957) exp(-E) is the marginal of a joint law of x and s in which

        x | s ~ N(As, A),    P(sᵢ = +1 | x) = 1/(1 + exp(-2xᵢ)) independently,    s ~ exp(βΣ_⟨ij⟩ sᵢsⱼ)/Z,

    so a sample of either is a sample of the other, with the same importance weight: nothing is approximated. The Hessian
    lies in (-1, 1] whatever β; below zero, where it is not convex, are the waves that order. `reference` is the Gaussian
    whose spins have the structure factor of the spherical model (Berlin & Kac, 1952).
    Raises ValueError unless `side` is between 2 and 512 and `beta` between 0 and 5.
    """

    lower: Tensor | None = None
    upper: Tensor | None = None

    def __init__(self, side: int, beta: float) -> None:
        if not 2 <= side <= LARGEST_SIDE:
            raise ValueError(f"side is {side}: give a lattice between 2 and {LARGEST_SIDE} sites a side")
        if not 0 <= beta <= LARGEST_BETA:
            raise ValueError(
                f"beta is {beta}: give a ferromagnet between 0 and {LARGEST_BETA}; the critical one is 0.4407"
            )
        self.side, self.beta = side, float(beta)
        coupling = self.beta * (4 - Lattice((side, side)).eigenvalues())
        self.diagonal = 4 * self.beta + MARGIN
        """c of A."""
        spread = coupling + self.diagonal
        self.bare = StationaryGaussian(1 / spread)
        """½xᵀA⁻¹x, whose Boltzmann law is N(0, A)."""
        self._reference = StationaryGaussian(1 / (spread + spread**2 * structure_factor(coupling)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(side, side)."""
        return self.bare.shape

    @property
    def reference(self) -> StationaryGaussian:
        """The Gaussian of covariance A + A·S·A, S the spins' covariance in the spherical model: exact at β = 0 and near it."""
        return self._reference

    def energy(self, x: Tensor) -> Tensor:
        """(batch, side, side) → (batch,)."""
        return self.bare.energy(x) - each_sum(x.abs() + softplus(-2 * x.abs()))

    def gradient(self, x: Tensor) -> Tensor:
        """A⁻¹x - tanh x."""
        return self.bare.gradient(x) - x.tanh()

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = copy.copy(self)
        moved.bare, moved._reference = self.bare.to(device), self._reference.to(device)
        return moved

    def spins(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """s | x: (batch, side, side) of ±1 in the type of x."""
        chance = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        return torch.where(chance < torch.sigmoid(2 * x), 1.0, -1.0).to(x.dtype)

    def relax(self, s: Tensor, generator: torch.Generator) -> Tensor:
        """x | s ~ N(As, A): (batch, side, side) float64 from spins of ±1 of any type."""
        return self.bare.precondition(s.to(self.bare.mean.dtype)) + self.bare.draw(len(s), 1.0, generator)

    def spin_energy(self, s: Tensor) -> Tensor:
        """-Σ_⟨ij⟩ sᵢsⱼ: (batch, side, side) → (batch,), without β; each bond once, two between neighbours if side is 2."""
        return -each_sum(s * (s.roll(-1, 1) + s.roll(-1, 2)))

    def log_z_spins(self, log_z_field: float) -> float:
        """log Σ_s exp(βΣ_⟨ij⟩ sᵢsⱼ) from log ∫exp(-E) dx: less ½N log 2π + ½ log det A + ½cN, exactly."""
        return log_z_field - self._log_z_gap

    def log_z_field(self, log_z_spins: float) -> float:
        """The inverse of `log_z_spins`."""
        return log_z_spins + self._log_z_gap

    @property
    def _log_z_gap(self) -> float:
        return self.bare.log_z() + 0.5 * self.diagonal * self.bare.size


def structure_factor(coupling: Tensor) -> Tensor:
    """⟨|s_k|²⟩ of the spherical model, 1/(μ - coupling), with μ such that the mean over waves is 1, as it is for spins.

    `coupling` (side, side) holds the eigenvalues of βJ. Close to the Ising model's above the critical temperature; below,
    the uniform wave takes what the others cannot hold, as magnetisation does.
    """
    highest = float(coupling.max())
    # The uniform wave alone bounds the mean from below, and all waves as soft as it from above.
    low, high = 1 / coupling.numel(), 1.0
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float((1 / (highest + middle - coupling)).mean()) > 1 else (low, middle)
    return 1 / (highest + high - coupling)
