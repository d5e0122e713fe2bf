"""Telemetry segments: a stretch of one source's samples as a Parquet file, lossless to the bit.

Times are delta-encoded. Every channel is kept in whichever form is smallest on a sample of its own rows:

* *float*: the float64 as it is; bytes split by significance, or as a dictionary.
* *decimal*: n = round(v·10^k) as int64, deltas, split bytes or a dictionary; and, unless it is zero everywhere, the remainder
  bits(v) − bits(n / 10^k), so that whatever no decimal of k digits meets (a last bit lost in arithmetic, −0, ∞) comes back as it was.

NaN is a missing value: null in the file, and the one quiet NaN when read. Everything is compressed by zstd. Row groups carry Parquet's
statistics, by which a read of a span skips the groups outside of it. What stands in the metadata under `eil.segment` is JSON: the format's
version, and form and k of each channel. Column `t` holds times, `c0`, `c1`, … channels in that order, `r0`, … their remainders.

A release reads the version that it writes and the one before.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from eil_atlas.domain.segment_forms import (
    DELTA,
    METADATA_KEY,
    Column,
    Floats,
    Integers,
    choose,
    columns_of,
    values_of,
    write_columns,
)

VERSION = 1
TIME = "t"
READABLE = frozenset({1})
"""Versions that `decode` reads: `VERSION` and, once there is one, the version before."""


class SegmentError(ValueError):
    """Samples that make no segment, or a request or file that cannot be read as one; the message says what and where."""


class SegmentDamaged(SegmentError):
    """The bytes are not those that were written."""


@dataclass(frozen=True, slots=True)
class ChannelSummary:
    """Non-missing values of a channel: how many, least and greatest; NaN where there are none."""

    count: int
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What an index keeps of a segment."""

    version: int
    rows: int
    first_us: int
    last_us: int
    channels: Mapping[str, ChannelSummary]
    sha256: str
    """Of the content, hexadecimal: the name of the object."""

    @property
    def samples(self) -> int:
        """Non-missing values of all channels."""
        return sum(channel.count for channel in self.channels.values())


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's file and its summary."""

    content: bytes
    summary: Summary


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples read: times (n,) [µs] and values (n,) of each channel, NaN where missing. Arrays may be read-only."""

    times_us: Integers
    channels: Mapping[str, Floats]


def encode(times_us: ArrayLike, channels: Mapping[str, ArrayLike]) -> Segment:
    """Make a segment.

    Args:
        times_us: times of the samples (n,) [µs], n ≥ 1, never falling.
        channels: values (n,) of each channel, at least one; NaN is missing. Units are the caller's.

    Raises:
        SegmentError: there are no samples or no channels, shapes differ, or times are no integers or fall.
    """
    times = _checked_times(times_us)
    values = {name: _checked_values(name, given, times.size) for name, given in channels.items()}
    if not values:
        raise SegmentError("a segment needs at least one channel")
    missing = {name: _missing(column) for name, column in values.items()}
    forms = choose(values, missing)
    columns = [Column(TIME, times, None, DELTA)]
    kept: list[dict[str, Any]] = []
    for place, (name, form) in enumerate(forms.items()):
        columns += columns_of(str(place), values[name], missing[name], form)
        kept.append({"name": name} | ({} if form.digits is None else {"digits": form.digits}))
    content = write_columns(columns, {"version": VERSION, "channels": kept})
    summary = Summary(
        VERSION,
        times.size,
        int(times[0]),
        int(times[-1]),
        {name: _summary(values[name], missing[name]) for name in values},
        hashlib.sha256(content).hexdigest(),
    )
    return Segment(content, summary)


def decode(
    content: bytes,
    channels: Iterable[str] | None = None,
    begin_us: int | None = None,
    end_us: int | None = None,
    *,
    sha256: str | None = None,
) -> Samples:
    """Read a segment, or of it some channels and the span from `begin_us` until before `end_us` [µs]; None is all.

    With the summary's `sha256` any altered byte is found before anything is parsed. Without, only those in pages are, by Parquet's own
    checksums: a caller who did not check the content otherwise gives it.

    Raises:
        SegmentDamaged: the content is not what was written.
        SegmentError: it is no segment, its version is not read by this release, or it lacks a channel asked for.
    """
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise SegmentDamaged(
            f"the segment's SHA-256 is {found}, not {sha256}: it was altered; restore it from a backup"
        )
    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            return _read(file, channels, begin_us, end_us)
    except (pa.ArrowException, OSError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SegmentDamaged(f"the segment cannot be read ({error}): it was altered or cut; restore it") from error


def _checked_times(given: ArrayLike) -> Integers:
    times = np.asarray(given)
    if times.ndim != 1 or times.size == 0:
        raise SegmentError(f"times have shape {times.shape}: a segment needs one dimension and at least one row")
    if not np.issubdtype(times.dtype, np.signedinteger):
        raise SegmentError(f"times are {times.dtype}: give whole microseconds as int64")
    times = times.astype(np.int64, copy=False)
    if (falls := np.flatnonzero(times[1:] < times[:-1])).size:
        row = int(falls[0]) + 1
        raise SegmentError(f"times fall at row {row}: {times[row]} µs after {times[row - 1]} µs; sort the samples")
    return times


def _checked_values(name: str, given: ArrayLike, rows: int) -> Floats:
    values = np.ascontiguousarray(given, np.float64)
    if values.shape != (rows,):
        raise SegmentError(f"channel {name!r} has shape {values.shape}: there are {rows} times, it needs ({rows},)")
    return values


def _missing(values: Floats) -> NDArray[np.bool_] | None:
    missing = np.isnan(values)
    return missing if missing.any() else None


def _summary(values: Floats, missing: NDArray[np.bool_] | None) -> ChannelSummary:
    there = values if missing is None else values[~missing]
    if there.size == 0:
        return ChannelSummary(0, np.nan, np.nan)
    return ChannelSummary(there.size, float(there.min()), float(there.max()))


def _read(file: pq.ParquetFile, channels: Iterable[str] | None, begin_us: int | None, end_us: int | None) -> Samples:
    metadata = file.metadata
    kept = _described((metadata.metadata or {}).get(METADATA_KEY.encode()))
    wanted = list(kept) if channels is None else list(channels)
    if lacking := [name for name in wanted if name not in kept]:
        raise SegmentError(f"the segment has no channel {lacking[0]!r}; it has {', '.join(map(repr, kept))}")
    present = set(metadata.schema.names)
    columns = [f"{kind}{kept[name][0]}" for name in wanted for kind in "cr"]
    table = file.read_row_groups(
        _groups(metadata, begin_us, end_us), [TIME, *present.intersection(columns)], use_threads=False
    )
    times = table[TIME].to_numpy()
    first = 0 if begin_us is None else int(np.searchsorted(times, begin_us))
    end = times.size if end_us is None else max(first, int(np.searchsorted(times, end_us)))
    table = table.slice(first, end - first)
    return Samples(times[first:end], {name: values_of(table, *kept[name]) for name in wanted})


def _described(description: bytes | None) -> dict[str, tuple[int, int | None]]:
    """Place and k of each channel by name."""
    if description is None:
        raise SegmentError("this is no telemetry segment: its metadata lacks eil.segment")
    said = json.loads(description)
    if said["version"] not in READABLE:
        read = ", ".join(map(str, sorted(READABLE)))
        raise SegmentError(
            f"the segment's format is version {said['version']}; this release reads {read}: use the release that wrote it"
        )
    return {channel["name"]: (place, channel.get("digits")) for place, channel in enumerate(said["channels"])}


def _groups(metadata: pq.FileMetaData, begin_us: int | None, end_us: int | None) -> list[int]:
    """Row groups whose times may lie in the span."""
    groups: list[int] = []
    for place in range(metadata.num_row_groups):
        times = metadata.row_group(place).column(0).statistics
        if (begin_us is None or times.max >= begin_us) and (end_us is None or times.min < end_us):
            groups.append(place)
    return groups
