"""Relaxation of a conserved order parameter after a quench (statistical mechanics, model B): ∂φ/∂t = ∇²(−φ + φ³ − ∇²φ)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .domain import FieldDomain, Trajectories
from .spectral import (
    Etdrk4,
    Spectrum,
    gradient_square,
    grid_of,
    random_field,
    record,
    to_fields,
    to_spectrum,
    wavenumbers,
)

REFINEMENT = 5


class Relaxation(FieldDomain):
    """The order parameter in units of its value in equilibrium; lengths in correlation lengths, times in those that they take to relax.

    Hohenberg and Halperin, Rev. Mod. Phys. 49 (1977), model B without noise: the mean is conserved, the free energy falls.
    """

    name = "relaxation"
    states = ("order parameter [1]",)
    extent = 32.0
    step_s = 1.0
    substeps = 4
    stages = 2
    terms = 1

    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int) -> Trajectories:
        """Pseudo-spectral ETDRK4 without aliases (of the cube too: the half is kept), 5 steps to a recording."""
        shape = (points, points)
        solver = relaxation_solver(points, self.extent, self.step_s / self.substeps / REFINEMENT)
        starts = [
            rng.uniform(0.2, 0.6) * random_field(rng, shape, 1, 8) + rng.uniform(-0.2, 0.2) for _ in range(trajectories)
        ]
        states = record(solver, starts, steps * self.substeps, REFINEMENT)
        return Trajectories(states, np.empty((trajectories, steps, 0, *shape)))

    def products(self, spectrum: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """φ³."""
        return to_spectrum(to_fields(spectrum, grid_of(spectrum)) ** 3)

    def mean_law(self) -> NDArray[np.float64]:
        """The order parameter is conserved."""
        return np.array([[1.0]])

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """Free energy ⟨¼(φ² − 1)² + ½|∇φ|²⟩."""
        gradient = gradient_square(states[:, 0], self.extent)
        return (0.25 * (states[:, 0].square() - 1.0).square() + 0.5 * gradient).mean((1, 2))


def relaxation_solver(points: int, extent: float, step_s: float, coupling: float = 1.0) -> Etdrk4:
    """The trusted solver of the order parameter's spectrum; with `coupling` 0 it is linear, and exact."""
    shape = (points, points)
    kx, ky = wavenumbers(shape, extent)
    square = kx**2 + ky**2
    highest = points / 4.0 * 2.0 * np.pi / extent
    kept = (abs(kx) <= highest) & (abs(ky) <= highest)

    def cube(spectrum: Spectrum) -> Spectrum:
        field = np.fft.irfft2(spectrum * kept, s=shape)
        return -coupling * square * np.fft.rfft2(field**3) * kept

    return Etdrk4(square - square**2, cube, step_s)
