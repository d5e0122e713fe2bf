"""`eil atlas`."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.table import Column, Table

from eil_cli.atlas import map as energy_map
from eil_cli.atlas.verify import verify
from eil_cli.loop import Token, call
from eil_cli.terminal import AsJson, Failure, State, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil_cli.atlas.client import Archive, Page

HELP = """What the Atlas keeps: energy maps, samples, segments, objects, checkpoints."""
Start = Annotated[str, typer.Option("--start", metavar="TIME", help="Begin, included (RFC 3339).")]
End = Annotated[str, typer.Option("--end", metavar="TIME", help="End, excluded (RFC 3339).")]
Rows = Annotated[int, typer.Option("--rows", min=1, max=1000, help="Rows shown.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    atlas = typer.Typer(help=HELP, no_args_is_help=True)
    for command in (segments, samples, objects, checkpoints, lineage, put, get, verify):
        atlas.command()(command)
    energy_map.register(atlas)
    app.add_typer(atlas, name="atlas", rich_help_panel="Run")


def segments(
    source: Annotated[str, typer.Argument(help="One source; absent is all.", show_default="all")] = "",
    start: Start = "",
    end: End = "",
    rows: Rows = 100,
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List segments of telemetry by source and time."""
    with expected_errors():
        params = {"source": source, "start": start, "end": end, "page_size": str(rows)}
        found = _list(state, token, "/v1/atlas/segments", params)
    if as_json:
        print_json(found)
        return
    table = Table("source", "first", "last", "rows", "samples", "bytes", "channels", "digest", box=None)
    for one in found.get("segments", ()):
        names = ", ".join(channel["name"] for channel in one["channels"])
        figures = (f"{int(one[name]):,}" for name in ("rows", "samples", "size"))
        table.add_row(*map(escape, (one["source"], one["first"], one["last"], *figures, names, one["digest"][:12])))
    _print(table, found)


