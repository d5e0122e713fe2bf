"""`eil up`, `eil down`, `eil status`."""

import asyncio
import os
import sys
import time
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.terminal import (
    NOT_RUNNING,
    REFUSED,
    AsJson,
    Failure,
    State,
    err,
    expected_errors,
    out,
    print_json,
    state_folder,
)

if TYPE_CHECKING:
    from eil_cli.board import Board, ChildRecord
    from eil_cli.endpoint import Endpoint

WAIT_S = 120.0
Postgres = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        metavar="URL",
        help="PostgreSQL server that keeps the services' state, a schema each. The state folder remembers it.",
        show_default="the one remembered, else files in the state folder",
    ),
]
CorsOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin",
        metavar="URL",
        help="Origin whose pages may call, e.g. https://portal.example; may be repeated; `none` forgets those before. "
        "The state folder remembers them.",
        show_default="those remembered, else none",
    ),
]
Otlp = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="HOST:PORT",
        help="OpenTelemetry collector that gets traces, OTLP/gRPC; https://HOST:PORT for TLS.",
        show_default="none",
    ),
]
Traced = Annotated[float, typer.Option(min=0, max=1, help="With --otlp: share of requests whose traces are recorded.")]


@dataclass(frozen=True, slots=True)
class Row:
    """One process as it is now."""

    name: str
    pid: int | None
    healthy: bool
    resident_mb: float
    """Resident memory [10⁶ byte]."""
    restarts: int
    uptime_s: float


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once everything is healthy.")] = False,
    state: State = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port of the gateway.",
            show_default="the one used before, else 8443, else a free one",
        ),
    ] = None,
    postgres: Postgres = None,
    cors_origin: CorsOrigins = None,
    otlp: Otlp = None,
    traced: Traced = 0.01,
    wait: Annotated[float, typer.Option(min=1, help="With --detach: longest wait for health [s].")] = WAIT_S,
) -> None:
    """Start the mesh: nine services and the gateway, restarted when they die.

    Without --detach it runs until Ctrl-C. A second `eil up` on the same folder exits with 3, or with 0 if it has --detach and the mesh
    is healthy.
    """
    folder = state_folder(state)
    with expected_errors():
        _refuse_second(folder, detach)
        if postgres:
            _keep_in(folder, postgres)
        if cors_origin:
            _allow(folder, cors_origin)
        if otlp:
            from eil_cli.tracing import variables

            os.environ |= variables(otlp, traced)
        if detach:
            _up_detached(folder, port, wait)
        else:
            _up_here(folder, port)


def down(state: State = None) -> None:
    """Stop the mesh, callers before callees. Exits with 0 also if it does not run."""
    from eil_cli.launch import stop

    folder = state_folder(state)
    began = time.monotonic()
    if stop(folder):
        err.print(f"stopped in {time.monotonic() - began:.1f} s")
    else:
        err.print(f"no mesh runs from {escape(str(folder))}")


def status(state: State = None, as_json: AsJson = False) -> None:
    """Show every process. Exits with 1 if one is not healthy, with 3 if the mesh does not run."""
    folder = state_folder(state)
    with expected_errors():
        from eil_cli.board import running
        from eil_cli.databases import described, servers

        board = running(folder)
        if board is None:
            if as_json:
                print_json({"running": False, "state": str(folder), "processes": [], "total": None})
                raise typer.Exit(NOT_RUNNING)
            raise Failure(f"no mesh runs from {folder}; start one with `eil up --detach`", NOT_RUNNING)
        rows = _rows(folder, board)
        total_mb = round(sum(row.resident_mb for row in rows), 1)
        kept = {name: described(url) for name, url in servers(folder).items()}
        if as_json:
            processes = [asdict(row) for row in rows]
            total = {"resident_mb": total_mb, "restarts": sum(row.restarts for row in rows)}
            print_json(
                {
                    "running": True,
                    "phase": board.phase,
                    "state": str(folder),
                    "postgres": kept,
                    "processes": processes,
                    "total": total,
                }
            )
        else:
            _print_rows(rows, total_mb)
            for server in sorted(set(kept.values())):
                names = ", ".join(name for name, own in kept.items() if own == server)
                out.print(f"state of {names} in PostgreSQL at {escape(server)}", soft_wrap=True)
        if not all(row.healthy for row in rows):
            raise typer.Exit(REFUSED)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Run")(up)
    app.command(rich_help_panel="Run")(down)
    app.command(rich_help_panel="Run")(status)


def _refuse_second(state: Path, detach: bool) -> None:
    from eil_cli.board import running

    board = running(state)
    if board is None:
        return
    if detach and all(row.healthy for row in _rows(state, board)):
        err.print(f"the mesh of {escape(str(state))} runs already and is healthy (supervisor {board.pid})")
        raise typer.Exit
    raise Failure(
        f"the mesh of {state} runs already (supervisor {board.pid}); see `eil status`, stop it with `eil down`",
        NOT_RUNNING,
    )


def _keep_in(state: Path, url: str) -> None:
    from eil_cli.databases import ServerRefused, remember
    from eil_cli.embedded import StateUnsafe, private_folder

    try:
        private_folder(state)
        remember(state, url)
    except (StateUnsafe, ServerRefused) as error:
        raise Failure(str(error)) from None


