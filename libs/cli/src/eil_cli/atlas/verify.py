"""`eil atlas verify`: whether log, graph and segments agree, and how that is shown."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.loop import Token
from eil_cli.terminal import REFUSED, AsJson, State, err, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eil.atlas.v1 import consistency_pb2

SHOWN = 50
"""Findings that the table shows."""


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Repair what is found, from the log.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Read every segment, too.")] = False,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="One source.", show_default="all")] = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Compare what the Atlas keeps with the log, hour by hour; exit code 1 if something is wrong and stays so."""
    with expected_errors():
        from eil_cli.atlas.client import Archive
        from eil_cli.endpoint import Endpoint

        with Archive.at(Endpoint.load(state_folder(state)), token) as archive:
            findings, summary = _followed(archive.verify(source, repair=repair, deep=deep))
    if as_json:
        print_json({**summary, "findings": findings})
    else:
        _show(findings, summary)
    if summary["repaired"] < len(findings):
        raise typer.Exit(REFUSED)


def _followed(parts: "Iterator[consistency_pb2.VerifyResponse]") -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Findings and figures, with a bar on the way."""
    from eil.atlas.v1 import consistency_pb2
    from eil_mesh.clock import iso, to_us
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    findings: list[dict[str, Any]] = []
    summary = consistency_pb2.VerifySummary()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:
        bar = bars.add_task("reading", total=None)
        for part in parts:
            if part.HasField("progress"):
                now = part.progress
                bars.update(bar, description=now.stage, completed=now.done, total=now.total)
            elif part.HasField("finding"):
                one = part.finding
                kind = consistency_pb2.FindingKind.Name(one.kind).removeprefix("FINDING_KIND_").lower()
                figures = {
                    "expected": one.expected,
                    "found": one.found,
                    "message": one.message,
                    "repaired": one.repaired,
                }
                findings.append({"kind": kind, "source": one.source, "hour": iso(to_us(one.hour)), **figures})
            else:
                summary = part.summary
    return findings, {field.name: getattr(summary, field.name) for field in summary.DESCRIPTOR.fields}


def _show(findings: list[dict[str, Any]], summary: dict[str, int]) -> None:
    if findings:
        table = Table("source", "hour", "what is wrong", "", box=None)
        for one in findings[:SHOWN]:
            mended = "[green]repaired[/]" if one["repaired"] else "[red]stays[/]"
            table.add_row(escape(one["source"]), one["hour"], one["message"], mended)
        out.print(table)
        if len(findings) > SHOWN:
            out.print(f"[dim]and {len(findings) - SHOWN:,} more: --json prints all[/]")
    said = f"{summary['hours']:,} hours of {summary['sources']:,} sources compared with {summary['entries']:,} entries of the log"
    out.print(f"{said}: {summary['samples']:,} samples, {summary['states']:,} states")
    if summary["unknown_hours"]:
        out.print(f"{summary['unknown_hours']:,} hours are not known: the log no longer tells all of them")
    left = len(findings) - summary["repaired"]
    out.print(f"[red]{left:,} findings stay[/]" if left else "[green]log, graph and segments agree[/]")
