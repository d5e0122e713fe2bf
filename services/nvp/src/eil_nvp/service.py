"""gRPC ⇄ domain of the nvp service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from eil.atlas.v1 import archive_pb2_grpc, atlas_pb2, atlas_pb2_grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil_mesh.batching import Batcher
from eil_mesh.call import caller
from eil_mesh.errors import EilError, InvalidArgument, Unavailable, as_invalid_argument
from eil_mesh.metering import CeuMeter
from eil_mesh.store import Store

from eil_nvp import feedback, fields, telemetry
from eil_nvp.domain.predictor import LEVEL, NVPPredictor
from eil_nvp.models import Models, checkpoint, message
from eil_nvp.sources import CHANNELS, Sources

LOOK_EVERY_S = 2.0
"""Seconds between looks for a new state of a watched source."""
SHORT = 512
"""Values of a history that is predicted from at once: handing it to a thread takes longer than others would gain."""


class NvpService(nvp_pb2_grpc.NvpServiceServicer):
    """See the contract for what each method promises."""

    def __init__(
        self,
        atlas: atlas_pb2_grpc.AtlasServiceAsyncStub,
        archive: archive_pb2_grpc.ArchiveServiceAsyncStub,
        economy: economy_pb2_grpc.EconomyServiceAsyncStub,
        meter: CeuMeter,
        store: Store,
        models: Models,
    ) -> None:
        self._atlas, self._economy, self._meter, self._store, self._models = atlas, economy, meter, store, models
        self._archive, self._sources = archive, Sources(atlas)
        self._fields = Batcher(fields.run)

    async def Predict(
        self, request: nvp_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.PredictResponse:
        return await self._predict(request)

    async def PredictBatch(
        self, request: nvp_pb2.PredictBatchRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.PredictBatchResponse:
        return nvp_pb2.PredictBatchResponse(items=[await self._item(one) for one in request.requests])

    async def WatchPredictions(
        self, request: nvp_pb2.WatchPredictionsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[nvp_pb2.WatchPredictionsResponse]:
        wanted = nvp_pb2.PredictRequest(source=request.source, horizon=request.horizon, level=request.level)
        told = ""
        while not self._store.released:
            newest = await self._sources.newest(request.source)
            if newest != told or not newest:
                prediction, told = await self._of_source(wanted)
                yield nvp_pb2.WatchPredictionsResponse(prediction=prediction, state_id=told)
            await self._store.pause(LOOK_EVERY_S)
        raise Unavailable("the service is stopping; ask again", retry_after_s=1.0)

    async def PredictField(
        self, request: nvp_pb2.PredictFieldRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.PredictFieldResponse:
        tenant, steps = caller().tenant, request.steps or 1
        served = await self._models.get(tenant, request.domain)
        field = fields.parse(request, served)
        if served.licensed:
            await self._economy.CheckLicence(
                economy_pb2.CheckLicenceRequest(model=served.digest, holder=caller().subject, steps=steps)
            )
        await self._meter.charge(steps=steps)
        with as_invalid_argument("state"):
            forecast = await self._fields.ask((served.digest, steps, request.every_step), field)
        return fields.respond(served, forecast)

    async def ListModels(
        self, request: nvp_pb2.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.ListModelsResponse:
        return nvp_pb2.ListModelsResponse(models=[message(one) for one in await self._models.all(caller().tenant)])

    async def PutModel(
        self, request: nvp_pb2.PutModelRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.PutModelResponse:
        found = await self._atlas.GetObject(atlas_pb2.GetObjectRequest(digest=request.digest))
        with as_invalid_argument("digest"):
            served = await self._models.put(caller().tenant, request.digest, found.content, licensed=request.licensed)
        await self._archive.PutCheckpoint(checkpoint(served))
        return nvp_pb2.PutModelResponse(model=message(served))

    async def Explain(
        self, request: nvp_pb2.ExplainRequest, context: grpc.aio.ServicerContext
    ) -> nvp_pb2.ExplainResponse:
        wanted = request.request
        horizon, level = wanted.horizon or 1, wanted.level or LEVEL
        if not wanted.history:
            await self._meter.charge(steps=horizon * len(CHANNELS))
            answer, predictor, _ = await self._sources.predict(caller().tenant, _source(wanted), horizon, level)
            return telemetry.explain(CHANNELS, answer, predictor, level)
        names = [one.name for one in wanted.history]
        history = telemetry.table(wanted.history, "history")
        before, ahead = telemetry.plan(wanted, len(history), horizon)
        await self._meter.charge(steps=horizon * len(names))

        def work() -> nvp_pb2.ExplainResponse:
            predictor = NVPPredictor(horizon=min(horizon, 12))
            predictor.observe(history, plan=before)
            return telemetry.explain(names, predictor.predict(horizon, plan=ahead, level=level), predictor, level)

        with as_invalid_argument("history"):
            return await asyncio.to_thread(work)

    async def _predict(self, request: nvp_pb2.PredictRequest) -> nvp_pb2.PredictResponse:
        if not request.history:
            return (await self._of_source(request))[0]
        horizon, level = request.horizon or 1, request.level or LEVEL
        await self._meter.charge(steps=horizon * len(request.history))
        if sum(len(one.values) for one in (*request.history, *request.planned)) <= SHORT:
            return telemetry.predict(request, horizon, level)
        # In a thread: a long history takes milliseconds, and others are waiting.
        return await asyncio.to_thread(telemetry.predict, request, horizon, level)

    async def _of_source(self, request: nvp_pb2.PredictRequest) -> tuple[nvp_pb2.PredictResponse, str]:
        tenant, source = caller().tenant, _source(request)
        if request.planned:
            raise InvalidArgument(
                "planned inputs mean nothing without what they were: give `history` with them",
                violations={"planned": "needs `history`"},
            )
        horizon, level = request.horizon or 1, request.level or LEVEL
        await self._meter.charge(steps=horizon * len(CHANNELS))
        answer, _, newest = await self._sources.predict(tenant, source, horizon, level)
        widening = await self._store.read(lambda conn: feedback.widening(conn, tenant, source))
        return telemetry.respond(CHANNELS, answer, level, widening), newest

    async def _item(self, request: nvp_pb2.PredictRequest) -> nvp_pb2.PredictBatchItem:
        try:
            return nvp_pb2.PredictBatchItem(response=await self._predict(request))
        except EilError as error:
            return nvp_pb2.PredictBatchItem(error=error.message, code=error.code)


def _source(request: nvp_pb2.PredictRequest) -> str:
    if not request.source:
        raise InvalidArgument(
            "there is nothing to predict from: give `history`, or a `source` whose states the Atlas knows",
            violations={"history": "is empty"},
        )
    return request.source
