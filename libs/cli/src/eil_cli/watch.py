"""`eil watch` and `eil run`: the loop, live."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eil_cli.terminal import REFUSED, AsJson, Failure, State, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil_cli.watch_state import Snapshot, Watcher

REFRESH_S = 1.0
TENANTS = ["default", "demo"]
STOP_FEED_S = 5.0
# Not `-m eil_cli.main`: the command is the entry point, whichever way it was installed.
EIL = (sys.executable, "-c", "from eil_cli.main import main; main()")

Show = Callable[["Snapshot"], None]
UntilProven = Annotated[
    bool, typer.Option("--until-proven", help="Exit with 0 once an action was proven valid, with 1 at the timeout.")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.0, help="Stop after so many seconds.", show_default="never")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Run")(run)
    app.command(rich_help_panel="Close the loop")(watch)


def watch(
    once: Annotated[bool, typer.Option("--once", help="Show the present state and end.")] = False,
    until_proven: UntilProven = False,
    timeout: Timeout = None,
    tenant: Annotated[list[str], typer.Option(help="Tenant to look at; may be repeated.")] = TENANTS,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Look at sources, actions, proofs and balances. Where the output is no terminal: one line for each event."""
    with expected_errors():
        folder = state_folder(state)
        watcher = _watcher(folder, tenant)
        if once:
            _show_once(watcher.collect(), folder, as_json)
            return
        with _display(folder, as_json, lambda: "Ctrl-C stops watching") as show:
            proven = follow(watcher, show, until_proven=until_proven, timeout_s=timeout)
        if until_proven and not proven:
            raise typer.Exit(REFUSED)


def run(
    until_proven: UntilProven = False,
    timeout: Timeout = None,
    state: State = None,
) -> None:
    """Show the whole loop on this machine: the mesh, this machine's telemetry, a simulated fleet, and a live view.

    A mesh that it started it stops again at the end; one that ran already goes on.
    """
    from eil_cli.board import running
    from eil_cli.feeds.signals import sigterm_as_interrupt

    with expected_errors():
        folder = state_folder(state)
        began_s = time.time()
        with sigterm_as_interrupt(), _mesh(folder, keep=running(folder) is not None), _feeds(folder) as feeds:
            watcher = _watcher(folder, TENANTS)
            footer = f"logs in {folder / 'logs'}   Ctrl-C stops"
            with _display(folder, False, lambda: f"{feeds.state()}   {footer}") as show:
                proven = follow(watcher, show, until_proven=until_proven, timeout_s=timeout, since_s=began_s)
        if until_proven and not proven:
            raise Failure("no action was proven valid in time; see the logs of decision and proof, and `eil status`")


