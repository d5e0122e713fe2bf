"""Heat in a copper-like plate with heaters: ∂T/∂t = α∇²T + q."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .domain import FieldDomain, Trajectories
from .spectral import random_field, wavenumbers

DIFFUSIVITY = 1.1e-4
"""α of copper [m²/s]."""
HEATING_K_PER_S = 0.05


class Heat(FieldDomain):
    """Temperature above ambient; q is the heaters' power over the heat capacity. Loses nothing through its rim: it is periodic."""

    name = "heat"
    states = ("temperature above ambient [K]",)
    inputs = ("heating [K/s]",)
    extent = 1.0
    step_s = 20.0

    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int) -> Trajectories:
        """Closed form: every Fourier mode decays exponentially towards what its heating holds."""
        shape = (points, points)
        kx, ky = wavenumbers(shape, self.extent)
        rate = DIFFUSIVITY * (kx**2 + ky**2) * self.step_s
        decay = np.exp(-rate)
        gain = self.step_s * np.where(rate > 0.0, -np.expm1(-rate) / np.where(rate > 0.0, rate, 1.0), 1.0)
        states, inputs = np.empty((trajectories, steps + 1, 1, *shape)), np.empty((trajectories, steps, 1, *shape))
        for i in range(trajectories):
            states[i, 0, 0] = 10.0 * random_field(rng, shape, 1, 8) + rng.normal(0.0, 5.0)
            heating = random_field(rng, shape, 0, 8)
            for t in range(steps):
                heating = 0.8 * heating + 0.6 * random_field(rng, shape, 0, 8)
                inputs[i, t, 0] = HEATING_K_PER_S * heating
                spectrum = decay * np.fft.rfft2(states[i, t, 0]) + gain * np.fft.rfft2(inputs[i, t, 0])
                states[i, t + 1, 0] = np.fft.irfft2(spectrum, s=shape)
        return Trajectories(states, inputs)

    def mean_law(self) -> NDArray[np.float64]:
        """Energy in is energy stored."""
        return np.array([[1.0], [self.step_s]])

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """Root mean square excess over ambient [K]: thermal energy has no lowest level to be a share of."""
        return states[:, 0].square().mean((1, 2)).sqrt()
