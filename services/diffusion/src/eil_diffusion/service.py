"""gRPC ⇄ domain of the diffusion service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import grpc
from eil.atlas.v1 import archive_pb2_grpc, atlas_pb2, atlas_pb2_grpc
from eil.diffusion.v1 import diffusion_pb2, diffusion_pb2_grpc
from eil_mesh import metrics
from eil_mesh.batching import Batcher
from eil_mesh.call import caller
from eil_mesh.errors import InvalidArgument, Unavailable, as_invalid_argument
from eil_mesh.metering import CeuMeter

from eil_diffusion.context import Sources, context_of
from eil_diffusion.defaults import OPTIMISE_STEPS, SAMPLE_STEPS
from eil_diffusion.models import Models, checkpoint, message
from eil_diffusion.runs import Runs, request_digest, run_id, values_digest

if TYPE_CHECKING:  # torch: loaded when first used
    from eil_diffusion.engine import Answer, Job

MOST_VALUES = 2**22
"""Values in all configurations of an answer: 16 MiB."""
ENGINE = "eil_diffusion.engine"
"""The module that imports torch."""
STAGES_WAITING = 16
"""Messages that a slow reader of a stream may be behind; older ones are then left out."""


class DiffusionService(diffusion_pb2_grpc.DiffusionServiceServicer):
    """See the contract for what each method promises. Work is done in one thread; torch is loaded with the first request."""

    def __init__(
        self,
        meter: CeuMeter,
        models: Models,
        runs: Runs,
        sources: Sources,
        atlas: atlas_pb2_grpc.AtlasServiceAsyncStub,
        archive: archive_pb2_grpc.ArchiveServiceAsyncStub,
        waiting: int,
        threads: int,
    ) -> None:
        self._meter, self._models, self._runs, self._sources = meter, models, runs, sources
        self._atlas, self._archive = atlas, archive
        self._threads, self._loaded, self._ready = threads, False, False
        self._engine: Batcher[object, Job, Any] = Batcher(self._run, waiting)

    async def Sample(
        self, request: diffusion_pb2.SampleRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.SampleResponse:
        await self._load()
        return await self._sample(request)

    async def Optimize(
        self, request: diffusion_pb2.OptimizeRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.OptimizeResponse:
        await self._load()
        return await self._optimize(request)

    async def StreamSample(
        self, request: diffusion_pb2.StreamSampleRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[diffusion_pb2.StreamSampleResponse]:
        await self._load()
        stages = _Stages(request.every or 5)
        async for kind, told in stages.until(self._sample(request.request, stages)):
            yield diffusion_pb2.StreamSampleResponse(**{kind: told})

    async def StreamOptimize(
        self, request: diffusion_pb2.StreamOptimizeRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[diffusion_pb2.StreamOptimizeResponse]:
        await self._load()
        stages = _Stages(request.every or 5)
        async for kind, told in stages.until(self._optimize(request.request, stages)):
            yield diffusion_pb2.StreamOptimizeResponse(**{kind: told})

    async def GetRun(
        self, request: diffusion_pb2.GetRunRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.GetRunResponse:
        return diffusion_pb2.GetRunResponse(run=await self._runs.get(caller().tenant, request.run_id))

    async def VerifyRun(
        self, request: diffusion_pb2.VerifyRunRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.VerifyRunResponse:
        await self._load()
        from eil_diffusion.verification import verify

        run = await self._runs.get(caller().tenant, request.run_id)
        with as_invalid_argument("asked"):
            checks = await asyncio.to_thread(verify, request, run)
        return diffusion_pb2.VerifyRunResponse(valid=all(one.held for one in checks), checks=checks, run=run)

    async def ListModels(
        self, request: diffusion_pb2.ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.ListModelsResponse:
        models = await self._models.all(caller().tenant)
        return diffusion_pb2.ListModelsResponse(models=[message(one) for one in models])

    async def PutModel(
        self, request: diffusion_pb2.PutModelRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.PutModelResponse:
        found = await self._atlas.GetObject(atlas_pb2.GetObjectRequest(digest=request.digest))
        with as_invalid_argument("digest"):
            served = await self._models.put(caller().tenant, request.digest, found.content)
        await self._archive.PutCheckpoint(checkpoint(served))
        return diffusion_pb2.PutModelResponse(model=message(served))

    async def _load(self) -> None:
        """Load torch, beside the loop: it takes seconds, in which other calls, probes and the turn to write go on."""
        if not self._loaded:
            await asyncio.to_thread(import_module, ENGINE)
            self._loaded = True

    async def _sample(
        self, request: diffusion_pb2.SampleRequest, stages: _Stages | None = None
    ) -> diffusion_pb2.SampleResponse:
        from eil_diffusion.engine import SampleJob

        tenant, steps = caller().tenant, (request.steps or SAMPLE_STEPS) * (request.count or 1)
        served = await self._models.get(tenant, request.model) if request.model else None
        source = await self._sources.known(request.context.source) if served and request.context.source else None
        told, assumed = None, []
        if served:
            with as_invalid_argument("context"):
                told, assumed = await asyncio.to_thread(context_of, served.model.card, request, source)
        job = SampleJob(request, served and served.model, told, stages and stages.told)
        await self._admit(job, request.count or 1)
        await self._meter.charge(steps=steps)
        shared = diffusion_pb2.SampleRequest()
        shared.CopyFrom(request)
        shared.ClearField("seed")
        shared.ClearField("count")
        digest = served.digest if served else ""
        alike = (shared.SerializeToString(deterministic=True), digest, job if stages or source else None)
        response = await self._ask(alike, job)
        response.assumed.extend(assumed)
        response.model_digest = digest
        response.run_id = run_id(tenant, "sample", request, digest)
        run = _run_of("sample", request, response.run_id, response.configurations, steps)
        for name in ("mean_energy", "mean_energy_se", "ess", "log_z", "model_digest", "device"):
            setattr(run, name, getattr(response, name))
        run.kt = request.kt or 1.0
        run.shape.extend(response.shape)
        run.laws.CopyFrom(response.laws)
        metrics.ENERGY_LAWS.labels(response.laws.verdict).inc()
        await self._runs.record(tenant, run)
        return response

    async def _optimize(
        self, request: diffusion_pb2.OptimizeRequest, stages: _Stages | None = None
    ) -> diffusion_pb2.OptimizeResponse:
        from eil_diffusion.engine import OptimizeJob

        tenant, steps = caller().tenant, request.steps or OPTIMISE_STEPS
        job = OptimizeJob(request, stages and stages.told)
        await self._admit(job, 1)
        await self._meter.charge(steps=steps)
        response = await self._ask(job, job)
        response.run_id = run_id(tenant, "optimize", request, "")
        run = _run_of("optimize", request, response.run_id, [response.best], steps)
        run.mean_energy, run.device = response.best.energy, response.device
        run.shape.extend(response.shape)
        await self._runs.record(tenant, run)
        return response

    async def _admit(self, job: Job, count: int) -> None:
        """Refuse what cannot be run, before it is charged."""
        from eil_diffusion.engine import check

        with as_invalid_argument("energy"):
            size = await asyncio.to_thread(check, job)
        if size * count > MOST_VALUES:
            raise InvalidArgument(
                f"{count} configurations of {size} values are {size * count}; an answer holds at most {MOST_VALUES}: ask for fewer",
                violations={"count": f"at most {MOST_VALUES // size} of this size"},
                reason="TOO_LARGE",
            )

    async def _ask(self, alike: object, job: Job) -> Any:
        from eil_diffusion.engine import DeviceFull

        try:
            with as_invalid_argument("energy"):
                return await self._engine.ask(alike, job)
        except DeviceFull as error:
            raise Unavailable(
                f"{error}; ask for a smaller field, or try again when others are done",
                reason="DEVICE_FULL",
                retry_after_s=5.0,
            ) from error
        finally:
            job.cancelled.set()  # whoever left is not worked for any more

    def _run(self, alike: object, jobs: Sequence[Job]) -> Sequence[Answer]:
        from eil_diffusion.engine import prepare, run

        if not self._ready:
            prepare(self._threads)
            self._ready = True
        return run(alike, jobs)


class _Stages:
    """The steps of one stream's work, handed from the engine's thread to the call."""

    def __init__(self, every: int) -> None:
        from eil_diffusion.engine import Told

        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.told = Told(every, self._tell)

    def _tell(self, stage: Any) -> None:
        self._loop.call_soon_threadsafe(self._put, stage)

    def _put(self, stage: Any) -> None:
        if self._queue.qsize() >= STAGES_WAITING:
            self._queue.get_nowait()
        self._queue.put_nowait(stage)

    async def until(self, work: Any) -> AsyncIterator[tuple[str, Any]]:
        """("stage", …) while the work goes on, then ("response", …). Left early, the work is cancelled."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._queue.put_nowait(None))  # behind its last step
        try:
            while (stage := await self._queue.get()) is not None:
                yield "stage", stage
            yield "response", task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


def _run_of(method: str, request: Any, name: str, configurations: Any, steps: int) -> diffusion_pb2.Run:
    return diffusion_pb2.Run(
        run_id=name,
        method=method,
        energy=request.energy.WhichOneof("kind"),
        request_digest=request_digest(request),
        values_digest=values_digest(configurations),
        count=len(configurations),
        steps=steps,
        subject=caller().subject,
    )
