"""`eil access`: who may call what, as the protos say it and the door and every service enforce it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer

from eil_cli.accounts import PANEL
from eil_cli.terminal import AsJson, print_json

HEADINGS = ("method", "REST", "roles", "services in their own name", "10⁻⁶ CEU", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One method, or one path of the bridge."""

    method: str
    """gRPC path; "" where there is only HTTP."""
    rest: str
    """Verb and path of REST; "" where there is none."""
    roles: list[str]
    """Roles that may call it; `admin` may wherever any role may. Empty: only the mesh itself."""
    services: list[str]
    """Services that may call it in their own name; "*" is every one."""
    price_u: int
    """What a call costs, beside samples and inference steps [10⁻⁶ CEU]."""
    audited: bool
    idempotent: bool


def rows() -> Iterator[Row]:
    """Every method, and what the bridge serves by HTTP."""
    from eil_gateway.contract import all_methods, own_methods, rest_of
    from eil_gateway.policy import MCP, OPEN, STREAM
    from eil_mesh.costs import cost_of
    from eil_mesh.identity import ROLES

    own = {method.path for method in own_methods()}
    for method in all_methods():
        access = method.access
        yield Row(
            method.path,
            rest_of(method.path) if method.path in own else "",
            sorted(access.roles),
            sorted(access.services),
            cost_of(method.path).call_u,
            access.audited,
            access.idempotent,
        )
    for path in (*OPEN, STREAM, MCP):
        posted = path in (MCP, "/v1/token")
        roles = ["everybody"] if path in OPEN else sorted(map(str, ROLES))
        yield Row("", f"{'POST' if posted else 'GET'} {path}", roles, [], 0, audited=False, idempotent=not posted)


def access(as_json: AsJson = False) -> None:
    """Print who may call what: one table, from the protos, which the door and every service enforce."""
    if as_json:
        print_json([asdict(row) for row in rows()])
        return
    lines: list[tuple[str, ...]] = [HEADINGS]
    for row in rows():
        marks = [name for name, holds in (("audited", row.audited), ("idempotent", row.idempotent)) if holds]
        method = row.method.removeprefix("/").replace("eil.", "", 1)
        called_by = " ".join(row.roles) or "–", " ".join(row.services) or "–"
        lines.append((method, row.rest, *called_by, str(row.price_u), " ".join(marks)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:  # no table of a terminal's width: what is searched in it must not be cut off
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(access)
