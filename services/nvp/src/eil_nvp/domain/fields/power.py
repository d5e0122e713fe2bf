"""A power grid in the large: a lattice of buses, each fed from the transmission grid, under the equations of AC power flow."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from .domain import FieldDomain, Trajectories
from .spectral import grid_of, random_field, to_fields, to_spectrum

LINE_Z = 0.01 + 0.03j
"""Impedance of a line between neighbours [pu]."""
TIE_Z = 0.15 + 0.5j
"""Impedance between a bus and the transmission grid, which holds 1 pu [pu]."""
LOAD_PU, FLUCTUATION_PU = 0.06, 0.12
"""Mean load of a bus, and the root mean square of its fluctuations."""
TOLERANCE_PU = 1e-13
ITERATIONS = 200


class Power(FieldDomain):
    """Voltages of the buses. Injections of power are known in advance, as loads planned for the next step are; voltages follow at once.

    Homogeneous and periodic: an idealised meshed distribution grid, not a model of one that exists.
    """

    name = "power"
    states = ("real voltage less 1 [pu]", "imaginary voltage [pu]")
    inputs = ("active injection [pu]", "reactive injection [pu]")
    extent = 64.0
    step_s = 60.0
    stages = 5
    terms = 2

    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int) -> Trajectories:
        """AC power flow at each step, by the fixed point of the bus currents, until no voltage moves by more than 1e-13 pu."""
        shape = (points, points)
        states, inputs = np.empty((trajectories, steps + 1, 2, *shape)), np.empty((trajectories, steps, 2, *shape))
        for i in range(trajectories):
            load = random_field(rng, shape, 0, 8)
            for t in range(-1, steps):
                load = 0.8 * load + 0.6 * random_field(rng, shape, 0, 8)
                active = -LOAD_PU - FLUCTUATION_PU * load
                power = active * (1.0 + 0.3j) + 0.02j * random_field(rng, shape, 0, 8)
                voltage = solve(power)
                states[i, t + 1] = voltage.real - 1.0, voltage.imag
                if t >= 0:
                    inputs[i, t] = power.real, power.imag
        return Trajectories(states, inputs)

    def products(self, spectrum: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Currents injected, (S/V)*, real and imaginary."""
        current = _current(to_fields(spectrum, grid_of(spectrum)), inputs)
        return to_spectrum(torch.stack([current.real, current.imag], 1))

    def mean_law(self) -> None:
        """None: the mean voltage follows from the currents."""
        return None

    def imbalance(self, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Power that does not balance at the buses, sum of sizes, over the power injected."""
        deviation = torch.complex(after[:, 0], after[:, 1])
        admittance = torch.as_tensor(bus_admittance(after.shape[-1]), device=after.device)
        current = torch.fft.ifft2(admittance * torch.fft.fft2(deviation))
        injected = torch.complex(inputs[:, 0], inputs[:, 1])
        mismatch = injected - (1.0 + deviation) * current.conj()
        return mismatch.abs().sum((1, 2)) / injected.abs().sum((1, 2))

    def restore(self, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Voltages that the currents drawn at the given ones would make, three times over: nearer to a balance by orders."""
        admittance = torch.as_tensor(bus_admittance(after.shape[-1]), device=after.device)
        for _ in range(3):
            deviation = torch.fft.ifft2(torch.fft.fft2(_current(after, inputs)) / admittance)
            after = torch.stack([deviation.real, deviation.imag], 1)
        return after

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """Losses in the lines, per bus [pu]."""
        voltage = torch.complex(states[:, 0], states[:, 1])
        drops = torch.stack([(voltage - voltage.roll(1, axis)).abs().square() for axis in (1, 2)])
        return (1.0 / LINE_Z).real * drops.sum(0).mean((1, 2))


def _current(states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """(B, *grid) complex current into each bus [pu]."""
    voltage = torch.complex(1.0 + states[:, 0], states[:, 1])
    return (torch.complex(inputs[:, 0], inputs[:, 1]) / voltage).conj()


def bus_admittance(points: int) -> NDArray[np.complex128]:
    """Eigenvalues of the bus admittance matrix on the lattice [pu], by wavenumbers of `fft2`."""
    angle = 2.0 * np.pi * np.fft.fftfreq(points)
    lattice = 4.0 - 2.0 * np.cos(angle)[:, None] - 2.0 * np.cos(angle)[None, :]
    return np.asarray(1.0 / TIE_Z + lattice / LINE_Z, np.complex128)


def solve(power: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Bus voltages [pu] for the injections (n, n) [pu].

    Raises:
        ValueError: the loads are more than the grid can carry.
    """
    admittance = bus_admittance(power.shape[-1])
    voltage = np.ones_like(power)
    for _ in range(ITERATIONS):
        after = 1.0 + np.fft.ifft2(np.fft.fft2((power / voltage).conj()) / admittance)
        moved = np.abs(after - voltage).max()
        voltage = after
        if moved < TOLERANCE_PU:
            return voltage
        if not np.isfinite(moved):
            break
    raise ValueError("the power flow has no solution: the loads are more than the grid can carry")
