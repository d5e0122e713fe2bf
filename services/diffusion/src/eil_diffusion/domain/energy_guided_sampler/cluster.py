"""Ising spins of exact weight: annealed importance sampling over β, moved by Swendsen-Wang clusters and single spins.

Spins, the bonds of Fortuin and Kasteleyn, and the smooth field of `IsingField` are three views of one joint law. Through
bonds whole clusters turn at once, so chains cross between magnetisations where gradients of the field cannot.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from eil_diffusion.domain.energies.ising import LARGEST_BETA, IsingField
from eil_diffusion.domain.energy_guided_sampler.spin_moves import anneal_chains
from eil_diffusion.domain.energy_guided_sampler.weights import log_z

Moves = Literal["cluster", "single"]
"""A step is a Swendsen-Wang and a heat-bath sweep, or, to compare with, two heat-bath sweeps."""
Counted = Callable[[int, int], None]
"""Told steps done and steps in all; may raise to cancel."""

SWEEPS_A_STEP = 2
PILOT_POINTS, PILOT_CHAINS, PILOT_BURN_IN, PILOT_STEPS = 41, 128, 16, 64
# Between two looks at `watch`: a quarter of a second for a thousand chains of 16 x 16.
STEPS_A_CALL = 64


@dataclass(frozen=True)
class Pilot:
    """How hard the way to β is, measured on chains that are thrown away, so that what follows stays unbiased."""

    betas: Tensor
    """(points,) from 0 to β."""
    friction: Tensor
    """(points,) Var(E) times 1 + 2Σρ, the sum of the energy's autocorrelations from step to step."""
    moves: Moves
    """What a step was."""

    @property
    def length(self) -> float:
        """Λ = ∫√friction dβ. The log weights of K steps have a variance of Λ²/K, the least any schedule reaches."""
        return float(self._distance[-1])

    def steps_for(self, ess: float) -> int:
        """Steps for an effective share `ess` of the chains, if log weights are normal: Λ²/-log(ess).

        Raises ValueError unless ess lies between 0 and 1, both excluded.
        """
        if not 0 < ess < 1:
            raise ValueError(f"ess is {ess}: ask for a share of the chains between 0 and 1; 1 would take forever")
        return max(1, math.ceil(self.length**2 / -math.log(ess)))

    def schedule(self, steps: int) -> Tensor:
        """(steps + 1,) values of β at equal distances ∫√friction dβ (Sivak & Crooks, 2012).

        Raises ValueError unless there is at least one step.
        """
        if steps < 1:
            raise ValueError(f"{steps} steps: annealing takes at least one")
        wanted = np.linspace(0, self.length, steps + 1)
        betas = np.interp(wanted, self._distance.numpy(), self.betas.numpy())
        betas[0], betas[-1] = float(self.betas[0]), float(self.betas[-1])
        return torch.from_numpy(betas)

    @property
    def _distance(self) -> Tensor:
        rate = self.friction.sqrt()
        return torch.cat([rate.new_zeros(1), torch.cumulative_trapezoid(rate, self.betas)])


@dataclass(frozen=True)
class AnnealedSpins:
    """Independent chains at β with their importance weights."""

    spins: Tensor
    """(n, side, side) of ±1, float64."""
    field: Tensor
    """(n, side, side) the continuous field x of each chain, of the same weight."""
    log_weights: Tensor
    """(n,) logarithms of weights whose mean is Z(β)/Z at the start of the schedule, without bias."""
    log_z: float
    """Estimate of the spins' log Z(β); the logarithm lowers it by half the variance of a weight over n."""
    log_z_se: float
    """Its standard error; infinite for one chain."""
    ess: float
    """Kish's (Σw)²/(nΣw²), a share between 1/n and 1. Blind to modes that no chain has found."""
    steps: int
    """Temperatures, and energy evaluations of one chain."""
    sweeps: int
    """Sweeps of one chain through its lattice."""

    def mean(self, values: Tensor) -> float:
        """Weighted mean of one value per chain (n,): an expectation at β."""
        return float((torch.softmax(self.log_weights, 0) * values).sum())


def sample_ising(
    field: IsingField,
    count: int,
    *,
    seed: int,
    ess: float = 0.95,
    watch: Counted | None = None,
    threads: int | None = None,
) -> AnnealedSpins:
    """`count` weighted chains at the field's β, as many steps as a pilot finds needed for an effective share `ess`.

    `watch` hears of the pilot first, then of the annealing. The same seed gives the same spins for any number of threads.
    """
    generator = torch.Generator().manual_seed(seed)
    found = pilot(field, generator=generator, watch=watch, threads=threads)
    betas = found.schedule(found.steps_for(ess))
    return anneal(field, count, betas, generator=generator, watch=watch, threads=threads)


