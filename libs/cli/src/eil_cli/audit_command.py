"""`eil audit verify`, `log`, `export` and `ledger`."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.terminal import REFUSED, AsJson, Failure, State, expected_errors, out, print_json, state_folder

T = TypeVar("T")
SHOWN = 20
"""Problems of one journal that are printed; --json has them all."""


def verify(
    state: State = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Verify this export, not a state folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk every journal offline and compare it with the signed heads in the Atlas. Exits with 1 if anything does not hold.

    It finds every entry that was changed, removed, moved or put in between. Entries younger than the newest head are counted as not
    anchored: they are chained, but whoever holds the file could still rewrite them.
    """
    with expected_errors():
        from eil_cli.audit import verify_state
        from eil_cli.audit_log import NotAnExport, unpack

        try:
            with TemporaryDirectory() as folder:
                if export is not None:
                    unpack(export, Path(folder))
                reports = verify_state(state_folder(state) if export is None else Path(folder))
        except (OSError, NotAnExport) as error:
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


def log(
    subject: Annotated[str, typer.Option(help="Only what this token subject, or service, asked for.")] = "",
    tenant: Annotated[str, typer.Option(help="Only this tenant's; left out, everybody's.")] = "",
    last: Annotated[int, typer.Option("--last", "-n", min=1, help="The newest so many.")] = 50,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Who asked for what: decisions, proofs, mints and whatever was configured, from the journals of all services, oldest first.

    A record stands in the journal beside the entries that it is about (`entries`), in one hash chain with them: see `eil audit verify`.
    """
    with expected_errors():
        from eil_mesh.clock import iso

        found = _read(lambda folder, read: read.records(folder, tenant=tenant, subject=subject), state)[-last:]
        rows = [
            {
                "time": iso(one.time_us),
                "tenant": one.tenant,
                "subject": one.record.subject,
                "roles": list(one.record.roles),
                "through": one.record.service,
                "method": one.record.method,
                "request_id": one.record.request_id,
                "journal": one.journal,
                "offset": one.offset,
                "entries": list(one.record.offsets),
                "baggage": dict(one.record.baggage),
            }
            for one in found
        ]
        if as_json:
            print_json(rows)
            return
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("time", "tenant", "subject", "through", "method", "request", "entries"):
            table.add_column(heading)
        for row in rows:
            method, entries = row["method"].rpartition(".")[2], ", ".join(map(str, row["entries"]))
            cells = (row["time"], row["tenant"], row["subject"], row["through"], method, row["request_id"])
            table.add_row(*map(escape, cells), f"{row['journal']} {entries}".strip())
        out.print(table if rows else "nothing was recorded")


def export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; packed if it ends in .gz.")],
    state: State = None,
) -> None:
    """Write every journal with its signed heads into one file, which others can check with `eil audit verify --export FILE`.

    Payloads of decisions, proofs, ledger entries and audit records are in it; of telemetry the salted digest alone.
    """
    with expected_errors():
        count = _read(lambda folder, write: write.export(folder, path), state)
        out.print(
            f"{count} entries in {escape(str(path))}; check it with [bold]eil audit verify --export {escape(str(path))}[/]"
        )


def _read(work: Callable[[Path, Any], T], state: Path | None) -> T:
    """Work on a state folder with the module `audit_log`.

    Raises:
        Failure: the folder, or a service's state, cannot be read.
    """
    import sqlite3

    import psycopg

    from eil_cli import audit_log

    try:
        return work(state_folder(state), audit_log)
    except (OSError, sqlite3.Error, psycopg.Error) as error:
        raise Failure(f"{error}") from None


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
    audit.command()(log)
    audit.command()(export)
    audit.command()(ledger)
    app.add_typer(audit, name="audit", rich_help_panel="Prove")
