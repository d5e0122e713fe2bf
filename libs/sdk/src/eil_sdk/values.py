"""Times and numbers as people have them, as the contract wants them. numpy's arrays are taken, and numpy is not needed."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias, runtime_checkable

from buf.validate import validate_pb2
from eil.regime.v1 import regime_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from eil_sdk.errors import InvalidArgument

Time: TypeAlias = datetime | float
"""A moment: a datetime with a time zone, or seconds since 1970 (UTC)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@runtime_checkable
class Array(Protocol):
    """An array of numpy, or of anybody else who can make a list of it."""

    def tolist(self) -> Any: ...


Times: TypeAlias = Sequence[Time] | Array
"""Moments: a sequence of them, or an array of seconds since 1970 or of datetime64."""
Values: TypeAlias = Sequence[float] | Array
"""Numbers, NaN where one is missing."""
_INGEST = regime_pb2.IngestRequest.DESCRIPTOR
_COLUMN = regime_pb2.Column.DESCRIPTOR


def _pattern(field: Any) -> re.Pattern[str]:
    """The pattern that the contract declares beside a field."""
    rules: Any = validate_pb2.field  # the generated type is that of any extension
    return re.compile(field.GetOptions().Extensions[rules].string.pattern)


SOURCE, CHANNEL = _pattern(_INGEST.fields_by_name["source"]), _pattern(_COLUMN.fields_by_name["name"])


def named(pattern: re.Pattern[str], name: str, field: str) -> str:
    """The name, if it is one.

    Raises:
        InvalidArgument: it is none.
    """
    if not pattern.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no name: {pattern.pattern}", violations={field: f"must match {pattern.pattern}"}
        )
    return name


def time_us(time: Time, field: str = "time") -> int:
    """Microseconds since 1970.

    Raises:
        InvalidArgument: a datetime without a time zone, or no time at all.
    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise InvalidArgument(
                f"{time} has no time zone, so nobody knows which moment it is; use datetime.now(UTC) or .replace(tzinfo=…)",
                violations={field: "has no time zone"},
            )
        return (time - _EPOCH) // _MICROSECOND
    try:
        return round(time * 1e6)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(
            f"{time!r} is no time: give a datetime or seconds since 1970", violations={field: "is no time"}
        ) from None


def timestamp(time: Time | None, field: str = "time") -> Timestamp | None:
    """The contract's form of a moment; None stays None.

    Raises:
        InvalidArgument: it is no moment.
    """
    if time is None:
        return None
    made = Timestamp()
    made.FromMicroseconds(time_us(time, field))
    return made


def times_us(times: Times) -> list[int]:
    """Microseconds since 1970 of each.

    Raises:
        InvalidArgument: one of them is no moment.
    """
    if getattr(getattr(times, "dtype", None), "kind", "") == "M":  # datetime64, whose own list depends on its unit
        array: Any = times
        return array.astype("datetime64[us]").astype("int64").tolist()
    listed: Sequence[Time] = times.tolist() if isinstance(times, Array) else times
    return [time_us(time, "times") for time in listed]


def numbers(values: Values | Iterable[float], field: str) -> list[float]:
    """The numbers as a list.

    Raises:
        InvalidArgument: one of them is none.
    """
    listed: Iterable[Any] = values.tolist() if isinstance(values, Array) else values
    try:
        return [math.nan if value is None else float(value) for value in listed]
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{field} must be numbers ({error})", violations={field: str(error)}) from None


def columns(channels: Mapping[str, Values]) -> list[regime_pb2.Column]:
    """Columns of the contract, in the mapping's order.

    Raises:
        InvalidArgument: a value is no number.
    """
    return [regime_pb2.Column(name=name, values=numbers(values, name)) for name, values in channels.items()]
