"""What every quadratic energy can do exactly: normal modes, log Z, samples, lower bounds."""

import copy
import math
from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import clip


class QuadraticEnergy(ABC):
    """E(x) = offset + ½(x - mean)ᵀA(x - mean), A symmetric positive definite, with the orthonormal basis that diagonalises A.

    Its Boltzmann distribution is Gaussian, so everything a sampler or optimiser claims can be checked exactly.
    """

    offset: float = 0.0
    """Energy at `mean`, which no other configuration falls below."""
    lower: Tensor | None = None
    upper: Tensor | None = None

    def __init__(self, mean: Tensor, eigenvalues: Tensor) -> None:
        self.mean = mean
        """(*shape) the unconstrained minimum."""
        self.eigenvalues = eigenvalues
        """(*shape) eigenvalues of A, one per mode."""

    @abstractmethod
    def energy(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,)."""

    @abstractmethod
    def gradient(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch, *shape)."""

    @abstractmethod
    def to_modes(self, displacement: Tensor) -> Tensor:
        """Orthonormal coordinates of x - mean in the eigenbasis of A; (batch, *shape) both ways."""

    @abstractmethod
    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        return tuple(self.mean.shape)

    @property
    def reference(self) -> Self:
        """Itself."""
        return self

    @property
    def size(self) -> int:
        """Degrees of freedom N."""
        return self.mean.numel()

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    def log_z(self, kt: float = 1.0) -> float:
        """log ∫exp(-E/kT) dx = (N/2) log(2π kT) - ½ Σ log λ - offset/kT, exact; `kt` in the energy's unit."""
        return (
            -self.offset / kt + 0.5 * self.size * math.log(2 * math.pi * kt) - 0.5 * float(self.eigenvalues.log().sum())
        )

    def site_variance(self, kt: float = 1.0) -> float:
        """⟨(x - mean)²⟩ averaged over sites, kT·mean(1/λ), exact."""
        return kt * float((1 / self.eigenvalues).mean())

    def draw(self, count: int, kt: float, generator: torch.Generator) -> Tensor:
        """(count, *shape) independent, exact samples of exp(-E/kT)."""
        noise = torch.randn((count, *self.shape), generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + self.from_modes(noise * (kt / self.eigenvalues).sqrt())

    def precondition(self, gradient: Tensor) -> Tensor:
        """A⁻¹·gradient (batch, *shape): the Newton direction, in which all modes relax at one rate."""
        return self.from_modes(self.to_modes(gradient) / self.eigenvalues)

    def lower_bound(self, x: Tensor) -> float:
        """A proven lower bound of the energy over the box, from one configuration x (*shape).

        Strong convexity with μ = λ_min gives E(y) ≥ E(x) + ∇E·(y - x) + ½μ|y - x|², whose minimum over the box
        separates by coordinate. It is tight at the optimum. No energy is below the offset, so neither is the bound.
        """
        curvature = float(self.eigenvalues.min())
        gradient = self.gradient(x[None])[0]
        move = clip(x - gradient / curvature, self.lower, self.upper) - x
        bound = float(self.energy(x[None])) + float((gradient * move + 0.5 * curvature * move**2).sum())
        return max(self.offset, bound)


class InModes(QuadraticEnergy):
    """E(x) = ½Σ_k λ_k c_k², c the modes of x - mean in the basis of another quadratic energy, with a mean and eigenvalues of its own."""

    def __init__(self, basis: QuadraticEnergy, mean: Tensor, eigenvalues: Tensor) -> None:
        super().__init__(mean, eigenvalues)
        self.basis = basis

    def energy(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,)."""
        return 0.5 * (self.eigenvalues * self.to_modes(x - self.mean) ** 2).flatten(1).sum(dim=1)

    def gradient(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch, *shape)."""
        return self.from_modes(self.eigenvalues * self.to_modes(x - self.mean))

    def to_modes(self, displacement: Tensor) -> Tensor:
        """The basis's modes."""
        return self.basis.to_modes(displacement)

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`."""
        return self.basis.from_modes(modes)

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = super().to(device)
        moved.basis = self.basis.to(device)
        return moved
