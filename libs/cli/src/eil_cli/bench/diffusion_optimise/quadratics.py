"""Quadratics against linear algebra (open), bounded least squares (in a box) and a certified solution (with a total)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energies.rack_heat import RackHeatMap
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic
from eil_diffusion.domain.optimise import optimise
from numpy.typing import NDArray
from scipy import optimize as scipy

from eil_cli.bench.diffusion_optimise.tally import Tally
from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure

Vector = NDArray[np.float64]

QUADRATICS = 12
"""Problems of each kind."""


@dataclass(frozen=True)
class Hidden:
    """A quadratic of which the optimiser learns energies and gradients alone."""

    inner: QuadraticEnergy

    def __getattr__(self, name: str):
        if name not in ("shape", "lower", "upper", "energy", "gradient"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def to(self, device: str) -> Hidden:
        """Itself, for it is on the CPU."""
        return self


def quadratic_measures(begin: Begin, tally: Tally) -> tuple[dict[str, Measure], dict[str, dict[str, float]]]:
    """Quadratics against linear algebra (open), bounded least squares (in a box) and a certified solution (with a total).

    Gaps are over the optimum above the unconstrained minimum or, where that is it, over the start above it.
    """
    kinds: Mapping[str, Callable[[np.random.Generator], QuadraticEnergy]] = {
        "open": lambda rng: _user(rng, boxed=False),
        "box": lambda rng: _user(rng, boxed=True),
        "field": _field,
        "racks": _racks,
    }
    step = begin("quadratics", len(kinds) * QUADRATICS)
    gaps: dict[str, list[float]] = {"quadratic_gap": [], "quadratic_hidden_gap": [], "quadratic_total_gap": []}
    rival: list[float] = []
    for make in kinds.values():
        for seed in range(QUADRATICS):
            rng = np.random.default_rng(seed)
            energy = make(rng)
            start = Constraints(energy.lower, energy.upper).project(
                energy.mean + 3 * torch.from_numpy(rng.normal(size=(1, *energy.shape)))
            )[0]
            floor, truth = float(energy.energy(energy.mean[None])), _reference(energy)
            above = float(energy.energy(start[None])) - floor
            over = truth - floor if truth - floor > 1e-9 * above else above
            hidden: Energy = Hidden(energy)  # type: ignore[assignment]
            for name, searched in (("quadratic_gap", energy), ("quadratic_hidden_gap", hidden)):
                found = optimise(searched, start, seed=seed)
                tally.check(found, truth)
                gaps[name].append(max(0.0, found.energy - truth) / over)
            rival.append(max(0.0, _lbfgs(energy, start) - truth) / over)
            gaps["quadratic_total_gap"].append(_total_gap(energy, start, seed, tally))
            step()
    gates = {
        "quadratic_gap": (0.02, 0.001),
        "quadratic_hidden_gap": (0.02, 0.001),
        "quadratic_total_gap": (0.02, 0.001),
    }
    measures = {name: Measure(max(values), "", *gates[name]) for name, values in gaps.items()}
    return measures, {"L-BFGS-B": {"quadratic_hidden_gap": max(rival)}}


def _user(rng: np.random.Generator, *, boxed: bool) -> UserQuadratic:
    """2 … 40 coordinates in a random basis, eigenvalues from 1e-3 to 1, minimum a few units from zero, any level."""
    size = int(rng.integers(2, 41))
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    matrix = torch.from_numpy((basis * 10 ** rng.uniform(-3, 0, size)) @ basis.T)
    linear = -(matrix @ torch.from_numpy(3 * rng.normal(size=size)))
    sides = {"lower": -1.0, "upper": 1.0} if boxed else {}
    return UserQuadratic(matrix, linear, float(rng.normal()), **sides)


def _field(rng: np.random.Generator) -> GaussianFreeField:
    """A lattice of 8² whose rows must lie above 0.2, or 0.5, in turn with free ones."""
    energy = GaussianFreeField(8, float(10 ** rng.uniform(-2, 0)))
    lower = torch.full(energy.shape, -1.0, dtype=torch.float64)
    lower[::2] = torch.from_numpy(rng.choice([0.2, 0.5], (4, 8)))
    energy.lower, energy.upper = lower, torch.ones(energy.shape, dtype=torch.float64)
    return energy


def _racks(rng: np.random.Generator) -> RackHeatMap:
    """A room of 5 x 6 racks of up to 14 kW, many of which would overheat."""
    return RackHeatMap(5, 6, torch.from_numpy(rng.uniform(0, 14_000, (5, 6))))


def _matrix(energy: QuadraticEnergy) -> Vector:
    one = torch.eye(energy.size, dtype=torch.float64).reshape(-1, *energy.shape)
    table = energy.gradient(energy.mean + one).flatten(1).numpy()
    return (table + table.T) / 2


def _reference(energy: QuadraticEnergy) -> float:
    """The least energy: of the linear solve, or of bounded least squares on the Cholesky factor."""
    floor, mean, matrix = float(energy.energy(energy.mean[None])), energy.mean.flatten().numpy(), _matrix(energy)
    if energy.lower is None or energy.upper is None:
        slope = energy.gradient(torch.zeros_like(energy.mean)[None]).flatten().numpy()
        best = torch.from_numpy(np.linalg.solve(matrix, -slope)).reshape(energy.shape)
        return float(energy.energy(best[None]))
    factor = np.linalg.cholesky(matrix).T
    bounds = (energy.lower.flatten().numpy(), energy.upper.flatten().numpy())
    return floor + float(scipy.lsq_linear(factor, factor @ mean, bounds=bounds, method="bvls", tol=1e-14).cost)


def _lbfgs(energy: QuadraticEnergy, start: torch.Tensor) -> float:
    """L-BFGS-B with as many evaluations as annealing alone spends."""

    def fun(x: Vector) -> tuple[float, Vector]:
        point = torch.from_numpy(x).reshape(1, *energy.shape)
        return float(energy.energy(point)), energy.gradient(point).flatten().numpy()

    bounds = None
    if energy.lower is not None and energy.upper is not None:
        bounds = np.stack([energy.lower.flatten().numpy(), energy.upper.flatten().numpy()], axis=1)
    options = {"maxfun": 3200, "maxiter": 3200, "ftol": 1e-15, "gtol": 1e-12}
    return float(
        scipy.minimize(fun, start.flatten().numpy(), jac=True, bounds=bounds, method="L-BFGS-B", options=options).fun
    )


def _total_gap(energy: QuadraticEnergy, start: torch.Tensor, seed: int, tally: Tally) -> float:
    """What an independent linear programme proves is left, by the optimality conditions, with the start's weighted total kept."""
    rng = np.random.default_rng(seed)
    weights = torch.from_numpy(rng.uniform(0.5, 2, energy.shape))
    total = float((weights * start).sum())
    found = optimise(energy, start, seed=seed, constraints=Constraints(weights=weights, total=total))
    tally.check(found)
    slope = energy.gradient(found.x[None]).flatten().numpy()
    above = max(found.energy - float(energy.energy(energy.mean[None])), 1e-300)
    if energy.lower is None or energy.upper is None:
        # Open: what a Newton step along the hyperplane would still gain.
        matrix, a = _matrix(energy), weights.flatten().numpy()
        newton, across = np.linalg.solve(matrix, slope), np.linalg.solve(matrix, a)
        rest = newton - across * (a @ newton) / (a @ across)
        return 0.5 * float(slope @ rest) / above
    bounds = np.stack([energy.lower.flatten().numpy(), energy.upper.flatten().numpy()], axis=1)
    least = scipy.linprog(slope, A_eq=weights.flatten().numpy()[None], b_eq=[total], bounds=bounds).fun
    return max(0.0, float(slope @ found.x.flatten().numpy()) - float(least)) / above
