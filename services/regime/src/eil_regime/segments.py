"""Where samples lie: segments, each some rows of one source as columns in one blob.

A large batch is a segment of its own; small ones gather (`tails`) and are added to the source's open segment. Rows of a segment ascend in
time; segments of a source may overlap, because samples come late and channels come apart. Of a channel and a time at most one row holds a
value.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from eil_mesh.clock import MICROSECONDS
from eil_mesh.database import Connection, Rows
from numpy.typing import NDArray

from eil_regime.sources import Source

SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
  id INTEGER PRIMARY KEY,
  source_id INTEGER NOT NULL REFERENCES sources (id),
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  opened_us INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  channels BLOB NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS segments_by_time ON segments (source_id, last_us, first_us);
CREATE INDEX IF NOT EXISTS segments_by_receipt ON segments (received_us);
"""
VERSION = 1
SMALL_BYTES = 16_384
"""An open segment takes more rows until its blob is this long."""
OPEN_US = 24 * 3600 * MICROSECONDS
"""Time that a segment stays open: its rows are forgotten together."""
ALL = 2**63 - 1
"""A limit that is none."""
_HEADER = struct.Struct("<BII")  # version, rows, channels
_STEPS = struct.Struct("<qq")  # first, step
_EVEN, _LISTED = b"E", b"L"


@dataclass(frozen=True, slots=True)
class Segment:
    """n rows of c channels, ascending in time."""

    times_us: NDArray[np.int64]
    """(n,); equal times may repeat, with values of different channels."""
    received_us: NDArray[np.int64]
    """(n,): when each row was received."""
    own: NDArray[np.bool_]
    """(n,): whether it came from the source's own credential."""
    channels: bytes
    """A byte for each of the c channels: its place in the source's channels, ascending."""
    values: NDArray[np.float64]
    """(c, n), NaN where missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """A segment's row in the table, its blob left where it is. Times [µs] of the first and last row."""

    id: int
    first_us: int
    last_us: int
    channels: bytes


def pack(segment: Segment) -> bytes:
    """Rows as bytes, all but `channels`; every bit of the values is kept."""
    head = _HEADER.pack(VERSION, len(segment.times_us), len(segment.channels))
    columns = (_packed(segment.times_us), _packed(segment.received_us), _packed(segment.own.astype(np.int64)))
    return b"".join((head, *columns, segment.values.astype("<f8", copy=False).tobytes()))


def unpack(channels: bytes, body: bytes) -> Segment:
    """Inverse of `pack`. Raises ValueError for a version that this release does not read."""
    version, rows, count = _HEADER.unpack_from(body)
    if version != VERSION:
        raise ValueError(
            f"a segment of samples has version {version}, this release reads {VERSION}: use a newer release"
        )
    at = _HEADER.size
    times_us, at = _unpacked(body, at, rows)
    received_us, at = _unpacked(body, at, rows)
    own, at = _unpacked(body, at, rows)
    values = np.frombuffer(body, "<f8", count * rows, at).reshape(count, rows)
    return Segment(times_us, received_us, own.astype(np.bool_), channels, values)


def _packed(numbers: NDArray[np.int64]) -> bytes:
    """Evenly spaced numbers as first and step, others one by one."""
    first, step = int(numbers[0]), int(numbers[1] - numbers[0]) if numbers.size > 1 else 0
    if numbers.size < 3 or bool((numbers[1:] - numbers[:-1] == step).all()):
        return _EVEN + _STEPS.pack(first, step)
    return _LISTED + numbers.astype("<i8", copy=False).tobytes()


def _unpacked(body: bytes, at: int, rows: int) -> tuple[NDArray[np.int64], int]:
    """The numbers packed at `at`, and where they end."""
    if body[at : at + 1] == _EVEN:
        first, step = _STEPS.unpack_from(body, at + 1)
        return first + step * np.arange(rows, dtype=np.int64), at + 17
    return np.frombuffer(body, "<i8", rows, at + 1), at + 1 + 8 * rows


