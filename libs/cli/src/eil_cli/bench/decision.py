"""`eil bench decision`: a thousand sources that each sense and act every ten seconds, through the door, and how long their acts take.

The load is open: every call has its time, evenly spread, and is timed from it, so that a mesh that falls behind is charged for the
calls that wait (no coordinated omission). Client and mesh share two cores.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc
import psutil
import uvloop
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc

from eil_cli.bench.decision_plant import Plants
from eil_cli.bench.mesh import measured_mesh
from eil_cli.bench.progress import Begin, progress
from eil_cli.bench.regime_speed import cores
from eil_cli.bench.report import Measure, Report
from eil_cli.bench.rest import RestPool
from eil_cli.bench.statistics import percentile
from eil_cli.board import Board
from eil_cli.door import DoorError
from eil_cli.endpoint import Endpoint
from eil_cli.terminal import Failure

CORES = 2
CONNECTIONS = 64
"""Kept alive; a call that finds none free waits, and its wait counts."""
BATCH_ROWS = 96
SEEDING = 8
"""Sources that are told their history at once."""
REST_SHARE, REST_S = 0.2, 300.0
"""The load begins when the mesh, which still learns from the histories, uses less than this share of a core, or so long after."""


@dataclass(frozen=True)
class Load:
    """Who decides, and how often."""

    sources: int = 1000
    seconds: float = 40.0
    """Measured, after one period that warms up."""
    period_s: float = 10.0
    """Between the decisions of a source."""
    rows: int = 288
    """History that each decision rests on."""
    step_s: float = 300.0
    """Between the rows of the history [s]."""

    @property
    def calls_per_s(self) -> float:
        """Samples a second, and decisions a second."""
        return self.sources / self.period_s

    @property
    def warm_up(self) -> int:
        """Calls of each kind before those that count."""
        return self.sources

    @property
    def calls(self) -> int:
        """Calls of each kind, those that warm up among them."""
        return self.warm_up + round(self.calls_per_s * self.seconds)


@dataclass
class Times:
    """From a call's time to its answer [ms], and what was refused, of those calls that count."""

    sense_ms: list[float] = field(default_factory=list)
    act_ms: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """From the first of them to the last answer."""
    cpu_s: dict[str, float] = field(default_factory=dict)
    """Processor time by process meanwhile."""


