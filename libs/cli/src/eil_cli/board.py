"""`pids.json`: what the supervisor runs, written by it alone and read by `eil status`, `eil down` and the next `eil up`."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from eil_cli.files import write_private

FILE = "pids.json"
LOCK = "supervisor.lock"
POLL_S = 0.05


class AlreadyRunning(Exception):
    """Another supervisor holds this state folder."""


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """One process as the supervisor last saw it."""

    pid: int | None
    """None while it waits to be started."""
    command: tuple[str, ...]
    started_s: float
    """Start of the present process [s since 1970]."""
    restarts: int
    healthy: bool
    healthy_after_s: float | None
    """From start to the first healthy answer [s]."""
    last_exit: int | None


@dataclass(frozen=True, slots=True)
class Board:
    """The supervisor and its children."""

    pid: int
    """The supervisor."""
    command: tuple[str, ...]
    phase: str
    """starting, ready or stopping."""
    started_s: float
    children: dict[str, ChildRecord] = field(default_factory=dict)

    @classmethod
    def load(cls, state: Path) -> "Board | None":
        """The board of a state folder; None if there is none, or none that can be read."""
        try:
            given = json.loads((state / FILE).read_text())
            children = {
                name: ChildRecord(**{**record, "command": tuple(record["command"])})
                for name, record in given["children"].items()
            }
            return cls(**{**given, "command": tuple(given["command"]), "children": children})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def save(self, state: Path) -> None:
        """Write the board at once and whole."""
        write_private(state / FILE, json.dumps(asdict(self), indent=2) + "\n")

    def alive(self) -> bool:
        """Whether this very supervisor still runs (a process id alone may have been given away since)."""
        return _matches(self.pid, self.command)


def running(state: Path) -> Board | None:
    """The board of the supervisor that runs on a state folder, if one does."""
    board = Board.load(state)
    return board if board and board.alive() else None


@contextmanager
def sole_supervisor(state: Path) -> Iterator[None]:
    """Hold the state folder: the kernel lets go of it when this process ends, however it ends.

    Raises:
        AlreadyRunning: another process holds it.
    """
    handle = os.open(state / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"the mesh of {state} runs already; see `eil status`, stop it with `eil down`"
            ) from None
        yield
    finally:
        os.close(handle)


def end_stale(state: Path, patience_s: float = 6.0) -> list[str]:
    """End what a supervisor that was killed has left behind; returns the names of what was ended.

    A recorded process is ended only if its command line and working directory are still those that were recorded.
    """
    board = Board.load(state)
    stale = {} if board is None else dict(_left_behind(state, board.children.items()))
    for process in stale:
        _signal(process, kill=False)
    stubborn = wait_gone(stale, patience_s)
    for process in stubborn:
        _signal(process, kill=True)
    wait_gone(stubborn, patience_s)
    return sorted(stale.values())


def wait_gone(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait for processes that need not be children of this one; returns those that still run.

    A zombie is gone: where nobody reaps orphans, as in many containers, it would otherwise be waited for in vain.
    """
    deadline, left = time.monotonic() + timeout_s, list(processes)
    while (left := [process for process in left if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _left_behind(state: Path, children: Iterable[tuple[str, ChildRecord]]) -> Iterator[tuple[psutil.Process, str]]:
    for name, record in children:
        if record.pid is None or not _matches(record.pid, record.command):
            continue
        try:
            process = psutil.Process(record.pid)
            if Path(process.cwd()) == state.resolve():
                yield process, name
        except psutil.Error:
            continue  # it ended just now, or is somebody else's: nothing of ours to end


def _matches(pid: int, command: tuple[str, ...]) -> bool:
    """Whether a process runs a command. Its first word may differ: a script's interpreter comes before it, the tether before both."""
    try:
        process = psutil.Process(pid)
        if not _runs(process):
            return False
        given = tuple(process.cmdline())
    except psutil.Error:
        return False
    rest = command[1:]
    return given[-len(rest) :] == rest if rest else given == command


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return  # it ended by itself