def _allow(state: Path, given: list[str]) -> None:
    from eil_cli.embedded import StateUnsafe, private_folder
    from eil_cli.origins import remember

    try:
        private_folder(state)
    except StateUnsafe as error:
        raise Failure(str(error)) from None
    remember(state, given)


def _up_here(state: Path, port: int | None) -> None:
    from eil_cli.board import AlreadyRunning
    from eil_cli.embedded import StateUnsafe, serve
    from eil_cli.ports import PortBusy

    def say(sentence: str) -> None:
        err.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {escape(sentence)}", soft_wrap=True)

    try:
        asyncio.run(serve(state, port, say, lambda endpoint: _summary(state, endpoint, "Ctrl-C")))
    except AlreadyRunning as error:
        raise Failure(str(error), NOT_RUNNING) from None
    except (StateUnsafe, PortBusy) as error:
        raise Failure(str(error)) from None
    err.print("stopped")


def _up_detached(state: Path, port: int | None, wait_s: float) -> None:
    from eil_cli.embedded import StateUnsafe, private_folder
    from eil_cli.endpoint import Endpoint
    from eil_cli.launch import StartFailed, launch

    command = [sys.executable, "-P", "-m", "eil_cli.embedded", "--state", str(state)]
    if port:
        command += ["--port", str(port)]

    def healthy(name: str, record: "ChildRecord") -> None:
        err.print(f"  [green]✓[/] {name:<10} {record.healthy_after_s or 0.0:5.1f} s   pid {record.pid}")

    began = time.monotonic()
    err.print(f"starting the mesh in {escape(str(state))}")
    try:
        private_folder(state)
        launch(state, command, wait_s, healthy)
    except StateUnsafe as error:
        raise Failure(str(error)) from None
    except StartFailed as failure:
        for path, lines in failure.logs.items():
            err.print(f"[bold]last lines of {escape(str(path))}[/]", soft_wrap=True)
            for line in lines or ["(empty)"]:
                err.print(f"  {escape(line)}", soft_wrap=True)
        raise Failure(f"the mesh did not start: {failure}; it was stopped again") from None
    err.print(f"healthy after {time.monotonic() - began:.1f} s")
    _summary(state, Endpoint.load(state), "eil down")


def _summary(state: Path, endpoint: "Endpoint", stop_with: str) -> None:
    from eil_cli.endpoint import FILE, default_state

    where = "" if state == default_state() else f" --state {state}"
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("door", f"{endpoint.url}  (gRPC {endpoint.grpc})")
    table.add_row("certificate", escape(endpoint.ca))
    table.add_row("for scripts", escape(str(state / FILE)))
    table.add_row("token", escape(f"eil token --role operator{where}"))
    table.add_row("stop", escape(stop_with if stop_with == "Ctrl-C" else f"{stop_with}{where}"))
    err.print(table)


def _rows(state: Path, board: "Board") -> list[Row]:
    healthy = asyncio.run(_probe(state, board))
    now_s = time.time()
    rows = [
        Row(
            name=name,
            pid=record.pid,
            healthy=healthy[name],
            resident_mb=_resident_mb(record.pid),
            restarts=record.restarts,
            uptime_s=round(now_s - record.started_s, 1) if record.pid else 0.0,
        )
        for name, record in board.children.items()
    ]
    supervisor = Row(
        "supervisor", board.pid, board.phase == "ready", _resident_mb(board.pid), 0, round(now_s - board.started_s, 1)
    )
    return [*rows, supervisor]


async def _probe(state: Path, board: "Board") -> dict[str, bool]:
    """Health of each process, asked now."""
    from eil_cli.embedded import PROCESSES, health_socket
    from eil_cli.endpoint import Endpoint, EndpointMissing
    from eil_cli.health import gateway_serves, service_serves

    async def ask(name: str, record: "ChildRecord") -> bool:
        if record.pid is None:
            return False
        if name in PROCESSES:
            return await service_serves(health_socket(name))
        try:
            endpoint = Endpoint.load(state)
        except EndpointMissing:
            return False
        return await gateway_serves(endpoint.url, Path(endpoint.ca), endpoint.admin_token)

    with chdir(state):
        answers = await asyncio.gather(*(ask(name, record) for name, record in board.children.items()))
    return dict(zip(board.children, answers, strict=True))


def _resident_mb(pid: int | None) -> float:
    import psutil

    if pid is None:
        return 0.0
    try:
        return round(psutil.Process(pid).memory_info().rss / 1e6, 1)
    except psutil.NoSuchProcess:
        return 0.0


def _print_rows(rows: list[Row], total_mb: float) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("process")
    table.add_column("health")
    for heading in ("pid", "resident MB", "restarts", "uptime"):
        table.add_column(heading, justify="right")
    for row in rows:
        health = "[green]healthy[/]" if row.healthy else "[bold red]not healthy[/]"
        pid = str(row.pid) if row.pid else "–"
        table.add_row(row.name, health, pid, f"{row.resident_mb:.0f}", str(row.restarts), _duration(row.uptime_s))
    table.add_section()
    table.add_row("total", "", "", f"{total_mb:.0f}", str(sum(row.restarts for row in rows)), "")
    out.print(table)


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute:02d} min" if hours else f"{minute} min {second:02d} s" if minute else f"{second} s"
