"""Boltzmann sampling of quadratic energies: exact reverse diffusion, then Metropolis-adjusted Langevin correction.

Every map is an independent chain, so means over maps have the plain standard error.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energy_diffusion_core.schedule import EnergyScheduler, boltzmann_weight

CORRECTION_STEPS = 16
# Numbers held at once by one batch of maps: 32 MiB in float64, some ten times that with intermediates.
LARGEST_BATCH = 2**22
# Roberts & Rosenthal (1998): h = 1.36·N^(-1/3) accepts 57 % on a whitened Gaussian, the most movement per step.
STEP_SCALE = 1.36


@dataclass(frozen=True)
class Samples:
    """Maps drawn from exp(-E/kT) and what they say about themselves."""

    maps: Tensor
    """(count, *shape) float64."""
    energies: Tensor
    """(count,) in the energy's unit."""
    acceptance: float
    """Share of Langevin proposals accepted; NaN when no correction was asked for."""
    mean_energy: float
    """Mean of `energies`; N·kT/2 for a quadratic energy."""
    mean_energy_se: float
    """Its standard error over the independent maps; NaN for a single map."""
    ess: float
    """Kish's effective sample size of the maps as reverse diffusion left them, before correction, from their exact
    Boltzmann weights: `count` means that the diffusion alone was already unbiased."""


def device() -> str:
    """ "cuda" when a CUDA device is there, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@torch.no_grad()
def sample(
    energy: QuadraticEnergy,
    count: int,
    *,
    steps: int = 50,
    seed: int,
    kt: float = 1.0,
    device: str = "cpu",
    correction_steps: int = CORRECTION_STEPS,
) -> Samples:
    """Draw `count` independent maps from exp(-E/kT).

    `steps` reverse diffusion steps guided by the exact denoiser (the Wiener filter), then `correction_steps` steps of
    preconditioned MALA. The same seed gives the same maps on the same kind of device and version of torch.
    Raises ValueError unless count and kt are positive, steps is between 1 and 1000 and correction_steps not negative.
    """
    if count < 1 or correction_steps < 0 or not 0 < kt < math.inf:
        raise ValueError(
            f"count {count}, correction_steps {correction_steps}, kt {kt}: "
            "give at least one map, no negative number of corrections and a positive, finite kt"
        )
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(steps)
    placed = energy.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    step = min(1.0, STEP_SCALE * energy.size ** (-1 / 3))
    maps, energies, log_proposals, accepted = [], [], [], 0.0
    per_batch = max(1, LARGEST_BATCH // energy.size)
    for start in range(0, count, per_batch):
        batch = min(per_batch, count - start)
        x, log_proposal = reverse_diffuse(placed, batch, scheduler, kt=kt, generator=generator)
        log_proposals.append(log_proposal + placed.energy(x) / kt)
        x, share = mala(placed, x, kt=kt, step=step, steps=correction_steps, generator=generator)
        accepted += share * batch
        maps.append(x)
        energies.append(placed.energy(x))
    measured = torch.cat(energies)
    return Samples(
        maps=torch.cat(maps),
        energies=measured,
        acceptance=accepted / count,
        mean_energy=float(measured.mean()),
        mean_energy_se=float(measured.std()) / math.sqrt(count) if count > 1 else math.nan,
        ess=boltzmann_weight(torch.cat(log_proposals)).ess,
    )


def reverse_diffuse(
    energy: QuadraticEnergy, count: int, scheduler: EnergyScheduler, *, kt: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Maps (count, *shape) from noise through the scheduler's timesteps, and their exact log density (count,).

    In the eigenbasis each mode is a Gaussian of variance v = kT/λ. Its noise prediction at signal share ᾱ is
    √(1-ᾱ)/(ᾱv+1-ᾱ)·x_t (the Wiener filter) and Var(x₀|x_t) = v(1-ᾱ)/(ᾱv+1-ᾱ). Every step is affine in x_t, so the
    variance of what comes out is known; it differs from v only by the start, which is white noise instead of x_T.
    """
    spread = kt / energy.eigenvalues
    modes = scheduler.init_noise_sigma * _noise(energy, count, generator)
    proposal = torch.full_like(spread, scheduler.init_noise_sigma**2)
    for t in scheduler.timesteps:
        signal = float(scheduler.alphas_cumprod[t])
        noisy = signal * spread + 1 - signal
        filtered, left = math.sqrt(1 - signal) / noisy, spread * (1 - signal) / noisy
        gain, added, _ = scheduler.posterior(filtered, t, torch.ones_like(spread), left)
        proposal = gain**2 * proposal + added
        predicted = filtered * scheduler.scale_model_input(modes, t)
        modes = scheduler.step(predicted, t, modes, posterior_variance=left, generator=generator).prev_sample
    log_density = -0.5 * each_sum(modes**2 / proposal) - 0.5 * float((2 * math.pi * proposal).log().sum())
    return energy.mean + energy.from_modes(modes), log_density


def mala(
    energy: QuadraticEnergy, x: Tensor, *, kt: float, step: float, steps: int, generator: torch.Generator
) -> tuple[Tensor, float]:
    """`steps` Metropolis-adjusted Langevin steps on each map of x (batch, *shape), and the share accepted.

    x' = x - h·M∇E + √(2h·kT)·M^½ε with M = A⁻¹, so that all modes relax at the rate h; on a periodic lattice that is
    Fourier preconditioning. Accepting with min(1, exp([-ΔE + ½d·(g+g') - (h/4)(g'·Mg' - g·Mg)]/kT)), d = x' - x, leaves
    exp(-E/kT) exactly invariant for any h; without it the stationary law is biased.
    """
    if steps == 0:
        return x, math.nan
    root = energy.eigenvalues.rsqrt()
    e, g = energy.energy(x), energy.gradient(x)
    mg = energy.precondition(g)
    accepted = 0.0
    wide = (-1,) + (1,) * (x.ndim - 1)
    for _ in range(steps):
        kick = energy.from_modes(root * _noise(energy, len(x), generator))
        moved = x - step * mg + math.sqrt(2 * step * kt) * kick
        e_new, g_new = energy.energy(moved), energy.gradient(moved)
        mg_new = energy.precondition(g_new)
        drift = 0.5 * each_sum((moved - x) * (g + g_new)) - step / 4 * each_sum(g_new * mg_new - g * mg)
        chance = torch.rand(len(x), generator=generator, dtype=x.dtype, device=x.device)
        taken = chance.log() < (e - e_new + drift) / kt
        keep = taken.reshape(wide)
        x, g, mg = torch.where(keep, moved, x), torch.where(keep, g_new, g), torch.where(keep, mg_new, mg)
        e = torch.where(taken, e_new, e)
        accepted += float(taken.double().mean())
    return x, accepted / steps


def _noise(energy: QuadraticEnergy, count: int, generator: torch.Generator) -> Tensor:
    mean = energy.mean
    return torch.randn((count, *energy.shape), generator=generator, dtype=mean.dtype, device=mean.device)
