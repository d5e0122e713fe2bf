import itertools
from typing import Any

import numpy as np
import pytest
import torch
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.optimise import optimise
from eil_diffusion.domain.optimise_branch import fixed_charge_bound
from eil_diffusion.domain.optimise_qp import excess_of, minimise_pairs
from eil_diffusion.domain.optimise_refine import refine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize as reference


def row(links: np.ndarray) -> torch.Tensor:
    """Σ link·(x[i] + x[i+1])²/2 as ½xᵀHx: neighbours in a row, positive semidefinite."""
    heat = np.zeros((len(links) + 1, len(links) + 1))
    for i, link in enumerate(links):
        heat[i : i + 2, i : i + 2] += link
    return torch.from_numpy(heat)


def fleet(seed: int, servers: int = 6, heat_w: float = 100.0) -> FleetPlacement:
    rng = np.random.default_rng(seed)
    peak = rng.uniform(200, 500, servers)
    idle = peak * rng.uniform(0.4, 0.6, servers)
    capacity = rng.uniform(0.7, 1.4, servers) * peak
    heat = row(rng.uniform(0, heat_w, servers - 1))
    idle_w, dynamic_w, work = (torch.from_numpy(values) for values in (idle, peak - idle, capacity))
    return FleetPlacement(idle_w, dynamic_w, work, float(rng.uniform(0.2, 0.8) * capacity.sum()), heat)


def enumerated(placed: FleetPlacement) -> float:
    """The lowest exact power over every set of servers, each set's loads solved by an independent method."""
    idle, dynamic, capacity, heat = (
        part.numpy() for part in (placed.idle_w, placed.dynamic_w, placed.capacity, placed.recirculation_w)
    )
    best = np.inf
    for chosen in itertools.product((False, True), repeat=len(capacity)):
        on = np.array(chosen)
        if capacity[on].sum() < placed.demand:
            continue
        solved = reference.minimize(
            lambda x, on=on: dynamic[on] @ x + 0.5 * x @ heat[np.ix_(on, on)] @ x,
            np.full(int(on.sum()), placed.demand / capacity[on].sum()),
            jac=lambda x, on=on: dynamic[on] + heat[np.ix_(on, on)] @ x,
            bounds=[(0, 1)] * int(on.sum()),
            constraints={"type": "eq", "fun": lambda x, on=on: capacity[on] @ x - placed.demand},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 300},
        )
        if solved.success:
            best = min(best, float(solved.fun + idle[on].sum()))
    return best


def test_the_power_of_a_known_placement_is_exact() -> None:
    placed = FleetPlacement(
        [100.0, 80.0, 90.0], [100.0, 120.0, 90.0], [10.0, 8.0, 12.0], 9.0, row(np.array([20.0, 30.0]))
    )
    x = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    # 180 W idle, 110 W of load, ½·20·(0.5 + 0.5)² + ½·30·0.5² W of heat.
    assert float(placed.exact_power(x)) == pytest.approx(180 + 110 + 10 + 3.75)
    assert placed.constraints.violation(x).item() == pytest.approx(0.0, abs=1e-15)


def test_the_gradient_is_the_derivative_of_the_relaxed_power() -> None:
    placed, nudge = fleet(1), 1e-6
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for i in range(6):
        step = nudge * torch.eye(6, dtype=torch.float64)[i]
        slope = (placed.energy(x + step) - placed.energy(x - step)) / (2 * nudge)
        assert_allclose(placed.gradient(x)[:, i], slope, rtol=1e-7)


