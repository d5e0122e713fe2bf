import math
from typing import Any

import numpy as np
import pytest
import torch
from eil_diffusion.domain import (
    ENERGIES,
    GaussianFreeField,
    QuadraticEnergy,
    RackHeatMap,
    build_energy,
    energy_gradient,
)
from numpy.testing import assert_allclose


def racks() -> RackHeatMap:
    power = 4000 + 500 * torch.arange(12, dtype=torch.float64).reshape(3, 4)
    return RackHeatMap(3, 4, power, fan_speed=[[1.0, 0.5, 0.8, 1.0]] * 3)


@pytest.fixture(params=["field", "racks"])
def energy(request: pytest.FixtureRequest) -> QuadraticEnergy:
    return GaussianFreeField(6, 0.3) if request.param == "field" else racks()


def scattered(energy: QuadraticEnergy, count: int = 5) -> torch.Tensor:
    noise = torch.randn((count, *energy.shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return energy.mean + noise


def test_gradient_is_the_derivative_of_the_energy(energy: QuadraticEnergy) -> None:
    x = scattered(energy)
    assert_allclose(energy_gradient(energy, x), energy_gradient(energy.energy, x), atol=1e-7)


def test_modes_are_orthonormal_and_diagonalise_the_energy(energy: QuadraticEnergy) -> None:
    shift = scattered(energy) - energy.mean
    modes = energy.to_modes(shift)
    assert_allclose(energy.from_modes(modes), shift, atol=1e-7)
    assert_allclose(modes.square().sum(), shift.square().sum(), atol=1e-7)
    assert_allclose(
        energy.energy(energy.mean + shift), 0.5 * (energy.eigenvalues * modes**2).flatten(1).sum(1), atol=1e-7
    )


def test_preconditioning_inverts_the_hessian(energy: QuadraticEnergy) -> None:
    x = scattered(energy)
    assert_allclose(x - energy.precondition(energy.gradient(x)), energy.mean.expand_as(x), atol=1e-7)


@pytest.mark.parametrize(("mass2", "log_z"), [(0.01, 21771.6757), (0.1, 20251.688356), (1.0, 10809.9818)])
def test_log_z_of_the_free_field_is_exact(mass2: float, log_z: float) -> None:
    assert GaussianFreeField(256, mass2).log_z() == pytest.approx(log_z, abs=1e-4)


def test_quench_and_site_variance_of_the_free_field_are_exact() -> None:
    assert GaussianFreeField(64, 0.1).log_z() - GaussianFreeField(64, 1.0).log_z() == pytest.approx(
        590.106659, abs=1e-6
    )
    assert GaussianFreeField(256, 0.1).site_variance() == pytest.approx(0.454352, abs=1e-6)


def test_log_z_is_the_determinant_and_scales_with_temperature() -> None:
    energy = racks()
    direct = 6 * math.log(2 * math.pi * 250.0) - 0.5 * float(torch.logdet(energy.stiffness))
    assert energy.log_z(250.0) == pytest.approx(direct)


def test_steady_state_carries_all_heat_to_the_supply_air() -> None:
    energy = RackHeatMap(3, 4, 5000.0, supply_w_per_k=400.0, fan_speed=0.5)
    heat_w = 400.0 * 0.5**0.8 * (energy.mean - 295.15)
    assert_allclose(heat_w, torch.full_like(heat_w, 5000.0), atol=1e-7)
    assert float(energy.gradient(energy.mean[None]).abs().max()) < 1e-6


def test_two_racks_exchange_heat_as_computed_by_hand() -> None:
    energy = RackHeatMap(1, 2, [[3000.0, 1000.0]], neighbour_w_per_k=100.0, supply_w_per_k=200.0)
    # Sum mode: 200·(θ₁+θ₂) = 4000; difference mode: (200+2·100)·(θ₁-θ₂) = 2000.
    assert_allclose(energy.mean, 295.15 + torch.tensor([[12.5, 7.5]], dtype=torch.float64), atol=1e-7)
    cold = torch.full((1, 1, 2), 295.15, dtype=torch.float64)
    assert_allclose(energy.gradient(cold)[0], torch.tensor([[-3000.0, -1000.0]], dtype=torch.float64), atol=1e-7)


def test_slower_fans_make_hotter_racks() -> None:
    assert bool((RackHeatMap(2, 2, 4000.0, fan_speed=0.4).mean > RackHeatMap(2, 2, 4000.0).mean).all())


def test_registry_builds_by_name_and_takes_whole_floats_for_integers() -> None:
    built = build_energy("gaussian_free_field", {"side": 8.0, "mass2": 1})
    assert isinstance(built, GaussianFreeField)
    assert built.shape == (8, 8)
    assert build_energy("rack_heat_map", {"rows": 2, "columns": 3, "power_w": 100.0}).shape == (2, 3)
    assert build_energy("phi4", {"side": 4, "mass2": -1, "coupling": 0.5}).shape == (4, 4)
    assert all(kind.__doc__ for kind in ENERGIES.values())


def test_registry_takes_lists_as_json_has_them() -> None:
    racks = build_energy("rack_heat_map", {"rows": 1, "columns": 2, "power_w": [[3000, 1000]], "fan_speed": [[1, 0.5]]})
    assert isinstance(racks, RackHeatMap)
    # Rack 1 stands at half its fan speed, and the heat goes where it came from.
    assert_allclose(racks.stiffness.sum(1), 500.0 * torch.tensor([1.0, 0.5**0.8]), rtol=1e-6)
    graph = build_energy(
        "graph", {"edges": [[0, 1, 1]], "pull": [1, 1.0], "target": [0, 3], "nodes": None, "lower": None}
    )
    assert_allclose(graph.reference.mean, torch.tensor([1.0, 2.0]), atol=1e-14)  # type: ignore[attr-defined]
    assert build_energy("graph", {"edges": [], "pull": 1, "nodes": 3.0}).shape == (3,)
    matrix = [[2, 0.5], [0.5, 1]]
    for given in (matrix, [2, 0.5, 0.5, 1], torch.tensor(matrix), np.array(matrix)):
        quadratic = build_energy("quadratic", {"matrix": given, "linear": [1, 2], "constant": 3, "upper": 9})
        assert float(quadratic.energy(torch.ones(1, 2, dtype=torch.float64))) == pytest.approx(2.0 + 3 + 3)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("spin_glass", {}, "no energy is called 'spin_glass': choose one of fleet_placement, gaussian_free_field"),
        ("gaussian_free_field", {"side": 8}, "^gaussian_free_field: .*mass2"),
        (
            "gaussian_free_field",
            {"side": 8, "mass2": 1.0, "beta": 2.0},
            "^gaussian_free_field: .*beta.*are side, mass2",
        ),
        ("gaussian_free_field", {"side": 8, "mass2": 1.0, 3: 2.0}, "by name"),
        ("gaussian_free_field", [8, 1.0], "parameters are a list: give them by name"),
        ("gaussian_free_field", {"side": 8.5, "mass2": 1.0}, "^gaussian_free_field.side is 8.5: give a whole number"),
        ("gaussian_free_field", {"side": True, "mass2": 1.0}, "whole number"),
        ("gaussian_free_field", {"side": math.nan, "mass2": 1.0}, "whole number"),
        ("gaussian_free_field", {"side": math.inf, "mass2": 1.0}, "whole number"),
        ("gaussian_free_field", {"side": [8], "mass2": 1.0}, "whole number"),
        ("gaussian_free_field", {"side": 8, "mass2": "heavy"}, "mass2 is 'heavy': give a number"),
        ("gaussian_free_field", {"side": 8, "mass2": None}, "give a number"),
        ("gaussian_free_field", {"side": 8, "mass2": 10**400}, "give a number, and a finite one"),
        ("gaussian_free_field", {"side": 1, "mass2": 1.0}, "^gaussian_free_field: side is 1: .*between 2 and"),
        ("gaussian_free_field", {"side": 8, "mass2": 0.0}, "positive"),
        ("phi4", {"side": 8, "mass2": -1.0, "coupling": 0.0}, "^phi4: .*nothing confines"),
        ("graph", {"edges": 3.0, "pull": [1.0]}, "^graph.edges is 3.0: give a list"),
        ("graph", {"edges": [[0, 1, "x"]], "pull": [1.0, 1.0]}, "^graph.edges is no table of numbers"),
        ("graph", {"edges": {"0": 1}, "pull": [1.0, 1.0]}, "no table of numbers"),
        ("graph", {"edges": "0-1", "pull": [1.0, 1.0]}, "no table of numbers"),
        ("graph", {"edges": [], "pull": True, "nodes": 2}, "pull is True: give a number"),
        ("graph", {"edges": [], "pull": 1.0, "nodes": 2.5}, "nodes is 2.5: give a whole number"),
        ("graph", {"edges": [[0, 1, 1.0]], "pull": [0.0, 0.0]}, "^graph: nothing pulls node 0"),
        ("quadratic", {"matrix": [[1.0, 0.0], [0.0]]}, "quadratic.matrix is no table of numbers"),
        ("quadratic", {"matrix": [[1.0]], "linear": None}, "quadratic.linear is no table of numbers"),
        ("quadratic", {"matrix": [[1.0]], "constant": [0.0]}, "constant is .0.0.: give a number"),
        ("quadratic", {"matrix": [[-1.0]]}, "^quadratic: the smallest eigenvalue is -1"),
        ("rack_heat_map", {"rows": 0, "columns": 3, "power_w": 1.0}, "racks"),
        ("rack_heat_map", {"rows": 2, "columns": 3, "power_w": [[1.0, 2.0]]}, "one per rack"),
        ("rack_heat_map", {"rows": 1, "columns": 2, "power_w": [["a", "b"]]}, "power_w is no table of numbers"),
        ("rack_heat_map", {"rows": 2, "columns": 3, "power_w": -1.0}, "power_w must be"),
        ("rack_heat_map", {"rows": 2, "columns": 3, "power_w": 1.0, "fan_speed": 0.01}, "fan_speed must be"),
        ("rack_heat_map", {"rows": 2, "columns": 3, "power_w": 1.0, "limit_k": 200.0}, "above the set-point"),
    ],
)
def test_bad_energies_are_refused_with_a_reason(name: str, parameters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_energy(name, parameters)


def test_bad_maps_are_refused_without_the_registry_too() -> None:
    with pytest.raises(ValueError, match="no map of numbers"):
        RackHeatMap(1, 2, [["a", "b"]])  # type: ignore[list-item]
