"""The configuration of lowest energy in a box: annealed Langevin search, then projected-gradient refinement.

The answer is never worse than the start, and for quadratic energies it comes with a proven bound on what is left.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy, clip
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy

CHAINS = 16
# Annealing ends this much colder than it begins.
COOLING = 1e-4
REFINEMENT_STEPS = 2000
# Refinement ends when no coordinate can still move by this share of the largest coordinate.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Optimum:
    """The best configuration found."""

    x: Tensor
    """(*shape) inside the box."""
    energy: float
    start_energy: float
    """Energy of the start, which `energy` never exceeds."""
    lower_bound: float | None
    """No configuration in the box lies below it (quadratic energies); None when nothing is proven."""
    gap: float | None
    """energy - lower_bound, at least zero; None without a bound."""


@torch.no_grad()
def optimise(energy: Energy, x0: Tensor | None = None, *, seed: int, steps: int = 200, device: str = "cpu") -> Optimum:
    """Minimise `energy` within its box from `x0` (*shape), or from the box's centre (zero where it is open).

    `steps` annealing steps of 16 chains, of which one begins at the start, then accelerated projected gradient from
    the best configuration met. Raises ValueError when x0 has another shape, is not finite or lies outside the box,
    or steps is negative.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}: give zero to refine the start alone, or a positive number to anneal")
    placed = energy.to(device)
    start = _start(placed, x0, device)
    start_energy = float(placed.energy(start[None]))
    generator = torch.Generator(device).manual_seed(seed)
    best = _better(placed, start, _anneal(placed, start, steps, generator))
    if isinstance(placed, QuadraticEnergy):
        best = _better(placed, best, clip(placed.mean, placed.lower, placed.upper))
    best = _better(placed, best, _refine(placed, best))
    found = float(placed.energy(best[None]))
    bound = placed.lower_bound(best) if isinstance(placed, QuadraticEnergy) else None
    gap = None if bound is None else max(0.0, found - bound)
    return Optimum(best, found, start_energy, bound, gap)


def _start(energy: Energy, x0: Tensor | None, device: str) -> Tensor:
    if x0 is None:
        zero = torch.zeros(energy.shape, dtype=torch.float64, device=device)
        if energy.lower is not None and energy.upper is not None:
            return (energy.lower + energy.upper) / 2
        return clip(zero, energy.lower, energy.upper)
    start = x0.to(device=device, dtype=torch.float64)
    if tuple(start.shape) != energy.shape or not start.isfinite().all():
        raise ValueError(f"x0 has shape {tuple(start.shape)}: give finite numbers of shape {energy.shape}")
    if not torch.equal(start, clip(start, energy.lower, energy.upper)):
        raise ValueError("x0 lies outside the box: start from an admissible configuration")
    return start


def _better(energy: Energy, held: Tensor, offered: Tensor) -> Tensor:
    return offered if float(energy.energy(offered[None])) < float(energy.energy(held[None])) else held


def _anneal(energy: Energy, start: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Simulated annealing by Langevin moves clipped to the box: the best configuration of all chains and times.

    The temperature falls geometrically from equipartition, 2·(median energy above the best)/N of the scattered chains;
    each chain adapts its own step to what it gets accepted. A search, not a sampler: clipping breaks detailed balance.
    """
    chains = _scatter(energy, start, generator)
    e, g = energy.energy(chains), energy.gradient(chains)
    best, lowest = chains[e.argmin()], float(e.min())
    hot = max(2 * (float(e.median()) - lowest) / start.numel(), 1e-300)
    wide = (-1,) + (1,) * start.ndim
    step = torch.full_like(e, 0.1)
    for k in range(steps):
        kt = hot * COOLING ** (k / steps)
        noise = torch.randn(chains.shape, generator=generator, dtype=chains.dtype, device=chains.device)
        stride = step.reshape(wide)
        moved = clip(chains - stride * g + (2 * stride * kt).sqrt() * noise, energy.lower, energy.upper)
        e_new, g_new = energy.energy(moved), energy.gradient(moved)
        chance = torch.rand(len(e), generator=generator, dtype=e.dtype, device=e.device)
        taken = chance.log() < (e - e_new) / kt
        chains = torch.where(taken.reshape(wide), moved, chains)
        g = torch.where(taken.reshape(wide), g_new, g)
        e = torch.where(taken, e_new, e)
        step = step * torch.where(taken, 1.1, 0.6)
        if float(e.min()) < lowest:
            best, lowest = chains[e.argmin()], float(e.min())
    return best


def _scatter(energy: Energy, start: Tensor, generator: torch.Generator) -> Tensor:
    """(CHAINS, *shape): the start, and configurations spread over the box or, where it is open, around the start."""
    size = (CHAINS, *energy.shape)
    if energy.lower is not None and energy.upper is not None:
        share = torch.rand(size, generator=generator, dtype=start.dtype, device=start.device)
        chains = energy.lower + share * (energy.upper - energy.lower)
    else:
        noise = torch.randn(size, generator=generator, dtype=start.dtype, device=start.device)
        chains = clip(start + noise, energy.lower, energy.upper)
    chains[0] = start
    return chains


def _refine(energy: Energy, x: Tensor) -> Tensor:
    """Accelerated projected gradient with backtracking and restart (Beck & Teboulle 2009; O'Donoghue & Candès 2015)."""
    e = float(energy.energy(x[None]))
    lead, momentum, curvature = x, 1.0, 1.0
    for _ in range(REFINEMENT_STEPS):
        curvature /= 1.5
        moved, curvature = _descend(energy, lead, curvature)
        e_moved = float(energy.energy(moved[None]))
        if e_moved > e:
            if lead is x:
                break
            lead, momentum = x, 1.0
            continue
        shift = moved - x
        after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        lead = clip(moved + (momentum - 1) / after * shift, energy.lower, energy.upper)
        x, e, momentum = moved, e_moved, after
        if float(shift.abs().max()) <= TOLERANCE * max(1.0, float(x.abs().max())):
            break
    return x


def _descend(energy: Energy, x: Tensor, curvature: float) -> tuple[Tensor, float]:
    """One projected gradient step from x whose assumed curvature is doubled until the quadratic model bounds it."""
    e, g = float(energy.energy(x[None])), energy.gradient(x[None])[0]
    slack = 1e-14 * max(1.0, abs(e))
    while True:
        moved = clip(x - g / curvature, energy.lower, energy.upper)
        shift = moved - x
        model = e + float((g * shift).sum()) + 0.5 * curvature * float((shift**2).sum())
        if float(energy.energy(moved[None])) <= model + slack or curvature > 1e300:
            return moved, curvature
        curvature *= 2