def test_the_relaxed_power_is_exact_where_servers_are_full_or_off_and_below_it_elsewhere() -> None:
    placed = fleet(2)
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6)), dtype=torch.float64)
    assert_allclose(placed.energy(corners), placed.exact_power(corners), rtol=1e-14)
    inside = torch.rand(100, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert bool((placed.energy(inside) < placed.exact_power(inside)).all())


@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_is_the_enumerated_one(seed: int) -> None:
    placed = fleet(10 + seed, servers=5)
    found = optimise(placed, seed=0, steps=40)
    assert found.energy == pytest.approx(enumerated(placed), rel=1e-6)
    assert found.energy == float(placed.exact_power(found.x[None]))
    assert placed.constraints.violation(found.x[None]).item() < 1e-12


def test_moves_leave_a_placement_that_no_gradient_leaves() -> None:
    """One big server idles for less than two small ones; both placements are minima of the smooth energy."""
    placed = FleetPlacement([100.0, 100.0, 150.0], [50.0, 50.0, 100.0], [10.0, 10.0, 20.0], 20.0)
    trapped = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    assert_allclose(refine(placed, placed.constraints, trapped), trapped, atol=1e-12)
    found = optimise(placed, trapped, seed=0, steps=0)
    assert (found.start_energy, found.energy) == (300.0, pytest.approx(250.0))
    assert_allclose(found.x, [0.0, 0.0, 1.0], atol=1e-12)


def test_neighbours_carry_the_demand_and_their_own_set_is_the_first() -> None:
    placed = fleet(3)
    start = placed.constraints.project(torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0, 0.3]], dtype=torch.float64))[0]
    near = placed.neighbours(start)
    assert placed.constraints.violation(near).max().item() < 1e-12
    assert set(torch.nonzero(near[0] > 0).flatten().tolist()) <= set(torch.nonzero(start > 0).flatten().tolist())
    assert float(placed.exact_power(near)[0]) <= float(placed.exact_power(start[None]))
    switched = ((near > 0) ^ (start > 0)).sum(dim=1)
    assert switched.max() >= 3
    full = FleetPlacement([50.0] * 3, [50.0] * 3, [1.0] * 3, 3.0)
    assert len(full.neighbours(torch.ones(3, dtype=torch.float64))) == 1, "no server can be spared"


@pytest.mark.parametrize("seed", range(6))
def test_branch_and_bound_proves_the_enumerated_optimum_and_less_when_cut_short(seed: int) -> None:
    placed = fleet(20 + seed, servers=7)
    idle, dynamic, heat, work = (
        part.numpy() for part in (placed.idle_w, placed.dynamic_w, placed.recirculation_w, placed.capacity)
    )
    sets = np.array(list(itertools.product((0.0, 1.0), repeat=7)))
    sets = sets[sets @ work >= placed.demand]
    loads, excess = minimise_pairs(dynamic, heat, work, sets, placed.demand, np.zeros(7))
    truth = float(placed.exact_power(torch.from_numpy(loads)).min())
    assert excess.max() < 1e-6
    bounds = [
        fixed_charge_bound(idle, dynamic, heat, work, placed.demand, np.full(7, 0.5), nodes) for nodes in (0, 10, 4000)
    ]
    assert bounds[0] < truth * (1 - 1e-4)
    assert bounds == sorted(bounds)
    assert bounds[2] == pytest.approx(truth, rel=1e-9)


def test_alike_servers_do_not_defeat_the_bound() -> None:
    """Every set of 26 of 64 is optimal, more than any search can visit."""
    placed = FleetPlacement([150.0] * 64, [150.0] * 64, [1.0] * 64, 25.3)
    half = torch.full((64,), 0.5, dtype=torch.float64)
    assert placed.lower_bound(half) == pytest.approx(26 * 150 + 25.3 * 150, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), servers=st.integers(1, 9))
