"""Keeps a set of processes alive in one state folder, and stops them in the reverse order."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from eil_cli.board import Board, ChildRecord
from eil_cli.process import Backoff, Child, Spec

PATIENCE_S = 8.0
"""What a process may take to stop: its grace for calls in flight and some more."""


class Supervisor:
    """Starts every process at once, then those that come after the others; writes the board at each change.

    Run it in the main thread: children end with the thread that started them.

    Args:
        state: working directory of the processes; it exists, and the caller holds it (`sole_supervisor`).
        specs: what to run, in starting order.
        say: told in a sentence what happened.
        backoff: makes the waits between restarts, one for each process.
        patience_s: what a process may take to stop before it is killed.
    """

    def __init__(
        self,
        state: Path,
        specs: Sequence[Spec],
        say: Callable[[str], None],
        *,
        backoff: Callable[[], Backoff] = Backoff,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._state, self._say, self._patience_s = state, say, patience_s
        self._children = [Child(spec, state, backoff(), say, self._write) for spec in specs]
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        own = psutil.Process()
        self._pid, self._command = own.pid, tuple(own.cmdline())
        self._phase, self._started_s = "starting", time.time()

    def stop(self) -> None:
        """Ask for the end; asked again, it kills what has not stopped yet."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Run until `stop()`; `ready` is called once, when every process is healthy for the first time.

        Raises:
            Exception: what `ready` raised, or an unexpected failure of the supervision itself; every process is stopped before.
        """
        self._write()
        keeping: list[asyncio.Task[None]] = []
        starting = asyncio.create_task(self._start(keeping, ready))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await asyncio.wait([stopping, *keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            starting.cancel()
            stopping.cancel()
            await self._end()
            ends = await asyncio.gather(*keeping, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _start(self, keeping: list[asyncio.Task[None]], ready: Callable[[], None]) -> None:
        for late in (False, True):
            now = [child for child in self._children if child.spec.after_others is late]
            keeping.extend(asyncio.create_task(child.keep()) for child in now)
            await self._all_healthy(now, keeping)
        ready()
        self._phase = "ready"
        self._write()

    async def _all_healthy(self, children: Sequence[Child], keeping: Sequence[asyncio.Task[None]]) -> None:
        """Wait for health; if the supervision of a process fails meanwhile, that failure ends the wait."""

        async def once_healthy() -> None:
            for child in children:
                await child.once_healthy.wait()

        healthy = asyncio.create_task(once_healthy())
        try:
            await asyncio.wait([healthy, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in keeping:
                if task.done():
                    task.result()
        finally:
            healthy.cancel()

    async def _end(self) -> None:
        self._phase = "stopping"
        self._write()
        for child in reversed(self._children):
            await child.stop(self._patience_s, self._hurry)

    def _write(self) -> None:
        records = {
            child.spec.name: ChildRecord(
                pid=child.pid,
                command=child.spec.command,
                started_s=child.started_s,
                restarts=child.restarts,
                healthy=child.healthy,
                healthy_after_s=child.healthy_after_s,
                last_exit=child.last_exit,
            )
            for child in self._children
        }
        board = Board(self._pid, self._command, self._phase, self._started_s, records)
        try:
            board.save(self._state)
        except OSError as error:  # a full disk must not end what runs; the next change writes all of it
            self._say(
                f"{self._state} cannot be written ({error.strerror}): `eil status` does not show the newest changes"
            )