def merge(parts: Sequence[Segment]) -> Segment:
    """All rows of the parts (at least one) as one segment, of equal times the earlier part's first."""
    if len(parts) == 1:
        return parts[0]
    channels = bytes(sorted(set().union(*(part.channels for part in parts))))
    values = np.full((len(channels), sum(len(part.times_us) for part in parts)), np.nan)
    at = 0
    for part in parts:
        places = [channels.index(channel) for channel in part.channels]
        values[places, at : at + len(part.times_us)] = part.values
        at += len(part.times_us)
    times_us = np.concatenate([part.times_us for part in parts])
    received_us = np.concatenate([part.received_us for part in parts])
    own = np.concatenate([part.own for part in parts])
    if bool((times_us[1:] >= times_us[:-1]).all()):
        return Segment(times_us, received_us, own, channels, values)
    order = np.argsort(times_us, kind="stable")
    return Segment(times_us[order], received_us[order], own[order], channels, values[:, order])


def add(conn: Connection, source: Source, fresh: Segment) -> None:
    """Store rows with the source's open segment or as a segment of their own."""
    opened_us, now_us, size = int(fresh.received_us.min()), int(fresh.received_us.max()), fresh.values.nbytes
    opened = None
    if size <= SMALL_BYTES and source.open_segment is not None:
        opened = conn.execute(
            "SELECT channels, body FROM segments WHERE id=? AND source_id=? AND opened_us>? AND length(body)<?",
            (source.open_segment, source.id, now_us - OPEN_US, SMALL_BYTES),
        ).fetchone()
    if opened:
        whole = merge([unpack(opened[0], opened[1]), fresh])
        conn.execute(
            "UPDATE segments SET first_us=?, last_us=?, received_us=?, channels=?, body=? WHERE id=?",
            (*_span(whole), now_us, whole.channels, pack(whole), source.open_segment),
        )
        return
    stored = conn.execute(
        "INSERT INTO segments (source_id, first_us, last_us, opened_us, received_us, channels, body) VALUES (?,?,?,?,?,?,?)"
        " RETURNING id",
        (source.id, *_span(fresh), opened_us, now_us, fresh.channels, pack(fresh)),
    )
    if size <= SMALL_BYTES:
        source.open_segment = stored.fetchone()[0]


def _span(segment: Segment) -> tuple[int, int]:
    return int(segment.times_us[0]), int(segment.times_us[-1])


def load(conn: Connection, place: Place) -> Segment:
    """The rows of a segment."""
    return unpack(*conn.execute("SELECT channels, body FROM segments WHERE id = ?", (place.id,)).fetchone())


def overlapping(conn: Connection, source_id: int, first_us: int, last_us: int) -> Iterator[Place]:
    """Segments that may hold rows of times from `first_us` to `last_us`, both included."""
    return _places(
        conn.execute(
            "SELECT id, first_us, last_us, channels FROM segments WHERE source_id=? AND last_us>=? AND first_us<=?"
            " ORDER BY last_us, first_us, id",
            (source_id, first_us, last_us),
        )
    )


def before(conn: Connection, source_id: int, time_us: int, limit: int = ALL) -> Iterator[Place]:
    """Segments that end before `time_us`, the newest end first."""
    return _places(
        conn.execute(
            "SELECT id, first_us, last_us, channels FROM segments WHERE source_id=? AND last_us<?"
            " ORDER BY last_us DESC, first_us DESC, id DESC LIMIT ?",
            (source_id, time_us, limit),
        )
    )


def after(conn: Connection, source_id: int, time_us: int, limit: int) -> Iterator[Place]:
    """Segments that begin after `time_us`, the oldest end first."""
    return _places(
        conn.execute(
            "SELECT id, first_us, last_us, channels FROM segments WHERE source_id=? AND last_us>? AND first_us>?"
            " ORDER BY last_us, first_us, id LIMIT ?",
            (source_id, time_us, time_us, limit),
        )
    )


def _places(rows: Rows) -> Iterator[Place]:
    return (Place(*row) for row in rows)


def forget(conn: Connection, received_before_us: int, limit: int) -> int:
    """Delete segments whose newest row was received before that moment, at most `limit`; returns how many."""
    return conn.execute(
        "DELETE FROM segments WHERE id IN (SELECT id FROM segments WHERE received_us < ? ORDER BY received_us, id LIMIT ?)",
        (received_before_us, limit),
    ).rowcount