def follow(
    watcher: "Watcher",
    show: Show,
    *,
    until_proven: bool = False,
    timeout_s: float | None = None,
    since_s: float = 0.0,
    clock_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Shows one snapshot a second until the timeout, Ctrl-C or, with `until_proven`, the first proof.

    Args:
        watcher: collects snapshots.
        show: shows each.
        until_proven: end with the first valid proof of an action committed at `since_s` (Unix time) or later.
        timeout_s: longest time [s].
        since_s: see `until_proven`.
        clock_s: a monotonic clock.
        sleep: waits.

    Returns:
        Whether it ended with a proof.
    """
    began_s = clock_s()
    try:
        while True:
            due_s = clock_s() + REFRESH_S
            snapshot = watcher.collect()
            show(snapshot)
            proven = snapshot.proven
            if until_proven and proven and proven.committed_s >= since_s:
                return True
            if timeout_s is not None and clock_s() - began_s >= timeout_s:
                return False
            sleep(max(0.0, due_s - clock_s()))
    except KeyboardInterrupt:
        return False


class Feeds:
    """`eil agent` and `eil fleet` as processes that end with this one. Start them from the main thread.

    Args:
        state: state folder of the mesh; their logs go to `state/logs`.
    """

    NAMES = ("agent", "fleet")

    def __init__(self, state: Path) -> None:
        self._processes = {name: _start_feed(state, name) for name in self.NAMES}

    def state(self) -> str:
        """Which run, and how the others ended."""
        from eil_cli.process import ending

        codes = {name: process.poll() for name, process in self._processes.items()}
        return ", ".join(f"{name} {'runs' if code is None else ending(code)}" for name, code in codes.items())

    def stop(self) -> None:
        """End them: SIGTERM, then SIGKILL."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_FEED_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start_feed(state: Path, name: str) -> subprocess.Popen[bytes]:
    from eil_cli import tether
    from eil_cli.process import open_log

    tied = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()))
    log = open_log(state / "logs" / f"{name}.log")
    try:
        return subprocess.Popen(
            [*tied, *EIL, name, "--state", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # the terminal's Ctrl-C is this process's: it stops them
        )
    finally:
        os.close(log)


@contextmanager
def _feeds(state: Path) -> Iterator[Feeds]:
    feeds = Feeds(state)
    try:
        yield feeds
    finally:
        feeds.stop()


@contextmanager
def _mesh(state: Path, *, keep: bool) -> Iterator[None]:
    """The mesh of a state folder; it is started, and stopped at the end, unless it is to be kept as it runs."""
    if keep:
        yield
        return
    try:
        started = _eil("up", "--detach", "--state", str(state)) == 0
    except KeyboardInterrupt:
        _eil("down", "--state", str(state))
        raise
    if not started:
        raise Failure("the mesh did not start, so there is nothing to show; the reason stands above")
    try:
        yield
    finally:
        _eil("down", "--state", str(state))


def _eil(*arguments: str) -> int:
    """Exit code of an `eil` command; a Ctrl-C meant for this process does not reach it, so that it ends its work."""
    return subprocess.run([*EIL, *arguments], start_new_session=True, check=False).returncode


def _watcher(state: Path, tenants: Sequence[str]) -> "Watcher":
    from eil_cli.endpoint import Endpoint
    from eil_cli.feeds.contact import Contact
    from eil_cli.watch_state import Watcher

    callers = {
        tenant: Contact.of(state, subject="watch", roles=("viewer",), tenant=tenant)
        for tenant in dict.fromkeys(tenants)
    }
    return Watcher(Endpoint.load(state).url, callers)


@contextmanager
def _display(state: Path, as_json: bool, footer: Callable[[], str]) -> Iterator[Show]:
    """What shows snapshots: JSON lines, a live screen, or event lines where the output is no terminal."""
    if as_json:
        yield lambda snapshot: typer.echo(_json_line(snapshot))
    elif out.is_terminal:
        with _live_screen(state, footer) as show:
            yield show
    else:
        yield _event_lines()


@contextmanager
def _live_screen(state: Path, footer: Callable[[], str]) -> Iterator[Show]:
    from rich.live import Live

    from eil_cli.watch_screen import screen

    shown = []
    with Live(console=out, screen=True, auto_refresh=False) as live:

        def show(snapshot: "Snapshot") -> None:
            shown[:] = [screen(snapshot, width=out.width, token_command=_token_command(state), footer=footer())]
            live.update(shown[0], refresh=True)

        yield show
    if shown:  # what was seen last stays to be read
        out.print(shown[0])


def _event_lines() -> Show:
    from eil_cli.feeds.times import clock_text
    from eil_cli.watch_screen import events

    last: list[Snapshot] = []

    def show(snapshot: "Snapshot") -> None:
        for line in events(last[0] if last else None, snapshot):
            typer.echo(f"{clock_text(snapshot.time_s)}  {line}")
        last[:] = [snapshot]

    return show


def _show_once(snapshot: "Snapshot", state: Path, as_json: bool) -> None:
    from eil_cli.feeds.report import printer
    from eil_cli.watch_screen import screen

    if as_json:
        print_json(_as_json(snapshot))
        return
    console = printer()
    footer = "eil watch shows this live"
    console.print(screen(snapshot, width=console.width, token_command=_token_command(state), footer=footer))


def _as_json(snapshot: "Snapshot") -> dict[str, Any]:
    return asdict(snapshot) | {"proven": snapshot.proven is not None}


def _json_line(snapshot: "Snapshot") -> str:
    import json

    lean = replace(snapshot, sources=tuple(replace(source, trace_w=()) for source in snapshot.sources))
    return json.dumps(_as_json(lean), ensure_ascii=False)


def _token_command(state: Path) -> str:
    from eil_cli.endpoint import default_state

    where = "" if state == default_state() else f" --state {state}"
    return f"eil token --role operator --tenant demo{where}"
