"""Starting a supervisor in a session of its own, and stopping it, from another process."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from eil_cli.board import Board, ChildRecord, end_stale, running, wait_gone
from eil_cli.process import ending, open_log, tail

POLL_S = 0.1
DEATHS_BEFORE_GIVING_UP = 3
"""Deaths of a process that never was healthy after which starting the mesh has failed."""
STOP_S = 90.0
"""What a whole mesh may take to stop before its supervisor is killed."""
KILL_S = 5.0
"""What the kernel may take to end a killed process."""


class StartFailed(Exception):
    """The mesh did not become healthy; the message says why and `logs` shows the last lines of what failed."""

    def __init__(self, message: str, logs: dict[Path, list[str]]) -> None:
        super().__init__(message)
        self.logs = logs


def launch(state: Path, command: Sequence[str], wait_s: float, healthy: Callable[[str, ChildRecord], None]) -> None:
    """Start a supervisor that outlives this process; returns when everything that it runs is healthy.

    Args:
        state: the state folder.
        command: runs the supervisor.
        wait_s: longest wait.
        healthy: told of each process that becomes healthy.

    Raises:
        StartFailed: it did not come up; nothing is left running.
    """
    log = open_log(state / "logs" / "supervisor.log")
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    finally:
        os.close(log)
    try:
        _await_ready(state, process, wait_s, healthy)
    except BaseException:  # also Ctrl-C: a start that was not finished leaves nothing behind
        _end(process)
        end_stale(state)
        raise


def stop(state: Path, wait_s: float = STOP_S) -> bool:
    """Stop the mesh of a state folder and whatever of it is left; returns whether there was anything."""
    board = running(state)
    if board is None:
        return bool(end_stale(state))
    with suppress(psutil.NoSuchProcess):
        supervisor = psutil.Process(board.pid)
        supervisor.terminate()
        for process in wait_gone([supervisor], wait_s):
            process.kill()
            wait_gone([process], KILL_S)
    end_stale(state)
    return True


def _await_ready(
    state: Path, process: subprocess.Popen[bytes], wait_s: float, healthy: Callable[[str, ChildRecord], None]
) -> None:
    deadline, told = time.monotonic() + wait_s, set[str]()
    while True:
        ended = process.poll()
        board = Board.load(state)
        children = board.children if board and board.pid == process.pid else {}
        for name, record in children.items():
            if record.healthy and name not in told:
                told.add(name)
                healthy(name, record)
        if ended is not None:
            raise StartFailed(f"the supervisor {ending(ended)}", _logs(state, ["supervisor"]))
        if board and board.pid == process.pid and board.phase == "ready":
            return
        dying = [name for name, record in children.items() if _gives_up(record) and name not in told]
        if dying:
            codes = ", ".join(f"{name} {ending(children[name].last_exit or 0)}" for name in dying)
            raise StartFailed(f"{codes}, {DEATHS_BEFORE_GIVING_UP} times in a row", _logs(state, dying))
        if time.monotonic() > deadline:
            missing = [name for name in children if name not in told] or ["supervisor"]
            raise StartFailed(f"{', '.join(missing)} did not become healthy in {wait_s:.0f} s", _logs(state, missing))
        time.sleep(POLL_S)


def _gives_up(record: ChildRecord) -> bool:
    return record.restarts >= DEATHS_BEFORE_GIVING_UP and not record.healthy


def _logs(state: Path, names: Sequence[str]) -> dict[Path, list[str]]:
    paths = (state / "logs" / f"{name}.log" for name in names)
    return {path: tail(path) for path in paths}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
