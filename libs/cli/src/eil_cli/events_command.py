"""`eil events lag`, `eil events dead` and `eil events replay`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.terminal import REFUSED, AsJson, Failure, State, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil.events.v1 import event_log_pb2

SHOWN = 100
EVERYTHING = 2**31
Tenant = Annotated[
    str, typer.Option("--tenant", metavar="TENANT", help="This tenant's letters alone.", show_default="everybody's")
]


def lag(state: State = None, as_json: AsJson = False) -> None:
    """How far each service has followed the others, and how old the oldest event is that it has not handled.

    Exits with 1 if a follower cannot say, or has dead letters.
    """
    with expected_errors():
        from eil_cli.events import ask

        found = ask(state_folder(state), "", lambda _, log: log.followed())
        rows = [_followed(name, row) for name, answer in found.items() for row in answer]
        if as_json:
            print_json({"followers": rows})
        else:
            table = Table(box=None, padding=(0, 2, 0, 0))
            for heading, justify in (
                ("follower", "left"),
                ("follows", "left"),
                ("head", "right"),
                ("position", "right"),
            ):
                table.add_column(heading, justify=justify)  # type: ignore[arg-type]
            for heading in ("lag", "oldest", "dead letters"):
                table.add_column(heading, justify="right")
            table.add_column("")
            for row in rows:
                age = "–" if row["oldest_s"] is None else f"{row['oldest_s']:.1f} s"
                figures = [str(row[name]) for name in ("head", "position", "lag")]
                last = f"[red]{escape(row['problem'])}[/]" if row["problem"] else ""
                table.add_row(row["follower"], row["follows"], *figures, age, str(row["dead_letters"]), last)
            out.print(table)
        if any(row["problem"] or row["dead_letters"] for row in rows):
            raise typer.Exit(REFUSED)


def dead(
    state: State = None,
    tenant: Tenant = "",
    limit: Annotated[int, typer.Option(min=1, help="Letters of a service that are shown at most.")] = SHOWN,
    as_json: AsJson = False,
) -> None:
    """Events that services could not handle and put aside, the newest first. ID names one: `eil events replay ID`."""
    with expected_errors():
        from eil_cli.events import ask

        found = ask(state_folder(state), tenant, lambda _, log: log.dead(limit))
        rows = [_letter(name, stored) for name, letters in found.items() for stored in letters]
        if as_json:
            print_json({"dead_letters": rows})
            return
        if not rows:
            out.print("no dead letters")
            return
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("id", "put aside", "topic", "tenant", "key", "reason"):
            table.add_column(heading)
        for row in rows:
            cells = (row["id"], row["put_aside"], row["topic"], row["tenant"], row["key"], row["reason"])
            table.add_row(*map(escape, cells))
        out.print(table)


def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…", help="As `eil events dead` shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, the oldest first.")] = False,
    state: State = None,
    tenant: Tenant = "",
    as_json: AsJson = False,
) -> None:
    """Have events that were put aside handled anew. One that was replayed before is not handled again.

    Exits with 1 if one fails again; it stays where it is.
    """
    with expected_errors():
        from eil_cli.events import ask

        if bool(ids) == everything:
            raise Failure("name the letters to handle anew, or --all of them", exit_code=2)
        wanted = _by_service(ids or [])

        async def again(name: str, log: Any) -> "event_log_pb2.ReplayDeadLettersResponse":
            mine = [stored.id for stored in await log.dead(EVERYTHING)] if everything else wanted.pop(name, [])
            return await log.replay(sorted(mine))

        found = ask(state_folder(state), tenant, again)
        for name, left in wanted.items():
            raise Failure(f"{name} does not run here: {name}:{left[0]} was not replayed")
        replayed = [f"{name}:{number}" for name, answer in found.items() for number in answer.replayed]
        failed = {f"{name}:{row.id}": row.reason for name, answer in found.items() for row in answer.failed}
        if as_json:
            print_json({"replayed": replayed, "failed": failed})
        else:
            out.print(f"{len(replayed)} replayed, {len(failed)} failed again")
            for name, reason in failed.items():
                out.print(f"[red]{escape(name)}[/]: {escape(reason)}", soft_wrap=True)
        if failed:
            raise typer.Exit(REFUSED)


def _by_service(ids: list[str]) -> dict[str, list[int]]:
    """`service:number` arguments by service.

    Raises:
        Failure: one is not of this form.
    """
    found: dict[str, list[int]] = {}
    for text in ids:
        service, _, number = text.partition(":")
        if not service or not number.isdecimal():
            raise Failure(f"{text!r} is no id of a dead letter: write SERVICE:NUMBER, as `eil events dead` does", 2)
        found.setdefault(service, []).append(int(number))
    return found


def _followed(name: str, row: "event_log_pb2.Followed") -> dict[str, Any]:
    import time

    oldest_s = max(time.time() - row.oldest.ToMicroseconds() / 1e6, 0.0) if row.HasField("oldest") else None
    return {
        "follower": name,
        "follows": row.service,
        "head": row.head,
        "position": row.position,
        "lag": row.entries,
        "oldest_s": oldest_s,
        "dead_letters": row.dead_letters,
        "problem": row.problem,
    }


def _letter(name: str, stored: "event_log_pb2.StoredDeadLetter") -> dict[str, Any]:
    from eil_mesh.clock import iso, to_us

    letter = stored.letter
    return {
        "id": f"{name}:{stored.id}",
        "put_aside": iso(to_us(stored.time)),
        "service": letter.service,
        "topic": letter.topic,
        "offset": letter.offset,
        "tenant": letter.tenant,
        "key": letter.key,
        "bytes": len(letter.payload),
        "reason": letter.reason,
    }


def register(app: typer.Typer) -> None:
    """Add the command group."""
    events = typer.Typer(help="What services hear of each other, and what they could not handle.", no_args_is_help=True)
    events.command()(lag)
    events.command()(dead)
    events.command()(replay)
    app.add_typer(events, name="events", rich_help_panel="Run")
