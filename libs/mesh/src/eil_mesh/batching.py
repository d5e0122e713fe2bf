"""Dynamic batching: what asks for the same kind of work while a batch is under way goes into the next one.

Nobody waits for a batch to fill: alone, a request is served at once; under load, batches grow by themselves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from eil_mesh.errors import ResourceExhausted

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Answer = TypeVar("Answer")
LARGEST = 32
"""Items in a batch at most."""
WAITING = 1024
"""Items that may wait by default; more are refused."""


class Batcher(Generic[Key, Item, Answer]):
    """Runs `work(key, items)` in one thread at a time, on items of one key each time; answers come back in order."""

    def __init__(self, work: Callable[[Key, Sequence[Item]], Sequence[Answer]], waiting: int = WAITING) -> None:
        self._work, self._most = work, waiting
        self._waiting: deque[tuple[Key, Item, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def ask(self, key: Key, item: Item) -> Answer:
        """The answer to an item.

        Raises:
            ResourceExhausted: too many wait.
            Exception: whatever `work` raised for its batch.
        """
        if len(self._waiting) >= self._most:
            raise ResourceExhausted(
                f"{self._most} requests wait already; slow down and try again", reason="QUEUE_FULL", retry_after_s=0.5
            )
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            key = self._waiting[0][0]
            batch: list[tuple[Item, asyncio.Future[Answer]]] = []
            others: deque[tuple[Key, Item, asyncio.Future[Answer]]] = deque()
            while self._waiting:
                kind, item, future = self._waiting.popleft()
                if kind == key and len(batch) < LARGEST:
                    if not future.cancelled():
                        batch.append((item, future))
                else:
                    others.append((kind, item, future))
            self._waiting = others
            if batch:
                await self._serve(key, batch)
        self._running = None

    async def _serve(self, key: Key, batch: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await asyncio.to_thread(self._work, key, [item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
