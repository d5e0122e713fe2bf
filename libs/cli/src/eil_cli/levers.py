"""`eil levers`: what may be moved on a source."""

import json
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from eil_cli.loop import Token, call
from eil_cli.terminal import AsJson, Failure, State, expected_errors, out, print_json

_COLUMNS = ("name", "kind", "low", "high", "step", "ramp_per_s", "delay_s", "safe", "channel")


def levers(
    source: Annotated[str, typer.Argument(help="Name of the source, e.g. datacenter-01.")],
    declare: Annotated[
        str,
        typer.Option(
            "--declare",
            metavar="FILE",
            help="Declare these levers instead: a JSON list, e.g. "
            '[{"name": "crac", "kind": "cooling", "low": 18, "high": 27, "step": 0.5}]; - reads standard input.',
        ),
    ] = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Show what may be moved on a source, or declare it; a source without levers has its number of servers."""
    path = f"/v1/levers/{quote(source, safe='')}"
    with expected_errors():
        method, body = ("PUT", {"levers": _read(declare)}) if declare else ("GET", None)
        answer = call(state, token, method, path, body)
    if as_json:
        print_json(answer)
        return
    declared = answer.get("levers", [])
    if not declared:
        out.print(f"{source} declares no lever: its number of servers is moved, from 1 to the largest seen")
        return
    table = Table(*_COLUMNS, box=None)
    for lever in declared:
        table.add_row(*(_cell(lever.get(column, "")) for column in _COLUMNS))
    out.print(table)


def _read(file: str) -> Any:
    try:
        if file == "-":
            return json.load(sys.stdin)
        with open(file, encoding="utf-8") as opened:
            return json.load(opened)
    except (OSError, ValueError) as error:
        raise Failure(f"{file} holds no JSON list of levers ({error}); see `eil levers --help`") from None


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Close the loop")(levers)
