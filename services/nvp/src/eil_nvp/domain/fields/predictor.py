"""Next states of a field by a trained model: the champion's rollout, its first step questioned, with an honest error or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from eil_nvp.domain.agent.ensemble import Vote, aggregate
from eil_nvp.domain.agent.questions import Conservation, Ensemble
from eil_nvp.domain.agent.socratic import Finding, examine

from .model import FieldModel
from .novelty import FAR, OUTSIDE, novelty, signature

IMBALANCE = 1e-5
"""Share of what is conserved by which a step may break it and pass."""
WIDEST = 1.0
"""A relative error beyond this says nothing: then nothing is predicted."""


@dataclass(frozen=True, slots=True)
class FieldForecast:
    """What becomes of a field."""

    states: tuple[NDArray[np.float64], ...]
    """(C, *grid) after each step asked for."""
    steps: tuple[int, ...]
    relative_errors: tuple[float, ...]
    """Share of the field's size within which the error stays 9 times in 10, by step."""
    novelty: float
    in_domain: bool
    abstained: bool
    disagreement: float
    findings: tuple[Finding, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class _Questioned:
    """A first step after the questions."""

    value: NDArray[np.float64]
    vote: Vote
    findings: tuple[Finding, ...]
    doubted: bool


@torch.no_grad()
def predict(
    model: FieldModel,
    states: Sequence[NDArray[np.float64]],
    inputs: Sequence[NDArray[np.float64]],
    steps: int,
    *,
    every_step: bool = False,
) -> list[FieldForecast]:
    """Predict fields together.

    Args:
        model: of their domain and grid.
        states: (C, *grid) each.
        inputs: (k, I, *grid) each, for the first k steps; the last hold on, and none are zero.
        steps: to take, at least 1.
        every_step: give every step instead of the last alone.

    Raises:
        ValueError: a field has another shape, or values that are not finite.
    """
    device = model.known.device
    start = torch.stack([_tensor(model, field, device) for field in states])
    given = torch.stack([_held(model, one, steps, device) for one in inputs])
    strange = novelty(signature(torch.cat([start, given[:, 0]], 1)), model.known)
    first = model.champion(start, given[:, 0])
    questioned = [_question(model, start[i], given[i, 0], first[i]) for i in range(len(states))]
    now = torch.stack([torch.as_tensor(one.value, device=device) for one in questioned])
    path = [now]
    for step in range(1, steps):
        now = model.champion(now, given[:, step])
        path.append(now)
    kept = range(1, steps + 1) if every_step else (steps,)
    return [
        _forecast(model, [path[step - 1][i] for step in kept], start[i], kept, float(strange[i]), one)
        for i, one in enumerate(questioned)
    ]


def _tensor(model: FieldModel, field: NDArray[np.float64], device: torch.device) -> torch.Tensor:
    wanted = (len(model.domain.states), *(model.points,) * model.domain.dimensions)
    if field.shape != wanted:
        raise ValueError(
            f"the state has shape {field.shape}; the model of {model.domain.name} takes {wanted}: resample it or train on it"
        )
    if not np.isfinite(field).all():
        raise ValueError(
            f"{int((~np.isfinite(field)).sum())} values of the state are not finite: a field has no gaps; fill them first"
        )
    return torch.as_tensor(field, dtype=torch.float64, device=device)


def _held(model: FieldModel, inputs: NDArray[np.float64], steps: int, device: torch.device) -> torch.Tensor:
    shape = (len(model.domain.inputs), *(model.points,) * model.domain.dimensions)
    if not inputs.size:
        return torch.zeros((steps, *shape), dtype=torch.float64, device=device)
    if inputs.shape[1:] != shape or not np.isfinite(inputs).all():
        raise ValueError(
            f"inputs of a step have shape {inputs.shape[1:]}; {model.domain.name} takes finite ones of {shape}"
        )
    known = torch.as_tensor(inputs[:steps], dtype=torch.float64, device=device)
    return torch.cat([known, known[-1:].expand(steps - len(known), *shape)])


def _question(model: FieldModel, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> _Questioned:
    domain, value = model.domain, after.cpu().numpy()
    others = [member(before[None], inputs[None])[0].cpu().numpy() for member in list(model.members.values())[1:]]
    size = np.sqrt(np.mean(value**2, axis=tuple(range(1, value.ndim)), keepdims=True)) + 1e-300
    errors = np.array([figures["error"] for figures in model.metrics.values()])
    vote = aggregate([value, *others], live_rms=errors, scale=size)
    batch, given = before[None], inputs[None]

    def imbalance(field: NDArray[np.float64]) -> float:
        return float(domain.imbalance(batch, given, torch.as_tensor(field, device=before.device)[None]))

    def restore(field: NDArray[np.float64]) -> NDArray[np.float64]:
        return domain.restore(batch, given, torch.as_tensor(field, device=before.device)[None])[0].cpu().numpy()

    floor = size * float(model.growth[0])
    questions = [
        Conservation(imbalance, restore, IMBALANCE),
        Ensemble(vote.value, vote.spread, floor=np.maximum(floor, 1e-9 * size)),
    ]
    asked = examine(value, floor, questions)
    return _Questioned(asked.prediction.value, vote, asked.findings, asked.prediction.abstained)


def _forecast(
    model: FieldModel,
    path: Sequence[torch.Tensor],
    start: torch.Tensor,
    kept: Sequence[int],
    strange: float,
    first: _Questioned,
) -> FieldForecast:
    errors = [_error_after(model, step) * max(1.0, strange) for step in kept]
    broken = not all(bool(state.isfinite().all()) for state in path)
    abstained = first.doubted or broken or strange > FAR or errors[-1] > WIDEST
    if abstained:
        path, errors = [start for _ in kept], [WIDEST for _ in kept]
    return FieldForecast(
        states=tuple(state.cpu().numpy() for state in path),
        steps=tuple(kept),
        relative_errors=tuple(errors),
        novelty=strange,
        in_domain=strange <= OUTSIDE and not abstained,
        abstained=abstained,
        disagreement=first.vote.disagreement,
        findings=first.findings,
        reason=_reason(model, strange, first.doubted, broken, abstained, kept[-1]),
    )


def _error_after(model: FieldModel, step: int) -> float:
    """Held-out error after so many steps; beyond those measured it is taken to grow as it did over them, at least in proportion."""
    known = len(model.growth)
    return float(model.growth[min(step, known) - 1]) * max(1.0, step / known) ** 2


def _reason(model: FieldModel, strange: float, doubted: bool, broken: bool, abstained: bool, steps: int) -> str:
    where = f"the field lies {strange:.1f} spreads outside what the model was trained on"
    if strange > FAR:
        return f"nothing is predicted: {where}; train a model on such fields"
    if broken:
        return f"nothing is predicted: the rollout left every bound within {steps} steps"
    if doubted:
        return "nothing is predicted: the members and the conservation law contradict the champion"
    if abstained:
        return f"nothing is predicted: after {steps} steps the error would be as large as the field"
    beyond = (
        f"; {steps} steps are more than the {len(model.growth)} it was measured on" if steps > len(model.growth) else ""
    )
    return f"{'within' if strange == 0.0 else where + ': errors widened; not all within'} the training range{beyond}"
