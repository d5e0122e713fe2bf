"""`eil agent`, `eil fleet` and `eil replay`."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eil_cli.feeds.times import clock_text
from eil_cli.terminal import REFUSED, AsJson, Failure, State, err, expected_errors, pairs, print_json, state_folder
from eil_cli.tokens import duration_s

if TYPE_CHECKING:
    from eil_cli.feeds.outbox import Tally
    from eil_cli.feeds.replay import Replayed, Replayer

PANEL = "Feed"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=PANEL)(agent)
    app.command(rich_help_panel=PANEL)(fleet)
    app.command(rich_help_panel=PANEL)(replay)


def agent(
    source: Annotated[str | None, typer.Option(help="Name of the source.", show_default="host-<hostname>")] = None,
    period: Annotated[str, typer.Option(help="Time between samples: 2s, 0.5s, 1m.")] = "2s",
    tenant: Annotated[str, typer.Option(help="Tenant that the source belongs to.")] = "default",
    state: State = None,
) -> None:
    """Send this machine's own telemetry: load, temperature and power, with how the power is known."""
    from eil_agent import HostReader

    from eil_cli.feeds.contact import Contact
    from eil_cli.feeds.declare import source_path
    from eil_cli.feeds.host import HostFeed, declaration, host_source
    from eil_cli.feeds.outbox import Outbox
    from eil_cli.feeds.signals import sigterm_as_interrupt

    with expected_errors():
        period_s, folder, name = duration_s(period), state_folder(state), source or host_source()
        subject = f"agent:{name}"
        reader = HostReader()
        reading = reader.read()
        _declare(folder, tenant, {source_path(name): declaration(reading, subject)})
        outbox = Outbox(Contact.of(folder, subject=subject, roles=("agent",), tenant=tenant), name, say)
        feed = HostFeed(reader, outbox, say)
        say(
            f"{name} ({tenant}): power {reading.method.lower()}, scope {reading.scope}, "
            f"±{reading.relative_uncertainty:.0%}, every {period_s:g} s"
        )
        due_s = time.monotonic() + period_s
        try:
            with sigterm_as_interrupt():
                while True:
                    time.sleep(max(0.0, due_s - time.monotonic()))
                    feed.tick(time.time())
                    due_s = max(due_s + period_s, time.monotonic())
        except KeyboardInterrupt:
            say(_tally_text(outbox.tally))


def fleet(
    source: Annotated[str, typer.Option(help="Name of the source.")] = "datacenter-01",
    tenant: Annotated[str, typer.Option(help="Tenant; only in `demo` do simulated sources mint.")] = "demo",
    horizon: Annotated[float, typer.Option(min=1.0, max=3600.0, help="Seconds of a committed window.")] = 15.0,
    period: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds between samples.")] = 1.0,
    count: Annotated[
        int, typer.Option(min=0, help="Stop after so many proofs; exit 1 if none was valid.", show_default="go on")
    ] = 0,
    state: State = None,
) -> None:
    """Run a simulated fleet of 12 servers that obeys the mesh: sense, act, measure, prove, again."""
    from eil_twin import Fleet

    from eil_cli.feeds.contact import Contact
    from eil_cli.feeds.declare import mode_path, source_path
    from eil_cli.feeds.fleet import FleetFeed, FleetPlan
    from eil_cli.feeds.outbox import Outbox
    from eil_cli.feeds.signals import sigterm_as_interrupt

    with expected_errors():
        folder = state_folder(state)
        _declare(folder, tenant, {source_path(source): {"kind": "simulated"}, mode_path(source): {"mode": "auto"}})
        contact = Contact.of(folder, subject=f"fleet:{source}", roles=("agent",), tenant=tenant)
        start_s, outbox = float(math.ceil(time.time())), Outbox(contact, source, say)
        plan, plant = FleetPlan(source, horizon, period, count), Fleet(start_s=start_s)
        feed = FleetFeed(plant, contact, outbox, plan, start_s=start_s, say=say)
        say(
            f"{source} ({tenant}): {plant.servers} simulated servers, a sample every {period:g} s, first act in {horizon:g} s"
        )
        try:
            with sigterm_as_interrupt():
                while not feed.done:
                    time.sleep(max(0.0, feed.next_sample_s - time.time()))
                    feed.tick(time.time())
        except KeyboardInterrupt:
            count = 0
        record = feed.record
        say(
            f"{record.acts} acts, {record.proofs} proofs, {record.valid} valid, {record.pft:g} PFT; "
            f"{_tally_text(outbox.tally)}"
        )
        if count and not record.valid:
            raise typer.Exit(REFUSED)


