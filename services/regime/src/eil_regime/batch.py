"""A batch of telemetry as columns, from the request on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import attrgetter

import numpy as np
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import InvalidArgument
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

MAX_ROWS = 10_000
_VALUES = regime_pb2.Column.DESCRIPTOR.fields_by_name["values"].number << 3 | 2
"""Tag of a column's values on the wire, packed."""
_FARTHEST_S = (2**63 - 1) // MICROSECONDS


@dataclass(frozen=True)
class Batch:
    """n rows of c channels in the order they were sent."""

    times_us: NDArray[np.int64]
    """(n,)."""
    channels: tuple[str, ...]
    """c names, each once."""
    values: NDArray[np.float64]
    """(c, n), NaN where missing."""

    @cached_property
    def complete(self) -> bool:
        """Whether no value is missing."""
        return not np.count_nonzero(np.isnan(self.values))

    def rows(self, chosen: NDArray[np.bool_]) -> "Batch":
        """The rows chosen by a mask (n,)."""
        return Batch(self.times_us[chosen], self.channels, self.values[:, chosen])


def of_sample(request: regime_pb2.SenseRequest) -> Batch:
    """The one row of a Sense request."""
    telemetry, time = dict(request.telemetry), request.timestamp
    time_us = _held(time.seconds) * MICROSECONDS + time.nanos // 1000
    return Batch(np.array([time_us], np.int64), tuple(telemetry), np.array([[value] for value in telemetry.values()]))


def joined(batches: Sequence[Batch]) -> Batch:
    """All rows of one source's batches (at least one), one batch after the other; NaN where a batch lacks a channel of another's."""
    if len(batches) == 1:
        return batches[0]
    channels = batches[0].channels
    if any(batch.channels != channels for batch in batches):
        channels = tuple(dict.fromkeys(name for batch in batches for name in batch.channels))
    times_us = np.concatenate([batch.times_us for batch in batches])
    values = np.full((len(channels), times_us.size), np.nan)
    at = 0
    for batch in batches:
        end = at + batch.times_us.size
        if batch.channels == channels:
            values[:, at:end] = batch.values
        else:
            values[[channels.index(name) for name in batch.channels], at:end] = batch.values
        at = end
    return Batch(times_us, channels, values)


def of_request(request: regime_pb2.IngestRequest) -> Batch:
    """The rows of an Ingest request.

    Raises:
        InvalidArgument: times are not given in exactly one way, a column is not as long as they are, or two have one name.
    """
    times_us = _times(request)
    names = tuple(column.name for column in request.columns)
    values = np.empty((len(names), times_us.size))
    for place, column in enumerate(request.columns):
        if len(column.values) != times_us.size:
            raise InvalidArgument(
                f"column {column.name!r} has {len(column.values)} values for {times_us.size} timestamps",
                violations={f"columns[{column.name}]": "must be as long as the timestamps; NaN is a missing value"},
            )
        if names.index(column.name) != place:
            raise InvalidArgument(
                f"column {column.name!r} is given twice; send each channel once",
                violations={f"columns[{column.name}]": "is given twice"},
            )
        values[place] = np.asarray(column.values)
    return Batch(times_us, names, values)


def of_requests(requests: Sequence[regime_pb2.IngestRequest]) -> tuple[Batch, list[int]]:
    """The rows of Ingest requests of one source (at least one), one request after the other, and how many each has.

    Raises:
        InvalidArgument: one of them is not as `of_request` wants it.
    """
    channels = [column.name for column in requests[0].columns]
    times_us: list[int] = []
    values: list[list[float]] = [[] for _ in channels]
    ends = [0]
    for request in requests:
        columns = request.columns
        if request.timestamps or [column.name for column in columns] != channels:
            break
        times_us.extend(request.times_us)
        ends.append(len(times_us))
        for known, column in zip(values, columns, strict=True):
            known.extend(column.values)
        if ends[-1] == ends[-2] or any(len(known) != ends[-1] for known in values):
            break
    else:
        if len({*channels}) == len(channels):
            sizes = [end - begin for begin, end in pairwise(ends)]
            return Batch(np.array(times_us, np.int64), tuple(channels), np.array(values)), sizes
    parts = [of_request(request) for request in requests]
    return joined(parts), [part.times_us.size for part in parts]


def column(name: str, values: NDArray[np.float64]) -> regime_pb2.Column:
    """A column of a message. Its values are packed as they stand: one by one they would cost twenty times as much."""
    packed = regime_pb2.Column(name=name)
    size = 8 * values.size
    if size:
        head = bytearray([_VALUES])
        while size > 0x7F:
            head.append(0x80 | size & 0x7F)
            size >>= 7
        packed.MergeFromString(bytes((*head, size)) + values.astype("<f8", copy=False).tobytes())
    return packed


def _times(request: regime_pb2.IngestRequest) -> NDArray[np.int64]:
    if request.timestamps and request.times_us:
        raise InvalidArgument(
            "the batch has both timestamps and times_us; send one of them",
            violations={"times_us": "must be left out where `timestamps` are given"},
        )
    if not request.timestamps and not request.times_us:
        raise InvalidArgument(
            f"the batch has no times; send 1 to {MAX_ROWS} as timestamps or as times_us (microseconds since 1970)",
            violations={"timestamps": "one timestamp a row is required, here or as `times_us`"},
        )
    return np.array(request.times_us, np.int64) if request.times_us else _microseconds(request.timestamps)


def _microseconds(timestamps: Sequence[Timestamp]) -> NDArray[np.int64]:
    """Timestamps (n,) in µs. Those that 64 bits do not hold are moved to their ends: both are refused, as future or as too old."""
    held = list(timestamps)  # each is made into a Python object once
    seconds = np.fromiter(map(attrgetter("seconds"), held), np.int64, len(held))
    nanos = np.fromiter(map(attrgetter("nanos"), held), np.int64, len(held))
    return seconds.clip(1 - _FARTHEST_S, _FARTHEST_S - 1) * MICROSECONDS + nanos // 1000


def _held(seconds: int) -> int:
    return max(1 - _FARTHEST_S, min(seconds, _FARTHEST_S - 1))
