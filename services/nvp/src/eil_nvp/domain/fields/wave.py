"""Waves: ∂²u/∂t² = c²∇²u; at one frequency that is Helmholtz' equation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .domain import FieldDomain, Trajectories
from .spectral import gradient_square, random_field, wavenumbers

SPEED = 1.0
"""c [m/s]."""


class Wave(FieldDomain):
    """Displacement and velocity without loss."""

    name = "wave"
    states = ("displacement [m]", "velocity [m/s]")
    extent = 1.0
    step_s = 0.02

    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int) -> Trajectories:
        """Closed form: every Fourier mode turns by its own frequency."""
        shape = (points, points)
        kx, ky = wavenumbers(shape, self.extent)
        omega = SPEED * np.sqrt(kx**2 + ky**2)
        turn = omega * self.step_s
        over = np.where(omega > 0.0, np.sin(turn) / np.where(omega > 0.0, omega, 1.0), self.step_s)
        states = np.empty((trajectories, steps + 1, 2, *shape))
        for i in range(trajectories):
            states[i, 0, 0] = 0.01 * random_field(rng, shape, 1, 8)
            states[i, 0, 1] = 0.3 * random_field(rng, shape, 1, 8)
            for t in range(steps):
                u, v = np.fft.rfft2(states[i, t])
                after = np.stack([np.cos(turn) * u + over * v, np.cos(turn) * v - omega * np.sin(turn) * u])
                states[i, t + 1] = np.fft.irfft2(after, s=shape)
        return Trajectories(states, np.empty((trajectories, steps, 0, *shape)))

    def mean_law(self) -> NDArray[np.float64]:
        """The mean moves with its velocity, which stays."""
        return np.array([[1.0, 0.0], [self.step_s, 1.0]])

    def constrain(self, weights: torch.Tensor) -> torch.Tensor:
        """A step keeps phase-space area: real 2 × 2 matrices of determinant 1, so that no mode gains or loses energy for ever."""
        determinant = weights[:, 0, 0] * weights[:, 1, 1] - weights[:, 0, 1] * weights[:, 1, 0]
        known = determinant > 0.5  # elsewhere nothing was ever excited
        scale = torch.where(known, determinant.clamp_min(0.5).rsqrt(), 1.0)
        return weights * scale[:, None, None]

    def imbalance(self, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Change of the energy."""
        energy = self.energy(before)
        return (self.energy(after) - energy).abs() / energy

    def restore(self, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """The same shape with the energy there was."""
        return after * (self.energy(before) / self.energy(after)).sqrt()[:, None, None, None]

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """½⟨v²⟩ + ½c²⟨|∇u|²⟩ [J/kg]."""
        gradient = gradient_square(states[:, 0], self.extent)
        return 0.5 * (states[:, 1].square() + SPEED**2 * gradient).mean((1, 2))
