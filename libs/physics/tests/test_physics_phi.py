"""Φ is the curvature of free energy, whichever way it is computed."""

import numpy as np
import pytest
from eil_physics import BOLTZMANN_J_PER_K, phi, phi_ensemble


def test_it_is_the_second_derivative_of_the_free_energy_of_a_constant_heat_capacity():
    capacity, temperature, step = 15e3, 340.0, 0.5
    free = [-capacity * t * (np.log(t) - 1) for t in (temperature - step, temperature, temperature + step)]
    curvature = (free[0] - 2 * free[1] + free[2]) / step**2
    assert phi(capacity, temperature) == pytest.approx(curvature, rel=1e-4)


@pytest.mark.parametrize("unit", [1.0, BOLTZMANN_J_PER_K])
def test_the_ensemble_form_of_harmonic_modes_gives_minus_heat_capacity_over_temperature(unit):
    modes, temperature = 64, 2.5  # 64 quadratic degrees of freedom: C = 32 k_B, E ~ Gamma(32, k_B T)
    energy = np.random.default_rng(11).gamma(modes / 2, unit * temperature, 40_000)
    expected = phi(modes / 2 * unit, temperature)
    assert phi_ensemble(energy, temperature, boltzmann_j_per_k=unit) == pytest.approx(expected, rel=0.03)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="absolute temperature"):
        phi(1.0, -5.0)
    with pytest.raises(ValueError, match="identify it first"):
        phi(float("nan"), 300.0)
    with pytest.raises(ValueError, match="two energies"):
        phi_ensemble([1.0], 300.0)
    with pytest.raises(ValueError, match="absolute temperature"):
        phi_ensemble([1.0, 2.0], 0.0)
