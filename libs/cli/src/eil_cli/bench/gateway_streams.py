"""Very many sources through the door on a few streams, a sample a second each: what arrives, and what it costs the mesh."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import psutil
from eil.regime.v1 import regime_pb2, regime_pb2_grpc

from eil_cli.bench.mesh import MeasuredMesh
from eil_cli.board import running
from eil_cli.endpoint import Endpoint
from eil_cli.terminal import NOT_RUNNING, Failure

CHANNELS = {
    "power_draw": (850.0, 20.0),
    "cpu_usage": (0.6, 0.05),
    "temperature": (62.0, 1.0),
    "request_rate": (900.0, 30.0),
}
"""Mean and standard deviation of what every source sends."""
MESSAGE = 250
"""Sources whose samples travel in one message."""
PATIENCE_S = 60.0
"""How long acknowledgements are waited for at the end."""
SEED = 1


@dataclass(frozen=True)
class StreamLoad:
    """What is sent: by every source one sample a second."""

    sources: int = 10_000
    streams: int = 4
    seconds: int = 600


@dataclass(frozen=True)
class StreamFigures:
    """What became of it."""

    sent: int
    """Samples: rows of `CHANNELS`."""
    acknowledged: int
    stored: int
    """As the sources' states say."""
    rejected: int
    acknowledged_after_s: float
    """99th percentile, from a message's sending to its acknowledgement [s]."""
    cpu_cores: float
    """CPU time of all processes of the mesh over the time of the load [cores]."""
    resident_at_quarter: int
    """Memory of all processes of the mesh at a quarter of the time [bytes]."""
    resident_at_end: int


@dataclass
class _Tally:
    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    waiting: dict[int, tuple[int, float]] = field(default_factory=dict)
    """Rows and time of sending of each message without an acknowledgement, by its sequence."""
    waits_s: list[float] = field(default_factory=list)


def measure_streams(mesh: MeasuredMesh, prefix: str, load: StreamLoad) -> StreamFigures:
    """Send a load through the door of a running mesh.

    Args:
        mesh: where it goes.
        prefix: begins the names of the sources, which must be new.
        load: what to send.

    Raises:
        Failure: a stream was refused or ended early, or acknowledgements stayed away.
    """
    endpoint = Endpoint.load(mesh.state)
    credentials = grpc.ssl_channel_credentials(Path(endpoint.ca).read_bytes())
    return asyncio.run(_measure(mesh, endpoint, credentials, prefix, load))


async def _measure(
    mesh: MeasuredMesh, endpoint: Endpoint, credentials: grpc.ChannelCredentials, prefix: str, load: StreamLoad
) -> StreamFigures:
    tallies = [_Tally() for _ in range(load.streams)]
    names = [f"{prefix}-{number}" for number in range(load.sources)]
    began_s, cpu_s = time.monotonic(), _cpu_s(mesh)
    async with asyncio.TaskGroup() as group:
        for place, tally in enumerate(tallies):
            mine = names[place :: load.streams]
            group.create_task(_stream(endpoint, credentials, mine, load.seconds, tally))
        await asyncio.sleep(load.seconds / 4)
        at_quarter = await asyncio.to_thread(mesh.resident_bytes)
        await asyncio.sleep(max(0.0, began_s + load.seconds - time.monotonic()))
        cores = (_cpu_s(mesh) - cpu_s) / (time.monotonic() - began_s)
    return StreamFigures(
        sent=sum(tally.sent for tally in tallies),
        acknowledged=sum(tally.acknowledged for tally in tallies),
        stored=await _stored(endpoint, credentials, prefix),
        rejected=sum(tally.rejected for tally in tallies),
        acknowledged_after_s=float(np.percentile([wait_s for tally in tallies for wait_s in tally.waits_s], 99)),
        cpu_cores=cores,
        resident_at_quarter=at_quarter,
        resident_at_end=await asyncio.to_thread(mesh.resident_bytes),
    )


