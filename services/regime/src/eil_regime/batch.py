"""A batch of telemetry as columns, from the request on."""

from collections.abc import Sequence
from dataclasses import dataclass
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
_FARTHEST_S = np.iinfo(np.int64).max // MICROSECONDS


@dataclass(frozen=True, slots=True)
class Batch:
    """n rows of c channels in the order they were sent."""

    times_us: NDArray[np.int64]
    """(n,)."""
    channels: tuple[str, ...]
    """c names, each once."""
    values: NDArray[np.float64]
    """(c, n), NaN where missing."""

    def rows(self, chosen: NDArray[np.bool_]) -> "Batch":
        """The rows chosen by a mask (n,)."""
        return Batch(self.times_us[chosen], self.channels, self.values[:, chosen])


def of_sample(request: regime_pb2.SenseRequest) -> Batch:
    """The one row of a Sense request."""
    values = np.array([*request.telemetry.values()], np.float64)
    return Batch(_microseconds([request.timestamp]), tuple(request.telemetry), values[:, None])


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