def samples(
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    start: Start,
    end: End,
    channel: Annotated[
        list[str] | None, typer.Option("--channel", help="One channel, again for more.", show_default="all")
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the samples there.")] = None,
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Read samples of a source: what each channel has, and with --csv all of them."""
    with expected_errors():
        from eil_cli.atlas.client import Archive
        from eil_cli.endpoint import Endpoint

        span = parse_us(start), parse_us(end)
        with Archive.at(Endpoint.load(state_folder(state)), token) as archive:
            found = _figures(archive.samples(source, *span, channel or ()))
            if csv_file is not None:
                _write(archive, source, span, list(found), csv_file)
    if as_json:
        print_json(found)
        return
    table = Table("channel", "samples", "least", "mean", "greatest", box=None)
    for name, figures in found.items():
        table.add_row(
            escape(name), f"{figures['samples']:,}", *(f"{figures[k]:g}" for k in ("least", "mean", "greatest"))
        )
    out.print(table)


def objects(
    media_type: Annotated[str, typer.Option("--type", help="One media type.", show_default="all")] = "",
    delete: Annotated[str, typer.Option("--delete", metavar="DIGEST", help="Delete this object instead.")] = "",
    rows: Rows = 100,
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List objects, newest first, or delete one."""
    with expected_errors():
        if delete:
            call(state, token, "DELETE", f"/v1/atlas/objects/{quote(delete, safe='')}")
            return
        found = _list(state, token, "/v1/atlas/objects", {"media_type": media_type, "page_size": str(rows)})
    if as_json:
        print_json(found)
        return
    table = Table(_whole("digest", 64), "media type", "bytes", "created", box=None)
    for one in found.get("objects", ()):
        table.add_row(*map(escape, (one["digest"], one["media_type"], f"{int(one['size']):,}", one["created"])))
    _print(table, found)


def checkpoints(
    name: Annotated[str, typer.Argument(help="One name; absent is all.", show_default="all")] = "",
    delete: Annotated[str, typer.Option("--delete", metavar="ID", help="Delete this checkpoint instead.")] = "",
    rows: Rows = 100,
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List checkpoints, newest first, or delete one."""
    with expected_errors():
        if delete:
            call(state, token, "DELETE", f"/v1/atlas/checkpoints/{quote(delete, safe='')}")
            return
        found = _list(state, token, "/v1/atlas/checkpoints", {"name": name, "page_size": str(rows)})
    _print_checkpoints(found, as_json)


def lineage(
    checkpoint_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the checkpoint.")],
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Show a checkpoint and what it descends from, nearest first."""
    with expected_errors():
        found = call(state, token, "GET", f"/v1/atlas/checkpoints/{quote(checkpoint_id, safe='')}/lineage")
    _print_checkpoints(found, as_json)


def put(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The content.")],
    media_type: Annotated[str, typer.Option("--type", help="Its media type.")] = "application/octet-stream",
    token: Token = None,
    state: State = None,
) -> None:
    """Store a file of any size as an object; prints its digest."""
    with expected_errors():
        from eil_cli.atlas.client import Archive
        from eil_cli.endpoint import Endpoint

        with Archive.at(Endpoint.load(state_folder(state)), token) as archive:
            typer.echo(archive.put(file, media_type).digest)


def get(
    digest: Annotated[str, typer.Argument(help="SHA-256 of the object.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where it is written.")],
    token: Token = None,
    state: State = None,
) -> None:
    """Write an object to a file, checked against its digest."""
    with expected_errors():
        from eil_cli.atlas.client import Archive
        from eil_cli.endpoint import Endpoint

        with Archive.at(Endpoint.load(state_folder(state)), token) as archive:
            archive.get(digest, file)


def _list(state: Any, token: str | None, path: str, params: dict[str, str]) -> Any:
    return call(state, token, "GET", path, params={name: value for name, value in params.items() if value})


def _whole(name: str, width: int) -> Column:
    """A column of what is copied from the screen."""
    return Column(name, no_wrap=True, min_width=width)


def _print(table: Table, found: dict[str, Any]) -> None:
    out.print(table)
    if found.get("next_page_token"):
        out.print("[dim]and more: raise --rows, or narrow what is asked for[/]")


def _print_checkpoints(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table(_whole("checkpoint", 32), "name", "kind", "object", "parents", "data", "metrics", "created", box=None)
    for one in found.get("checkpoints", ()):
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in sorted(one["metrics"].items()))
        cells = (one["checkpoint_id"], one["name"], one["kind"], one["digest"][:12], str(len(one["parents"])))
        table.add_row(*map(escape, (*cells, str(len(one["data"])), metrics, one["created"])))
    _print(table, found)


def parse_us(text: str) -> int:
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("it has no zone")
    except ValueError as error:
        raise Failure(f"{text!r} is no time ({error}): write 2026-01-31T00:00:00Z", exit_code=2) from None
    return round(moment.timestamp() * 1e6)


def _figures(pages: "Iterator[Page]") -> dict[str, dict[str, float]]:
    """Count, least, mean and greatest of each channel; channels by name."""
    import numpy as np

    found: dict[str, dict[str, float]] = {}
    for _, columns in pages:
        for name, column in columns.items():
            there = column[~np.isnan(column)]
            if not there.size:
                continue
            known = found.setdefault(name, {"samples": 0, "least": math.inf, "mean": 0.0, "greatest": -math.inf})
            known["samples"] += there.size
            known["least"] = min(known["least"], float(there.min()))
            known["greatest"] = max(known["greatest"], float(there.max()))
            known["mean"] += float((there - known["mean"]).sum()) / known["samples"]
    return dict(sorted(found.items()))


def _write(archive: "Archive", source: str, span: tuple[int, int], channels: list[str], path: Path) -> None:
    """Samples as CSV: the time in RFC 3339, and a column a channel, empty where there is no sample."""
    from eil_cli.feeds.times import rfc3339

    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["timestamp", *channels])
            for times, columns in archive.samples(source, *span, channels):
                for row, time_us in enumerate(times.tolist()):
                    values = (float(columns[name][row]) if name in columns else math.nan for name in channels)
                    cells = ("" if math.isnan(value) else repr(value) for value in values)
                    writer.writerow([rfc3339(time_us / 1e6), *cells])
    except OSError as error:
        raise Failure(f"{path} cannot be written ({error.strerror})") from None
