"""A small residual convolution network: the member of the ensemble that shares no assumption with the spectral operators.

The change in a step is a stack of circular 3 × 3 convolutions with dilations 1, 2, 4, 2, 1 on the standardised states, inputs and products.
Trained by Adam on one-step errors under a one-cycle schedule. Two options, off unless asked for:

* Boltzmann weighting: samples count by exp(−(E − Ē)/(T·σ_E)), with the domain's energy E: low energies count more.
* Noise schedule: normal noise on the standardised input whose size falls by a cosine from `noise` to 0, as in diffusion: the network first
  learns to come back to the states that occur, and the finer steps last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from .domain import FieldDomain
from .spectral import to_fields, to_spectrum

DILATIONS = (1, 2, 4, 2, 1)
KEEP_EVERY = 25
"""Updates between two files that a training could go on from."""


@dataclass(frozen=True, slots=True)
class NetworkTraining:
    """How a network is trained."""

    width: int = 16
    updates: int = 400
    batch: int = 8
    rate: float = 3e-3
    seed: int = 0
    boltzmann: float = 0.0
    """Temperature in standard deviations of the energy; 0 weighs all alike."""
    noise: float = 0.0
    """Root mean square of the first noise, in standard deviations of the state."""


class ConvolutionNetwork(torch.nn.Module):
    """A step of a domain, on any periodic grid of its dimensions."""

    def __init__(self, domain: FieldDomain, width: int) -> None:
        super().__init__()
        self.domain, self.width = domain, width
        states, given = len(domain.states), len(domain.states) + len(domain.inputs) + domain.terms
        kind = torch.nn.Conv2d if domain.dimensions == 2 else torch.nn.Conv1d
        sizes = [given, *[width] * (len(DILATIONS) - 1), states]
        self.layers = torch.nn.ModuleList(
            kind(before, after, 3, padding=dilation, dilation=dilation, padding_mode="circular")
            for (before, after), dilation in zip(pairwise(sizes), DILATIONS, strict=True)
        )
        self.scale: torch.Tensor
        self.gain: torch.Tensor
        self.register_buffer("scale", torch.ones(given, *[1] * domain.dimensions))
        self.register_buffer("gain", torch.ones(states, *[1] * domain.dimensions))
        torch.nn.init.zeros_(next(self.layers[-1].parameters()))  # starts as persistence

    def forward(self, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """States (B, C, *grid) after a step under inputs (B, I, *grid)."""
        standard = (_seen(self.domain, states, inputs) / self.scale).to(torch.float32)
        after = states + self.change(standard).to(states.dtype) * self.gain
        return self.domain.restore(states, inputs, after)

    def change(self, standard: torch.Tensor) -> torch.Tensor:
        """Standardised change for what is seen, standardised."""
        for layer in self.layers[:-1]:
            standard = functional.gelu(layer(standard))
        return self.layers[-1](standard)


def train_network(
    domain: FieldDomain,
    states: torch.Tensor,
    inputs: torch.Tensor,
    how: NetworkTraining,
    advanced: Callable[[int], None] = lambda update: None,
    kept: Path | None = None,
) -> ConvolutionNetwork:
    """Train on steps; an interrupted training goes on where it was and ends as it would have.

    Args:
        domain: what is learnt.
        states: (n, steps + 1, C, *grid), a step apart.
        inputs: (n, steps, I, *grid).
        how: settings.
        advanced: hears the number of updates done.
        kept: file that holds the training while it runs; one that was left by the same training is taken up.
    """
    torch.manual_seed(how.seed)
    before, after, given = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1), inputs.flatten(0, 1)
    network = ConvolutionNetwork(domain, how.width).to(before.device)
    axes = (0, *range(2, before.ndim))
    seen = _seen(domain, before, given)
    network.scale.copy_(_spread(seen, axes)[0])
    network.gain.copy_(_spread(after - before, axes)[0])
    samples = _Samples(
        (seen / network.scale).to(torch.float32),
        ((after - before) / network.gain).to(torch.float32),
        _boltzmann(domain, before, how.boltzmann),
        (network.scale[: before.shape[1]] / network.gain).to(torch.float32),
    )
    optimiser = torch.optim.Adam(network.parameters(), how.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, how.rate, total_steps=how.updates)
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    for update in range(_take_up(kept, how, parts), how.updates):
        loss = _loss(network, samples, how, update)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        advanced(update + 1)
        if kept is not None and (update + 1) % KEEP_EVERY == 0:
            _keep(kept, how, update + 1, parts)
    if kept is not None:
        kept.unlink(missing_ok=True)
    return network


@dataclass(frozen=True, slots=True)
class _Samples:
    seen: torch.Tensor
    wanted: torch.Tensor
    chances: torch.Tensor
    back: torch.Tensor
    """Standardised change that takes back a standardised noise of the state."""


def _loss(network: ConvolutionNetwork, samples: _Samples, how: NetworkTraining, update: int) -> torch.Tensor:
    draw = torch.Generator(samples.seen.device).manual_seed(how.seed * 1_000_003 + update)  # the same after a restart
    rows = torch.multinomial(samples.chances, how.batch, replacement=True, generator=draw)
    seen, wanted = samples.seen[rows], samples.wanted[rows]
    size = how.noise * 0.5 * (1.0 + math.cos(math.pi * update / how.updates))
    if size > 0.0:
        jitter = size * torch.randn(wanted.shape, generator=draw, device=seen.device)
        seen = torch.cat([seen[:, : wanted.shape[1]] + jitter, seen[:, wanted.shape[1] :]], 1)
        wanted = wanted - jitter * samples.back
    return (network.change(seen) - wanted).square().mean()


def _keep(kept: Path, how: NetworkTraining, update: int, parts: Mapping[str, Any]) -> None:
    aside = kept.with_suffix(".part")
    torch.save(
        {"how": asdict(how), "update": update, **{name: part.state_dict() for name, part in parts.items()}}, aside
    )
    aside.replace(kept)


def _take_up(kept: Path | None, how: NetworkTraining, parts: Mapping[str, Any]) -> int:
    """Restore the parts of the same training; returns how many updates they have had."""
    if kept is None or not kept.exists():
        return 0
    found = torch.load(kept, weights_only=True)
    if found["how"] != asdict(how):
        return 0
    for name, part in parts.items():
        part.load_state_dict(found[name])
    return found["update"]


def _seen(domain: FieldDomain, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    products = (
        to_fields(domain.products(to_spectrum(states), inputs), tuple(states.shape[2:]))
        if domain.terms
        else inputs[:, :0]
    )
    return torch.cat([states, inputs, products], 1)


def _spread(fields: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return fields.square().mean(axes, keepdim=True).sqrt().clamp_min(1e-30)


def _boltzmann(domain: FieldDomain, states: torch.Tensor, temperature: float) -> torch.Tensor:
    """Chances of samples, in log space; all alike at temperature 0."""
    if temperature <= 0.0:
        return torch.ones(states.shape[0], device=states.device)
    energy = domain.energy(states)
    return torch.softmax(-(energy - energy.mean()) / (temperature * energy.std().clamp_min(1e-30)), 0)
