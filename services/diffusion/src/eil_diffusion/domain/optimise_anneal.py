"""Simulated annealing: a search over the whole of the constraints, for a basin to refine in."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.energy import Energy

CHAINS = 16
# Annealing ends this much colder than it begins.
COOLING = 1e-4

Judge = Callable[[Tensor], Tensor]
"""(batch, *shape) → (batch,): the energy by which configurations are compared."""
Watch = Callable[[int, int, float], None]
"""Called between steps with (done, total, lowest energy so far); what it raises ends the search."""


def anneal(
    energy: Energy,
    allowed: Constraints,
    judge: Judge,
    start: Tensor,
    steps: int,
    generator: torch.Generator,
    watch: Watch | None = None,
) -> tuple[Tensor, Tensor]:
    """Langevin moves projected onto the constraints: the best of all chains and times (*shape), and the chains' ends.

    The temperature falls geometrically from equipartition, 2·(median energy above the best)/N of the scattered chains;
    each chain adapts its own step to what it gets accepted. A search, not a sampler: projecting breaks detailed
    balance. Chains move by `energy`; the best is the best by `judge`.
    """
    chains = _scatter(allowed, start, generator)
    e, g = energy.energy(chains), energy.gradient(chains)
    best, lowest = _lowest(chains, judge(chains), start, math.inf)
    hot = max(2 * float(e.median() - e.min()) / start.numel(), 1e-300)
    wide = (-1,) + (1,) * start.ndim
    step = torch.full_like(e, 0.1)
    for k in range(steps):
        kt = hot * COOLING ** (k / steps)
        noise = torch.randn(chains.shape, generator=generator, dtype=chains.dtype, device=chains.device)
        stride = step.reshape(wide)
        moved = allowed.project(chains - stride * g + (2 * stride * kt).sqrt() * noise)
        e_new, g_new = energy.energy(moved), energy.gradient(moved)
        chance = torch.rand(len(e), generator=generator, dtype=e.dtype, device=e.device)
        taken = chance.log() < (e - e_new) / kt
        chains = torch.where(taken.reshape(wide), moved, chains)
        g = torch.where(taken.reshape(wide), g_new, g)
        e = torch.where(taken, e_new, e)
        step = step * torch.where(taken, 1.1, 0.6)
        best, lowest = _lowest(chains, judge(chains) if judge != energy.energy else e, best, lowest)
        if watch is not None:
            watch(k + 1, steps, lowest)
    return best, chains


def _lowest(chains: Tensor, energies: Tensor, best: Tensor, lowest: float) -> tuple[Tensor, float]:
    k = int(energies.argmin())
    return (chains[k], float(energies[k])) if float(energies[k]) < lowest else (best, lowest)


def _scatter(allowed: Constraints, start: Tensor, generator: torch.Generator) -> Tensor:
    """(CHAINS, *shape): the start, and configurations spread over the box or, where it is open, around the start."""
    size, lower, upper = (CHAINS, *start.shape), allowed.lower, allowed.upper
    if lower is not None and upper is not None and bool((upper - lower).isfinite().all()):
        share = torch.rand(size, generator=generator, dtype=start.dtype, device=start.device)
        chains = allowed.project(lower + share * (upper - lower))
    else:
        noise = torch.randn(size, generator=generator, dtype=start.dtype, device=start.device)
        chains = allowed.project(start + noise)
    chains[0] = start
    return chains
