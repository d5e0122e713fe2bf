"""Training: the Gaussian law by likelihood, then the network by denoising, and the question whether the network has earned its place.

The network learns E[x₀ | x_t] beyond Wiener's filter: mean squared error over the posterior variance of white noise, at noise
levels drawn evenly from the schedule. AdamW, rate 1e-4 after a warm-up, falling to 0 by a cosine; what is kept is the exponential
moving average of the weights. On held-out fields it must lower the error by more than three standard errors of the difference, or
the model goes without it: where the law is Gaussian a network can only add noise.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel, ModelCard, denoised
from eil_diffusion.domain.energy_diffusion_core.schedule import cosine_schedule

KEEP_EVERY = 200
"""Updates between two files that a training could go on from."""
WARM_UP = 200
"""Updates in which the rate rises."""
GROWTH = 1.0
"""Largest norm of a gradient."""
JUDGED = 8
"""Noise levels at which a held-out field is denoised."""
EARNED = 3.0
"""Standard errors by which the network must be better."""


@dataclass(frozen=True)
class Training:
    """How a model is trained."""

    updates: int = 6000
    batch: int = 32
    rate: float = 1e-4
    ema: float = 0.999
    """Share of the average that an update keeps."""
    width: int = 24
    seed: int = 0
    held_out: float = 0.125
    """Share of the fields, the last ones, that are judged on and not learned from."""


Progress = Callable[[str, int, int, float], None]
"""What is done, how much of it, of how much, and the loss."""


def train(
    made: FieldSet, how: Training, progress: Progress, *, device: str = "cpu", kept: Path | None = None
) -> EnergyDiffusionModel:
    """Train a model on a set; `kept` is a file from which an interrupted training of the same set and kind goes on.

    Raises:
        ValueError: the set is too small or not finite.
    """
    _check(made)
    held = max(2, round(how.held_out * len(made)))
    learned, judged = made.part(slice(0, len(made) - held)), made.part(slice(len(made) - held, None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed)
        model = _standardised(made, learned, how)
    progress("Gaussian law", 0, 1, math.nan)
    fields, signals, maps = _inputs(model, learned)
    model.gaussian.fit(fields, signals, maps)
    progress("Gaussian law", 1, 1, math.nan)
    network = _learn(model.to(device), learned, how, progress, kept)
    model.network.load_state_dict(network)
    gain, error, base = _judge(model, judged, how.seed)
    metrics = {"denoising_gain": gain, "denoising_gain_se": error, "denoising_error_gaussian": base}
    card = replace(model.card, networked=gain > EARNED * error, metrics=metrics)
    model.card = card
    return model.to("cpu").eval().requires_grad_(False)


def _check(made: FieldSet) -> None:
    if len(made) < 16:
        raise ValueError(f"{len(made)} fields are too few to learn from: give at least 16")
    for part in (made.fields, made.signals, made.maps):
        if part is not None and not bool(part.isfinite().all()):
            raise ValueError("the set has values that are not finite: leave those fields out")


def _standardised(made: FieldSet, learned: FieldSet, how: Training) -> EnergyDiffusionModel:
    card = ModelCard(
        name=made.about.name,
        energy=made.about.energy,
        kt=made.about.kt,
        fields=made.names,
        signals=made.signal_names,
        maps=made.map_names,
        periodic=made.about.periodic,
        width=how.width,
        data_digest=made.digest(),
        code=f"eil-diffusion {version('eil-diffusion')}",
    )
    model = EnergyDiffusionModel(card)
    for name, part in (("", learned.fields), ("signal_", learned.signals), ("map_", learned.maps)):
        if part is not None:
            axes = [axis for axis in range(part.ndim) if axis != 1]
            centre, scale = part.mean(axes), part.std(axes)
            getattr(model, f"{name}centre").copy_(centre)
            # What never varied in training must not count a million times when it does.
            getattr(model, f"{name}scale").copy_(torch.where(scale > 1e-12 * centre.abs(), scale, 1.0))
    return model


def _inputs(model: EnergyDiffusionModel, part: FieldSet) -> tuple[Tensor, Tensor | None, Tensor | None]:
    known = model.standardise(Context(part.signals, part.maps))
    fields = (part.fields - model.centre[:, None, None]) / model.scale[:, None, None]
    return fields, known.signals, known.maps


def _learn(
    model: EnergyDiffusionModel, learned: FieldSet, how: Training, progress: Progress, kept: Path | None
) -> dict[str, Tensor]:
    """The averaged weights of the network."""
    network, average = model.network.train(), deepcopy(model.network)
    search = torch.optim.AdamW(network.parameters(), lr=how.rate, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(how.seed)
    mark = {"how": asdict(how), "data": model.card.data_digest}
    begin = _take_up(kept, mark, network, average, search, generator)
    for update in range(begin, how.updates):
        search.param_groups[0]["lr"] = how.rate * _pace(update, how.updates)
        chosen = torch.randint(len(learned), (how.batch,), generator=generator)
        loss = _loss(model, learned, chosen, generator).mean()
        search.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GROWTH)
        search.step()
        keep = min(how.ema, (1 + update) / (10 + update))
        with torch.no_grad():
            for old, new in zip(average.parameters(), network.parameters(), strict=True):
                old.lerp_(new, 1 - keep)
        progress("network", update + 1, how.updates, float(loss.detach()))
        if kept and (update + 1) % KEEP_EVERY == 0:
            _keep(kept, mark, update + 1, network, average, search, generator)
    return average.state_dict()


def _pace(update: int, updates: int) -> float:
    warm = min(WARM_UP, updates // 10 + 1)
    return min(1.0, (update + 1) / warm) * 0.5 * (1 + math.cos(math.pi * update / updates))


def _loss(model: EnergyDiffusionModel, part: FieldSet, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """(batch,) squared error of the denoised over the posterior variance of white fields, at random noise levels."""
    levels = torch.randint(len(SCHEDULE), (len(chosen),), generator=generator)
    few = FieldSet(
        part.fields[chosen],
        part.names,
        part.about,
        None if part.signals is None else part.signals[chosen],
        part.signal_names,
        None if part.maps is None else part.maps[chosen],
        part.map_names,
    )
    return _errors(model, few, SCHEDULE[levels], generator)[0]


def _errors(
    model: EnergyDiffusionModel, part: FieldSet, signal: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(batch,) mean squared errors with the network and without it, in units of 1 - ᾱ of white fields."""
    context = Context(part.signals, part.maps)
    denoiser = model.on(tuple(part.fields.shape[1:]))
    device = next(model.network.parameters()).device
    context = context.to(str(device))
    law = denoiser.law(context)
    clean = (part.fields.to(device) - law.mean) / law.scale
    share = signal.to(device)[:, None, None, None]
    noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype).to(device)
    noisy = share.sqrt() * clean + (1 - share).sqrt() * noise
    spread = law.variance / law.scale**2
    filtered = law.from_modes(share.sqrt() * spread / (share * spread + 1 - share) * law.to_modes(noisy))
    log_snr = (share / (1 - share)).log().flatten()
    added = denoised(model, noisy, filtered, log_snr, model.standardise(context))
    unit = (1 - share.flatten()).clamp_min(1e-12)
    with_network = (clean - filtered - added).square().mean((1, 2, 3)) / unit
    return with_network, (clean - filtered).square().mean((1, 2, 3)) / unit


