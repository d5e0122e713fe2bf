"""Moves of a Markov chain that leave exp(-E/kT) as it is; and one that does not, to compare with.

All work in the metric of a quadratic energy near E, its `mass` A: in it every mode of that energy relaxes at one rate. On a
periodic lattice this is Fourier preconditioning. Without it the slowest mode of a free field of mass² 0.1 takes thousands of steps.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy, each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energy_guided_sampler.noise import Noise

MOST_LEAPS = 64
"""Of a move that takes another step than it was made for; a longer way would cost more than it forgets."""


class Move(Protocol):
    """A step of each chain of x (batch, *shape): the new x, and (batch,) whether the proposal was taken."""

    def __call__(self, energy: Energy, x: Tensor, kt: float, noise: Noise) -> tuple[Tensor, Tensor]: ...

    def sized(self, step: float) -> "Move":
        """The same with another step."""
        ...

    @property
    def step(self) -> float:
        """Its length."""
        ...


@dataclass(frozen=True)
class Langevin:
    """x' = x - h·M∇E + √(2h·kT)·M^½ε with M = A⁻¹, taken with probability min(1, exp([-ΔE + ½d·(g+g') - (h/4)(g'·Mg' - g·Mg)]/kT)).

    d = x' - x. One gradient a step. Not adjusted, every proposal is taken, and the stationary law is biased by O(h).
    """

    mass: QuadraticEnergy
    step: float
    adjusted: bool = True

    def sized(self, step: float) -> "Langevin":
        """The same with another step."""
        return Langevin(self.mass, step, self.adjusted)

    def __call__(self, energy: Energy, x: Tensor, kt: float, noise: Noise) -> tuple[Tensor, Tensor]:
        step, mass = self.step, self.mass
        g = energy.gradient(x)
        mg = mass.precondition(g)
        kick = mass.from_modes(noise.normal(*energy.shape) / mass.eigenvalues.sqrt())
        moved = x - step * mg + math.sqrt(2 * step * kt) * kick
        if not self.adjusted:
            return moved, torch.ones(len(x), dtype=torch.bool, device=x.device)
        g_new = energy.gradient(moved)
        drift = 0.5 * each_sum((moved - x) * (g + g_new))
        drift = drift - step / 4 * each_sum(g_new * mass.precondition(g_new) - g * mg)
        return _accept(x, moved, (energy.energy(x) - energy.energy(moved) + drift) / kt, noise)


@dataclass(frozen=True)
class Hamiltonian:
    """Leapfrog of `leaps` steps of length `step` with mass matrix A, from fresh momenta, taken with min(1, exp(-ΔH/kT)) (Duane et
    al., 1987).

    With step·leaps near π/2 a move of a quadratic energy by its own mass ends independently of its start.
    """

    mass: QuadraticEnergy
    step: float
    leaps: int

    def sized(self, step: float) -> "Hamiltonian":
        """The same with another step, and as many of them as go the same way, at most MOST_LEAPS."""
        return Hamiltonian(self.mass, step, min(MOST_LEAPS, max(1, round(self.step * self.leaps / step))))

    def __call__(self, energy: Energy, x: Tensor, kt: float, noise: Noise) -> tuple[Tensor, Tensor]:
        mass, step = self.mass, self.step
        fresh = noise.normal(*energy.shape)
        velocity = mass.from_modes(fresh * (kt / mass.eigenvalues).sqrt())
        moved = x
        pull = 0.5 * step * mass.precondition(energy.gradient(x))
        for _ in range(self.leaps):
            velocity = velocity - pull
            moved = moved + step * velocity
            pull = 0.5 * step * mass.precondition(energy.gradient(moved))
            velocity = velocity - pull
        gained = 0.5 * each_sum(mass.eigenvalues * mass.to_modes(velocity) ** 2) - 0.5 * kt * each_sum(fresh**2)
        return _accept(x, moved, (energy.energy(x) - energy.energy(moved) - gained) / kt, noise)


def _accept(x: Tensor, moved: Tensor, log_chance: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Metropolis: NaN is refused."""
    taken = noise.uniform().log() < log_chance
    return torch.where(taken.reshape(-1, *(1,) * (x.ndim - 1)), moved, x), taken


def hamiltonian(mass: QuadraticEnergy) -> Hamiltonian:
    """A move for an energy of that size: ε = 1.2·N^(-1/4) accepts some 80 % on a Gaussian of unit spread (Beskos et al., 2013)."""
    step = min(0.8, 1.2 * mass.size ** (-1 / 4))
    return Hamiltonian(mass, step, max(1, round(math.pi / 2 / step)))


def langevin(mass: QuadraticEnergy) -> Langevin:
    """A move for an energy of that size: h = 1.36·N^(-1/3) accepts 57 % on a whitened Gaussian, the most movement a step.

    Source: Roberts & Rosenthal (1998).
    """
    return Langevin(mass, min(1.0, 1.36 * mass.size ** (-1 / 3)))
