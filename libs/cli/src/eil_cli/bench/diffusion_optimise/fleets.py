"""Random fleets, their enumerated optimum, and what rules, operations research and general solvers make of them."""

from __future__ import annotations

import numpy as np
import torch
from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.optimise_qp import minimise_pairs
from numpy.typing import NDArray
from scipy import optimize as scipy

Vector = NDArray[np.float64]

OFF = 1e-6
"""A gradient method's load below which its server is taken to be off; it never reaches zero by itself."""


def draw_fleet(rng: np.random.Generator, servers: int) -> FleetPlacement:
    """A row of unequal servers.

    Peak 200 … 500 W, 40 to 60 % of it idle (SPECpower); capacity in proportion to peak with a log-normal factor of 25 %;
    each neighbouring pair breathes ½·link·(x + y)² W, link up to 30 % of its mean peak; demand 20 to 80 % of capacity.
    """
    peak = rng.uniform(200, 500, servers)
    idle = peak * rng.uniform(0.4, 0.6, servers)
    capacity = peak * np.exp(rng.normal(0, 0.25, servers))
    links = rng.uniform(0, 0.3, servers - 1) * np.sqrt(peak[1:] * peak[:-1])
    demand = float(rng.uniform(0.2, 0.8) * capacity.sum())
    idle_w, dynamic_w, work = (torch.from_numpy(figures) for figures in (idle, peak - idle, capacity))
    return FleetPlacement(idle_w, dynamic_w, work, demand, row(links))


def row(links: Vector) -> torch.Tensor:
    """Σ ½·link·(x + y)² over neighbours in a row, as the H of ½xᵀHx: non-negative and positive semidefinite."""
    heat = np.zeros((len(links) + 1, len(links) + 1))
    for i, link in enumerate(links):
        heat[i : i + 2, i : i + 2] += link
    return torch.from_numpy(heat)


def _figures(fleet: FleetPlacement) -> tuple[Vector, Vector, Vector]:
    return fleet.idle_w.numpy(), fleet.dynamic_w.numpy(), fleet.capacity.numpy()


def enumerate_optimum(fleet: FleetPlacement) -> float:
    """The lowest exact power [W] over all 2^S sets of servers, less the proven excess of each set's loads."""
    idle, dynamic, capacity = _figures(fleet)
    sets = ((np.arange(2 ** len(idle))[:, None] >> np.arange(len(idle))) & 1).astype(float)
    sets = sets[sets @ capacity >= fleet.demand]
    heat = fleet.recirculation_w.numpy()
    loads, excess = minimise_pairs(dynamic, heat, capacity, sets, fleet.demand, np.zeros(len(idle)))
    power = sets @ idle + loads @ dynamic + 0.5 * ((loads @ heat) * loads).sum(axis=1)
    return float((power - excess).min())


def power_w(fleet: FleetPlacement, loads: Vector) -> float:
    """The exact power [W] of loads (S,)."""
    return float(fleet.exact_power(torch.from_numpy(loads)[None]))


def greedy(fleet: FleetPlacement) -> Vector:
    """The most efficient servers first, each filled before the next."""
    idle, dynamic, capacity = _figures(fleet)
    return _filled(capacity, fleet.demand, np.argsort((idle + dynamic) / capacity))


def _filled(capacity: Vector, demand: float, order: NDArray[np.int64]) -> Vector:
    loads, left = np.zeros(len(capacity)), demand
    for s in order:
        loads[s] = min(1.0, left / capacity[s])
        left -= loads[s] * capacity[s]
    return loads


def even_spread(fleet: FleetPlacement) -> Vector:
    """As an autoscaler behind a load balancer: the fewest servers that carry the demand, all as busy."""
    _, _, capacity = _figures(fleet)
    on = _filled(capacity, fleet.demand, np.argsort(-capacity)) > 0
    return np.where(on, fleet.demand / capacity[on].sum(), 0.0)


def mixed_integer(fleet: FleetPlacement) -> Vector:
    """The optimal unit commitment without recirculation, by branch and cut (HiGHS)."""
    idle, dynamic, capacity = _figures(fleet)
    n, one = len(idle), np.eye(len(idle))
    solved = scipy.milp(
        np.concatenate([dynamic, idle]),
        integrality=np.repeat([0, 1], n),
        bounds=scipy.Bounds(0, 1),
        constraints=[
            scipy.LinearConstraint(np.hstack([one, -one]), -np.inf, 0),
            scipy.LinearConstraint(np.concatenate([capacity, np.zeros(n)])[None], fleet.demand, fleet.demand),
        ],
        options={"mip_rel_gap": 1e-9},
    )
    return np.where(solved.x[n:] > 0.5, solved.x[:n], 0.0)


def multistart(fleet: FleetPlacement, evaluations: int, rng: np.random.Generator) -> Vector:
    """SLSQP on the relaxed power from random placements until the evaluations are spent; the best by exact power."""
    _, _, capacity = _figures(fleet)
    best, spent = even_spread(fleet), 0
    while spent < evaluations:
        start = fleet.constraints.project(torch.from_numpy(rng.random((1, len(capacity)))))[0].numpy()
        solved = scipy.minimize(
            lambda x: float(fleet.energy(torch.from_numpy(x)[None])),
            start,
            jac=lambda x: fleet.gradient(torch.from_numpy(x)[None])[0].numpy(),
            bounds=[(0, 1)] * len(capacity),
            constraints={"type": "eq", "fun": lambda x: capacity @ x - fleet.demand, "jac": lambda x: capacity},
            method="SLSQP",
            options={"maxiter": 100},
        )
        spent += int(solved.nfev)
        on = solved.x > OFF
        if capacity[on].sum() >= fleet.demand:
            best = min(best, _on(fleet, solved.x, on), key=lambda loads: power_w(fleet, loads))
    return best


def _on(fleet: FleetPlacement, loads: Vector, on: NDArray[np.bool_]) -> Vector:
    """The nearest loads that only these servers carry."""
    box = Constraints(fleet.lower, torch.from_numpy(on.astype(float)), fleet.capacity, fleet.demand)
    return box.project(torch.from_numpy(loads)[None])[0].numpy()


def random_search(fleet: FleetPlacement, evaluations: int, rng: np.random.Generator) -> Vector:
    """The best of so many random sets of servers with random loads, which are scaled down, or their rooms are, to the demand."""
    _, _, capacity = _figures(fleet)
    on = rng.random((evaluations, len(capacity))) < rng.random((evaluations, 1))
    on = on[on @ capacity >= fleet.demand]
    drawn = np.where(on, rng.random(on.shape), 0.0)
    carried, able = drawn @ capacity, on @ capacity
    down = drawn * (fleet.demand / np.maximum(carried, 1e-12))[:, None]
    rest = (able - fleet.demand) / np.maximum(able - carried, 1e-12)
    up = np.where(on, 1 - (1 - drawn) * rest[:, None], 0.0)
    loads = np.concatenate([even_spread(fleet)[None], np.where((carried >= fleet.demand)[:, None], down, up)])
    return loads[int(fleet.exact_power(torch.from_numpy(loads)).argmin())]
