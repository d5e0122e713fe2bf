"""Burgers' equation on a ring: ∂u/∂t + ½∂(u²)/∂x = ν∂²u/∂x², in the units of the APEBench difficulty scale."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .domain import FieldDomain, Trajectories
from .spectral import derivative_axes, grid_of, to_fields, to_spectrum, torch_derivatives, wavenumbers

POINTS = 160
DIFFUSION, CONVECTION = 1.5, 1.5
"""γ₂ and δ: the mesh Fourier number times four, and the largest Courant number at the start."""


class Burgers(FieldDomain):
    """The one-dimensional benchmark of APEBench (Koehler et al., NeurIPS 2024): 160 points, starts of five modes, largest value 1."""

    name = "burgers"
    states = ("velocity [1]",)
    extent = 1.0
    step_s = 1.0
    dimensions = 1
    stages = 2
    terms = 1

    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int = POINTS) -> Trajectories:
        """ETDRK2, pseudo-spectral, 2/3 rule: the reference solver of the benchmark, which defines its truth."""
        (k,) = wavenumbers((points,), self.extent)
        (dx,) = derivative_axes((points,), self.extent)
        kept = np.arange(k.size) < points / 3.0
        speed = CONVECTION / points
        linear = -DIFFUSION / (2.0 * points**2) * k**2
        lr = linear[:, None] + np.exp(1j * np.pi * (np.arange(16) + 0.5) / 8.0)
        decay, first = np.exp(linear), np.mean(np.expm1(lr) / lr, axis=1).real
        second = np.mean((np.exp(lr) - 1.0 - lr) / lr**2, axis=1).real

        def convection(spectrum: NDArray[np.complex128]) -> NDArray[np.complex128]:
            return -0.5 * speed * dx * np.fft.rfft(np.fft.irfft(spectrum * kept, points) ** 2) * kept

        start = np.fft.rfft(rng.standard_normal((trajectories, points)))
        start[:, 6:] = 0.0
        start[:, 0] = 0.0
        u = np.fft.irfft(start, points)
        u /= np.abs(u).max(1, keepdims=True)
        states = np.empty((trajectories, steps + 1, 1, points))
        states[:, 0, 0], spectrum = u, np.fft.rfft(u)
        for t in range(steps):
            before = convection(spectrum)
            guess = decay * spectrum + first * before
            spectrum = guess + second * (convection(guess) - before)
            states[:, t + 1, 0] = np.fft.irfft(spectrum, points)
        return Trajectories(states, np.empty((trajectories, steps, 0, points)))

    def products(self, spectrum: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """∂(u²)/∂x."""
        shape = grid_of(spectrum)
        (dx,) = torch_derivatives(shape, self.extent, spectrum.device)
        return dx * to_spectrum(to_fields(spectrum, shape) ** 2)

    def mean_law(self) -> NDArray[np.float64]:
        """Momentum stays."""
        return np.array([[1.0]])

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """½⟨u²⟩."""
        return 0.5 * states[:, 0].square().mean(1)
