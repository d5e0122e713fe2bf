"""The calls that a process serves at the moment, and their end when another process takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UnderWay:
    """Each call is noted by its own task, in which gRPC serves it."""

    def __init__(self) -> None:
        self._calls, self._endless = set[asyncio.Task[Any]](), set[asyncio.Task[Any]]()
        self.cut = False
        """Whether calls that are cancelled were so by `end`: their clients are told to try again."""

    def note(self) -> None:
        """The current task serves a call, until it is done."""
        self._calls.add(task := _task())
        task.add_done_callback(self._calls.discard)

    @contextmanager
    def endless(self) -> Iterator[None]:
        """The current task's call ends when its client likes: nobody waits for it."""
        self._endless.add(_task())
        try:
            yield
        finally:
            self._endless.discard(_task())

    async def end(self, grace_s: float) -> None:
        """Wait for the calls, `grace_s` at most [s]. What is left then, and endless ones at once, are cancelled."""
        self.cut = True
        for task in self._endless:
            task.cancel()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "gRPC serves each call in a task of its own"
    return task
