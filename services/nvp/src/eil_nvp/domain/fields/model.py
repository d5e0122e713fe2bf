"""A trained field model: the members of a domain's ensemble, what they were trained on, how well they did, and where they hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from . import operator
from .domain import FieldDomain, Trajectories
from .network import ConvolutionNetwork, NetworkTraining, train_network
from .novelty import signature, training_range
from .registry import DOMAINS

FORMAT, ABOUT = 1, "eil"
CHAMPION = "spectral"
HELD_OUT = 0.25
"""Share of the trajectories, the last ones, that no member is trained on: they give the metrics and the intervals."""


@dataclass(frozen=True, slots=True)
class FieldTraining:
    """One training run; the same figures give the same model."""

    domain: str
    seed: int = 0
    trajectories: int = 24
    steps: int = 20
    points: int = 64
    network: NetworkTraining = field(default_factory=NetworkTraining)


@dataclass(frozen=True, slots=True)
class FieldModel:
    """Members by name, the champion first, on one grid."""

    domain: FieldDomain
    points: int
    members: Mapping[str, torch.nn.Module]
    known: torch.Tensor
    """Training range of the signatures of states and inputs (`novelty.training_range`)."""
    growth: torch.Tensor
    """(steps,): 90 % quantile of the champion's nRMSE after 1, 2 … steps, over held-out trajectories."""
    metrics: Mapping[str, Mapping[str, float]]
    """By member: one-step nRMSE `error` and its 90 % quantile `error_90`, over held-out steps; `skill` over persistence."""
    training: FieldTraining
    data_digest: str
    code: str

    @property
    def champion(self) -> torch.nn.Module:
        """The member that answers."""
        return next(iter(self.members.values()))

    def to(self, device: torch.device | str) -> FieldModel:
        """The same on another device."""
        for member in self.members.values():
            member.to(device)
        return FieldModel(
            self.domain,
            self.points,
            self.members,
            self.known.to(device),
            self.growth.to(device),
            self.metrics,
            self.training,
            self.data_digest,
            self.code,
        )


def relative_error(predicted: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """(B,): nRMSE, the root of summed squares of the error over those of the truth, by channel, mean over channels."""
    axes = tuple(range(2, true.ndim))
    ratio = (predicted - true).square().sum(axes) / true.square().sum(axes).clamp_min(1e-300)
    return ratio.sqrt().mean(1)


def train(
    how: FieldTraining,
    made: Trajectories,
    digest: str,
    progress: Callable[[str, float], None] = lambda what, share: None,
    kept: Path | None = None,
) -> FieldModel:
    """Train every member of a domain's ensemble on trajectories.

    Args:
        how: settings.
        made: the data, `how.points` on a side.
        digest: of the data.
        progress: hears what is being done, and the share of it that is.
        kept: see `train_network`.
    """
    domain = DOMAINS[how.domain]
    states, inputs = torch.as_tensor(made.states), torch.as_tensor(made.inputs)
    cut = max(2, round(states.shape[0] * (1.0 - HELD_OUT)))
    known = signature(_channels(domain, states[:cut], inputs[:cut]))
    members: dict[str, torch.nn.Module] = {}
    every = list(range(cut))
    plans = {CHAMPION: (every, domain.stages)}
    for part, name in enumerate(("first", "second")):
        plans[f"spectral without the {name} third"] = [i for i in every if i % 3 != part], domain.stages
    if domain.stages > 1:
        plans["spectral with a stage less"] = every, domain.stages - 1
    else:
        plans["spectral without the last third"] = [i for i in every if i % 3 != 2], 1
    for place, (name, (rows, stages)) in enumerate(plans.items()):
        progress(name, place / len(plans))
        members[name] = operator.fit(domain, states[rows], inputs[rows], stages=stages)
    whole = states[:cut, :: domain.substeps]
    advanced = lambda update: progress("convolution", update / how.network.updates)  # noqa: E731
    members["convolution"] = train_network(domain, whole, inputs[:cut], how.network, advanced, kept)
    progress("held-out steps", 0.0)
    true, given = states[cut:, :: domain.substeps], inputs[cut:]
    metrics, growth = evaluate(members, true, given), _growth(members[CHAMPION], true, given)
    code = f"eil-nvp {version('eil-nvp')}"
    return FieldModel(domain, how.points, members, training_range(known), growth, metrics, how, digest, code)


def _channels(domain: FieldDomain, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    return torch.cat([states[:, : -1 : domain.substeps].flatten(0, 1), inputs.flatten(0, 1)], 1)


@torch.no_grad()
def evaluate(
    members: Mapping[str, torch.nn.Module], states: torch.Tensor, inputs: torch.Tensor
) -> dict[str, dict[str, float]]:
    """One-step figures of members on states (n, steps + 1, C, *grid) a step apart."""
    before, after, given = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1), inputs.flatten(0, 1)
    still = relative_error(before, after)
    found = {}
    for name, member in members.items():
        predicted = torch.cat([member(x, i) for x, i in zip(before.split(64), given.split(64), strict=True)])
        error = relative_error(predicted, after)
        found[name] = {
            "error": float(error.mean()),
            "error_90": float(error.quantile(0.9)),
            "skill": float(1.0 - (error / still).mean()),
        }
    return found


@torch.no_grad()
def _growth(champion: torch.nn.Module, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    now, found = states[:, 0], []
    for step in range(inputs.shape[1]):
        now = champion(now, inputs[:, step])
        found.append(relative_error(now, states[:, step + 1]).quantile(0.9))
    return torch.stack(found).cummax(0).values


def dumps(model: FieldModel) -> bytes:
    """A checkpoint: safetensors, whose metadata hold everything but the tensors."""
    tensors = {"known": model.known.cpu(), "growth": model.growth.cpu()}
    for name, member in model.members.items():
        tensors |= {f"{name}/{key}": value.detach().cpu().contiguous() for key, value in member.state_dict().items()}
    about = {
        "format": FORMAT,
        "training": asdict(model.training),
        "data_digest": model.data_digest,
        "code": model.code,
        "metrics": model.metrics,
    }
    return safetensors.torch.save(tensors, metadata={ABOUT: json.dumps(about)})  # one key: several have no order


def load(path: Path) -> FieldModel:
    """Read a checkpoint's file.

    Raises:
        ValueError: it is none.
    """
    try:
        return loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def loads(content: bytes) -> FieldModel:
    """Read a checkpoint.

    Raises:
        ValueError: it is none, or of a version that this code does not read.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][ABOUT])
        tensors = safetensors.torch.load(content)
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']}, not {FORMAT}")
        given = about["training"]
        training = FieldTraining(**{**given, "network": NetworkTraining(**given["network"])})
        return _restore(training, about, tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"this is no checkpoint of a field model ({error}); train one with `eil nvp train`") from error


def _restore(training: FieldTraining, about: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> FieldModel:
    domain, metrics = DOMAINS[training.domain], about["metrics"]
    shape = (training.points,) * domain.dimensions
    members: dict[str, torch.nn.Module] = {}
    for name in metrics:
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        if any(key.startswith("stages.") for key in own):
            members[name] = operator.SpectralOperator(domain, shape, [own[f"stages.{i}"] for i in range(len(own))])
        else:
            members[name] = ConvolutionNetwork(domain, training.network.width)
            members[name].load_state_dict(own)
    return FieldModel(
        domain,
        training.points,
        members,
        tensors["known"],
        tensors["growth"],
        metrics,
        training,
        about["data_digest"],
        about["code"],
    )
