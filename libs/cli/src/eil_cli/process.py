"""One supervised process: started, watched, started again with back-off when it dies, stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from eil_cli import tether

LOG_BYTES = 8 * 1024 * 1024
"""A log longer than this is set aside as NAME.log.1 when its process starts."""
PROBE_EVERY_S = 0.1
PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run and how to tell that it serves."""

    name: str
    command: tuple[str, ...]
    probe: Callable[[], Awaitable[bool]]
    """Answers whether it serves; must not raise."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables added to this process's own."""
    after_others: bool = False
    """Start it only when every other process has been healthy once."""
    before_start: Callable[[], None] = lambda: None
    """Called before each start, e.g. to let go of a port held for it."""


class Backoff:
    """How long to wait before the next start: doubling from `first_s` to `most_s`; a life of `reset_s` begins anew."""

    def __init__(self, first_s: float = 0.2, most_s: float = 10.0, reset_s: float = 30.0) -> None:
        self.first_s, self.most_s, self.reset_s = first_s, most_s, reset_s
        self._next_s = first_s

    def wait_s(self, lived_s: float) -> float:
        """Wait after a process that lived `lived_s`."""
        wait_s = self.first_s if lived_s >= self.reset_s else self._next_s
        self._next_s = min(2.0 * wait_s, self.most_s)
        return wait_s


class Child:
    """A process kept alive. Run `keep()` as a task; `stop()` ends process and task.

    Args:
        spec: what to run.
        state: its working directory; logs go to `state/logs/NAME.log`.
        backoff: waits between restarts.
        say: told in a sentence what happened.
        changed: called after every change of the public fields.
    """

    def __init__(
        self,
        spec: Spec,
        state: Path,
        backoff: Backoff,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.started_s = 0.0
        """Time of day at which the present process was started [s since 1970]."""
        self.restarts = 0
        self.healthy = False
        self.healthy_after_s: float | None = None
        """From start to the first healthy answer of the present process [s]."""
        self.last_exit: int | None = None
        """Exit code of the process before; negative is the signal that ended it."""
        self.once_healthy = asyncio.Event()
        self.log = state / "logs" / f"{spec.name}.log"
        self._state, self._backoff, self._say, self._changed = state, backoff, say, changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Start the process and start it again whenever it ends, until stopped."""
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live()
            if self._stopping.is_set():
                break
            lived_s = time.monotonic() - began
            wait_s = self._backoff.wait_s(lived_s)
            self._say(
                f"{self.spec.name} {ending(code)} after {lived_s:.1f} s; starting it again in {wait_s:.1f} s; "
                f"see {self.log}"
            )
            self.restarts += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def stop(self, patience_s: float, hurry: asyncio.Event) -> None:
        """SIGTERM, then SIGKILL to its process group after `patience_s` or once `hurry` is set."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):  # it ended just now by itself
            process.terminate()
        ended, hurried = asyncio.ensure_future(process.wait()), asyncio.ensure_future(hurry.wait())
        await asyncio.wait([ended, hurried], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            self._say(f"{self.spec.name} did not stop by itself; killing it")
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await ended

    async def _live(self) -> int:
        """One life of the process; returns its exit code."""
        began = time.monotonic()
        process = self._process = await self._start()
        self.pid, self.started_s = process.pid, time.time()
        self.healthy, self.healthy_after_s = False, None
        self._changed()
        if self._stopping.is_set():  # asked for while it was being started
            with suppress(ProcessLookupError):
                process.terminate()
        ended = asyncio.create_task(process.wait())
        probing = asyncio.create_task(self._until_healthy(began))
        try:
            await asyncio.wait([ended, probing], return_when=asyncio.FIRST_COMPLETED)
            if probing.done():
                probing.result()
            code = await ended
        finally:
            probing.cancel()
        self.pid, self.healthy, self.last_exit = None, False, code
        self._changed()
        return code

    async def _start(self) -> asyncio.subprocess.Process:
        self.spec.before_start()
        log = open_log(self.log)
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                tether.__file__,
                str(os.getpid()),
                *self.spec.command,
                cwd=self._state,
                env={**os.environ, **self.spec.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is the supervisor's: it stops them in order
            )
        finally:
            os.close(log)

    async def _until_healthy(self, began: float) -> None:
        while True:
            if await self._serves():
                break
            await asyncio.sleep(PROBE_EVERY_S)
        self.healthy, self.healthy_after_s = True, time.monotonic() - began
        self.once_healthy.set()
        self._say(f"{self.spec.name} is healthy after {self.healthy_after_s:.1f} s (pid {self.pid})")
        self._changed()

    async def _serves(self) -> bool:
        try:
            return await asyncio.wait_for(self.spec.probe(), PROBE_TIMEOUT_S)
        except TimeoutError:
            return False


def open_log(path: Path) -> int:
    """File descriptor that appends to a log readable by its owner alone; a long log is set aside first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def ending(code: int) -> str:
    """How a process ended, for people."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def tail(path: Path, lines: int = 12) -> list[str]:
    """The last lines of a log; empty if there is none."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * 1024))
        return file.read().decode(errors="replace").splitlines()[-lines:]
