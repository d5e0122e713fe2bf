"""How many samples a second one core takes over many streams, and what a stream's state weighs."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from eil_regime.compiled import compile_kernels
from eil_regime.domain.bank import Bank
from numpy.typing import NDArray

STREAMS = 100_000
BLOCK_ROWS = 64
WARM_UP_BLOCKS = 2
TIMED_BLOCKS = 4
POOL = 2048
"""Different series; stream i is fed series i modulo this, and so many streams are advanced in one call."""
SHIFT_EVERY_ROWS = 200
MANY_CHANNELS = 9
ONE_STREAM_SERIES = 4
ONE_STREAM_ROWS = 25_000
SEED = 1


@dataclass(frozen=True)
class Speed:
    """What was measured on one core."""

    samples_per_s: float
    """Of univariate streams, every output computed."""
    bytes_per_stream: float
    """State of a univariate stream."""
    bytes_per_further_channel: float
    streams: int
    """So many were measured."""


def telemetry(series: int, rows: int, shift_every_rows: int = SHIFT_EVERY_ROWS) -> NDArray[np.float64]:
    """(series, rows) of unit noise whose level shifts by some units, at another row in each series."""
    rng = np.random.default_rng(SEED)
    levels = rng.normal(scale=3.0, size=(series, rows // shift_every_rows + 2))
    first = rng.integers(shift_every_rows, size=series)
    segment = (np.arange(rows) + first[:, None]) // shift_every_rows
    return np.take_along_axis(levels, segment, axis=1) + rng.normal(size=(series, rows))


class Streams:
    """Independent univariate streams, advanced side by side."""

    def __init__(self, count: int) -> None:
        self._bank, self._count = Bank(count), count

    def __len__(self) -> int:
        return self._count

    def advance(self, block: NDArray[np.float64]) -> None:
        """Takes the next rows of every stream: block (POOL, rows, 1)."""
        for first in range(0, self._count, POOL):
            self._bank.advance(block[: self._count - first], first)


def measure_speed(streams: int = STREAMS) -> Speed:
    """Samples a second on one core, once the streams are warm, and the weight of their state."""
    compile_kernels()
    with cores(1):
        samples_per_s = _run(Streams(streams))
    one, many = Bank(1).bytes_per_stream, Bank(1, MANY_CHANNELS).bytes_per_stream
    return Speed(samples_per_s, one, (many - one) / (MANY_CHANNELS - 1), streams)


def _run(streams: Streams) -> float:
    """Feeds all rows block by block, so that every stream's state leaves the cache in between; samples a second when warm."""
    pool = telemetry(POOL, (WARM_UP_BLOCKS + TIMED_BLOCKS) * BLOCK_ROWS)
    seconds = 0.0
    for number, rows in enumerate(np.split(pool, WARM_UP_BLOCKS + TIMED_BLOCKS, axis=1)):
        block = np.ascontiguousarray(rows)[:, :, None]
        began_s = time.perf_counter()
        streams.advance(block)
        if number >= WARM_UP_BLOCKS:
            seconds += time.perf_counter() - began_s
    return TIMED_BLOCKS * BLOCK_ROWS * len(streams) / seconds


def stream_speed(make: Callable[[], Any]) -> float:
    """Samples a second of a detector that is updated with one value at a time and then asked whether it found a drift."""
    values = telemetry(ONE_STREAM_SERIES, ONE_STREAM_ROWS).ravel().tolist()
    with cores(1):
        detector, alarms = make(), 0
        began_s = time.perf_counter()
        for value in values:
            detector.update(value)
            alarms += detector.drift_detected
        return len(values) / (time.perf_counter() - began_s)


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Binds this process, and those that it starts meanwhile, to so many cores (all, where there are fewer)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
