"""`eil bench tracing`: what traces cost the door's throughput, from load generators and a collector on the same two cores."""

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
from eil_regime.compiled import compile_kernels

from eil_cli.bench.load_tools import tool
from eil_cli.bench.mesh import environment, measured_mesh
from eil_cli.bench.progress import progress
from eil_cli.bench.regime_speed import cores
from eil_cli.bench.regime_wire import CORES
from eil_cli.bench.report import Measure, Report
from eil_cli.bench.turns import take_turns
from eil_cli.tracing import variables

TRACED = 0.01
"""Share of the requests that is recorded: the door's default."""
TURN_S, TURNS = 10.0, 16
"""Length and number of the turns that both meshes take."""
EXPORT = ("opentelemetry.proto.collector.trace.v1.TraceService", "Export")


def bench_tracing(*, quick: bool = False) -> Report:
    """Measure two meshes that are started for it, of which one exports traces.

    The measure is the mean of the turns' shares; its standard error is beside it, since the turns of a busy machine differ by more than
    tracing costs.

    Args:
        quick: a tenth of the time, for a look.

    Raises:
        Failure: wrk is not installed, or a mesh did not start.
    """
    tool("wrk")
    compile_kernels()
    turn_s = TURN_S * (0.1 if quick else 1.0)
    with cores(CORES), progress() as begin, _collector() as (address, received), ExitStack() as stack:
        plain = stack.enter_context(measured_mesh(None))
        with environment(variables(address, TRACED)):
            traced = stack.enter_context(measured_mesh(None))
        shares = take_turns(begin, "with and without traces", (traced, plain), turns=TURNS, turn_s=turn_s)
    error = statistics.stdev(shares) / len(shares) ** 0.5
    return Report(
        "tracing",
        {
            "traced_throughput_share": Measure(statistics.fmean(shares), "", gate=0.95, goal=0.99, better="higher"),
            "standard_error": Measure(error, ""),
            "exported_bytes": Measure(float(sum(received)), "B", better="higher"),
        },
        {},
        (
            f"{TRACED:.0%} of the requests recorded; {TURNS} turns of {turn_s:g} s each, "
            f"{min(shares):.3f} to {max(shares):.3f}, median {statistics.median(shares):.3f}",
        ),
    )


@contextmanager
def _collector() -> Iterator[tuple[str, list[int]]]:
    """A receiver of OTLP/gRPC that takes everything and keeps its size: (address, bytes of each export)."""
    received: list[int] = []

    def export(request: bytes, _context: grpc.ServicerContext) -> bytes:
        received.append(len(request))
        return b""

    service, method = EXPORT
    handlers = {method: grpc.unary_unary_rpc_method_handler(export)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", received
    finally:
        server.stop(None)
