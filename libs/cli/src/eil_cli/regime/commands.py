"""`eil regime`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eil_cli.terminal import AsJson, Failure, err, expected_errors, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from eil_cli.regime.replay import Replayed

HELP = """The regime detector on recorded series, offline: no mesh is asked."""


def register(app: typer.Typer) -> None:
    """Add the command group."""
    regime = typer.Typer(help=HELP, no_args_is_help=True)
    regime.callback()(_group)
    regime.command()(replay)
    app.add_typer(regime, name="regime", rich_help_panel="Prove")


def _group() -> None:
    """Keeps `replay` a command of a group, though it is alone."""


def replay(
    suite: Annotated[
        Path,
        typer.Option(
            "--suite",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder with a file SERIES.csv for each series.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", file_okay=False, help="Folder for the reports; it is made if need be."),
    ],
    as_json: AsJson = False,
) -> None:
    """Run the detector over every series of a folder and write what it reports on each row.

    SERIES.csv has a header line and one row a sample; an empty cell or NaN is missing.
    Each series meets a fresh detector with the one default configuration, row i at i seconds.

    SERIES.jsonl gets one line a row, in order; none depends on a later row:

        {"row": 17, "regime_id": "r2", "next_likely": "r2", "confidence": 0.93}

    next_likely is the likeliest regime one horizon (60 rows) ahead, confidence the probability of that.
    The row that reports a shift also has "shift_at": the row at which the new regime is judged to have begun.

    Score against labels with: eil bench regime --data SUITES
    """
    from eil_cli.feeds.report import printer
    from eil_cli.regime.series import SeriesError, suite_files

    with expected_errors():
        try:
            files = suite_files(suite)
            out.mkdir(parents=True, exist_ok=True)
        except (SeriesError, OSError) as error:
            raise Failure(str(error)) from None
        results, failures = _replay_all(files, out)
        if as_json:
            print_json(_summary(results, failures))
        elif results:
            printer().print(_table(results))
            printer().print(_last_line(results, out), markup=False, soft_wrap=True)
        if failures:
            raise Failure("\n".join(failures.values()))


def _replay_all(files: list[Path], out: Path) -> tuple[list["Replayed"], dict[str, str]]:
    """Results, and by file why the others were not replayed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from eil_cli.regime.replay import replay_file

    results: list[Replayed] = []
    failures: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:
        every = bars.add_task("series", total=len(files))
        one = bars.add_task("")
        for path in files:
            bars.update(one, description=path.stem)
            try:
                results.append(
                    replay_file(path, out, lambda done, total: bars.update(one, completed=done, total=total))
                )
            except (ValueError, OSError) as error:
                failures[str(path)] = str(error)
            bars.advance(every)
    return results, failures


def _totals(results: list["Replayed"]) -> tuple[int, int, float]:
    """Rows, shifts and rows a second of all."""
    rows, seconds = sum(result.rows for result in results), sum(result.seconds for result in results)
    return rows, sum(result.shifts for result in results), rows / seconds if seconds else 0.0


def _summary(results: list["Replayed"], failures: dict[str, str]) -> dict[str, object]:
    rows, shifts, rows_per_s = _totals(results)
    return {
        "series": len(results),
        "rows": rows,
        "shifts": shifts,
        "rows_per_s": round(rows_per_s, 1),
        "replayed": [
            {
                "series": result.series,
                "rows": result.rows,
                "columns": result.columns,
                "shifts": result.shifts,
                "regimes": result.regimes,
            }
            for result in results
        ],
        "failed": failures,
    }


def _table(results: list["Replayed"]) -> "Table":
    from rich.table import Table

    table = Table(
        title="Replayed", title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    table.add_column("series", overflow="fold")
    for name in ("rows", "columns", "shifts", "regimes"):
        table.add_column(name, justify="right")
    for result in results:
        counts = (result.rows, result.columns, result.shifts, result.regimes)
        table.add_row(result.series, *(f"{count:,}" for count in counts))
    return table


def _last_line(results: list["Replayed"], out: Path) -> str:
    rows, shifts, rows_per_s = _totals(results)
    return f"{len(results)} series, {rows:,} rows, {shifts:,} shifts at {rows_per_s:,.0f} rows/s; reports in {out}"
