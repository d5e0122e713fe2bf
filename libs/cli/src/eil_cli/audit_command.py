"""`eil audit verify` and `eil audit ledger`."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.terminal import REFUSED, AsJson, Failure, State, expected_errors, out, print_json, state_folder

SHOWN = 20
"""Problems of one journal that are printed; --json has them all."""


def verify(state: State = None, as_json: AsJson = False) -> None:
    """Walk every journal offline and compare it with the signed heads in the Atlas. Exits with 1 if anything does not hold.

    Entries younger than the newest head are counted as not anchored: they are chained, but whoever holds the file could still rewrite them.
    """
    with expected_errors():
        from eil_cli.audit import verify_state

        try:
            reports = verify_state(state_folder(state))
        except FileNotFoundError as error:
            raise Failure(str(error)) from None
        holds = not any(report.problems for report in reports)
        if as_json:
            journals = [
                {
                    "journal": report.journal,
                    "entries": report.entries,
                    "heads": report.heads,
                    "anchored": report.anchored,
                    "not_anchored": report.not_anchored,
                    "problems": list(report.problems),
                }
                for report in reports
            ]
            print_json({"holds": holds, "journals": journals})
        else:
            table = Table(box=None, padding=(0, 2, 0, 0))
            table.add_column("journal")
            for heading in ("entries", "heads", "not anchored"):
                table.add_column(heading, justify="right")
            table.add_column("verdict")
            for report in reports:
                verdict = f"[bold red]{len(report.problems)} problems[/]" if report.problems else "[green]holds[/]"
                counts = (str(report.entries), str(report.heads), str(report.not_anchored))
                table.add_row(escape(report.journal), *counts, verdict)
            out.print(table)
            for report in reports:
                for problem in report.problems[:SHOWN]:
                    out.print(f"[red]{escape(report.journal)}[/]: {escape(problem)}", soft_wrap=True)
                if len(report.problems) > SHOWN:
                    out.print(f"[red]{escape(report.journal)}[/]: and {len(report.problems) - SHOWN} more; see --json")
        if not holds:
            raise typer.Exit(REFUSED)


def ledger(
    state: State = None,
    postgres: Annotated[
        str,
        typer.Option(
            "--postgres", metavar="URL", help="Read the ledger that this PostgreSQL server keeps, not the mesh's."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Count the whole ledger anew from its first transfer on, and compare what is stored with it. Exits with 1 if anything differs."""
    with expected_errors():
        import sqlite3

        import psycopg

        from eil_cli.audit_ledger import recount, recount_postgres
        from eil_cli.databases import servers

        folder = state_folder(state)
        try:
            url = postgres or servers(folder).get("economy", "")
            report = recount_postgres(url) if url else recount(folder)
        except (FileNotFoundError, sqlite3.Error, psycopg.Error) as error:
            raise Failure(f"the ledger cannot be read: {error}") from None
        if as_json:
            print_json(
                {
                    "holds": report.ok,
                    "transfers": report.transfers,
                    "accounts": report.accounts,
                    "mismatches": list(report.mismatches),
                }
            )
        else:
            verdict = "[green]holds[/]" if report.ok else f"[bold red]{len(report.mismatches)} mismatches[/]"
            out.print(f"{report.transfers} transfers, {report.accounts} accounts: {verdict}")
            for mismatch in report.mismatches[:SHOWN]:
                out.print(f"[red]ledger[/]: {escape(mismatch)}", soft_wrap=True)
            if len(report.mismatches) > SHOWN:
                out.print(f"[red]ledger[/]: and {len(report.mismatches) - SHOWN} more; see --json")
        if not report.ok:
            raise typer.Exit(REFUSED)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    audit = typer.Typer(help="Check the evidence.", no_args_is_help=True)
    audit.command()(verify)
    audit.command()(ledger)
    app.add_typer(audit, name="audit", rich_help_panel="Prove")
