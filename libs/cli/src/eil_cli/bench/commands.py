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


def _loop(options: BenchOptions) -> "Report":
    from eil_cli.bench.loop import bench_loop

    return bench_loop(options.state, options.first_proof_s)


BENCHES: dict[str, Callable[[BenchOptions], "Report"]] = {"loop": _loop}
"""Every benchmark by name."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Prove")(bench)


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Which one: {', '.join(BENCHES)}.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Folder of the data that it reads, if any.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report there.")] = None,
    first_proof_s: Annotated[
        float | None,
        typer.Option(min=0.0, help="loop: seconds from clean clone to first proven action, measured elsewhere."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="Measure the mesh that runs there.", show_default="an own one"),
    ] = None,
) -> None:
    """Measure, and compare with gates, goals and baselines. Exits with 1 if a gate is missed."""
    from eil_cli.bench.report import write
    from eil_cli.feeds.report import printer

    with expected_errors():
        if name not in BENCHES:
            raise Failure(f"there is no benchmark {name!r}; there are: {', '.join(BENCHES)}", exit_code=2)
        report = BENCHES[name](BenchOptions(data, state.absolute() if state else None, first_proof_s))
        if json_file:
            write(report, json_file)
        console = printer()
        console.print(report.table())
        for note in report.notes:
            console.print(note, style="dim", markup=False)
        if not report.passed:
            raise typer.Exit(REFUSED)
