"""`eil bench`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eil_cli.terminal import REFUSED, Failure, expected_errors

if TYPE_CHECKING:
    from eil_cli.bench.report import Report


@dataclass(frozen=True)
class BenchOptions:
    """What the command was given."""

    data: Path | None
    state: Path | None
    first_proof_s: float | None
    plots: Path | None
    quick: bool
    sources: int
    seconds: float
    seeds: int
    claims: int
    postgres: str = ""
    operations: int | None = None
    kafka: str = ""
    neo4j: str = ""
    states: int | None = None
    neo4j_states: int | None = None


def _loop(options: BenchOptions) -> "Report":
    from eil_cli.bench.loop import bench_loop

    return bench_loop(options.state, options.first_proof_s)


def _regime(options: BenchOptions) -> "Report":
    from eil_cli.bench.regime import bench_regime

    if options.data is None:
        raise Failure(
            "the benchmark of the regime detector reads labelled suites: give their folder with --data DIR", exit_code=2
        )
    return bench_regime(options.data, plots=options.plots, quick=options.quick)


def _plants(_: BenchOptions) -> "Report":
    from eil_cli.bench.plants import plant_measures

    return plant_measures()


def _nvp(options: BenchOptions) -> "Report":
    from eil_cli.bench.nvp import bench_nvp

    return bench_nvp(options.data, quick=options.quick)


def _proof(options: BenchOptions) -> "Report":
    from eil_cli.bench.proof import bench_proof

    return bench_proof(options.state, seeds=options.seeds, claims=options.claims)


def _decision(options: BenchOptions) -> "Report":
    from eil_cli.bench.decision import Load, bench_decision

    return bench_decision(options.state, Load(sources=options.sources, seconds=options.seconds))


def _economy(options: BenchOptions) -> "Report":
    from eil_cli.bench.economy import bench_economy

    return bench_economy(options.postgres, quick=options.quick, operations=options.operations)


def _atlas(options: BenchOptions) -> "Report":
    if options.data is not None:
        from eil_cli.bench.atlas import bench_atlas

        return bench_atlas(options.data)
    from eil_cli.bench.atlas_graph import NEO4J_STATES, STATES, bench_graph

    return bench_graph(
        options.neo4j, states=options.states or STATES, neo4j_states=options.neo4j_states or NEO4J_STATES
    )


def _events(options: BenchOptions) -> "Report":
    from eil_cli.bench.events import bench_events

    return bench_events(options.kafka, quick=options.quick)


def _diffusion(options: BenchOptions) -> "Report":
    from eil_cli.bench.diffusion import bench_diffusion

    return bench_diffusion(quick=options.quick)


def _gateway(options: BenchOptions) -> "Report":
    from eil_cli.bench.gateway import bench_gateway

    return bench_gateway(quick=options.quick)


def _tracing(options: BenchOptions) -> "Report":
    from eil_cli.bench.tracing import bench_tracing

    return bench_tracing(quick=options.quick)


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="regime: folder of labelled suites, each with SERIES.csv and labels.json. nvp: of ETTh1.csv and ETTh2.csv. "
        "atlas: of nab and skab, for segments instead of the graph.",
    ),
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report there.")]
Plots = Annotated[
    Path | None,
    typer.Option("--plots", metavar="DIR", file_okay=False, help="regime: draw a page for each suite there."),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="regime: leave out the slow baselines PELT and ClaSS, and the mesh. nvp: others' solvers, the mesh. "
        "economy: fewer operations and swaps, a shorter measurement. events: smaller loads. diffusion: the mesh. "
        "gateway, tracing: a tenth of each time.",
    ),
]
Seeds = Annotated[int, typer.Option(min=10, help="proof: simulated meters of each kind.")]
FirstProof = Annotated[
    float | None,
    typer.Option(min=0.0, help="loop: seconds from clean clone to first proven action, measured elsewhere."),
]
StateFolder = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="loop, decision, proof: measure the mesh that runs there.",
        show_default="an own one",
    ),
]
Sources = Annotated[int, typer.Option(min=2, help="decision: sources that decide every 10 s.")]
Seconds = Annotated[float, typer.Option(min=1.0, help="decision: how long their load is measured [s].")]
Claims = Annotated[int, typer.Option(min=100, help="proof: claims through the door.")]
Postgres = Annotated[
    str,
    typer.Option(
        "--postgres",
        metavar="URL",
        help="economy: PostgreSQL server, postgresql://…; a schema is made there and dropped again.",
        show_default="SQLite alone",
    ),
]
Operations = Annotated[
    int | None,
    typer.Option(min=1, help="economy: operations of the simulated ledger.", show_default="1000000; quick: 20000"),
]
Kafka = Annotated[
    str,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        help="events: broker to measure with; topics are made there and deleted again.",
        show_default="the subscription alone",
    ),
]
Neo4j = Annotated[
    str,
    typer.Option(
        "--neo4j",
        metavar="URL",
        help="atlas: Neo4j server without a password, bolt://…; nodes are made there under a tenant of their own and deleted again.",
        show_default="SQLite alone",
    ),
]
States = Annotated[int | None, typer.Option(min=1, help="atlas: states that lie in SQLite.", show_default="10000000")]
Neo4jStates = Annotated[
    int | None, typer.Option(min=1, help="atlas: states that lie in Neo4j.", show_default="1000000")
]
BENCHES: dict[str, Callable[[BenchOptions], "Report"]] = {
    "loop": _loop,
    "regime": _regime,
    "plants": _plants,
    "nvp": _nvp,
    "proof": _proof,
    "decision": _decision,
    "economy": _economy,
    "atlas": _atlas,
    "events": _events,
    "diffusion": _diffusion,
    "gateway": _gateway,
    "tracing": _tracing,
}
"""Every benchmark by name."""
Name = Annotated[str, typer.Argument(metavar="NAME", help=f"Which one: {', '.join(BENCHES)}.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Prove")(bench)


def bench(
    name: Name,
    data: Data = None,
    json_file: JsonFile = None,
    plots: Plots = None,
    quick: Quick = False,
    seeds: Seeds = 2000,
    first_proof_s: FirstProof = None,
    state: StateFolder = None,
    sources: Sources = 1000,
    seconds: Seconds = 40.0,
    claims: Claims = 10_000,
    postgres: Postgres = "",
    operations: Operations = None,
    kafka: Kafka = "",
    neo4j: Neo4j = "",
    states: States = None,
    neo4j_states: Neo4jStates = None,
) -> None:
    """Measure, and compare with gates, goals and baselines. Exits with 1 if a gate is missed.

    loop: a mesh, from start to proof. regime: the regime detector. plants: the identification of simulated thermal nodes.
    nvp: next-state prediction of telemetry and fields. decision: many sources that decide at once. proof: claims true and false, savings
    that are known, altered records. economy: the ledger on either database, simulated, and the market's pools.
    atlas: the graph of states, written and asked; with --data telemetry segments, bytes a sample and speed. events: services killed,
    telemetry by Kafka, the relay, how long events are under way. diffusion: sampled energies and log Z against exact ones, heat maps
    against OpenFOAM, optima against known ones, and how fast. gateway: what the door carries. tracing: what traces cost of that.
    """
    with expected_errors():
        if name not in BENCHES:
            raise Failure(f"there is no benchmark {name!r}; there are: {', '.join(BENCHES)}", exit_code=2)
        folder = state.absolute() if state else None
        report = BENCHES[name](
            BenchOptions(
                data,
                folder,
                first_proof_s,
                plots,
                quick,
                sources,
                seconds,
                seeds,
                claims,
                postgres,
                operations,
                kafka,
                neo4j,
                states,
                neo4j_states,
            )
        )
        _tell(report, json_file)


def _tell(report: "Report", json_file: Path | None) -> None:
    """Write and print a report; the exit code says whether it passed."""
    from eil_cli.bench.report import write
    from eil_cli.feeds.report import printer

    if json_file:
        write(report, json_file)
    console = printer()
    console.print(report.table())
    for note in report.notes:
        console.print(note, style="dim", markup=False)
    if not report.passed:
        raise typer.Exit(REFUSED)
