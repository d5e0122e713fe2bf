"""Values in PostgreSQL's binary form, there and back, and rows that answer by place and by name as SQLite's do."""

import math
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, Final, SupportsIndex

from eil_mesh.errors import InvalidArgument

INT8, TEXT, BYTEA, FLOAT8, UNKNOWN = 20, 25, 17, 701, 0
"""Types by their oids; the server finds out itself what an unknown one is."""
_DOUBLE: Final = struct.Struct(">d")
_NEGATIVE, _NAN = 0x4000, 0xC000
"""Signs of a numeric."""
Encoder = Callable[[Any], bytes | None]


def _text(value: str) -> bytes:
    if "\0" in value:
        raise InvalidArgument("a text holds the character NUL, which cannot be stored; send it without")
    return value.encode()


_ENCODE: Final[dict[type, tuple[int, Encoder]]] = {
    int: (INT8, lambda value: value.to_bytes(8, "big", signed=True)),
    float: (FLOAT8, _DOUBLE.pack),
    str: (TEXT, _text),
    bytes: (BYTEA, bytes),
    type(None): (UNKNOWN, lambda value: None),
}


def encoder(kind: type) -> tuple[int, Encoder]:
    """The oid that a Python type's values are sent as, and what makes their bytes. Raises TypeError for one that cannot be stored."""
    for known, encoding in _ENCODE.items():
        if issubclass(kind, known):
            return encoding
    raise TypeError(f"{kind.__name__} cannot be stored: use int, bool, float, str, bytes or None")


def _numeric(raw: bytes) -> int | float:
    """A number without decimal places, such as a sum of counts, is an int; others are floats."""
    count, weight, sign, places = struct.unpack_from(">hhHH", raw)
    if sign & _NAN == _NAN:
        return math.nan
    number = 0
    for digit in struct.unpack_from(f">{count}h", raw, 8):
        number = number * 10_000 + digit
    if sign == _NEGATIVE:
        number = -number
    exponent = weight - count + 1
    return number * 10_000**exponent if places == 0 else float(Decimal(number).scaleb(4 * exponent))


_integer: Final = partial(int.from_bytes, byteorder="big", signed=True)
DECODE: Final[dict[int, Callable[[bytes], Any]]] = {
    16: lambda raw: raw != b"\0",
    17: bytes,
    19: bytes.decode,
    20: _integer,
    21: _integer,
    23: _integer,
    25: bytes.decode,
    700: lambda raw: struct.unpack(">f", raw)[0],
    701: lambda raw: _DOUBLE.unpack(raw)[0],
    1043: bytes.decode,
    1700: _numeric,
}
"""bool, bytea, name, int8, int2, int4, text, float4, float8, varchar and numeric, by oid. No service keeps others."""


class Row(tuple[Any, ...]):
    """A row: `row[0]`, `row["name"]`, `dict(row)`, `a, b = row`."""

    __slots__ = ()
    places: ClassVar[dict[str, int]] = {}

    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        if isinstance(key, str):
            if key not in self.places:
                raise IndexError(f"no column {key!r} among {', '.join(self.places)}")
            key = self.places[key]
        return tuple.__getitem__(self, key)

    def keys(self) -> list[str]:
        """The columns' names, in their order."""
        return list(self.places)


def row_class(names: Iterable[str]) -> type[Row]:
    """Rows of a statement with these columns."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name, place)
    return type("Row", (Row,), {"__slots__": (), "places": places})
