"""Samples of exp(-E/kT): drafts by reverse diffusion or annealing, with weights; then moves that leave the law as it is.

Every map is an independent chain, so means over maps have the plain standard error.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import SampledEnergy
from eil_diffusion.domain.energies.ising import IsingField
from eil_diffusion.domain.energies.observed import Observed, ObservedGaussian
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context, Denoiser, ExactDenoiser
from eil_diffusion.domain.energy_diffusion_core.schedule import EnergyScheduler
from eil_diffusion.domain.energy_guided_sampler.annealing import Rung, anneal
from eil_diffusion.domain.energy_guided_sampler.cluster import anneal as anneal_spins
from eil_diffusion.domain.energy_guided_sampler.cluster import pilot
from eil_diffusion.domain.energy_guided_sampler.laws import EnergyLaws, energy_laws, first_law
from eil_diffusion.domain.energy_guided_sampler.moves import Move, hamiltonian, langevin
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.reverse import reverse_diffuse
from eil_diffusion.domain.energy_guided_sampler.temperature import AceTemperature
from eil_diffusion.domain.energy_guided_sampler.watch import Stage, Watch
from eil_diffusion.domain.energy_guided_sampler.weights import LogZ, log_z

CORRECTION_STEPS = 16
_LADDERS: WeakKeyDictionary[SampledEnergy, dict[tuple[float, int, str], list[Rung]]] = WeakKeyDictionary()
Method = Literal["diffusion", "annealing"]


@dataclass(frozen=True)
class Samples:
    """Maps drawn from exp(-E/kT) and what they say about themselves."""

    maps: Tensor
    """(count, *shape) float64."""
    energies: Tensor
    """(count,) in the energy's unit."""
    log_weights: Tensor
    """(count,) of the drafts, before correction: their exponentials average to Z."""
    acceptance: float
    """Share of the corrections' proposals that were taken; NaN when none was asked for."""
    method: Method
    """How drafts were made."""
    exact_log_z: float | None
    """log Z, where it is known."""
    imbalance: float
    """Of the first law, as a share; see `laws.first_law`."""

    @property
    def laws(self) -> EnergyLaws:
        """Whether the energy laws were kept."""
        return energy_laws(self.log_weights, exact_log_z=self.exact_log_z, imbalance=self.imbalance)

    @property
    def mean_energy(self) -> float:
        """Mean of `energies`; N·kT/2 for a quadratic energy."""
        return float(self.energies.mean())

    @property
    def mean_energy_se(self) -> float:
        """Its standard error over the independent maps; NaN for a single map."""
        count = len(self.energies)
        return float(self.energies.std()) / math.sqrt(count) if count > 1 else math.nan

    @property
    def log_z(self) -> LogZ:
        """log ∫exp(-E/kT)dx from the weights, and Kish's effective number of drafts."""
        return log_z(self.log_weights)

    @property
    def ess(self) -> float:
        """Effective number of drafts: `count` means that they were unbiased before any correction."""
        return self.log_z.ess

    def part(self, begin: int, end: int) -> "Samples":
        """Those of one request of a batch."""
        maps, energies, weights = (one[begin:end] for one in (self.maps, self.energies, self.log_weights))
        return replace(self, maps=maps, energies=energies, log_weights=weights)


