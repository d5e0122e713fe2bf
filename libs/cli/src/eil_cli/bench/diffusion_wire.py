"""How long sampling and optimising take in the running service, from a client on its socket to the answer."""

import asyncio
import time
from pathlib import Path

import grpc
import numpy as np
from eil.diffusion.v1 import diffusion_pb2, diffusion_pb2_grpc

from eil_cli.bench.mesh import measured_mesh
from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure
from eil_cli.bench.statistics import slowest_ms
from eil_cli.endpoint import Endpoint

CALLS, WARM_UP, TOGETHER = 200, 10, 32


def call_measures(begin: Begin) -> tuple[dict[str, Measure], dict[str, dict[str, float]], list[str]]:
    """A sample of the free field at 64², 32 samples at 16² asked for at once, the set-up of a fleet.

    Raises:
        Failure: the mesh did not start.
    """
    begin("calls to the service", 1)
    with measured_mesh(None) as mesh:
        times = asyncio.run(_measure(mesh.state / "diffusion.sock", Endpoint.load(mesh.state).admin_token))
    measures = {
        "sample_call_64_p99": Measure(times["sample"], "ms", 250, 60),
        "optimize_call_p99": Measure(times["optimize"], "ms"),
        "samples_per_s": Measure(TOGETHER / times["together"] * 1e3, "/s", better="higher"),
    }
    note = (
        f"calls: {CALLS} samples at 64², 50 steps and 16 corrections each, written down before they are answered; then {TOGETHER} of "
        "16² at once, which share passes; fleets of eight servers"
    )
    return measures, {}, [note]


async def _measure(socket: Path, token: str) -> dict[str, float]:
    auth = (("authorization", f"Bearer {token}"),)
    rng = np.random.default_rng(0)
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub: diffusion_pb2_grpc.DiffusionServiceAsyncStub = diffusion_pb2_grpc.DiffusionServiceStub(channel)

        async def sample(seed: int, side: int = 64) -> None:
            energy = diffusion_pb2.Energy(gaussian_free_field=diffusion_pb2.GaussianFreeField(side=side, mass2=0.1))
            await stub.Sample(diffusion_pb2.SampleRequest(energy=energy, seed=seed), metadata=auth)

        async def optimize(seed: int) -> None:
            idle, dynamic = rng.uniform(90, 140, 8), rng.uniform(90, 140, 8)
            fleet = diffusion_pb2.FleetPlacement(
                idle_w=idle, dynamic_w=dynamic, capacity=[1.0] * 8, demand=rng.uniform(1, 7)
            )
            energy = diffusion_pb2.Energy(fleet_placement=fleet)
            await stub.Optimize(diffusion_pb2.OptimizeRequest(energy=energy, seed=seed), metadata=auth)

        found = {
            "sample": await slowest_ms(sample, CALLS, WARM_UP),
            "optimize": await slowest_ms(optimize, CALLS, WARM_UP),
        }
        began_s = time.perf_counter()
        await asyncio.gather(*(sample(10_000 + seed, 16) for seed in range(TOGETHER)))
        return found | {"together": 1e3 * (time.perf_counter() - began_s)}