def test_no_placement_lies_below_the_bound(seed: int, servers: int) -> None:
    placed = fleet(seed, servers)
    some = torch.rand(50, servers, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    placements = torch.cat([placed.constraints.project(some), placed.neighbours(placed.constraints.project(some)[0])])
    bound = placed.lower_bound(placements[0])
    assert 0 < bound <= float(placed.exact_power(placements).min()) * (1 + 1e-12)
    found = optimise(placed, seed=seed, steps=5)
    assert found.bound_from == "the energy's own relaxation"
    assert found.lower_bound == pytest.approx(bound, rel=1e-9)
    assert found.gap == pytest.approx(0.0, abs=1e-8 * found.energy), "so small a fleet is proven"


def test_the_bound_of_a_known_fleet_is_exact() -> None:
    placed = FleetPlacement([100.0, 80.0, 200.0], [100.0, 90.0, 100.0], [10.0, 10.0, 10.0], 20.0)
    found = optimise(placed, seed=0, steps=10)
    assert (found.energy, found.lower_bound) == (pytest.approx(370.0), pytest.approx(370.0))
    assert found.gap == pytest.approx(0.0, abs=1e-9)


def test_an_idle_fleet_draws_nothing_and_a_lone_server_all() -> None:
    nothing = optimise(FleetPlacement([50.0] * 3, [50.0] * 3, [1.0] * 3, 0.0), seed=0, steps=5)
    assert (nothing.energy, nothing.lower_bound) == (0.0, 0.0)
    assert optimise(FleetPlacement([50.0], [60.0], [2.0], 1.0), seed=0, steps=5).energy == pytest.approx(80.0)


def test_a_large_fleet_is_solved_within_its_bound() -> None:
    placed = fleet(4, servers=48)
    found = optimise(placed, seed=0, steps=20)
    assert found.gap is not None
    assert 0 <= found.gap < 0.03 * found.energy
    assert found.energy < found.start_energy


@pytest.mark.parametrize("rank", [0, 2, 8])
def test_pairs_solve_convex_programmes_with_a_certificate(rank: int) -> None:
    """From linear, over semidefinite, to strictly convex; the certificate bounds what an independent solver still gains."""
    rng = np.random.default_rng(rank)
    factor = rng.normal(size=(8, rank))
    linear, hessian, weights = rng.normal(size=8), factor @ factor.T, rng.uniform(0.5, 2, 8)
    uppers = rng.uniform(0, 1, (20, 8))
    total = 0.5 * float((uppers @ weights).min())
    solved, excess = minimise_pairs(linear, hessian, weights, uppers, total, np.full(8, 0.5))
    assert_allclose(solved @ weights, total, rtol=1e-13)
    assert bool(((solved >= 0) & (solved <= uppers)).all())
    assert excess.max() < 1e-8
    for x, upper in zip(solved, uppers, strict=True):
        other = reference.minimize(
            lambda z: linear @ z + 0.5 * z @ hessian @ z,
            upper * total / (upper @ weights),
            jac=lambda z: linear + hessian @ z,
            bounds=list(zip(np.zeros(8), upper, strict=True)),
            constraints={"type": "eq", "fun": lambda z: weights @ z - total},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 300},
        )
        assert linear @ x + 0.5 * x @ hessian @ x <= other.fun + 1e-8


def test_a_linear_programme_ends_on_its_vertex() -> None:
    linear, uppers = np.array([1.0, 2.0, 3.0]), np.ones((1, 3))
    solved, excess = minimise_pairs(linear, np.zeros((3, 3)), np.ones(3), uppers, 1.5, np.array([0.0, 0.5, 1.0]))
    assert_allclose(solved[0], [1.0, 0.5, 0.0], atol=1e-15)
    assert excess[0] == pytest.approx(0.0, abs=1e-15)


def test_the_certificate_covers_what_a_bad_solution_leaves() -> None:
    """Exact for linear costs, and by convexity never too small for others."""
    linear, upper = np.array([1.0, 2.0, 3.0]), np.ones((1, 3))
    worst = np.array([0.0, 0.5, 1.0])
    assert excess_of(np.ones(3), upper, 1.5, worst, linear[None])[0] == pytest.approx(4.0 - 2.0)
    hessian = np.diag([3.0, 1.0, 2.0])
    best = minimise_pairs(linear, hessian, np.ones(3), upper, 1.5, worst)[0][0]
    left = (linear @ worst + 0.5 * worst @ hessian @ worst) - (linear @ best + 0.5 * best @ hessian @ best)
    assert excess_of(np.ones(3), upper, 1.5, worst, (linear + hessian @ worst)[None])[0] >= left > 1.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"idle_w": [1.0]}, "idle_w has shape"),
        ({"idle_w": [1.0, -1.0]}, "not negative"),
        ({"idle_w": "warm"}, "no list of numbers"),
        ({"dynamic_w": [1.0, float("nan")]}, "must be finite"),
        ({"capacity": [1.0, 0.0]}, "carry nothing"),
        ({"capacity": [], "idle_w": [], "dynamic_w": []}, "1 to 64"),
        ({"demand": 2.5}, "carries from 0 to 2"),
        ({"demand": float("nan")}, "carries from 0 to 2"),
        ({"recirculation_w": [[1.0]]}, "2 rows of 2"),
        ({"recirculation_w": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
        ({"recirculation_w": [[1.0, -0.5], [-0.5, 1.0]]}, "cools nobody"),
        ({"recirculation_w": [[1.0, 2.0], [2.0, 1.0]]}, "negative eigenvalue"),
    ],
)
def test_impossible_fleets_are_refused_with_a_reason(changed: dict[str, Any], message: str) -> None:
    right = {"idle_w": [50.0, 60.0], "dynamic_w": [50.0, 40.0], "capacity": [1.0, 1.0], "demand": 1.0}
    with pytest.raises(ValueError, match=message):
        FleetPlacement(**{**right, **changed})
