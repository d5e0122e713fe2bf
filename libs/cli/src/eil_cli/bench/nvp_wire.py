"""How long one prediction takes in the running service, from a client on its socket to the answer."""

import asyncio
import base64
from pathlib import Path

import grpc
import numpy as np
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil_nvp.domain.fields import datasets, model
from eil_nvp.domain.fields.registry import DOMAINS

from eil_cli.bench.mesh import measured_mesh
from eil_cli.bench.statistics import slowest_ms
from eil_cli.door import Door
from eil_cli.endpoint import Endpoint

CALLS, WARM_UP = 300, 20
ROWS, CHANNELS = 512, 2
DOMAIN = "fluid"
"""The domain whose step costs most."""


def measure_calls() -> dict[str, float]:
    """99th percentiles [ms]: `telemetry`, a row ahead from 512 rows of 2 channels; `field`, a step of a 64² flow.

    Raises:
        Failure: the mesh did not start.
    """
    made, about = datasets.generate(DOMAINS[DOMAIN], seed=0, trajectories=6, steps=6, points=64)
    trained = model.train(model.FieldTraining(DOMAIN, 0, 6, 6, 64), made, about.digest)
    with measured_mesh(None) as mesh:
        endpoint = Endpoint.load(mesh.state)
        with Door(endpoint) as door:
            content = base64.b64encode(model.dumps(trained)).decode()
            digest = door.call("POST", "/v1/atlas/objects", {"content": content})["digest"]
            door.call("PUT", f"/v1/nvp/models/{digest}", {})
        return asyncio.run(_measure(mesh.state / "nvp.sock", endpoint.admin_token, made.states[0, 0]))


async def _measure(socket: Path, token: str, state: np.ndarray) -> dict[str, float]:
    rng = np.random.default_rng(0)
    walks = rng.standard_normal((ROWS + CALLS + WARM_UP, CHANNELS)).cumsum(0)
    auth = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub: nvp_pb2_grpc.NvpServiceAsyncStub = nvp_pb2_grpc.NvpServiceStub(channel)

        async def telemetry(call: int) -> None:
            series = [nvp_pb2.Series(name=f"c{i}", values=walks[call : call + ROWS, i]) for i in range(CHANNELS)]
            await stub.Predict(nvp_pb2.PredictRequest(history=series, horizon=1), metadata=auth)

        async def field(_: int) -> None:
            grids = [nvp_pb2.Grid(values=channel.ravel()) for channel in state]
            await stub.PredictField(nvp_pb2.PredictFieldRequest(domain=DOMAIN, state=grids), metadata=auth)

        return {
            "telemetry": await slowest_ms(telemetry, CALLS, WARM_UP),
            "field": await slowest_ms(field, CALLS, WARM_UP),
        }
