"""The φ⁴ field on a periodic square lattice: the simplest interacting field, with one well a site or two."""

import copy
import math
from typing import Self

from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.free_field import GaussianFreeField

# From its start Newton's method doubles the mass at least, and ends quadratically.
NEWTON_STEPS = 100
TOLERANCE = 1e-14


class Phi4:
    """E = Σ_x[½Σ_μ(φ(x+μ) - φ(x))² + ½m²φ(x)² + λφ(x)⁴], dimensionless, on side x side sites, periodic.

    `mass2` is m², `coupling` λ. With m² < 0 every site has two wells, at φ² = -m²/(4λ); on two sites a side each bond
    counts twice, as the sum says. Raises ValueError unless `side` is between 2 and 2048, both numbers are finite and the
    energy confines: λ > 0, or λ = 0 and m² > 0, which is the Gaussian free field.
    """

    lower: Tensor | None = None
    upper: Tensor | None = None

    def __init__(self, side: int, mass2: float, coupling: float) -> None:
        if not (math.isfinite(mass2) and math.isfinite(coupling)):
            raise ValueError(f"mass2 is {mass2} and coupling {coupling}: give finite numbers")
        if coupling < 0:
            raise ValueError(f"coupling is {coupling}: give zero or more, for the energy would fall without bound")
        if coupling == 0 and mass2 <= 0:
            raise ValueError(
                f"mass2 is {mass2} without coupling, so nothing confines the field: make one of them positive"
            )
        self.side, self.mass2, self.coupling = side, mass2, coupling
        self.reference = hartree(side, mass2, coupling)
        """The Hartree free field at kT = 1; `hartree` gives that of another temperature."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(side, side)."""
        return self.side, self.side

    def energy(self, x: Tensor) -> Tensor:
        """(batch, side, side) → (batch,)."""
        across, down, square = x.roll(-1, 2) - x, x.roll(-1, 1) - x, x**2
        return each_sum(0.5 * (across**2 + down**2) + (0.5 * self.mass2 + self.coupling * square) * square)

    def gradient(self, x: Tensor) -> Tensor:
        """(m² - Δ)φ + 4λφ³ with the five-point lattice Laplacian."""
        neighbours = x.roll(1, 1) + x.roll(-1, 1) + x.roll(1, 2) + x.roll(-1, 2)
        return (4 + self.mass2 + 4 * self.coupling * x**2) * x - neighbours

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = copy.copy(self)
        moved.reference = self.reference.to(device)
        moved.lower = None if self.lower is None else self.lower.to(device)
        moved.upper = None if self.upper is None else self.upper.to(device)
        return moved

    def lower_bound(self, x: Tensor) -> float:
        """No configuration lies below it: every site in its well and all alike, -N·m⁴/(16λ) with two wells, else zero.

        Exact while the box holds such a field; x (*shape) is not needed.
        """
        del x
        return -(self.side**2) * self.mass2**2 / (16 * self.coupling) if self.mass2 < 0 else 0.0


def hartree(side: int, mass2: float, coupling: float, kt: float = 1.0) -> GaussianFreeField:
    """The free field whose mass solves the gap equation M = m² + 12λ⟨φ²⟩, ⟨φ²⟩ = (kT/N)·Σ_k 1/(Λ(k) + M).

    It is the Gaussian that minimises the variational free energy of φ⁴ among those with mean zero. The right side falls
    with M and has a pole at zero, so there is one solution and it is positive, also where m² is negative; with λ = 0 it
    is m². Newton's method on a concave, rising function climbs to the root from any start below it, and one below is
    known: the zero mode's share of ⟨φ²⟩ alone gives M = m² + 12λkT/(N·M). Raises ValueError when the numbers overflow.
    """
    laplacian = GaussianFreeField(side, 1.0).eigenvalues - 1.0
    strength = 12 * coupling * kt
    root = math.hypot(mass2, 2 * math.sqrt(strength) / side)
    mass = 0.5 * root + 0.5 * mass2 if mass2 > 0 else 2 * strength / side**2 / (root - mass2)
    for _ in range(NEWTON_STEPS):
        spread = 1 / (laplacian + mass)
        step = (mass2 + strength * float(spread.mean()) - mass) / (1 + strength * float((spread**2).mean()))
        mass += step
        if not step > TOLERANCE * mass:
            break
    if not 0 < mass < math.inf:
        raise ValueError(f"mass2 {mass2:g} and coupling {coupling:g} overflow in the gap equation: rescale the field")
    return GaussianFreeField(side, mass)
