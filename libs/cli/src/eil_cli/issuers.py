"""`eil issuers`: the OpenID providers whose tokens the mesh takes beside its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.accounts import PANEL, keys_of
from eil_cli.terminal import AsJson, Failure, State, err, expected_errors, out, pairs, print_json, state_folder

if TYPE_CHECKING:
    from eil_mesh.issuers import Issuer


def add(
    issuer: Annotated[str, typer.Argument(help="`iss` of its tokens, to the letter.")],
    audience: Annotated[str, typer.Option(help="What `aud` of its tokens must name.")],
    jwks_url: Annotated[str, typer.Option(help="Where its keys are, https://…; its discovery document names it.")] = "",
    jwks_file: Annotated[str, typer.Option(help="Or a file with them, in keys/ of the state folder.")] = "",
    ca_file: Annotated[
        str, typer.Option(help="Certificates that the URL's server is checked against, in keys/; absent: the system's.")
    ] = "",
    roles_claim: Annotated[str, typer.Option(help="Claim that lists roles, e.g. realm_access.roles.")] = "roles",
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="THEIRS=OURS", help="Role by the provider's; may be repeated.")
    ] = None,
    tenant_claim: Annotated[str, typer.Option(help="Claim that names the tenant.")] = "",
    tenant: Annotated[str, typer.Option(help="Tenant of tokens that name none.")] = "",
    state: State = None,
) -> None:
    """Take a provider's tokens from now on, or read them another way; a mesh that runs does so at once."""
    with expected_errors():
        from eil_mesh.issuers import Issuer, problems
        from pydantic import ValidationError

        try:
            given = Issuer(
                issuer=issuer,
                audience=audience,
                jwks_url=jwks_url,
                jwks_file=jwks_file,
                ca_file=ca_file,
                roles_claim=roles_claim,
                roles=pairs(role or [], what="a role"),
                tenant_claim=tenant_claim,
                tenant=tenant,
            )
        except ValidationError as error:
            raise Failure(problems(error)) from None
        folder = state_folder(state)
        for file in filter(None, (jwks_file, ca_file)):
            if not (folder / "keys" / file).is_file():
                raise Failure(f"{folder / 'keys' / file} does not exist; put the file there first")
        _write(folder, [*(known for known in _listed(folder) if known.issuer != issuer), given])
        err.print(f"tokens of {escape(issuer)} are taken")


def remove(
    issuer: Annotated[str, typer.Argument(help="`iss` of its tokens.")],
    state: State = None,
) -> None:
    """Take a provider's tokens no more; a mesh that runs does so at once."""
    with expected_errors():
        folder = state_folder(state)
        listed = _listed(folder)
        kept = [known for known in listed if known.issuer != issuer]
        if len(kept) == len(listed):
            raise Failure(f"no provider {issuer} is listed; see `eil issuers list`")
        _write(folder, kept)
        err.print(f"tokens of {escape(issuer)} are taken no more")


def show(state: State = None, as_json: AsJson = False) -> None:
    """List the providers."""
    with expected_errors():
        listed = _listed(state_folder(state))
    if as_json:
        print_json([issuer.model_dump(mode="json", exclude_defaults=True) for issuer in listed])
        return
    table = Table("issuer", "audience", "keys", "roles", "tenant", box=None)
    for issuer in listed:
        names = ", ".join(f"{theirs}={ours}" for theirs, ours in issuer.roles.items())
        table.add_row(
            escape(issuer.issuer),
            escape(issuer.audience),
            escape(issuer.jwks_url or issuer.jwks_file),
            escape(f"{issuer.roles_claim} ({names})" if names else issuer.roles_claim),
            escape(issuer.tenant_claim or issuer.tenant),
        )
    out.print(table)


def apply(state: State = None) -> None:
    """Let the door of a mesh that runs read the list and files of keys anew, after they were changed by hand."""
    with expected_errors():
        from eil_gateway.envoy import refresh

        refresh(state_folder(state))


def _listed(state: Path) -> "list[Issuer]":
    from eil_mesh.issuers import read_issuers

    return read_issuers(state / "keys")


def _write(state: Path, issuers: "Sequence[Issuer]") -> None:
    from eil_gateway.envoy import refresh
    from eil_mesh.issuers import FILE, write_issuers

    from eil_cli.files import write_private

    write_private(keys_of(state) / FILE, write_issuers(issuers))
    refresh(state)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="OpenID providers whose tokens are taken beside the mesh's own.", no_args_is_help=True)
    group.command()(add)
    group.command()(remove)
    group.command("list")(show)
    group.command()(apply)
    app.add_typer(group, name="issuers", rich_help_panel=PANEL)
