"""How many samples a second a running mesh takes in gRPC batches, from a client on the same machine to the answer."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import grpc
import numpy as np
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_regime.compiled import compile_kernels

from eil_cli.bench.mesh import measured_mesh
from eil_cli.bench.regime_speed import SEED, cores, telemetry
from eil_cli.endpoint import Endpoint
from eil_cli.terminal import Failure

CORES = 2
IN_FLIGHT = 8
PERIOD_US = 100_000
JITTER_US = 10_000
AGE_US = 86_400_000_000
"""The first sample is a day old: neither too old to be kept nor, over the samples of one load, in the future."""
SHIFT_EVERY_ROWS = 5000
WARM_UP_ROWS = 100


@dataclass(frozen=True)
class Load:
    """What is sent: from every source so many batches, one after another."""

    channels: int
    sources: int = 64
    batches: int = 5
    rows: int = 10_000

    @property
    def samples(self) -> int:
        """Values in all."""
        return self.sources * self.batches * self.rows * self.channels


ONE_CHANNEL = Load(channels=1)
EIGHT_CHANNELS = Load(channels=8, batches=1)


@dataclass(frozen=True)
class Wire:
    """Samples a second by way."""

    door: dict[int, float]
    """Through the gateway, with TLS, by the number of channels."""
    socket: dict[int, float]
    """To the service itself, on its Unix socket."""


def measure_wire(loads: Sequence[Load] = (ONE_CHANNEL, EIGHT_CHANNELS)) -> Wire:
    """Starts a mesh on two cores, this client's included, and sends each load through its door and past it.

    Raises:
        Failure: the mesh did not start, or did not take every row.
    """
    compile_kernels()
    with cores(CORES), measured_mesh(None) as mesh:
        endpoint = Endpoint.load(mesh.state)
        credentials = grpc.ssl_channel_credentials(Path(endpoint.ca).read_bytes())
        return asyncio.run(_measure(endpoint, credentials, mesh.state / "regime.sock", loads))


async def _measure(
    endpoint: Endpoint, credentials: grpc.ChannelCredentials, socket_path: Path, loads: Sequence[Load]
) -> Wire:
    wire = Wire({}, {})
    async with (
        grpc.aio.secure_channel(endpoint.grpc, credentials) as door,
        grpc.aio.insecure_channel(f"unix:{socket_path}") as socket,
    ):
        for load in loads:
            for name, channel, found in (("door", door, wire.door), ("socket", socket, wire.socket)):
                prefix = f"{name}-{load.channels}"
                found[load.channels] = await samples_per_s(channel, endpoint.admin_token, prefix, load)
    return wire


async def samples_per_s(channel: grpc.aio.Channel, token: str, prefix: str, load: Load) -> float:
    """Values taken a second, `IN_FLIGHT` batches at a time; sources are known and their detectors begun before.

    Args:
        channel: to the door or the service.
        token: of an operator.
        prefix: begins the names of the sources, which must be new.
        load: what to send.

    Raises:
        Failure: a batch was refused, wholly or in part.
    """
    stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
    batches_of = [*sequences(prefix, load)]

    async def send(request: regime_pb2.IngestRequest) -> None:
        try:
            answer = await stub.Ingest(request, metadata=(("authorization", f"Bearer {token}"),))
        except grpc.aio.AioRpcError as error:
            raise Failure(f"a batch was refused while speed was measured: {error.details()}") from None
        if answer.accepted != len(request.times_us):
            raise Failure(
                f"only {answer.accepted} of {len(request.times_us)} rows were taken while speed was measured: "
                f"{[refusal.message for refusal in answer.rejected[:1]]}"
            )

    async def send_in_turn(begin: int, batches: slice) -> None:
        mine = batches_of[begin::IN_FLIGHT]
        for turn in zip(*(sequence[batches] for sequence in mine), strict=True):
            for request in turn:
                await send(request)

    async def send_all(batches: slice) -> None:
        await asyncio.gather(*(send_in_turn(begin, batches) for begin in range(IN_FLIGHT)))

    await send_all(slice(0, 1))
    began_s = time.perf_counter()
    await send_all(slice(1, None))
    return load.samples / (time.perf_counter() - began_s)


def sequences(prefix: str, load: Load) -> Iterator[list[regime_pb2.IngestRequest]]:
    """For each source its batches in order, the first a short one that warms up."""
    rng = np.random.default_rng(SEED)
    rows = WARM_UP_ROWS + load.batches * load.rows
    begin_us = time.time_ns() // 1000 - AGE_US
    values = telemetry(load.sources * load.channels, rows, SHIFT_EVERY_ROWS).reshape(load.sources, load.channels, rows)
    edges = [0, *range(WARM_UP_ROWS, rows + 1, load.rows)]
    for source, columns in enumerate(values):
        times_us = begin_us + PERIOD_US * np.arange(rows) + rng.integers(JITTER_US, size=rows)
        yield [
            regime_pb2.IngestRequest(
                source=f"{prefix}-{source}",
                times_us=times_us[first:end].tolist(),
                columns=[
                    regime_pb2.Column(name=f"channel_{place}", values=column[first:end].tolist())
                    for place, column in enumerate(columns)
                ],
            )
            for first, end in pairwise(edges)
        ]
