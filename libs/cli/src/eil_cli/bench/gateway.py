"""`eil bench gateway`: what the door carries, with TLS, tokens, roles and budgets, from load generators on the same two cores."""

import statistics
from contextlib import ExitStack

from eil_regime.compiled import compile_kernels

from eil_cli.bench.gateway_clients import measure_fanout
from eil_cli.bench.gateway_loop import drive_sources
from eil_cli.bench.gateway_streams import StreamLoad, measure_streams
from eil_cli.bench.load_tools import bench_token, grpc_load, rest_load, tool
from eil_cli.bench.mesh import environment, measured_mesh
from eil_cli.bench.progress import Begin, progress
from eil_cli.bench.regime_speed import cores
from eil_cli.bench.regime_wire import CORES, measure_wire
from eil_cli.bench.report import Measure, Report
from eil_cli.bench.statistics import percentile
from eil_cli.bench.turns import take_turns
from eil_cli.endpoint import Endpoint

SECONDS = 60.0
"""How long a rate is sustained [s]."""
TURN_S, TURNS = 10.0, 3
"""Length and number of the turns that meshes with and without budgets take with each other."""
LOOP_SOURCES, LOOP_S = 200, 90.0
STREAM_S = 600.0
CLIENTS, EVENTS, EVENTS_PER_S = 1000, 180, 3.0

Found = tuple[dict[str, Measure], tuple[str, ...]]
"""Measures, and what a reader must know of them."""


def bench_gateway(*, quick: bool = False) -> Report:
    """Measure the door of meshes that are started for it, one after another.

    Args:
        quick: a tenth of each time, for a look.

    Raises:
        Failure: a load generator is not installed, or a mesh did not start.
    """
    for name in ("wrk", "ghz"):
        tool(name)
    compile_kernels()
    share = 0.1 if quick else 1.0
    measures: dict[str, Measure] = {}
    notes: list[str] = []
    with cores(CORES), progress() as begin:
        for part in (_rates, _budgets, _loop, _clients, _streams):
            found, said = part(begin, share)
            measures |= found
            notes += said
    return Report("gateway", measures, {}, tuple(notes))


def _rates(begin: Begin, share: float) -> Found:
    with measured_mesh(None) as mesh:
        endpoint = Endpoint.load(mesh.state)
        rest_load(endpoint, bench_token(mesh.state, "warm"), 5.0, prefix="warm")
        begin("samples by REST", 1)
        rest = rest_load(endpoint, bench_token(mesh.state, "rest"), SECONDS * share, prefix="rest")
        begin("samples by gRPC", 1)
        grpc = grpc_load(endpoint, bench_token(mesh.state, "grpc"), SECONDS * share, prefix="grpc")
    begin("batches by gRPC", 1)
    batched = measure_wire().door
    measures = {
        "sense_rest_per_s": Measure(rest.per_s, "/s", gate=1200.0, goal=1700.0, better="higher"),
        "sense_rest_p99_ms": Measure(rest.p99_ms, "ms", gate=100.0, goal=60.0),
        "sense_grpc_per_s": Measure(grpc.per_s, "/s", gate=1200.0, goal=1700.0, better="higher"),
        "sense_grpc_p99_ms": Measure(grpc.p99_ms, "ms", gate=100.0, goal=60.0),
        "sense_refused": Measure(float(rest.refused + grpc.refused), "calls", gate=0.0),
        "batched_samples_per_s": Measure(batched[1], "/s", gate=200e3, goal=1e6, better="higher"),
        "batched_8_channels_samples_per_s": Measure(batched[8], "/s", better="higher"),
    }
    return measures, (f"{rest.requests} samples by REST, {grpc.requests} by gRPC, each a new one of 50 sources",)


def _budgets(begin: Begin, share: float) -> Found:
    free_of_charge = {f"EIL_{service}_BUDGETS": "false" for service in ("REGIME", "BRIDGE", "DECISION", "PROOF")}
    with ExitStack() as stack:
        charging = stack.enter_context(measured_mesh(None))
        with environment(free_of_charge):
            free = stack.enter_context(measured_mesh(None))
        what, turn_s = "with and without budgets", TURN_S * share
        shares = take_turns(begin, what, (charging, free), turns=TURNS, turn_s=turn_s)
    return {
        "budgets_throughput_share": Measure(statistics.median(shares), "", gate=0.85, goal=0.97, better="higher")
    }, (f"budgets: median of {TURNS} turns of {turn_s:g} s each, {min(shares):.3f} to {max(shares):.3f}",)


def _loop(begin: Begin, share: float) -> Found:
    begin(f"the loop of {LOOP_SOURCES} sources", 1)
    with measured_mesh(None) as mesh:
        turns = drive_sources(mesh, LOOP_SOURCES, LOOP_S * share)
    measures = {
        "loop_act_p99_ms": Measure(percentile(turns.act_ms, 0.99), "ms", gate=250.0, goal=60.0),
        "loop_proof_p99_ms": Measure(percentile(turns.proof_ms, 0.99), "ms", gate=50.0, goal=20.0),
        "loop_refused": Measure(float(len(turns.refusals)), "calls", gate=0.0),
    }
    said = f"loop: {len(turns.act_ms)} questions, {len(turns.proof_ms)} proofs, {turns.valid} of them valid"
    return measures, (said, *sorted(set(turns.refusals))[:3])


def _clients(begin: Begin, share: float) -> Found:
    begin(f"events to {CLIENTS} clients", 1)
    with measured_mesh(None) as mesh:
        events = round(EVENTS * share)
        found = measure_fanout(Endpoint.load(mesh.state), clients=CLIENTS, events=events, per_s=EVENTS_PER_S)
    return {
        "event_to_client_p99_ms": Measure(percentile(found.latencies_ms, 0.99), "ms", gate=500.0, goal=100.0),
        "event_to_client_p50_ms": Measure(percentile(found.latencies_ms, 0.5), "ms"),
        "events_lost_or_repeated": Measure(float(found.missing + found.repeated), "events", gate=0.0),
    }, (f"events: {events} at {EVENTS_PER_S:g} a second, each to {CLIENTS} WebSocket clients",)


def _streams(begin: Begin, share: float) -> Found:
    load = StreamLoad(seconds=round(STREAM_S * share))
    begin(f"{load.sources} streams of telemetry", 1)
    with measured_mesh(None) as mesh:
        found = measure_streams(mesh, "stream", load)
    return {
        "streams_lost": Measure(float(found.sent - found.stored), "samples", gate=0.0, goal=0.0),
        "streams_memory_growth": Measure(
            found.resident_at_end / found.resident_at_quarter - 1.0, "", gate=0.05, goal=0.01
        ),
        "streams_cpu_cores": Measure(found.cpu_cores, "cores", gate=2.0, goal=1.0),
        "streams_acknowledged_p99_s": Measure(found.acknowledged_after_s, "s"),
    }, (
        f"streams: {found.stored} of {found.sent} samples stored, {load.sources} sources on {load.streams} gRPC streams",
    )
