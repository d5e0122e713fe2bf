"""Annealed importance sampling: from a Gaussian law, exactly drawn, to a target, with weights that make any pace exact.

Between the laws chains follow E_λ = (1-λ)E_start + λE_target, λ from 0 to 1. A step first moves λ at rest, which is work W =
Δλ·(E_target - E_start) done on the configuration, then the configuration at rest of λ, by a move that keeps exp(-E_λ/kT), which is
heat Q. exp(-W_total/kT) averages to Z_target/Z_start exactly (Jarzynski 1997; Neal 2001), and ΔE = W + Q. Chains stay independent:
nothing is resampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energy_guided_sampler.moves import Move
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.watch import Stage, Watch


@dataclass(frozen=True)
class Rung:
    """A step of the ladder from start to target."""

    share: float
    """λ: the inverse temperature of what the target has beyond the start, from above 0 to 1."""
    step: float
    """Length of the moves there."""


@dataclass(frozen=True)
class Between:
    """E_λ = (1-λ)E_start + λE_target."""

    start: Energy
    target: Energy
    share: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a configuration."""
        return self.start.shape

    lower: None = None
    upper: None = None

    def energy(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,)."""
        return (1 - self.share) * self.start.energy(x) + self.share * self.target.energy(x)

    def gradient(self, x: Tensor) -> Tensor:
        """(batch, *shape) both ways."""
        return (1 - self.share) * self.start.gradient(x) + self.share * self.target.gradient(x)

    def to(self, device: str) -> "Between":
        """The same on a device."""
        return Between(self.start.to(device), self.target.to(device), self.share)


@dataclass(frozen=True)
class Annealed:
    """Configurations at the ladder's end and the thermodynamics of their ways."""

    x: Tensor
    """(count, *shape)."""
    log_weights: Tensor
    """(count,) log Z_start - W/kT: their exponentials average to Z_target."""
    work: Tensor
    """(count,) W in the energy's unit."""
    heat: Tensor
    """(count,) Q in the energy's unit."""
    change: Tensor
    """(count,) E_target at the end less E_start at the begin, evaluated anew: the first law says W + Q."""
    acceptance: float
    """Share of the moves that were taken."""


def anneal(
    start: QuadraticEnergy,
    target: Energy,
    ladder: Sequence[Rung],
    move: Move,
    noise: Noise,
    *,
    kt: float = 1.0,
    watch: Watch | None = None,
) -> Annealed:
    """Take each chain of `noise` from the start's law up the ladder, one move a rung."""
    x = start.mean + start.from_modes(noise.normal(*start.shape) * (kt / start.eigenvalues).sqrt())
    began = start.energy(x)
    work = heat = began.new_zeros(len(x))
    share, accepted = 0.0, 0.0
    for place, rung in enumerate(ladder):
        work = work + (rung.share - share) * (target.energy(x) - start.energy(x))
        share = rung.share
        between = Between(start, target, share)
        before = between.energy(x)
        x, taken = move.sized(rung.step)(between, x, kt, noise)
        heat = heat + between.energy(x) - before
        accepted += float(taken.double().mean())
        if watch:
            watch(Stage("annealing", place + 1, len(ladder), x))
    change = target.energy(x) - began
    return Annealed(x, start.log_z(kt) - work / kt, work, heat, change, accepted / max(1, len(ladder)))
