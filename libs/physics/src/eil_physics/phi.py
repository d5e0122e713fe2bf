"""Φ = ∂²F/∂T² [J/K²], the curvature of free energy in temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

BOLTZMANN_J_PER_K = 1.380649e-23
"""Exact by the definition of the kelvin (SI, 2019)."""


def phi(capacity_j_per_k: float, temperature_k: float) -> float:
    """Φ = −C/T [J/K²] of a thermal node with heat capacity C [J/K] at absolute temperature T [K].

    From S = −∂F/∂T and C = T ∂S/∂T. Only an identified node has a C worth using. Raises ValueError when the
    temperature or the capacity is not positive (degrees Celsius below zero are the usual cause).
    """
    if not temperature_k > 0:
        raise ValueError(f"the temperature is {temperature_k} K: give an absolute temperature, °C + 273.15")
    if not capacity_j_per_k > 0:
        raise ValueError(f"the heat capacity is {capacity_j_per_k} J/K: a node needs a positive one, identify it first")
    return -capacity_j_per_k / temperature_k


def phi_ensemble(energy_j: ArrayLike, temperature_k: float, *, boltzmann_j_per_k: float = BOLTZMANN_J_PER_K) -> float:
    """Φ = −Var(E)/(k_B T³) [J/K²] of independent canonical samples of the energy (n,) [J] at temperature T [K].

    The fluctuation–dissipation form of −C/T, since Var(E) = k_B T² C. For samplers in reduced units pass
    ``boltzmann_j_per_k=1``. Telemetry is no canonical ensemble: do not use this on it. Raises ValueError when fewer
    than two samples are given or the temperature is not positive.
    """
    energy = np.asarray(energy_j, dtype=np.float64)
    if energy.ndim != 1 or energy.size < 2:
        raise ValueError("a variance needs at least two energies in a vector: draw more samples")
    if not temperature_k > 0:
        raise ValueError(f"the temperature is {temperature_k} K: give an absolute temperature")
    return -float(np.var(energy, ddof=1)) / (boltzmann_j_per_k * temperature_k**3)