@torch.no_grad()
def _judge(model: EnergyDiffusionModel, judged: FieldSet, seed: int) -> tuple[float, float, float]:
    """Mean gain of the network over held-out fields, its standard error, and the error without it."""
    generator = torch.Generator().manual_seed(seed + 1)
    places = ((torch.arange(JUDGED, dtype=torch.float64) + 0.5) / JUDGED * len(SCHEDULE)).long()
    gains, bases = [], []
    for begin in range(0, len(judged), 64):
        few = judged.part(slice(begin, begin + 64))
        found = [_errors(model, few, SCHEDULE[place].expand(len(few)), generator) for place in places]
        gains.append(torch.stack([without - with_ for with_, without in found]).mean(0))
        bases.append(torch.stack([without for _, without in found]).mean(0))
    gain, base = torch.cat(gains), torch.cat(bases)
    return float(gain.mean()), float(gain.std()) / math.sqrt(len(gain)), float(base.mean())


def _keep(kept: Path, mark: dict, update: int, network, average, search, generator: torch.Generator) -> None:
    aside = kept.with_suffix(".part")
    state = {"network": network.state_dict(), "average": average.state_dict(), "search": search.state_dict()}
    torch.save({"mark": mark, "update": update, "random": generator.get_state(), **state}, aside)
    aside.replace(kept)


def _take_up(kept: Path | None, mark: dict, network, average, search, generator: torch.Generator) -> int:
    """Restore a training of the same set and kind; returns how many updates it has had."""
    if kept is None or not kept.exists():
        return 0
    found = torch.load(kept, weights_only=True)
    if found["mark"] != mark:
        return 0
    network.load_state_dict(found["network"])
    average.load_state_dict(found["average"])
    search.load_state_dict(found["search"])
    generator.set_state(found["random"])
    return found["update"]


SCHEDULE = cosine_schedule()
