"""A mesh to measure: one that runs, or one started for it in a folder of its own; and what its processes hold."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from eil_cli.board import running
from eil_cli.process import tail
from eil_cli.terminal import NOT_RUNNING, Failure
from eil_cli.watch import EIL


@dataclass(frozen=True)
class MeasuredMesh:
    """A running mesh."""

    state: Path
    ready_s: float | None
    """From the command to a mesh whose every part is healthy [s]; None if it ran already."""

    def resident_bytes(self) -> int:
        """Memory of all its processes: the supervisor and everything under it. Pages that processes share count once (PSS) where the
        system tells, otherwise in each (RSS).

        Raises:
            Failure: it does not run any more.
        """
        board = running(self.state)
        if board is None:
            raise Failure(
                f"the mesh of {self.state} ended while it was measured; see {self.state / 'logs'}", NOT_RUNNING
            )
        supervisor = psutil.Process(board.pid)
        return sum(_resident_bytes(process) for process in (supervisor, *supervisor.children(recursive=True)))


def _resident_bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return getattr(full, "pss", 0) or full.rss
    except psutil.AccessDenied:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def measured_mesh(state: Path | None) -> Iterator[MeasuredMesh]:
    """The running mesh of a state folder; without a folder, one that is started, and stopped and removed at the end.

    Raises:
        Failure: none runs there, or it did not start.
    """
    if state is not None:
        if running(state) is None:
            raise Failure(
                f"no mesh runs from {state}; start one, or leave --state out to have one started", NOT_RUNNING
            )
        yield MeasuredMesh(state, None)
        return
    folder = Path(tempfile.mkdtemp(prefix="eil-bench-"))
    try:
        began_s = time.monotonic()
        up = subprocess.run(
            [*EIL, "up", "--detach", "--state", str(folder)], capture_output=True, text=True, check=False
        )
        if up.returncode != 0:
            raise Failure("\n".join(["the mesh did not start:", up.stderr, *tail(folder / "logs" / "supervisor.log")]))
        yield MeasuredMesh(folder, time.monotonic() - began_s)
    finally:
        subprocess.run([*EIL, "down", "--state", str(folder)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Meshes started meanwhile have these variables."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
