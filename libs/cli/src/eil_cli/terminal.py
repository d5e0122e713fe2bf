"""What every command shares: the terminal, exit codes and the errors that people see."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

out = Console(highlight=False)
"""Results."""
err = Console(stderr=True, highlight=False)
"""Progress and errors: scripts read the other one."""

REFUSED = 1
"""Exit code: it was asked for and refused, or something is wrong."""
NOT_RUNNING = 3
"""Exit code: there is no mesh to ask."""

State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="State folder of the mesh.", show_default="$EIL_STATE, else .eil"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class Failure(Exception):
    """An expected failure: the message is for people, `exit_code` for scripts."""

    def __init__(self, message: str, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def state_folder(given: Path | None) -> Path:
    """The folder named, or the default one; absolute."""
    from eil_cli.endpoint import default_state

    return (given or default_state()).absolute()


def print_json(value: Any) -> None:
    """JSON for scripts, on one stream and never wrapped."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_error(message: str) -> None:
    """An error, for people."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn the errors that commands may meet into a message and an exit code; bugs pass through.

    Raises:
        typer.Exit: an expected error was met.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        exit_code = _explain(error)
        if exit_code is None:
            raise
        raise typer.Exit(exit_code) from None


def _explain(error: Exception) -> int | None:
    """Print an expected error; returns its exit code, None if it is not expected."""
    from eil_mesh.errors import EilError

    from eil_cli.door import NOT_REACHED, DoorError
    from eil_cli.endpoint import EndpointMissing

    if isinstance(error, DoorError):
        print_error(f"{error.message} [{error.reason}]")
        for field, problem in error.violations.items():
            err.print(f"  [bold]{escape(field)}[/]: {escape(problem)}", soft_wrap=True)
        return NOT_RUNNING if error.status == NOT_REACHED else REFUSED
    if isinstance(error, EndpointMissing):
        print_error(str(error))
        return NOT_RUNNING
    if isinstance(error, EilError):
        print_error(f"{error.message} [{error.reason}]")
        return REFUSED
    if isinstance(error, Failure):
        print_error(str(error))
        return error.exit_code
    return None


def pairs(given: list[str], *, what: str) -> dict[str, str]:
    """`name=value` arguments as a mapping.

    Raises:
        Failure: one is not of this form, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise Failure(f"{text!r} is not {what}: write NAME=VALUE")
        if name in found:
            raise Failure(f"{name} is given twice; a sample has one value of each")
        found[name] = value
    return found
