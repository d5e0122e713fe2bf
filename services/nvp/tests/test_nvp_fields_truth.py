"""Truth: each solver against a closed form, its order, or the equations themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eil_nvp.domain.fields import power
from eil_nvp.domain.fields.fluid import VISCOSITY, Fluid, vorticity_solver
from eil_nvp.domain.fields.registry import BENCHMARK, DOMAINS
from eil_nvp.domain.fields.relaxation import Relaxation, relaxation_solver
from eil_nvp.domain.fields.spectral import Etdrk4, random_field, wavenumbers


def test_taylor_greens_vortex_decays_as_it_must() -> None:
    x = np.arange(32) * Fluid.extent / 32
    start = 2.0 * np.cos(x)[:, None] * np.cos(x)[None, :]
    solver, spectrum = vorticity_solver(32, Fluid.extent, 0.02), np.fft.rfft2(start)
    for _ in range(50):
        spectrum = solver.step(spectrum)
    np.testing.assert_allclose(
        np.fft.irfft2(spectrum, s=(32, 32)), start * np.exp(-2.0 * VISCOSITY), rtol=0, atol=1e-13
    )


def test_relaxation_without_the_cube_is_exact() -> None:
    start = random_field(np.random.default_rng(0), (32, 32), 1, 8)
    solver, spectrum = relaxation_solver(32, Relaxation.extent, 0.5, coupling=0.0), np.fft.rfft2(start)
    for _ in range(4):
        spectrum = solver.step(spectrum)
    kx, ky = wavenumbers((32, 32), Relaxation.extent)
    k2 = kx**2 + ky**2
    np.testing.assert_allclose(spectrum, np.fft.rfft2(start) * np.exp(2.0 * (k2 - k2**2)), rtol=1e-9, atol=1e-9)


def test_the_integrator_is_of_fourth_order() -> None:
    """û' = −û + û² from ½: û(t) = 1 / (1 + e^t)."""

    def error(steps: int) -> float:
        solver, value = Etdrk4(np.array([-1.0]), lambda u: u**2, 1.0 / steps), np.array([0.5 + 0j])
        for _ in range(steps):
            value = solver.step(value)
        return abs(value[0] - 1.0 / (1.0 + np.e))

    slope = np.log(error(8) / error(16)) / np.log(2.0)
    assert slope == pytest.approx(4.0, abs=0.3)


def test_power_balances_at_every_bus_and_too_much_load_is_refused() -> None:
    made = DOMAINS["power"].simulate(np.random.default_rng(0), 1, 3, 16)
    states, inputs = torch.as_tensor(made.states[0, 1:]), torch.as_tensor(made.inputs[0])
    assert float(DOMAINS["power"].imbalance(states, inputs, states).max()) < 1e-11
    with pytest.raises(ValueError, match="more than the grid can carry"):
        power.solve(np.full((8, 8), -5.0 + 0j))


@pytest.mark.parametrize("name", ["heat", "wave", "fluid", "relaxation"])
def test_truth_conserves_what_its_domain_conserves(name: str) -> None:
    domain = DOMAINS[name]
    made = domain.simulate(np.random.default_rng(1), 2, 3, 32)
    states = torch.as_tensor(made.states[:, :: domain.substeps])
    for step in range(3):
        inputs = torch.as_tensor(made.inputs[:, step])
        assert float(domain.imbalance(states[:, step], inputs, states[:, step + 1]).max()) < 1e-12


def test_free_energy_only_falls() -> None:
    made = DOMAINS["relaxation"].simulate(np.random.default_rng(2), 2, 5, 64)
    energies = torch.stack([DOMAINS["relaxation"].energy(torch.as_tensor(made.states[:, t])) for t in range(21)])
    assert bool((energies.diff(dim=0) < 0.0).all())


@pytest.mark.parametrize("domain", [*DOMAINS.values(), BENCHMARK], ids=lambda domain: domain.name)
def test_a_data_set_has_the_stated_shape_and_is_the_same_from_the_same_seed(domain) -> None:
    once, again = (domain.simulate(np.random.default_rng(3), 2, 2, 32) for _ in range(2))
    grid = (32,) * domain.dimensions
    assert once.states.shape == (2, 2 * domain.substeps + 1, len(domain.states), *grid)
    assert once.inputs.shape == (2, 2, len(domain.inputs), *grid)
    np.testing.assert_array_equal(once.states, again.states)
    assert domain.method.endswith(".")
