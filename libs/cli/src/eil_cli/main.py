"""The `eil` command."""

import sys
from typing import Annotated

import typer

from eil_cli import audit_command, budget, events_command, levers, lifecycle, loop, source, tokens, verification
from eil_cli.atlas.commands import register as register_atlas
from eil_cli.backup.commands import register as register_backup
from eil_cli.bench.commands import register as register_bench
from eil_cli.diffusion.commands import register as register_diffusion
from eil_cli.feeds.commands import register as register_feeds
from eil_cli.nvp.commands import register as register_nvp
from eil_cli.regime.commands import register as register_regime
from eil_cli.terminal import expected_errors
from eil_cli.watch import register as register_watch

HELP = """The Energy Intelligence Layer: sense, act, measure, prove.

State lies in one folder: --state DIR, else $EIL_STATE, else .eil in the working directory."""

EPILOG = """[bold]First steps[/]

[cyan]eil up --detach[/]   start the mesh on this machine

[cyan]eil sense dc-01 power_draw=850.5 cpu_usage=0.75 temperature=41[/]   send a sample

[cyan]eil act --source dc-01 --servers 12 --utilization 0.68 --max-latency-ms 100[/]   what to do, with a committed prediction

[cyan]eil proof PREDICTION_ID[/]   later: did it come true?

[cyan]curl --cacert .eil/keys/ca.crt -H "authorization: Bearer $(eil token -r viewer)" https://127.0.0.1:8443/v1/regime/status[/]

[cyan]eil audit verify[/]   is the evidence intact?   [cyan]eil down[/]   stop

Exit codes: 0 done, 1 refused or something is wrong, 2 wrong usage, 3 the mesh cannot be reached (eil up: it runs already)."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"eil {version('eil')}")
        raise typer.Exit


def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of `eil` itself."""


def build() -> typer.Typer:
    """The whole command."""
    app = typer.Typer(
        name="eil",
        help=HELP,
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=HELP)(root)
    for register in (
        lifecycle.register,
        tokens.register,
        loop.register,
        levers.register,
        budget.register,
        verification.register,
        source.register,
        audit_command.register,
        register_backup,
        events_command.register,
        register_feeds,
        register_watch,
        register_atlas,
        register_nvp,
        register_diffusion,
        register_regime,
        register_bench,
    ):
        register(app)
    return app


def main() -> None:
    """Run the command. Expected errors of any command end in a message and an exit code."""
    try:
        with expected_errors():
            build()()
    except typer.Exit as end:
        sys.exit(end.exit_code)


if __name__ == "__main__":
    main()
