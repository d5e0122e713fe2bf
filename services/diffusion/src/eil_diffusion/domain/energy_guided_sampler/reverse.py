"""Reverse diffusion of any denoiser, with the weights that make it exact.

A step's law is Gaussian and so is noising's, so that the ratio of the probabilities of a path forwards and backwards is known: it
is an importance weight of the configuration at the path's end, whatever the denoiser has learned (Sohl-Dickstein et al., 2015). The
posterior variance is the Gaussian law's, mode by mode, not one number for all: for a Gaussian target the weights are then equal at
any number of steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context, Denoiser, GaussianLaw
from eil_diffusion.domain.energy_diffusion_core.schedule import EnergyScheduler
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.watch import Stage, Watch

Guide = Callable[[Tensor], Tensor]
"""∂E/∂x over kT of an energy that the model was not trained on, (batch, *shape) both ways; affine and not falling, as that of sensors."""
GUIDED, SOLVED = 32, 1e-20
"""Most conjugate gradients towards a guide, and the share of the squared residual that is none."""
TINY = 1e-300


@dataclass(frozen=True)
class Drafts:
    """Configurations at the ends of reverse paths."""

    x: Tensor
    """(count, *shape)."""
    log_ratio: Tensor
    """(count,) log of the probability of noising x along its path over that of the path: log_ratio - E(x)/kT is a log weight."""


def reverse_diffuse(
    denoiser: Denoiser,
    scheduler: EnergyScheduler,
    noise: Noise,
    *,
    context: Context | None = None,
    guide: Guide | None = None,
    watch: Watch | None = None,
) -> Drafts:
    """Draw a configuration for each chain of `noise` through the scheduler's timesteps, by ancestral steps.

    A guide moves each clean estimate to where the posterior covariance C balances it, δ = -C·guide(estimate + δ): for sensors that is
    the conditional mean, however exact they are. To first order it would be -C·guide(estimate), and overshoot without bound where a
    sensor knows more than the posterior.
    """
    law = denoiser.law(context)
    spread = law.variance / law.scale**2
    fresh, begun = noise.normal(*denoiser.shape), _begun(scheduler, spread)
    modes = begun.sqrt() * fresh
    log_ratio = 0.5 * each_sum(fresh**2 + (2 * math.pi * begun).log().expand_as(fresh))
    log_ratio = log_ratio + math.prod(denoiser.shape) * math.log(law.scale)
    for place, t in enumerate(scheduler.timesteps):
        signal, before = float(scheduler.alphas_cumprod[t]), scheduler.signal_before(int(t))
        noisy = signal * spread + 1 - signal
        left = spread * (1 - signal) / noisy
        clean = _clean(denoiser, law, modes, spread, signal, context, guide, left)
        predicted = (modes - math.sqrt(signal) * clean) / math.sqrt(1 - signal)
        mean, variance, _ = scheduler.posterior(predicted, t, modes, left)
        kick = noise.normal(*denoiser.shape)
        earlier = mean + variance.sqrt() * kick
        # log q(x_t | x_s) - log p(x_s | x_t); what 2π contributes cancels.
        kept = signal / before
        log_ratio = log_ratio - 0.5 * each_sum((modes - math.sqrt(kept) * earlier) ** 2) / (1 - kept)
        log_ratio = log_ratio + 0.5 * each_sum(kick**2 + (variance / (1 - kept)).log().expand_as(kick))
        modes = earlier
        if watch:
            watch(Stage("diffusion", place + 1, len(scheduler.timesteps), _placed(law, clean)))
    return Drafts(_placed(law, modes), log_ratio)


def _begun(scheduler: EnergyScheduler, spread: Tensor) -> Tensor:
    """Variance of modes at the first step: the law's own. Unit noise would miss what a schedule leaves of the data, and of a law
    that is wide in its unit that is much.
    """
    signal = float(scheduler.alphas_cumprod[scheduler.timesteps[0]])
    return signal * spread + 1 - signal


def _clean(
    denoiser: Denoiser,
    law: GaussianLaw,
    modes: Tensor,
    spread: Tensor,
    signal: float,
    context: Context | None,
    guide: Guide | None,
    left: Tensor,
) -> Tensor:
    """Modes of E[x₀ | x_t]."""
    clean = math.sqrt(signal) * spread / (signal * spread + 1 - signal) * modes
    if denoiser.corrects:
        clean = clean + law.to_modes(denoiser.correction(law.from_modes(modes), law.from_modes(clean), signal, context))
    return clean + _pulled(law, clean, left, guide) if guide else clean


def _pulled(law: GaussianLaw, clean: Tensor, left: Tensor, guide: Guide) -> Tensor:
    """Modes of δ = -C·guide(clean + δ), C = scale²·left, for a guide with a constant slope G, as sensors have: (1 + √C·G·√C)u =
    -√C·guide(clean), δ = √C·u, by conjugate gradients. A sensor more is a step more; stopped early they are nearer than at the begin.
    """
    root, place = law.scale * left.sqrt(), _placed(law, clean)
    slope = root * law.to_modes(guide(place))
    answer, rest = torch.zeros_like(clean), -slope
    way, size = rest, each_sum(rest**2)
    enough = SOLVED * size
    for _ in range(GUIDED):
        going = size > enough
        if not bool(going.any()):
            break
        bent = way + root * law.to_modes(guide(place + law.from_modes(root * way))) - slope
        # A chain that has arrived stands still, so that it does not depend on its company.
        far = torch.where(going, size / each_sum(way * bent).clamp_min(TINY), 0.0)
        answer, rest = answer + _times(far, way), rest - _times(far, bent)
        before, size = size, each_sum(rest**2)
        way = rest + _times(size / before.clamp_min(TINY), way)
    return left.sqrt() * answer


def _times(factors: Tensor, x: Tensor) -> Tensor:
    """(batch,) times (batch, *shape)."""
    return factors.reshape(-1, *(1,) * (x.ndim - 1)) * x


def _placed(law: GaussianLaw, modes: Tensor) -> Tensor:
    return law.mean + law.scale * law.from_modes(modes)


def flow(
    denoiser: Denoiser,
    scheduler: EnergyScheduler,
    noise: Noise,
    *,
    context: Context | None = None,
    watch: Watch | None = None,
) -> Tensor:
    """(count, *shape) by the probability flow: a configuration is a smooth function of its noise, in few steps, but without a weight.

    The flow of flow matching and of DDIM, integrated exactly for the Gaussian law: a mode keeps its place in units of its own spread,
    √(ᾱv+1-ᾱ), and moves with what the clean estimate changes beyond Wiener's filter.
    """
    law = denoiser.law(context)
    spread = law.variance / law.scale**2
    modes = _begun(scheduler, spread).sqrt() * noise.normal(*denoiser.shape)
    for place, t in enumerate(scheduler.timesteps):
        signal, before = float(scheduler.alphas_cumprod[t]), scheduler.signal_before(int(t))
        filtered = math.sqrt(signal) * spread / (signal * spread + 1 - signal) * modes
        shift = _clean(denoiser, law, modes, spread, signal, context, None, spread) - filtered
        ratio = ((before * spread + 1 - before) / (signal * spread + 1 - signal)).sqrt()
        # A constant shift of the clean estimate is a Gaussian law around another mean: its noisy centre moves by √ᾱ·shift/gain.
        gain = (1 - signal) / (signal * spread + 1 - signal)
        centre = shift / gain.clamp_min(1e-3)
        modes = math.sqrt(before) * centre + ratio * (modes - math.sqrt(signal) * centre)
        if watch:
            watch(Stage("diffusion", place + 1, len(scheduler.timesteps), _placed(law, filtered + shift)))
    return _placed(law, modes)
