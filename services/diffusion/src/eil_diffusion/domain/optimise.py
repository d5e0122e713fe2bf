"""The configuration of lowest energy within constraints: annealed Langevin search, then refinement, then a bound.

The answer is never worse than the start. For quadratic energies, and for those that offer one, it comes with a proven
bound on what is left.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.optimise_abilities import Bounded, Constrained, Discrete, Relaxed
from eil_diffusion.domain.optimise_anneal import Judge, anneal
from eil_diffusion.domain.optimise_refine import refine, step_through

# Configurations that discrete moves begin from, the lowest of those that annealing ended with.
BASINS = 8
# A start may miss the total by this share of its largest coordinate: nobody can type a sum exactly.
ROUNDING = 1e-9
STRONG_CONVEXITY = "strong convexity"
RELAXATION = "the energy's own relaxation"


@dataclass(frozen=True)
class Optimum:
    """The best configuration found."""

    x: Tensor
    """(*shape) within the constraints."""
    energy: float
    """Exact, where the energy that was searched is a relaxation."""
    start_energy: float
    """Energy of the start, which `energy` never exceeds."""
    lower_bound: float | None
    """No admissible configuration lies below it; None when nothing is proven."""
    gap: float | None
    """energy - lower_bound, at least zero; None without a bound."""
    bound_from: str | None = None
    """What proves the bound: "strong convexity" of a quadratic, or "the energy's own relaxation"; None without one."""


@torch.no_grad()
def optimise(
    energy: Energy,
    x0: Tensor | None = None,
    *,
    seed: int,
    steps: int = 200,
    device: str = "cpu",
    constraints: Constraints | None = None,
    watch: Callable[[int, int, float], None] | None = None,
) -> Optimum:
    """Minimise `energy` from `x0` (*shape), or from the admissible configuration nearest to the box's centre (zero where it is open).

    `steps` annealing steps of 16 chains, of which one begins at the start, then accelerated projected gradient from
    the best configuration met, then the discrete moves that the energy knows, from the best basins, until none is
    better. `constraints` narrow the energy's own box. `watch` is called between annealing steps with (done, total,
    lowest energy so far), and cancels the search by raising. The seed decides everything.
    Raises ValueError when x0 has another shape, is not finite or does not keep the constraints, when no configuration
    keeps them, or steps is negative.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}: give zero to refine the start alone, or a positive number to anneal")
    placed = energy.to(device)
    allowed = _allowed(placed, constraints, device)
    judge: Judge = placed.exact if isinstance(placed, Relaxed) else placed.energy
    start = _start(placed, allowed, x0, device)
    generator = torch.Generator(device).manual_seed(seed)
    met, ends = anneal(placed, allowed, judge, start, steps, generator, watch)
    best = _better(judge, start, met)
    if isinstance(placed, QuadraticEnergy):
        best = _better(judge, best, allowed.project(placed.mean[None])[0])
    smooth = refine(placed, allowed, ends[placed.energy(ends).argmin()] if isinstance(placed, Relaxed) else best)
    best = _better(judge, best, smooth)
    if isinstance(placed, Discrete):
        seen: list[float] = []
        for basin in _basins(judge, torch.cat([best[None], smooth[None], ends])):
            best = _better(judge, best, step_through(placed, judge, basin, seen))
    found = float(judge(best[None]))
    bound, source = _bound(placed, allowed, best)
    gap = None if bound is None else max(0.0, found - bound)
    return Optimum(best, found, float(judge(start[None])), bound, gap, source)


def _allowed(energy: Energy, constraints: Constraints | None, device: str) -> Constraints:
    """The energy's own constraints, narrowed by those asked for."""
    own = energy.constraints if isinstance(energy, Constrained) else Constraints(energy.lower, energy.upper)
    if constraints is None:
        return own
    if constraints.shape not in (None, energy.shape):
        raise ValueError(f"the constraints are for shape {constraints.shape}: give them the energy's, {energy.shape}")
    return own.narrowed(constraints.to(device))


def _start(energy: Energy, allowed: Constraints, x0: Tensor | None, device: str) -> Tensor:
    if x0 is None:
        centre = torch.zeros(energy.shape, dtype=torch.float64, device=device)
        if allowed.lower is not None and allowed.upper is not None:
            middle = (allowed.lower + allowed.upper) / 2
            centre = torch.where(middle.isfinite(), middle, centre)
        return allowed.project(centre[None])[0]
    start = x0.to(device=device, dtype=torch.float64)
    if tuple(start.shape) != energy.shape or not start.isfinite().all():
        raise ValueError(f"x0 has shape {tuple(start.shape)}: give finite numbers of shape {energy.shape}")
    box = Constraints(allowed.lower, allowed.upper)
    if float(box.violation(start[None])) > 0:
        raise ValueError("x0 lies outside the box: start from an admissible configuration")
    off = float(allowed.violation(start[None]))
    if off > ROUNDING * max(1.0, float(start.abs().max())):
        raise ValueError(f"x0 is {off:g} away from its weighted total: start from an admissible configuration")
    return allowed.project(start[None])[0]


def _better(judge: Judge, held: Tensor, offered: Tensor) -> Tensor:
    return offered if float(judge(offered[None])) < float(judge(held[None])) else held


def _basins(judge: Judge, candidates: Tensor) -> Tensor:
    """The lowest candidates, (at most BASINS, *shape), in order of their energy."""
    return candidates[judge(candidates).argsort(stable=True)[:BASINS]]


def _bound(energy: Energy, allowed: Constraints, x: Tensor) -> tuple[float | None, str | None]:
    """A proven lower bound over the constraints and what proves it.

    A quadratic is strongly convex with μ = λ_min: E(y) ≥ E(x) + ∇E·(y - x) + ½μ|y - x|², which is ½μ|y - (x - ∇E/μ)|²
    up to a constant. So its minimum over any convex set is at the projection of x - ∇E/μ onto that set, and the total
    costs no tightness: the bound meets the energy at the optimum. Nothing lies below the energy of the mean either.
    """
    if isinstance(energy, QuadraticEnergy):
        curvature, gradient = float(energy.eigenvalues.min()), energy.gradient(x[None])
        move = allowed.project(x[None] - gradient / curvature) - x
        bound = float(energy.energy(x[None])) + float((gradient * move + 0.5 * curvature * move**2).sum())
        return max(float(energy.energy(energy.mean[None])), bound), STRONG_CONVEXITY
    if isinstance(energy, Bounded):
        return energy.lower_bound(x), RELAXATION
    return None, None
