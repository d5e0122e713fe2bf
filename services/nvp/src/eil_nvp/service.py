"""gRPC ⇄ domain of the nvp service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import numpy as np
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.errors import InvalidArgument, NotFound, as_invalid_argument
from eil_mesh.metering import CeuMeter

from eil_nvp.domain.forecast import Forecast, forecast

ATLAS_STATES = 512
"""Newest states that a prediction from the Atlas rests on."""


class NvpService(nvp_pb2_grpc.NvpServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, atlas: atlas_pb2_grpc.AtlasServiceAsyncStub, meter: CeuMeter) -> None:
        self._atlas, self._meter = atlas, meter

    async def Predict(
        self, request: nvp_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.PredictResponse:
        horizon, level = request.horizon or 1, request.level or 0.9
        series = list(request.history) or await self._states(request.source)
        history = _table(series, "history")
        planned = planned_history = None
        if request.planned:
            inputs = _table(list(request.planned), "planned")
            if len(inputs) != len(history) + horizon:
                raise InvalidArgument(
                    f"planned inputs have {len(inputs)} rows; they need the history's {len(history)} followed by the horizon's {horizon}",
                    violations={"planned": "must cover history and horizon"},
                )
            planned_history, planned = inputs[: len(history)], inputs[len(history) :]
        await self._meter.charge(caller().tenant, horizon * len(series))
        with as_invalid_argument("history"):
            # In a thread: a long history takes milliseconds, and others are waiting.
            answer = await asyncio.to_thread(
                forecast, history, horizon, planned=planned, planned_history=planned_history, level=level
            )
        return _response([one.name for one in series], answer, level)

    async def _states(self, source: str) -> list[nvp_pb2.Series]:
        """Energy and entropy of a source's states, from the Atlas."""
        if not source:
            raise InvalidArgument(
                "there is nothing to predict from: give `history`, or a `source` whose states the Atlas knows",
                violations={"history": "is empty"},
            )
        answer = await self._atlas.ListStates(atlas_pb2.ListStatesRequest(source=source, page_size=ATLAS_STATES))
        if not answer.states:
            raise NotFound(
                f"the Atlas knows no state of source {source!r}; a state needs about a minute of telemetry",
                reason="SOURCE_UNKNOWN",
            )
        states = answer.states[::-1]
        return [
            nvp_pb2.Series(name="energy", values=[state.energy for state in states]),
            nvp_pb2.Series(name="entropy", values=[state.entropy for state in states]),
        ]


def _table(series: Sequence[nvp_pb2.Series], field: str) -> np.ndarray:
    """(T, d) of d channels."""
    lengths = {len(one.values) for one in series}
    if len(lengths) != 1 or lengths == {0}:
        raise InvalidArgument(
            f"the columns of `{field}` have lengths {sorted(lengths)}; all must have the same, at least 1",
            violations={field: "columns must be equally long and not empty"},
        )
    return np.column_stack([np.array(one.values, dtype=np.float64) for one in series])


def _response(names: Sequence[str], answer: Forecast, level: float) -> nvp_pb2.PredictResponse:
    return nvp_pb2.PredictResponse(
        predictions=[
            nvp_pb2.Prediction(
                name=name,
                point=answer.point[:, i],
                low=answer.low[:, i],
                high=answer.high[:, i],
                total=answer.total_point[i],
                total_low=answer.total_low[i],
                total_high=answer.total_high[i],
            )
            for i, name in enumerate(names)
        ],
        method=answer.method,
        in_domain=answer.in_domain,
        reason=answer.reason,
        level=level,
    )
