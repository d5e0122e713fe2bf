"""Samples of a source as they are kept: put in order once, and told apart by a digest that knows no order.

A sample is a channel, a time and a value that is not NaN. Of two for one channel and time the first to arrive stands.

The digest of a set of samples is the sum modulo 2^64, in each of two lanes, of a mixed hash of every sample: the digest of two disjoint
sets together is the sum of theirs, so that it can be kept by segment and compared by hour. It finds what was lost, doubled, moved or
altered by accident; whoever wants to forge it can.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_atlas.domain.segments import Samples

HOUR_US = 3_600_000_000
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: Weyl's step of splitmix64."""
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Content:
    """How many samples a set has, and its digest."""

    samples: int = 0
    high: int = 0
    low: int = 0

    def __add__(self, other: "Content") -> "Content":
        """Of two disjoint sets together."""
        return Content(self.samples + other.samples, (self.high + other.high) % 2**64, (self.low + other.low) % 2**64)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.high:016x}{self.low:016x}"

    @classmethod
    def parse(cls, samples: int, digest: str) -> "Content":
        """What `samples` and `digest` told."""
        return cls(samples, int(digest[:16], 16), int(digest[16:], 16))


def hour_of(time_us: int) -> int:
    """Begin of the hour that a moment lies in [µs]."""
    return time_us - time_us % HOUR_US


def content_of(samples: Samples) -> Content:
    """Count and digest of samples, each channel and time at most once."""
    found = Content()
    times = samples.times_us.astype(np.int64, copy=False).view(np.uint64)
    for name, values in samples.channels.items():
        there = ~np.isnan(values)
        lanes = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], ">u8").astype(np.uint64)
        bits, moments = np.ascontiguousarray(values[there]).view(np.uint64), times[there]
        with np.errstate(over="ignore"):
            high, low = (int(_mix(_mix(moments + seed * GOLDEN) ^ (bits + seed)).sum()) for seed in lanes)
        found += Content(int(np.count_nonzero(there)), high, low)
    return found


def _mix(hashes: Hashes) -> Hashes:
    """The finaliser of splitmix64, element by element."""
    hashes = hashes + GOLDEN
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def merge(parts: Iterable[tuple[ArrayLike, Mapping[str, ArrayLike]]]) -> Samples:
    """Samples in order of time from parts in order of arrival, each of times (n,) [µs] and values (n,) by channel.

    No time stands twice; a channel is NaN where it has no sample. Rows and channels without any are left out.
    """
    given = [(np.asarray(times, np.int64), channels) for times, channels in parts]
    every = [times for times, _ in given]
    times, place = np.unique(np.concatenate(every or [np.zeros(0, np.int64)]), return_inverse=True)
    begins = np.cumsum([0, *(part.size for part in every)])
    pieces: dict[str, list[tuple[NDArray[np.intp], NDArray[np.float64]]]] = {}
    for begin, (part, channels) in zip(begins[:-1].tolist(), given, strict=True):
        for name, values in channels.items():
            pieces.setdefault(name, []).append((place[begin : begin + part.size], np.asarray(values, np.float64)))
    columns = {name: _first_kept(found, times.size) for name, found in pieces.items()}
    columns = {name: values for name, values in columns.items() if not np.isnan(values).all()}
    held = ~np.all([np.isnan(values) for values in columns.values()], axis=0) if columns else np.zeros(times.size, bool)
    if held.all():
        return Samples(times, columns)
    return Samples(times[held], {name: values[held] for name, values in columns.items()})


def _first_kept(pieces: Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]], rows: int) -> NDArray[np.float64]:
    """A channel's values (rows,) from pieces of (row, value) in order of arrival."""
    places = np.concatenate([place for place, _ in pieces])
    values = np.concatenate([value for _, value in pieces])
    there = ~np.isnan(values)
    column = np.full(rows, np.nan)
    # Of several assigned to one row numpy keeps the last: the first to arrive comes last.
    column[places[there][::-1]] = values[there][::-1]
    return column


def without(samples: Samples, known: Samples) -> Samples:
    """The samples whose channel and time `known` has none of; times of both rise without repetition."""
    place = np.searchsorted(known.times_us, samples.times_us)
    place = np.minimum(place, max(known.times_us.size - 1, 0))
    same = known.times_us[place] == samples.times_us if known.times_us.size else np.zeros(samples.times_us.size, bool)
    kept = {
        name: np.where(same & ~np.isnan(known.channels[name][place]), np.nan, values)
        if name in known.channels and known.times_us.size
        else values
        for name, values in samples.channels.items()
    }
    return merge([(samples.times_us, kept)])


def between(samples: Samples, begin_us: int, end_us: int) -> Samples:
    """The samples from a moment until before another [µs]; times must not fall."""
    first, end = np.searchsorted(samples.times_us, [begin_us, end_us])
    return Samples(samples.times_us[first:end], {name: values[first:end] for name, values in samples.channels.items()})


def by_hour(times_us: NDArray[np.int64]) -> dict[int, NDArray[np.intp]]:
    """Rows of each hour [µs], in the order that they come in, of times (n,) in any order."""
    if not times_us.size:
        return {}
    hours = times_us - times_us % HOUR_US
    if (hours == hours[0]).all():
        return {int(hours[0]): np.arange(hours.size)}
    return {int(hour): np.flatnonzero(hours == hour) for hour in np.unique(hours)}
