"""Windows of samples to train on, streamed from the Atlas: standardised, shuffled by a seed, divided among workers, and gone on with
exactly where they were left.

    windows = Windows(lambda: Archive.at(endpoint), ["dc-01"], start_us, end_us, ["power_draw", "cpu_usage"], length=64)
    for window in windows: ...              # one epoch, or what is left of one
    saved = windows.state_dict()            # later: windows.load_state_dict(saved)

A window is `length` rows of one source that follow each other, as standardised values; that is its embedding. The order is by block: a
block is some hours of one source, its windows are shuffled among each other, and blocks are shuffled. One block is in memory at a time. No
window crosses a block's edge.
"""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from eil.atlas.v1 import archive_pb2
from eil_mesh.clock import to_us
from numpy.typing import NDArray

from eil_cli.atlas.client import Page

HOUR_US = 3_600_000_000


class Reader(Protocol):
    """Where samples are read; `client.Archive` is one."""

    def segments(self, source: str, start_us: int, end_us: int) -> Iterator[archive_pb2.SegmentInfo]: ...

    def samples(self, source: str, start_us: int, end_us: int, channels: Sequence[str] = ()) -> Iterator[Page]: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Window:
    """A window: times (length,) [µs] and standardised values (length, channels), NaN where missing."""

    source: str
    times_us: NDArray[np.int64]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and population standard deviation of each channel (channels,), 1 where it never varies."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


class Windows:
    """An iterable data set over the segments that a span had when it was opened. What is not cut yet is not in it.

    Args:
        opened: opens the archive; called by whichever process reads.
        sources: the sources, in an order that matters.
        start_us, end_us: the span [µs].
        channels: what a window holds, in this order.
        length: rows of a window.
        stride: rows between the begins of windows; absent is `length`, without overlap.
        block_hours: hours of a block, at least as long as a window.
        longest_gap_s: windows in which two rows lie further apart are left out [s].
        seed: of the order.
        shard: (place, count): this of so many readers, each of which gets its own blocks.

    Raises:
        ValueError: the arguments fit nothing, or a channel has no samples in the span.
    """

    def __init__(
        self,
        opened: Callable[[], Reader],
        sources: Sequence[str],
        start_us: int,
        end_us: int,
        channels: Sequence[str],
        *,
        length: int,
        stride: int | None = None,
        block_hours: int = 24,
        longest_gap_s: float = math.inf,
        seed: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        if length < 1 or (stride is not None and stride < 1) or block_hours < 1 or not 0 <= shard[0] < shard[1]:
            raise ValueError(
                "length, stride and block_hours are 1 at least, and shard is (place, count), place < count"
            )
        self._opened, self._channels, self._span = opened, list(channels), (start_us, end_us)
        self._length, self._stride, self._gap_us = length, stride or length, longest_gap_s * 1e6
        self._seed, self._shard, self._block_us = seed, shard, block_hours * HOUR_US
        with opened() as archive:
            segments = [s for source in sources for s in archive.segments(source, start_us, end_us)]
        self.scale = scale_of(segments, self._channels)
        begins = {(s.source, to_us(s.hour) - to_us(s.hour) % self._block_us): None for s in segments}
        self._blocks = list(begins)
        self._fingerprint = self._digest([s.content for s in segments])
        self._epoch, self._block, self._window = 0, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the next window is, as JSON has it."""
        return {
            "data": self._fingerprint,
            "epoch": self._epoch,
            "block": self._block,
            "window": self._window,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: it is the state of other windows, or the archive has other segments in the span by now.
        """
        if state["data"] != self._fingerprint:
            raise ValueError(
                "this is the state of other windows, or segments came or went in their span since: begin anew, or end the span where the "
                "archive no longer grows"
            )
        self._epoch, self._block, self._window = state["epoch"], state["block"], state["window"]

    def __iter__(self) -> Iterator[Window]:
        """The windows that are left of this epoch; the next call begins the next epoch."""
        place, count = self._shard
        if (worker := _torch_worker()) is not None:
            place, count = place * worker[1] + worker[0], count * worker[1]
        order = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._blocks))[place::count].tolist()
        with self._opened() as archive:
            while self._block < len(order):
                yield from self._of_block(archive, order[self._block])
                self._block, self._window = self._block + 1, 0
        self._epoch, self._block = self._epoch + 1, 0

    def _of_block(self, archive: Reader, block: int) -> Iterator[Window]:
        source, begin_us = self._blocks[block]
        times, values = self._read(archive, source, begin_us)
        starts = np.arange(0, times.size - self._length + 1, self._stride)
        if starts.size and self._length > 1:
            far = np.concatenate(([0], np.cumsum(np.diff(times) > self._gap_us)))
            starts = starts[far[starts + self._length - 1] == far[starts]]
        np.random.default_rng([self._seed, self._epoch, block]).shuffle(starts)
        for start in starts[self._window :].tolist():
            self._window += 1
            rows = slice(start, start + self._length)
            yield Window(source, times[rows], values[rows])

    def _read(self, archive: Reader, source: str, begin_us: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """A block: times (n,) and standardised values (n, channels)."""
        start_us, end_us = max(begin_us, self._span[0]), min(begin_us + self._block_us, self._span[1])
        times, pieces = [np.zeros(0, np.int64)], [np.zeros((0, len(self._channels)), np.float32)]
        for page_times, columns in archive.samples(source, start_us, end_us, self._channels):
            missing = np.full(page_times.size, np.nan)
            rows = np.column_stack([columns.get(name, missing) for name in self._channels])
            times.append(page_times)
            pieces.append(((rows - self.scale.mean) / self.scale.deviation).astype(np.float32))
        return np.concatenate(times), np.concatenate(pieces)

    def _digest(self, contents: list[str]) -> str:
        """What the order of the windows follows from."""
        what = [contents, self._blocks, self._channels, self._length, self._stride, self._gap_us, self._block_us]
        what += [self._span, self._seed, self._shard]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def scale_of(segments: Iterable[archive_pb2.SegmentInfo], channels: Sequence[str]) -> Scale:
    """Mean and deviation of channels over segments, from the index alone.

    Raises:
        ValueError: a channel has no samples, or values that are not finite.
    """
    count, mean, squares = (dict.fromkeys(channels, 0.0) for _ in range(3))
    for channel in (channel for segment in segments for channel in segment.channels if channel.name in count):
        name, both = channel.name, count[channel.name] + channel.count
        apart = channel.mean - mean[name]
        squares[name] += channel.deviation**2 * channel.count + apart**2 * count[name] * channel.count / both
        mean[name] += apart * channel.count / both
        count[name] = both
    for name in channels:
        if not count[name] or not math.isfinite(squares[name]):
            raise ValueError(f"channel {name!r} has no samples in these segments, or some that are not finite")
    deviation = np.sqrt([squares[name] / count[name] for name in channels])
    return Scale(np.array([mean[name] for name in channels]), np.where(deviation > 0, deviation, 1.0))


def torch_dataset(windows: Windows) -> Any:
    """The windows as a `torch.utils.data.IterableDataset` of values (length, channels), for a DataLoader; its workers divide the blocks."""
    import torch
    from torch.utils.data import IterableDataset

    class Values(IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            return (torch.from_numpy(window.values) for window in windows)

    return Values()


def _torch_worker() -> tuple[int, int] | None:
    """(place, count) of this process among the workers of a torch DataLoader; None outside of one."""
    torch = sys.modules.get("torch.utils.data")
    worker = torch.get_worker_info() if torch else None
    return (worker.id, worker.num_workers) if worker else None
