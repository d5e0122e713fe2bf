"""Dynamic batching: alike items share work, answers come back to whom they belong, and the queue is bounded."""

import asyncio
import threading

import pytest
from eil_mesh.batching import LARGEST, Batcher
from eil_mesh.errors import ResourceExhausted


class Work:
    """Doubles numbers, while `gate` is open; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, key, items):
        self.gate.wait(5)
        self.batches.append((key, list(items)))
        if key == "broken":
            raise ValueError("broken")
        return [2 * item for item in items]


async def test_what_waits_for_the_same_work_goes_together():
    work = Work()
    batcher: Batcher[str, int, int] = Batcher(work)
    work.gate.clear()
    asked = [asyncio.create_task(batcher.ask(key, item)) for item, key in enumerate("aabab")]
    await asyncio.sleep(0.05)
    work.gate.set()
    assert await asyncio.gather(*asked) == [0, 2, 4, 6, 8]
    assert work.batches == [("a", [0, 1, 3]), ("b", [2, 4])]


async def test_a_batch_has_a_limit_and_so_has_the_queue():
    work = Work()
    batcher: Batcher[str, int, int] = Batcher(work, waiting=LARGEST + 2)
    work.gate.clear()
    asked = [asyncio.create_task(batcher.ask("a", item)) for item in range(LARGEST + 2)]
    await asyncio.sleep(0.05)
    work.gate.set()
    assert await asyncio.gather(*asked) == [2 * item for item in range(LARGEST + 2)]
    assert [len(items) for _, items in work.batches] == [LARGEST, 2]
    few: Batcher[str, int, int] = Batcher(work, waiting=1)
    work.gate.clear()
    first = asyncio.create_task(few.ask("a", 1))
    await asyncio.sleep(0.05)  # it is under way
    second = asyncio.create_task(few.ask("a", 2))
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted, match="1 requests wait already"):
        await few.ask("a", 3)
    work.gate.set()
    assert await asyncio.gather(first, second) == [2, 4]


async def test_an_error_is_that_batchs_alone_and_who_left_is_left_out():
    work = Work()
    batcher: Batcher[str, int, int] = Batcher(work)
    with pytest.raises(ValueError, match="broken"):
        await batcher.ask("broken", 1)
    work.gate.clear()
    running = asyncio.create_task(batcher.ask("a", 1))
    await asyncio.sleep(0.05)
    leaves, stays = (asyncio.create_task(batcher.ask("a", item)) for item in (2, 3))
    await asyncio.sleep(0)
    leaves.cancel()
    work.gate.set()
    assert await asyncio.gather(running, stays) == [2, 6]
    assert work.batches[-1] == ("a", [3])
