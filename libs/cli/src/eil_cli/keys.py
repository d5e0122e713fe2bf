"""`eil keys`: the key that signs the mesh's tokens, and the door's certificate, replaced while the mesh runs."""

import time
from dataclasses import replace
from typing import Annotated

import typer

from eil_cli.accounts import PANEL, keys_of
from eil_cli.terminal import State, err, expected_errors, state_folder


def rotate(
    retire: Annotated[
        bool,
        typer.Option(
            "--retire", help="Withdraw the keys before instead: tokens that they signed open nothing any more."
        ),
    ] = False,
    state: State = None,
) -> None:
    """Sign tokens with a new key from now on. Those of the key before stay good until they expire, or until --retire."""
    with expected_errors():
        from eil_gateway.rotation import retire_keys, rotate_keys

        folder = state_folder(state)
        if retire:
            err.print(f"withdrawn: {retire_keys(folder)}")
            return
        rotate_keys(folder)
        _renew_admin_token(state)
        err.print(
            "a new key signs; once the tokens of the one before have expired, `eil keys rotate --retire` withdraws it"
        )


def renew(
    host: Annotated[
        list[str] | None, typer.Option("--host", help="DNS name or address that it must carry; may be repeated.")
    ] = None,
    state: State = None,
) -> None:
    """Issue the door's certificate anew, where it expires within 30 days or lacks a host; new connections are shown it."""
    with expected_errors():
        from eil_gateway.rotation import renew_certificate

        folder = state_folder(state)
        keys_of(folder)
        renewed = renew_certificate(folder, host or ())
        err.print(
            "a new certificate is shown to new connections" if renewed else "it is not due, and carries every host"
        )


def _renew_admin_token(state: State) -> None:
    """endpoint.json holds a token that lives for a year: it is one of the new key."""
    from eil_gateway.keys import issue_token

    from eil_cli.embedded import ADMIN_TTL_S
    from eil_cli.endpoint import Endpoint, EndpointMissing

    folder = state_folder(state)
    try:
        endpoint = Endpoint.load(folder)
    except EndpointMissing:
        return
    token = issue_token(folder, subject="admin", roles=["admin"], ttl_s=ADMIN_TTL_S, now_s=time.time())
    replace(endpoint, admin_token=token).save(folder)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The signing key and the door's certificate.", no_args_is_help=True)
    group.command()(rotate)
    group.command()(renew)
    app.add_typer(group, name="keys", rich_help_panel=PANEL)