def device() -> str:
    """ "cuda" when a CUDA device is there, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@torch.no_grad()
def sample(
    energy: SampledEnergy,
    noise: Noise,
    *,
    steps: int = 50,
    kt: float = 1.0,
    denoiser: Denoiser | None = None,
    context: Context | None = None,
    schedule: str = "cosine",
    correction: Move | None = None,
    correction_steps: int = CORRECTION_STEPS,
    watch: Watch | None = None,
) -> Samples:
    """Draw a map for each chain of `noise` from exp(-E/kT), independent of each other.

    With a denoiser `steps` of reverse diffusion make drafts; a quadratic energy brings its own, which is exact. Without one drafts are
    annealed in `steps` moves: spins by clusters, anything else from its Gaussian reference. `correction_steps` moves follow: Langevin
    by default where the energy is quadratic, else Hamiltonian.

    Raises:
        ValueError: steps is not between 1 and 1000, kt not positive and finite, correction_steps negative, or the energy cannot be
        annealed.
    """
    if correction_steps < 0 or not 0 < kt < math.inf:
        raise ValueError(
            f"correction_steps {correction_steps}, kt {kt}: give no negative number of corrections and a positive, finite kt"
        )
    scheduler = EnergyScheduler(schedule=schedule)
    scheduler.set_timesteps(steps)
    placed = energy.to(noise.device)
    if denoiser is None and isinstance(placed, QuadraticEnergy):
        denoiser = ExactDenoiser(placed, kt)
    if denoiser is not None:
        drafts = _diffused(placed, denoiser, scheduler, kt, noise, context, watch)
    elif isinstance(placed, ObservedGaussian) and isinstance(placed.prior, QuadraticEnergy):
        drafts = _conditioned(placed, placed.prior, scheduler, kt, noise, watch)
    elif isinstance(placed, IsingField):
        drafts = _spins(placed, steps, kt, noise, watch)
    else:
        drafts = _annealed(energy, placed, steps, kt, noise, watch)
    correction = correction or drafts.move or hamiltonian(placed.reference)
    x, acceptance = corrected(placed, drafts.x, correction, correction_steps, kt, noise, watch)
    exact = known_log_z(placed, kt)
    return Samples(x, placed.energy(x), drafts.log_weights, acceptance, drafts.method, exact, drafts.imbalance)


def known_log_z(energy: SampledEnergy, kt: float) -> float | None:
    """log Z where it is known exactly, else None."""
    return energy.log_z(kt) if isinstance(energy, QuadraticEnergy | ObservedGaussian) else None


@dataclass(frozen=True)
class _Drafts:
    x: Tensor
    log_weights: Tensor
    method: Method
    imbalance: float = 0.0
    move: Move | None = None
    """That corrects them well."""


def _diffused(
    energy: SampledEnergy,
    denoiser: Denoiser,
    scheduler: EnergyScheduler,
    kt: float,
    noise: Noise,
    context: Context | None,
    watch: Watch | None,
) -> _Drafts:
    """By reverse diffusion. What sensors add to an energy that a model was trained without guides it."""
    guide = partial(_guide, energy, kt) if isinstance(energy, Observed) else None
    made = reverse_diffuse(denoiser, scheduler, noise, context=context, guide=guide, watch=watch)
    move = langevin(energy.reference) if isinstance(energy, QuadraticEnergy) else None
    return _Drafts(made.x, made.log_ratio - energy.energy(made.x) / kt, "diffusion", move=move)


def _guide(energy: Observed, kt: float, x: Tensor) -> Tensor:
    return energy.pull(x) / kt


def _conditioned(
    energy: ObservedGaussian,
    prior: QuadraticEnergy,
    scheduler: EnergyScheduler,
    kt: float,
    noise: Noise,
    watch: Watch | None,
) -> _Drafts:
    """Drafts of the prior, moved by what the sensors read beyond them (Matheron's rule): exact of the law given the readings."""
    made = reverse_diffuse(ExactDenoiser(prior, kt), scheduler, noise, watch=watch)
    weights = made.log_ratio - prior.energy(made.x) / kt - prior.log_z(kt) + energy.log_z(kt)
    return _Drafts(energy.conditioned(made.x, kt, noise.normal(len(energy.values))), weights, "diffusion")


def _annealed(
    energy: SampledEnergy, placed: SampledEnergy, steps: int, kt: float, noise: Noise, watch: Watch | None
) -> _Drafts:
    """From the energy's Gaussian reference, on a ladder that the ACE controller chose: once for an energy, whoever asks."""
    start, move = placed.reference, hamiltonian(placed.reference)
    known = _LADDERS.setdefault(energy, {})
    ladder = known.get((kt, steps, noise.device))
    if ladder is None:
        ladder = AceTemperature().ladder(start, placed, move, steps, kt=kt, device=noise.device, watch=watch)
        known[kt, steps, noise.device] = ladder
    made = anneal(start, placed, ladder, move, noise, kt=kt, watch=watch)
    imbalance = first_law(made.change, made.work, made.heat)
    return _Drafts(made.x, made.log_weights, "annealing", imbalance, move.sized(ladder[-1].step))


def _spins(energy: IsingField, steps: int, kt: float, noise: Noise, watch: Watch | None) -> _Drafts:
    """Of spins, whose clusters turn at once, and back to the field."""
    if kt != 1:
        raise ValueError(f"kt is {kt}: an Ising model's temperature is its beta, so leave kt at 1")
    betas = _spin_schedule(energy.side, energy.beta, steps)
    made = []
    for count, generator in noise.parts:

        def told(done: int, total: int, count: int = count) -> None:
            if watch:
                watch(Stage("annealing", done, total, torch.zeros(count, *energy.shape, dtype=torch.float64)))

        made.append(anneal_spins(energy, count, betas, generator=generator, watch=told))
    log_weights = torch.cat([one.log_weights for one in made])
    return _Drafts(torch.cat([one.field for one in made]), log_weights + energy.log_z_field(0.0), "annealing")


@lru_cache(64)
def _spin_schedule(side: int, beta: float, steps: int) -> Tensor:
    """Betas at equal lengths, by a pilot whose seed is its own."""
    return pilot(IsingField(side, beta), generator=torch.Generator().manual_seed(0)).schedule(steps)


def corrected(
    energy: SampledEnergy, x: Tensor, move: Move, steps: int, kt: float, noise: Noise, watch: Watch | None = None
) -> tuple[Tensor, float]:
    """x (batch, *shape) after `steps` moves, and the share that was taken; NaN without a move."""
    taken = 0.0
    for done in range(steps):
        x, accepted = move(energy, x, kt, noise)
        taken += float(accepted.double().mean())
        if watch:
            watch(Stage("correction", done + 1, steps, x))
    return x, taken / steps if steps else math.nan
