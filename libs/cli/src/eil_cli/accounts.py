"""`eil account`: service accounts, with which machines fetch short-lived tokens by themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.terminal import AsJson, Failure, State, err, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil_mesh.accounts import Accounts

T = TypeVar("T")
PANEL = "Who may do what"
Name = Annotated[str, typer.Argument(help="Client id, and the subject of its tokens, e.g. meter-7.")]


def add(
    name: Name,
    role: Annotated[list[str], typer.Option("--role", "-r", help="viewer, operator, agent or admin; may be repeated.")],
    tenant: Annotated[str, typer.Option(help="Whose facts its tokens reach.")] = "default",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Make an account. Its secret is shown now and never again: `POST /v1/token` takes both for a token of 15 minutes."""
    _show_secret(name, _change(state, lambda accounts: accounts.add(name, tuple(role), tenant)), as_json)


def rotate(name: Name, state: State = None, as_json: AsJson = False) -> None:
    """Give an account a new secret. The one before opens nothing any more; tokens already fetched live up to 15 minutes."""
    _show_secret(name, _change(state, lambda accounts: accounts.rotate(name)), as_json)


def remove(name: Name, state: State = None) -> None:
    """Remove an account. Tokens already fetched live up to 15 minutes."""
    _change(state, lambda accounts: accounts.remove(name))
    err.print(f"{escape(name)} is removed")


def show(state: State = None, as_json: AsJson = False) -> None:
    """List the accounts. Their secrets are nowhere to be read."""
    with expected_errors():
        from eil_mesh.accounts import Accounts

        listed = Accounts.read(state_folder(state) / "keys").all()
    if as_json:
        print_json([account.model_dump(mode="json", exclude={"digest"}) for account in listed])
        return
    table = Table("account", "roles", "tenant", box=None)
    for account in listed:
        table.add_row(account.name, " ".join(account.roles), escape(account.tenant))
    out.print(table)


def keys_of(state: Path) -> Path:
    """The folder of a mesh's keys.

    Raises:
        Failure: there is none yet.
    """
    keys = state / "keys"
    if not keys.is_dir():
        raise Failure(f"{keys} does not exist: the mesh never ran here; start it with `eil up`")
    return keys


def _change(state: Path | None, change: Callable[["Accounts"], T]) -> T:
    with expected_errors():
        from eil_mesh.accounts import FILE, Accounts

        from eil_cli.files import write_private

        folder = keys_of(state_folder(state))
        accounts = Accounts.read(folder)
        done = change(accounts)
        write_private(folder / FILE, accounts.text())
        return done


def _show_secret(name: str, secret: str, as_json: bool) -> None:
    if as_json:
        print_json({"client_id": name, "client_secret": secret})
        return
    out.print(f"client_id      {escape(name)}\nclient_secret  {escape(secret)}", soft_wrap=True)
    err.print("keep it now: it is shown once, and only its digest is stored")


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Accounts of machines, which fetch their tokens by themselves.", no_args_is_help=True)
    group.command()(add)
    group.command()(rotate)
    group.command()(remove)
    group.command("list")(show)
    app.add_typer(group, name="account", rich_help_panel=PANEL)
