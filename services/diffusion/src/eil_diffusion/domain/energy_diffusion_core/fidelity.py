"""What a trained model is worth: its drafts against the energy whose law it learned, and how entropy falls along the reverse process."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import SampledEnergy, each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energies.registry import build_energy
from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel
from eil_diffusion.domain.energy_diffusion_core.schedule import EnergyScheduler
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.reverse import reverse_diffuse
from eil_diffusion.domain.energy_guided_sampler.watch import Stage
from eil_diffusion.domain.energy_guided_sampler.weights import log_z

STEPS = 20
DRAFTS = 256
SEED = 20_251


@dataclass(frozen=True)
class Evolution:
    """The reverse process of one batch, for looking at."""

    fields: Tensor
    """(steps, shown, rows, columns) the clean fields implied at each step."""
    signal: Tensor
    """(steps,) share ᾱ of signal."""
    entropy: Tensor
    """(steps,) differential entropy of the noisy law a site [nat]: ½⟨log 2πe(ᾱv + 1 - ᾱ)⟩ over modes, v the learned spectrum."""


@torch.no_grad()
def fidelity(model: EnergyDiffusionModel, made: FieldSet) -> Mapping[str, float]:
    """Figures of a model on drafts of STEPS steps; the set gives fields to compare with and contexts to draw under.

    `drift`: distance of the drafts' mean energy from the set's, in per cent, with its standard error; for telemetry, which has no
    energy, of the mean square. Where the energy is one for all contexts also the share of effective drafts, log Z and, of a
    quadratic one, its error.
    """
    count = min(DRAFTS, len(made))
    context = Context(*(None if one is None else one[-count:] for one in (made.signals, made.maps)))
    shape = tuple(made.fields.shape[1:]) if made.fields.shape[1] > 1 else tuple(made.fields.shape[2:])
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(STEPS)
    drafts = reverse_diffuse(model.on(shape), scheduler, Noise([SEED], [count]), context=context)
    energy = energy_of(model)
    known = made.fields[-count:].reshape(count, *shape)
    if energy is None:
        centre = model.on(shape).law(context).mean
        return _drift(each_sum((drafts.x - centre) ** 2), each_sum((known - centre) ** 2))
    figures = dict(_drift(energy.energy(drafts.x), energy.energy(made.fields.reshape(-1, *shape))))
    found = log_z(drafts.log_ratio - energy.energy(drafts.x) / model.card.kt)
    figures |= {"ess_share": found.ess / count, "log_z": found.value, "log_z_se": found.error}
    if isinstance(energy, QuadraticEnergy):
        figures["log_z_error"] = abs(found.value - energy.log_z(model.card.kt))
    return figures


def energy_of(model: EnergyDiffusionModel) -> SampledEnergy | None:
    """The energy that the model's card names whole; None where it depends on the context, or there is none."""
    parameters = dict(model.card.energy)
    name = parameters.pop("name", None)
    if name is None or model.card.maps:
        return None
    energy = build_energy(name, parameters)
    return energy if isinstance(energy, SampledEnergy) else None


def evolution(model: EnergyDiffusionModel, made: FieldSet, steps: int = 60, shown: int = 6) -> Evolution:
    """The reverse process of a few fields of the model's first channel."""
    context = Context(*(None if one is None else one[:shown] for one in (made.signals, made.maps)))
    shape = tuple(made.fields.shape[1:])
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(steps)
    seen: list[Tensor] = []

    def watch(stage: Stage) -> None:
        seen.append(stage.x[:, 0])

    with torch.no_grad():
        reverse_diffuse(model.on(shape), scheduler, Noise([SEED], [shown]), context=context, watch=watch)
        law = model.on(shape).law(context)
    spread = (law.variance / law.scale**2)[0]
    signal = scheduler.alphas_cumprod[scheduler.timesteps]
    noisy = signal[:, None] * spread.flatten() + 1 - signal[:, None]
    entropy = 0.5 * (2 * math.pi * math.e * noisy).log().mean(1)
    return Evolution(torch.stack(seen), signal, entropy)


def _drift(drafts: Tensor, known: Tensor) -> Mapping[str, float]:
    """Distance of means in per cent of the known one, and its standard error."""
    mean = float(known.mean())
    error = math.hypot(*(float(one.std()) / math.sqrt(len(one)) for one in (drafts, known)))
    return {
        "drift_percent": 100 * (float(drafts.mean()) - mean) / abs(mean),
        "drift_se_percent": 100 * error / abs(mean),
    }
