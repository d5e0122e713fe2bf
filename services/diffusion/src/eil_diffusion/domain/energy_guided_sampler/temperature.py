"""The ladder of annealing, chosen by an ACE controller: aspiration, calibration, execution.

A pilot of a few chains, whose seed is its own, climbs from start to target. *Aspiration*: the share of effective chains that a step
may leave. *Calibration*: what the chains say now, the spread of E_target - E_start and the share of moves taken. *Execution*: the
furthest λ that keeps the aspiration, found by bisection, and moves of a length that keeps acceptance near its aim. Steps so found
are equally long in the metric in which annealing dissipates least (Crooks 2007); the ladder that is asked for is read off at equal
lengths, and frozen: chains that are weighed never choose their own temperatures, which would bias their weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energy_guided_sampler.annealing import Between, Rung
from eil_diffusion.domain.energy_guided_sampler.moves import Move
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.watch import Stage, Watch

MOST_RUNGS = 1000
SHORTEST, LONGEST = 1e-7, 1.5
"""Moves of the pilot."""
LEAST, MOST_MOVES = 0.2, 40
"""Share of moves to be taken before the pilot goes on, and how many it tries, each shorter: chains that stand still are copies of a
few, to which the rest of the way looks flat.
"""
HALVINGS = 120
"""Of a step of λ in search of one that is short enough."""


@dataclass(frozen=True)
class AceTemperature:
    """The controller."""

    aspiration: float = 0.9
    """Share of effective chains that a step of the pilot must leave, between 0 and 1."""
    acceptance: float = 0.8
    """Share of moves to be taken."""
    chains: int = 48
    """Of the pilot."""
    moves: int = 2
    """Of the pilot at each λ."""
    seed: int = 0
    """Of the pilot."""

    def ladder(
        self,
        start: QuadraticEnergy,
        target: Energy,
        move: Move,
        steps: int,
        *,
        kt: float = 1.0,
        device: str = "cpu",
        watch: Watch | None = None,
    ) -> list[Rung]:
        """`steps` rungs from above λ = 0 to 1.

        Raises:
            ValueError: the target is so far from the start that the pilot does not arrive.
        """
        noise = Noise([self.seed], [self.chains], device)
        x = start.mean + start.from_modes(noise.normal(*start.shape) * (kt / start.eigenvalues).sqrt())
        share, step, climbed = 0.0, move.step, [Rung(0.0, move.step)]
        while share < 1.0:
            if len(climbed) > MOST_RUNGS:
                raise ValueError(
                    f"after {MOST_RUNGS} steps annealing had come {share:.2g} of the way: the energy is too far from Gaussian at"
                    " this temperature; raise kt"
                )
            excess = (target.energy(x) - start.energy(x)) / kt
            stride = self._stride(excess, 1.0 - share)
            share = 1.0 if share + stride > 1.0 - 1e-9 else share + stride
            x = _resampled(x, -stride * excess, noise)
            made, accepted = 0, 0.0
            while made < self.moves or (accepted < LEAST and made < MOST_MOVES):
                x, taken = move.sized(step)(Between(start, target, share), x, kt, noise)
                made, accepted = made + 1, float(taken.double().mean())
                step = _adapted(step, accepted, self.acceptance)
            climbed.append(Rung(share, step))
            if watch:
                watch(Stage("pilot", len(climbed) - 1, MOST_RUNGS, x))
        return _read_off(climbed, steps)

    def _stride(self, excess: Tensor, most: float) -> float:
        """The longest step of λ, at most `most`, that leaves the share of effective chains aspired to."""
        if not bool(excess.isfinite().all()):
            raise ValueError("the energy is not finite where its own reference is: give one that is finite everywhere")

        def left(stride: float) -> float:
            weights = torch.softmax(-stride * excess, 0)
            return float(1 / weights.square().sum()) / len(excess)

        if left(most) >= self.aspiration:
            return most
        # Halved with no floor to speak of: a stiff target begins with the smallest of steps, and they grow.
        low = 0.5 * most
        for _ in range(HALVINGS):
            if left(low) >= self.aspiration:
                break
            low *= 0.5
        high = 2 * low
        for _ in range(20):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if left(middle) >= self.aspiration else (low, middle)
        return low


def _resampled(x: Tensor, log_weights: Tensor, noise: Noise) -> Tensor:
    """Chains drawn with equal spacing in proportion to their weights."""
    edges = torch.softmax(log_weights, 0).cumsum(0)
    places = (torch.arange(len(x), device=x.device) + noise.uniform()[0]) / len(x)
    return x[torch.searchsorted(edges, places).clamp_max(len(x) - 1)]


def _adapted(step: float, accepted: float, aim: float) -> float:
    return min(LONGEST, max(SHORTEST, step * float(np.exp(0.5 * (accepted - aim)))))


def _read_off(climbed: Sequence[Rung], steps: int) -> list[Rung]:
    """Rungs at equal lengths of the climb."""
    known = np.arange(len(climbed))
    wanted = np.linspace(0, known[-1], steps + 1)[1:]
    shares = np.interp(wanted, known, [rung.share for rung in climbed])
    lengths = np.interp(wanted, known, [rung.step for rung in climbed])
    return [Rung(float(share), float(step)) for share, step in zip(shares, lengths, strict=True)]
