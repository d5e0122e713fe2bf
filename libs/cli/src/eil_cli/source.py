"""`eil source delete`: erase a source for good."""

from typing import Annotated
from urllib.parse import quote

import typer
from rich.markup import escape

from eil_cli.loop import Token, call
from eil_cli.terminal import AsJson, Failure, State, expected_errors, out, print_json


def delete(
    source: Annotated[str, typer.Argument(help="Name of the source, e.g. datacenter-01.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Erase a source: its samples, and everything that any service learned from it. There is no way back but a backup.

    Rewards that were minted stay in the ledger. The journals keep salted digests in place of what they said of the source, so that
    `eil audit verify` holds. The other services follow within seconds; the name takes no samples for a day.
    """
    with expected_errors():
        if not yes and not typer.confirm(f"erase everything about {source}?"):
            raise Failure(f"{source} was left as it is")
        answer = call(state, token, "DELETE", f"/v1/sources/{quote(source, safe='')}")
    if as_json:
        print_json(answer)
    else:
        out.print(f"{escape(source)} is erased; its name takes no samples until {answer['closed_until']}")


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Sources as such.", no_args_is_help=True)
    group.command()(delete)
    app.add_typer(group, name="source", rich_help_panel="Run")
