"""gRPC ⇄ domain of the diffusion service."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from eil.diffusion.v1 import diffusion_pb2, diffusion_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.errors import ResourceExhausted, as_invalid_argument
from eil_mesh.metering import CeuMeter


class DiffusionService(diffusion_pb2_grpc.DiffusionServiceServicer):
    """See the contract for what each method promises. One request runs at a time; torch is loaded with the first."""

    def __init__(self, meter: CeuMeter, threads: int, waiting: int) -> None:
        self._meter, self._threads, self._waiting = meter, threads, waiting
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._queued = 0

    async def Sample(
        self, request: diffusion_pb2.SampleRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.SampleResponse:
        steps = (request.steps or 50) * (request.count or 1)

        def run() -> diffusion_pb2.SampleResponse:
            from eil_diffusion.engine import run_sample  # torch: loaded when first used

            return run_sample(request, self._threads)

        return await self._run(steps, run)

    async def Optimize(
        self, request: diffusion_pb2.OptimizeRequest, context: grpc.aio.ServicerContext
    ) -> diffusion_pb2.OptimizeResponse:
        def run() -> diffusion_pb2.OptimizeResponse:
            from eil_diffusion.engine import run_optimize  # torch: loaded when first used

            return run_optimize(request, self._threads)

        return await self._run(request.steps or 100, run)

    async def _run(self, steps: int, work: Callable[[], Any]) -> Any:
        if self._queued >= self._waiting:
            raise ResourceExhausted(
                f"{self._waiting} requests wait for the engine; try again in a moment",
                reason="QUEUE_FULL",
                retry_after_s=1.0,
            )
        self._queued += 1
        try:
            await self._meter.charge(caller().tenant, steps)
            with as_invalid_argument("energy"):
                return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        finally:
            self._queued -= 1
