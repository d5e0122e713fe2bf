"""gRPC ⇄ domain of field predictions: requests of one model and length are predicted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from eil.nvp.v1 import nvp_pb2
from eil_mesh.errors import FailedPrecondition, InvalidArgument
from numpy.typing import NDArray

from eil_nvp.models import Served, message
from eil_nvp.telemetry import findings

if TYPE_CHECKING:  # torch: loaded when first used
    from eil_nvp.domain.fields.predictor import FieldForecast


@dataclass(frozen=True, slots=True)
class Field:
    """A field to predict."""

    served: Served
    state: NDArray[np.float64]
    """(C, n, n)."""
    inputs: NDArray[np.float64]
    """(k, I, n, n)."""


Kind = tuple[str, int, bool]
"""Digest of the model, steps, whether every step is wanted: what makes two requests one batch."""


def parse(request: nvp_pb2.PredictFieldRequest, served: Served) -> Field:
    """The request's field.

    Raises:
        FailedPrecondition: its grid is not the model's.
        InvalidArgument: channels are missing, too many or of different lengths.
    """
    domain, points = served.model.domain, served.model.points
    state = _grids(request.state, len(domain.states), "state", domain.states)
    if state.shape[-1] != points * points:
        raise FailedPrecondition(
            f"the state has {state.shape[-1]} values a channel; the model of {domain.name} was trained on {points} × {points} points: "
            f"resample the field, or train a model on your grid with `eil nvp train {domain.name} --points N`",
            reason="OTHER_GRID",
        )
    inputs = _grids(request.inputs, len(domain.inputs), "inputs", domain.inputs)
    if inputs.size and inputs.shape[-1] != points * points:
        raise InvalidArgument(
            f"inputs have {inputs.shape[-1]} values a channel, the state {points * points}",
            violations={"inputs": "must lie on the state's grid"},
        )
    grid = (points, points)
    return Field(
        served,
        state.reshape(len(domain.states), *grid),
        inputs.reshape(-1, len(domain.inputs), *grid) if inputs.size else np.empty((0, len(domain.inputs), *grid)),
    )


def _grids(given: Sequence[nvp_pb2.Grid], channels: int, field: str, names: Sequence[str]) -> NDArray[np.float64]:
    """(channels or a multiple of them, values)."""
    told = ", ".join(names) or "none"
    if field == "state" and len(given) != channels:
        raise InvalidArgument(
            f"the state has {len(given)} channels; the domain has {channels}: {told}",
            violations={field: f"needs {told}"},
        )
    if given and (channels == 0 or len(given) % channels):
        raise InvalidArgument(
            f"{len(given)} inputs were given; each step takes {channels}: {told}",
            violations={field: f"each step: {told}"},
        )
    lengths = {len(grid.values) for grid in given}
    if len(lengths) > 1:
        raise InvalidArgument(
            f"the channels of `{field}` have {sorted(lengths)} values; all must have the same",
            violations={field: "channels must be equally long"},
        )
    return np.array([grid.values for grid in given], dtype=np.float64)


def run(kind: Kind, fields: Sequence[Field]) -> Sequence[FieldForecast]:
    """Predict fields of one kind. Blocks.

    Raises:
        ValueError: values that are not finite.
    """
    from eil_nvp.domain.fields.predictor import predict

    _, steps, every_step = kind
    model = fields[0].served.model
    return predict(model, [f.state for f in fields], [f.inputs for f in fields], steps, every_step=every_step)


def respond(served: Served, forecast: FieldForecast) -> nvp_pb2.PredictFieldResponse:
    """The answer to a request."""
    names = served.model.domain.states
    return nvp_pb2.PredictFieldResponse(
        states=[
            nvp_pb2.FieldState(
                step=step,
                channels=[
                    nvp_pb2.Grid(name=name, values=values.ravel()) for name, values in zip(names, state, strict=True)
                ],
                relative_error=error,
            )
            for step, state, error in zip(forecast.steps, forecast.states, forecast.relative_errors, strict=True)
        ],
        model=message(served),
        in_domain=forecast.in_domain,
        abstained=forecast.abstained,
        novelty=forecast.novelty,
        findings=findings(forecast.findings),
        disagreement=forecast.disagreement,
        reason=forecast.reason,
    )