def pilot(
    field: IsingField,
    *,
    generator: torch.Generator,
    moves: Moves = "cluster",
    watch: Counted | None = None,
    threads: int | None = None,
) -> Pilot:
    """Friction at 41 values of β up to the field's: n times the variance of a mean of n steps, over 128 chains.

    A mean of 64 steps shortens correlations longer than some ten of them; then Λ is low and the weights are wider than said.
    Raises what `watch` raises.
    """
    grid = torch.linspace(0, field.beta, PILOT_POINTS, dtype=torch.float64)
    chains = _Chains(field.side, _random_spins(PILOT_CHAINS, field.side, generator), moves, generator, threads)
    friction = torch.empty_like(grid)
    for point, beta in enumerate(grid.tolist()):
        chains.advance(np.full(PILOT_BURN_IN + 1, beta))
        energies = chains.advance(np.full(PILOT_STEPS + 1, beta))
        friction[point] = PILOT_STEPS * energies.mean(1).var(ddof=1)
        if watch is not None:
            watch(point + 1, PILOT_POINTS)
    return Pilot(grid, friction, moves)


def anneal(
    field: IsingField,
    count: int,
    betas: Tensor,
    *,
    generator: torch.Generator,
    start: Tensor | None = None,
    log_z_start: float = math.nan,
    moves: Moves = "cluster",
    watch: Counted | None = None,
    threads: int | None = None,
) -> AnnealedSpins:
    """Anneal `count` independent chains along `betas` (steps + 1,), fixed beforehand, which end at the field's β (Neal, 2001).

    A step from β to β' weighs the spins by exp((β' - β)·Σ_⟨ij⟩ sᵢsⱼ), then moves them by a kernel that leaves the law at β'
    invariant: Swendsen & Wang's (1987), then a heat-bath sweep. Chains begin as uniform spins at β = 0, where log Z = N log 2,
    or as `start` (count, side, side) of ±1, which must be samples at betas[0] for the weights to mean anything, with its
    `log_z_start`. Field and generator are on the CPU. Probabilities are rounded to 2⁻³², about a billionth of log Z. Memory:
    one byte a spin while annealing, 16 in the result.

    Raises ValueError for a schedule, count or start that does not fit, and what `watch` raises.
    """
    _check(field, count, betas, start)
    side = field.side
    if start is None:
        start, log_z_start = _random_spins(count, side, generator), side**2 * math.log(2)
    chains = _Chains(side, start, moves, generator, threads)
    path, steps = betas.double().numpy(), len(betas) - 1
    for done in range(0, steps, STEPS_A_CALL):
        chains.advance(path[done : done + STEPS_A_CALL + 1])
        if watch is not None:
            watch(min(done + STEPS_A_CALL, steps), steps)
    log_weights = torch.from_numpy(chains.log_weights)
    ratio = log_z(log_weights)
    spins = torch.from_numpy(chains.spins).double().reshape(count, side, side)
    return AnnealedSpins(
        spins=spins,
        field=field.relax(spins, generator),
        log_weights=log_weights,
        log_z=log_z_start + ratio.value,
        log_z_se=ratio.error,
        ess=ratio.ess / count,
        steps=steps,
        sweeps=steps * SWEEPS_A_STEP,
    )


def _check(field: IsingField, count: int, betas: Tensor, start: Tensor | None) -> None:
    if count < 1 or betas.ndim != 1 or len(betas) < 2:
        raise ValueError(
            f"{count} chains along betas of shape {tuple(betas.shape)}: give a chain or more and two betas or more"
        )
    first, last = float(betas[0]), float(betas[-1])
    if not bool(((betas >= 0) & (betas <= LARGEST_BETA)).all()) or last != field.beta:
        raise ValueError(
            f"betas lead from {first} to {last} for a field at {field.beta}: they must end there and stay within 0 and {LARGEST_BETA}"
        )
    if start is None and first != 0:
        raise ValueError(
            f"betas begin at {first}, where no exact samples are known: begin at 0, or give samples as `start`"
        )
    if start is not None and (start.shape != (count, *field.shape) or not bool((start.abs() == 1).all())):
        raise ValueError(f"start is {tuple(start.shape)}: give spins of ±1 of shape {(count, *field.shape)}")


def _random_spins(count: int, side: int, generator: torch.Generator) -> Tensor:
    return 1 - 2 * torch.randint(2, (count, side, side), generator=generator)


class _Chains:
    """Spins, random states and log weights of independent chains, moved by threads that share nothing."""

    def __init__(
        self, side: int, start: Tensor, moves: Moves, generator: torch.Generator, threads: int | None = None
    ) -> None:
        self.spins = start.reshape(len(start), -1).to(torch.int8).numpy().copy()
        self.log_weights = np.zeros(len(start))
        # One state a chain, so that neither their number nor that of threads changes a chain's randomness.
        self._states = torch.randint(2**63 - 1, (len(start),), generator=generator).numpy().astype(np.uint64)
        self._side, self._clusters = side, moves == "cluster"
        self._threads = max(1, min(threads or torch.get_num_threads(), len(start)))

    def advance(self, betas: np.ndarray) -> np.ndarray:
        """One step per pair of neighbouring `betas`; the energies (n, steps) that were weighed, before each move."""
        energies = np.empty((len(self.spins), len(betas) - 1), np.int32)

        def take(part: slice) -> None:
            anneal_chains(
                self.spins[part],
                self._states[part],
                self.log_weights[part],
                energies[part],
                betas,
                self._side,
                self._clusters,
            )

        edges = np.linspace(0, len(self.spins), self._threads + 1).astype(int)
        parts = [slice(first, last) for first, last in pairwise(edges)]
        if len(parts) == 1:
            take(parts[0])
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(take, parts))
        return energies
