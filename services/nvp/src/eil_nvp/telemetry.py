"""gRPC ⇄ domain of telemetry predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eil.nvp.v1 import nvp_pb2
from eil_mesh.errors import InvalidArgument, as_invalid_argument

from eil_nvp.domain import members
from eil_nvp.domain.agent import Finding
from eil_nvp.domain.forecast import Forecast, forecast
from eil_nvp.domain.predictor import NVPPredictor, TelemetryForecast


def table(series: Sequence[nvp_pb2.Series], name: str) -> np.ndarray:
    """(T, d) of d channels."""
    lengths = {len(one.values) for one in series}
    if len(lengths) != 1 or lengths == {0}:
        raise InvalidArgument(
            f"the columns of `{name}` have lengths {sorted(lengths)}; all must have the same, at least 1",
            violations={name: "columns must be equally long and not empty"},
        )
    return np.column_stack([np.array(one.values, dtype=np.float64) for one in series])


def plan(request: nvp_pb2.PredictRequest, rows: int, horizon: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The planned inputs (what they were, what they will be) of a request with so many rows of history."""
    if not request.planned:
        return None, None
    inputs = table(list(request.planned), "planned")
    if len(inputs) != rows + horizon:
        raise InvalidArgument(
            f"planned inputs have {len(inputs)} rows; they need the history's {rows} followed by the horizon's {horizon}",
            violations={"planned": "must cover history and horizon"},
        )
    return inputs[:rows], inputs[rows:]


def predict(request: nvp_pb2.PredictRequest, horizon: int, level: float) -> nvp_pb2.PredictResponse:
    """Answer a request that brings its history. Blocks for milliseconds.

    Raises:
        InvalidArgument: see `forecast`.
    """
    history = table(request.history, "history")
    before, ahead = plan(request, len(history), horizon)
    with as_invalid_argument("history"):
        answer = forecast(history, horizon, planned=ahead, planned_history=before, level=level)
    return nvp_pb2.PredictResponse(
        predictions=_predictions([one.name for one in request.history], answer, 1.0),
        method=answer.method,
        in_domain=answer.in_domain,
        reason=answer.reason,
        level=level,
    )


def respond(
    names: Sequence[str], answer: TelemetryForecast, level: float, widening: float = 1.0
) -> nvp_pb2.PredictResponse:
    """The answer of a source's predictor, its half-widths times `widening`."""
    proofs = f"; proofs widen it {widening:.2f} times" if widening > 1.0 else ""
    return nvp_pb2.PredictResponse(
        predictions=_predictions(names, answer, widening),
        method=answer.method,
        in_domain=answer.in_domain,
        reason=answer.reason + proofs,
        level=level,
        abstained=answer.abstained,
        findings=findings(answer.findings),
        disagreement=answer.disagreement,
        trust=answer.trust,
    )


def findings(found: Sequence[Finding]) -> list[nvp_pb2.Finding]:
    """What the questions found."""
    return [nvp_pb2.Finding(question=one.question, verdict=one.verdict, sentence=one.sentence) for one in found]


def _predictions(
    names: Sequence[str], answer: Forecast | TelemetryForecast, widening: float
) -> list[nvp_pb2.Prediction]:
    total = answer.total_point if isinstance(answer, Forecast) else answer.total
    return [
        nvp_pb2.Prediction(
            name=name,
            point=answer.point[:, i],
            low=answer.point[:, i] - widening * (answer.point - answer.low)[:, i],
            high=answer.point[:, i] + widening * (answer.high - answer.point)[:, i],
            total=total[i],
            total_low=total[i] - widening * (total - answer.total_low)[i],
            total_high=total[i] + widening * (answer.total_high - total)[i],
        )
        for i, name in enumerate(names)
    ]


def explain(
    names: Sequence[str], answer: TelemetryForecast, predictor: NVPPredictor, level: float
) -> nvp_pb2.ExplainResponse:
    """What each member says, and what drives the answer."""
    response = nvp_pb2.ExplainResponse(prediction=respond(names, answer, level))
    errors = predictor.live_errors
    for place, member in enumerate(members.NAMES):
        for i, name in enumerate(names):
            response.opinions.add(
                member=member,
                channel=name,
                point=answer.members[place, :, i],
                held_out_error=errors[member] * predictor.usual_move[i],
                weight=answer.weights[place],
            )
    for channel, by, lag, contribution in predictor.drivers():
        response.drivers.add(
            channel=names[channel],
            by=names[by],
            lag=lag,
            contribution=contribution,
        )
    return response