class Poster(Protocol):
    """What the load needs of a client."""

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer of a call that succeeds; raises DoorError."""
        ...


async def drive(
    client: Poster, plants: Plants, names: list[str], load: Load, used: Callable[[], dict[str, float]]
) -> Times:
    """Turn every source's loop at its times.

    Args:
        client: of the door.
        plants: the sources.
        names: of the sources.
        load: what to send.
        used: processor seconds by process so far.
    """
    times, before = Times(), dict[str, float]()
    clock = time.perf_counter  # the loop's own clock stands still within a turn of the loop
    gap_s, begin_s = 1.0 / load.calls_per_s, clock() + 0.2
    running: set[asyncio.Task[None]] = set()

    async def call(place: int, due_s: float, work: Awaitable[None], found_ms: list[float]) -> None:
        try:
            await work
        except DoorError as error:
            times.refusals.append(f"{error.reason}: {error.message}")
            return
        if place >= load.warm_up:
            found_ms.append(1e3 * (clock() - due_s))

    async def sense(source: int) -> None:
        await client.post("/v1/sense", {"source": names[source], **plants.sample(source)})

    async def act(source: int) -> None:
        answer = await client.post("/v1/act", {"source": names[source], **plants.question(source)})
        plants.follow(source, answer["action"]["target_servers"])

    # A source acts half a period after it sensed, so that samples and questions alternate.
    half = load.sources // 2
    for place in range(load.calls):
        if place == load.warm_up:
            before = used()
        kinds = ((0.0, sense, place, times.sense_ms), (0.5, act, place + half, times.act_ms))
        for shift, kind, at, found_ms in kinds:
            due_s = begin_s + gap_s * (place + shift)
            await asyncio.sleep(max(due_s - clock(), 0.0))
            task = asyncio.create_task(call(place, due_s, kind(at % load.sources), found_ms))
            running.add(task)
            task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    times.seconds = clock() - (begin_s + gap_s * load.warm_up)
    times.cpu_s = {name: after - before.get(name, 0.0) for name, after in used().items()}
    return times


def measures(times: Times, load: Load) -> Report:
    """The report of what was measured."""
    acts = max(len(times.act_ms), 1)
    mesh_ms = 1e3 * sum(seconds for name, seconds in times.cpu_s.items() if name != "client") / acts
    found = {
        "act_p99_ms": Measure(percentile(times.act_ms, 0.99), "ms", gate=250.0, goal=50.0),
        "act_p50_ms": Measure(percentile(times.act_ms, 0.5), "ms"),
        "sense_p99_ms": Measure(percentile(times.sense_ms, 0.99), "ms"),
        "acts_per_s": Measure(
            len(times.act_ms) / times.seconds if times.seconds else 0.0,
            "1/s",
            gate=0.98 * load.calls_per_s,
            better="higher",
        ),
        "refused_calls": Measure(float(len(times.refusals)), "calls", gate=0.0),
        "cpu_per_turn_ms": Measure(mesh_ms, "ms"),
    }
    baselines = {"median": {"sense_p99_ms": percentile(times.sense_ms, 0.5)}}
    return Report("decision", found, baselines, _notes(times, load, acts))


def _notes(times: Times, load: Load, acts: int) -> tuple[str, ...]:
    shares = sorted(times.cpu_s.items(), key=lambda item: -item[1])
    return (
        f"{load.sources} sources, each a sample and a decision every {load.period_s:g} s for {load.seconds:g} s, from "
        f"{load.rows} rows of history; POST /v1/sense and /v1/act over {CONNECTIONS} connections with TLS, timed from when each call was "
        f"due; mesh and client on {CORES} cores",
        "processor time of a sample with its decision [ms]: "
        + ", ".join(f"{name} {1e3 * seconds / acts:.2f}" for name, seconds in shares if 1e3 * seconds / acts >= 0.01),
        *sorted(set(times.refusals))[:3],
    )


def bench_decision(state: Path | None, load: Load) -> Report:
    """Measures a mesh on two cores, this client's load included.

    Args:
        state: state folder of a running mesh, which is measured on the cores that it has; None starts one in a folder of its own.
        load: what to send.

    Raises:
        Failure: the mesh does not run, did not start, or did not take a history.
    """
    with cores(CORES), measured_mesh(state) as mesh, progress() as begin:
        endpoint = Endpoint.load(mesh.state)
        credentials = grpc.ssl_channel_credentials(Path(endpoint.ca).read_bytes())
        return uvloop.run(_measured(mesh.state, endpoint, credentials, load, begin))


async def _measured(
    state: Path, endpoint: Endpoint, credentials: grpc.ChannelCredentials, load: Load, begin: Begin
) -> Report:
    prefix = f"bench-{secrets.token_hex(4)}"
    names = [f"{prefix}-{number}" for number in range(load.sources)]
    later = load.calls // load.sources + 2
    plants = Plants(
        load.sources, rows=load.rows, step_s=load.step_s, later=later, period_s=load.period_s, now_s=time.time()
    )
    async with grpc.aio.secure_channel(endpoint.grpc, credentials) as channel:
        await seed(channel, endpoint.admin_token, plants, names, begin("histories", load.sources))
    begin("until the mesh has learnt from them", 1)
    await rest(lambda: sum(_used(state).values()))
    async with RestPool(endpoint.url, endpoint.ca, endpoint.admin_token, CONNECTIONS) as client:
        begin(f"{load.calls / load.calls_per_s:.0f} s of load", 1)
        return measures(await drive(client, plants, names, load, lambda: _used(state)), load)


async def seed(
    channel: grpc.aio.Channel, token: str, plants: Plants, names: list[str], step: Callable[[], None]
) -> None:
    """Tell every source's history, and let its actions out.

    Raises:
        Failure: something of it was refused.
    """
    regime: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
    decision: decision_pb2_grpc.DecisionServiceAsyncStub = decision_pb2_grpc.DecisionServiceStub(channel)
    metadata = (("authorization", f"Bearer {token}"),)

    async def tell(source: int, name: str) -> None:
        for times_us, columns in plants.history(source, BATCH_ROWS):
            request = regime_pb2.IngestRequest(
                source=name,
                times_us=times_us,
                columns=[regime_pb2.Column(name=channel, values=values) for channel, values in columns.items()],
                power_kind="mean",
            )
            answer = await regime.Ingest(request, metadata=metadata)
            if answer.accepted != len(times_us):
                raise Failure(f"only {answer.accepted} of {len(times_us)} rows were taken: {answer.rejected[:1]}")
        await decision.SetMode(decision_pb2.SetModeRequest(source=name, mode="auto"), metadata=metadata)
        step()

    async def tell_each(begin: int) -> None:
        for source in range(begin, len(names), SEEDING):
            await tell(source, names[source])

    try:
        await asyncio.gather(*(tell_each(begin) for begin in range(SEEDING)))
    except grpc.aio.AioRpcError as error:
        raise Failure(f"a history was refused: {error.details()}") from None


async def rest(used_s: Callable[[], float]) -> None:
    """Wait until the mesh has nothing left to do, by the processor time that it has used."""
    ends_s = time.monotonic() + REST_S
    before_s, quiet = used_s(), 0
    while quiet < 2 and time.monotonic() < ends_s:
        await asyncio.sleep(1.0)
        now_s = used_s()
        quiet = quiet + 1 if now_s - before_s < REST_SHARE else 0
        before_s = now_s


def _used(state: Path) -> dict[str, float]:
    """Processor seconds of the mesh's processes and of this one, so far."""
    board = Board.load(state)
    pids = {name: record.pid for name, record in board.children.items() if record.pid} if board else {}
    found = {}
    for name, pid in {**pids, "client": psutil.Process().pid}.items():
        try:
            spent = psutil.Process(pid).cpu_times()
            found[name] = spent.user + spent.system
        except psutil.NoSuchProcess:
            continue
    return found