def replay(
    files: Annotated[list[Path], typer.Argument(help="CSV files with a header line.", metavar="FILE.csv…")],
    source: Annotated[
        str | None, typer.Option(help="Name of the source, for a single file.", show_default="replay/<stem>-<digest>")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Rows a second.", show_default="as fast as taken")
    ] = None,
    keep_time: Annotated[bool, typer.Option("--keep-time", help="Never move a recording in time.")] = False,
    rename: Annotated[list[str] | None, typer.Option("--map", help="COLUMN=CHANNEL, e.g. value=cpu_usage.")] = None,
    tenant: Annotated[str, typer.Option(help="Tenant that the sources belong to.")] = "default",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Send recordings and show the regime shifts that the mesh finds in them."""
    from eil_cli.feeds.contact import Contact
    from eil_cli.feeds.replay import Moves, Replayer, ReplayOptions
    from eil_cli.feeds.report import printer, replay_report

    with expected_errors():
        if source and len(files) > 1:
            raise Failure("one name cannot stand for several recordings: leave --source out, or give one file")
        folder = state_folder(state)
        options = ReplayOptions(source, rate, keep_time, pairs(rename or [], what="a renaming"))
        contact = Contact.of(folder, subject="replay", roles=("agent",), tenant=tenant)
        results, failures = _replay_all(files, Replayer(contact, Moves(folder, tenant), options))
        if as_json:
            print_json({"replayed": [asdict(result) for result in results], "failed": failures})
        elif results:
            printer().print(replay_report(results))
        if failures:
            raise Failure("\n".join(f"{file} was not replayed: {why}" for file, why in failures.items()))


def _replay_all(files: list[Path], replayer: "Replayer") -> tuple[list["Replayed"], dict[str, str]]:
    """Results, and why the other files were not replayed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from eil_cli.door import NOT_REACHED, DoorError

    results: list[Replayed] = []
    failures: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:
        for path in files:
            task = bars.add_task(path.name, total=None)
            try:
                results.append(
                    replayer.replay(path, lambda done, total, task=task: bars.update(task, completed=done, total=total))
                )
            except (OSError, ValueError) as error:
                failures[str(path)] = str(error)
            except DoorError as error:
                if error.status == NOT_REACHED:
                    raise
                failures[str(path)] = f"{error.reason}: {error.message}"
    return results, failures


def say(line: str) -> None:
    """A line with the time of day."""
    typer.echo(f"{clock_text(time.time())}  {line}")


def _declare(state: Path, tenant: str, bodies: Mapping[str, Mapping[str, object]]) -> None:
    """Declares a source under an operator's token: the one that sends samples may not."""
    from eil_cli.feeds.contact import Contact
    from eil_cli.feeds.declare import put_until_taken

    operator = Contact.of(state, subject="operator:feeds", roles=("operator",), tenant=tenant)
    try:
        for path, body in bodies.items():
            put_until_taken(operator, path, body, sleep=time.sleep, say=say)
    finally:
        operator.close()


def _tally_text(tally: "Tally") -> str:
    return (
        f"{tally.sent:,} samples sent, {tally.refused} refused, {tally.dropped} dropped, "
        f"{tally.failed_posts} posts failed and were tried again"
    )