async def _stream(
    endpoint: Endpoint, credentials: grpc.ChannelCredentials, names: list[str], seconds: int, tally: _Tally
) -> None:
    """One stream, on a connection of its own, to its last acknowledgement."""
    ended = asyncio.Event()

    async def requests() -> AsyncIterator[regime_pb2.IngestStreamRequest]:
        async for request in _messages(names, seconds):
            rows = len(request.batches)
            tally.sent += rows
            tally.waiting[request.sequence] = rows, time.monotonic()
            yield request
        ended.set()

    async with grpc.aio.secure_channel(endpoint.grpc, credentials) as channel:
        stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        call = stub.IngestStream(requests(), metadata=(("authorization", f"Bearer {endpoint.admin_token}"),))
        try:
            async with asyncio.timeout(seconds + PATIENCE_S):
                async for answer in call:
                    _count(answer, tally)
        except grpc.aio.AioRpcError as error:
            raise Failure(f"a stream of {len(names)} sources ended: {error.code().name}: {error.details()}") from None
        except TimeoutError:
            raise Failure(
                f"{len(tally.waiting)} messages were not acknowledged {PATIENCE_S:.0f} s after the last"
            ) from None
    if not ended.is_set() or tally.waiting:
        raise Failure(f"a stream ended with {len(tally.waiting)} messages unacknowledged")


async def _messages(names: list[str], seconds: int) -> AsyncIterator[regime_pb2.IngestStreamRequest]:
    """Every second a sample of each source, the messages spread over the second."""
    rng = np.random.default_rng(SEED)
    mean, deviation = np.array([*CHANNELS.values()]).T[:, :, None]
    groups = [names[first : first + MESSAGE] for first in range(0, len(names), MESSAGE)]
    begin_s, sequence = time.monotonic(), 0
    for second in range(seconds):
        for place, group in enumerate(groups):
            await asyncio.sleep(max(0.0, begin_s + second + place / len(groups) - time.monotonic()))
            sequence += 1
            values = (mean + deviation * rng.standard_normal((len(CHANNELS), len(group)))).clip(0.0).T.tolist()
            time_us = time.time_ns() // 1000
            yield regime_pb2.IngestStreamRequest(
                sequence=sequence,
                batches=[
                    regime_pb2.IngestRequest(
                        source=name,
                        times_us=[time_us],
                        columns=[
                            regime_pb2.Column(name=channel, values=[value])
                            for channel, value in zip(CHANNELS, row, strict=True)
                        ],
                    )
                    for name, row in zip(group, values, strict=True)
                ],
            )


def _count(answer: regime_pb2.IngestStreamResponse, tally: _Tally) -> None:
    tally.rejected += answer.rejected_count
    for sequence in answer.sequences:
        rows, sent_s = tally.waiting.pop(sequence)
        tally.acknowledged += rows
        tally.waits_s.append(time.monotonic() - sent_s)


async def _stored(endpoint: Endpoint, credentials: grpc.ChannelCredentials, prefix: str) -> int:
    """Samples of all sources whose names begin so."""
    stored, page = 0, regime_pb2.GetStatusRequest(page_size=1000)
    async with grpc.aio.secure_channel(endpoint.grpc, credentials) as channel:
        stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        while True:
            answer = await stub.GetStatus(page, metadata=(("authorization", f"Bearer {endpoint.admin_token}"),))
            stored += sum(source.samples for source in answer.sources if source.source.startswith(f"{prefix}-"))
            if not answer.next_page_token:
                return stored
            page.page_token = answer.next_page_token


def _cpu_s(mesh: MeasuredMesh) -> float:
    """CPU time that the processes of a mesh have used [s].

    Raises:
        Failure: it does not run.
    """
    board = running(mesh.state)
    if board is None:
        raise Failure(f"the mesh of {mesh.state} ended while it was measured; see {mesh.state / 'logs'}", NOT_RUNNING)
    supervisor = psutil.Process(board.pid)
    return sum(sum(process.cpu_times()[:2]) for process in (supervisor, *supervisor.children(recursive=True)))
