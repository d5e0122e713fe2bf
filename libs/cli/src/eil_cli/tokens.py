"""`eil token`, and what else has to do with who may do what: `eil account`, `eil issuers`, `eil keys`, `eil access`."""

import re
import time
from typing import Annotated

import typer

from eil_cli import access, accounts, issuers, keys
from eil_cli.terminal import Failure, State, expected_errors, state_folder

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str) -> float:
    """Seconds of a duration such as 90s, 15m, 12h or 30d.

    Raises:
        Failure: it is none, or not positive.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not found or float(found[1]) <= 0.0:
        raise Failure(f"{text!r} is no duration: write a positive number and a unit, e.g. 90s, 15m, 12h or 30d")
    return float(found[1]) * UNITS_S[found[2]]


def token(
    role: Annotated[list[str], typer.Option("--role", "-r", help="viewer, operator, agent or admin; may be repeated.")],
    tenant: Annotated[str, typer.Option(help="Whose facts the token reaches.")] = "default",
    subject: Annotated[str, typer.Option(help="Who it is for; stands in the journal beside what it does.")] = "cli",
    ttl: Annotated[str, typer.Option(help="Life: 90s, 15m, 12h, 30d.")] = "12h",
    state: State = None,
) -> None:
    """Print a token, and nothing else, e.g. for `curl -H "authorization: Bearer $(eil token -r viewer)"`."""
    with expected_errors():
        from eil_gateway.keys import issue_token

        life_s = duration_s(ttl)
        typer.echo(
            issue_token(
                state_folder(state), subject=subject, roles=role, tenant=tenant, ttl_s=life_s, now_s=time.time()
            )
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=accounts.PANEL)(token)
    for module in (accounts, issuers, keys, access):
        module.register(app)
