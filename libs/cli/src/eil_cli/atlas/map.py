"""`eil atlas map`: the energy map in the terminal, as a picture or as numbers."""

import json
import statistics
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from eil_cli.loop import Token, call
from eil_cli.terminal import AsJson, Failure, State, err, expected_errors, out, print_json, state_folder
from eil_cli.tokens import duration_s

PATH = "/v1/energy/map"
PICTURES = (".png", ".svg")
RAMP = ((0, 34, 78), (18, 53, 112), (59, 73, 108), (87, 93, 109), (112, 113, 115), (138, 134, 120), (165, 156, 116), (195, 179, 105),
        (225, 204, 85), (254, 232, 56))  # fmt: skip
"""Cividis, from little to much: ordered by brightness, and for the colour-blind too."""
SHADES = " ░▒▓█"
"""The same without colours."""
LITTLE_KNOWN = 0.8
"""Share of the readings' spread above which a cell is dotted: it is known hardly better than by their mean."""
LABEL = 8
"""Letters before a line of cells."""


class Form(StrEnum):
    """What a map lies on."""

    GRID = "grid"
    GRAPH = "graph"


class Quantity(StrEnum):
    """What a map shows."""

    ENERGY = "energy"
    POWER = "power"
    ENTROPY = "entropy"


def register(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("map")(energy_map)


def energy_map(
    form: Annotated[
        Form | None, typer.Option(help="Rows × racks, or links.", show_default="grid where a source has a place")
    ] = None,
    start: Annotated[str, typer.Option(metavar="TIME", help="Begin (RFC 3339).", show_default="an hour earlier")] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="End.", show_default="the newest state")] = "",
    resolution: Annotated[
        str, typer.Option(help="Length of a frame in whole minutes: 5m, 1h.", show_default="one frame")
    ] = "",
    quantity: Annotated[Quantity, typer.Option(help="What to show.")] = Quantity.ENERGY,
    rows: Annotated[int, typer.Option(min=0, max=128, help="Cells along rows.", show_default="one a row")] = 0,
    racks: Annotated[int, typer.Option(min=0, max=128, help="Cells along racks.", show_default="one a rack")] = 0,
    diffusion_time: Annotated[
        float, typer.Option(min=0.0, help="Of the heat kernel, in steps².", show_default="by its likelihood")
    ] = 0.0,
    file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A picture (.png, .svg) or numbers (.json).")
    ] = None,
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Show where energy goes: sources on the map of their racks or links, the field between them and how well it is known.

    Sources say where they stand by the channels row and rack of their samples.
    """
    with expected_errors():
        asked: dict[str, Any] = {
            "form": form,
            "start": start,
            "end": end,
            "resolution_s": _resolution_s(resolution),
            "quantity": quantity,
            "grid_rows": rows,
            "grid_racks": racks,
            "diffusion_time": diffusion_time,
        }
        params = {name: str(value) for name, value in asked.items() if value}
        if file is not None and file.suffix in PICTURES:
            _save_picture(state, token, file, params)
            return
        if file is not None and file.suffix != ".json":
            raise Failure(f"{file}: a map is written as .png, .svg or .json; choose one of these endings", exit_code=2)
        answer = _ask(state, token, params)
        if file is not None:
            _write(file, json.dumps(answer, indent=2, ensure_ascii=False).encode())
        elif as_json:
            print_json(answer)
        else:
            _print(answer)


def _resolution_s(text: str) -> int:
    """Seconds of a frame; 0 is one frame."""
    seconds = duration_s(text) if text else 0.0
    if seconds % 60:
        raise Failure(f"{text} is not in whole minutes: states last one each; write 5m or 1h", exit_code=2)
    return int(seconds)


def _save_picture(state: Path | None, token: str | None, file: Path, params: dict[str, str]) -> None:
    from eil_cli.door import Door
    from eil_cli.endpoint import Endpoint

    if "resolution_s" in params:
        raise Failure("a picture shows the whole window in one frame: leave --resolution out", exit_code=2)
    with Door(Endpoint.load(state_folder(state)), token) as door:
        _write(file, door.download(f"{PATH}{file.suffix}", params))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Failure(f"{file} cannot be written ({error.strerror}): choose another place") from None
    err.print(f"wrote {escape(str(file))}", soft_wrap=True)


def _ask(state: Path | None, token: str | None, params: dict[str, str]) -> dict[str, Any]:
    """The map; where no form was named, the graph if no source has a place."""
    answer = call(state, token, "GET", PATH, params={"form": Form.GRID, **params})
    if "form" not in params and answer.get("frames") and not answer.get("row_coordinates"):
        return call(state, token, "GET", PATH, params={**params, "form": Form.GRAPH})
    return answer


def _print(answer: dict[str, Any]) -> None:
    frames = answer.get("frames") or []
    if not frames:
        out.print("no state yet: a state needs about a minute of samples")
        return
    frame, unit = frames[-1], answer["frame_unit"]
    which = f", the last of {len(frames)} frames" if len(frames) > 1 else ""
    title = f"{answer['quantity']} [{unit}]"
    out.print(f"[bold]{escape(title)}[/], {frame['start']} … {frame['end']}{which}", soft_wrap=True)
    if answer["form"] == Form.GRID and frame.get("values"):
        _print_grid(answer, frame)
    else:
        _print_nodes(frame, unit)
    out.print(f"[dim]{escape(answer['method'])}[/]", soft_wrap=True)
    if frame.get("missing"):
        names = ", ".join(gap["source"] for gap in frame["missing"])
        out.print(f"[yellow]no data[/] (samples cover under half the time): {escape(names)}", soft_wrap=True)
    if answer.get("unplaced"):
        names = ", ".join(answer["unplaced"])
        out.print(f"[yellow]no place known[/] (channels row and rack): {escape(names)}", soft_wrap=True)


def _print_grid(answer: dict[str, Any], frame: dict[str, Any]) -> None:
    """A line of blocks for each row of cells; of more racks than the terminal is wide, every so many."""
    rows, racks = answer["row_coordinates"], answer["rack_coordinates"]
    room = max(8, out.width - LABEL - 2)
    every = -(-len(racks) // room)
    wide = 2 if 2 * len(racks) <= room else 1
    low, high = min(frame["values"]), max(frame["values"])
    spread = statistics.pstdev(node["value"] for node in frame["nodes"])
    for number, row in enumerate(rows):
        line = Text(f"{row:>{LABEL - 1}.4g} ")
        for cell in range(number * len(racks), (number + 1) * len(racks), every):
            known = frame["uncertainties"][cell] <= LITTLE_KNOWN * spread
            line.append_text(_block((frame["values"][cell] - low) / ((high - low) or 1.0), wide, known))
        out.print(line, no_wrap=True, overflow="crop")
    scale = Text(" " * LABEL + f"racks {racks[0]:.4g} … {racks[-1]:.4g}   {low:,.4g} ")
    for step in range(10):
        scale.append_text(_block(step / 9, 1, True))
    out.print(scale.append(f" {high:,.4g} {answer['frame_unit']}"), no_wrap=True)
    if any(doubt > LITTLE_KNOWN * spread for doubt in frame["uncertainties"]):
        out.print(f"{' ' * LABEL}[dim]dotted: known hardly better than by the mean of all[/]")


def _block(share: float, wide: int, known: bool) -> Text:
    """One cell, by its share of the scale."""
    if out.color_system is None:
        return Text(("·" if not known else SHADES[min(len(SHADES) - 1, int(share * len(SHADES)))]) * wide)
    red, green, blue = RAMP[min(len(RAMP) - 1, int(share * len(RAMP)))]
    colour = f"rgb({red},{green},{blue})"
    return Text("█" * wide, style=colour) if known else Text("·" * wide, style=f"white on {colour}")


def _print_nodes(frame: dict[str, Any], unit: str) -> None:
    """A line for each source, the largest value first."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("source", overflow="fold")
    for name in (unit, "±", "covered [s]"):
        table.add_column(escape(name), justify="right")
    table.add_column("regime", overflow="fold")
    for node in sorted(frame.get("nodes", ()), key=lambda node: -node["value"]):
        figures = (f"{node[name]:,.4g}" for name in ("value", "uncertainty", "covered_s"))
        table.add_row(escape(node["source"]), *figures, escape(node["regime"]))
    out.print(table)
