"""How a channel is kept in a segment: the columns of its forms, the trial that picks the smallest, and the Parquet file of columns."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

METADATA_KEY = "eil.segment"
ROWS_PER_GROUP = 65_536
"""What a read of a span is rounded up to."""
COMPRESSION_LEVEL, TRIAL_LEVEL = 9, 1
SAMPLE_BLOCKS, SAMPLE_BLOCK_ROWS = 8, 256
"""Rows that the trial of forms sees: so many blocks of so many rows, evenly spread."""
MOST_DIGITS = 15
"""Largest k that is tried."""
MOST = 0.9
"""Share of values that count as most: what the rest costs is found by the trial."""
LARGEST_SCALED = float(2**53)
"""Scaled values beyond are not exact; their rows keep n = 0 and all their bits in the remainder."""
FEW_ULPS = 64
"""Remainders up to here come from arithmetic on a decimal, not from its lack of digits."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Encoding = Literal["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "DICTIONARY"]
DELTA: Encoding = "DELTA_BINARY_PACKED"
SPLIT: Encoding = "BYTE_STREAM_SPLIT"
DICTIONARY: Encoding = "DICTIONARY"
FLOAT_ENCODINGS = (SPLIT, DICTIONARY)
DECIMAL_ENCODINGS = (DELTA, SPLIT, DICTIONARY)
REMAINDER_ENCODINGS = (DICTIONARY, SPLIT)


@dataclass(frozen=True, slots=True)
class Form:
    """How a channel is kept. `digits` is k of the decimal form, None of the float form."""

    digits: int | None
    encoding: Encoding
    remainder: Encoding = DICTIONARY


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file; `missing` (n,) marks nulls, None where there are none."""

    name: str
    values: Floats | Integers
    missing: NDArray[np.bool_] | None
    encoding: Encoding


def choose(values: Mapping[str, Floats], missing: Mapping[str, NDArray[np.bool_] | None]) -> dict[str, Form]:
    """The smallest form of each channel on a sample of its rows: all are written side by side, and their sizes read off."""
    rows = _sample(next(iter(values.values())).size)
    tried: dict[tuple[str, int | None], list[list[Column]]] = {}
    for place, (name, column) in enumerate(values.items()):
        hidden = missing[name]
        part, gone = column[rows], None if hidden is None else hidden[rows]
        there = part if gone is None else part[~gone]
        for digits in (None, *_digits(there)):
            # What keeps the values and what keeps their remainders are encoded independently.
            kept = columns_of(f"{place}.{digits}", part, gone, Form(digits, SPLIT))
            choices = (FLOAT_ENCODINGS if digits is None else DECIMAL_ENCODINGS, REMAINDER_ENCODINGS)
            tried[name, digits] = [
                [replace(one, name=f"{one.name}.{encoding}", encoding=encoding) for encoding in encodings]
                for one, encodings in zip(kept, choices, strict=False)
            ]
    columns = [one for kept in tried.values() for options in kept for one in options]
    group = pq.read_metadata(pa.BufferReader(write_columns(columns, {}, TRIAL_LEVEL))).row_group(0)
    size = {c.path_in_schema: c.total_compressed_size for c in map(group.column, range(group.num_columns))}
    best: dict[str, tuple[int, Form]] = {}
    for (name, digits), kept in tried.items():
        smallest = [min(options, key=lambda one: size[one.name]) for options in kept]
        cost = sum(size[one.name] for one in smallest)
        encodings: list[Encoding] = [one.encoding for one in smallest]
        if name not in best or cost < best[name][0]:
            best[name] = cost, Form(digits, *encodings)
    return {name: form for name, (_, form) in best.items()}


def _sample(rows: int) -> NDArray[np.intp] | slice:
    """The rows that the trial sees."""
    if rows <= SAMPLE_BLOCKS * SAMPLE_BLOCK_ROWS:
        return slice(None)
    begins = np.linspace(0, rows - SAMPLE_BLOCK_ROWS, SAMPLE_BLOCKS).astype(np.intp)
    return (begins[:, None] + np.arange(SAMPLE_BLOCK_ROWS)).ravel()


def _digits(values: Floats) -> list[int]:
    """Fewest decimals that all finite values (m,) have but for a few units in the last place, and that most have; none beyond
    `MOST_DIGITS`."""
    finite = values[np.isfinite(values)]
    found: list[int] = []
    for digits in range(MOST_DIGITS + 1):
        scaled, remainder = _scale(finite, digits)
        near = np.abs(remainder) <= FEW_ULPS
        near |= (finite == 0.0) & (scaled == 0)  # −0
        share = near.mean() if near.size else 1.0
        if (share >= MOST and not found) or share == 1.0:
            found.append(digits)
        if share == 1.0:
            break
    return found


def _scale(values: Floats, digits: int) -> tuple[Integers, Integers]:
    """n = round(v·10^k) and the remainder bits(v) − bits(n / 10^k), each (m,); n = 0 where it would not be exact."""
    power = 10.0**digits
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * power)
        exact = np.abs(scaled) <= LARGEST_SCALED
    if not exact.all():
        scaled = np.where(exact, scaled, 0.0)
    integers = scaled.astype(np.int64)
    return integers, values.view(np.int64) - _unscale(integers, digits).view(np.int64)


def _unscale(scaled: Integers, digits: int) -> Floats:
    return scaled / 10.0**digits


def columns_of(suffix: str, values: Floats, missing: NDArray[np.bool_] | None, form: Form) -> list[Column]:
    """The columns that keep a channel: one, or two where there are remainders."""
    if form.digits is None:
        return [Column(f"c{suffix}", values, missing, form.encoding)]
    there = values if missing is None else np.where(missing, 0.0, values)
    scaled, remainder = _scale(there, form.digits)
    columns = [Column(f"c{suffix}", scaled, missing, form.encoding)]
    if remainder.any():
        columns.append(Column(f"r{suffix}", remainder, None, form.remainder))
    return columns


def write_columns(columns: Sequence[Column], description: Mapping[str, Any], level: int = COMPRESSION_LEVEL) -> bytes:
    """The Parquet file of columns of equal length, with a description as JSON in its metadata."""
    arrays = [pa.array(column.values, mask=column.missing) for column in columns]
    fields = [
        pa.field(column.name, array.type, nullable=column.missing is not None)
        for column, array in zip(columns, arrays, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=[column.name for column in columns if column.encoding == DICTIONARY],  # pyright: ignore[reportArgumentType]
        column_encoding={column.name: column.encoding for column in columns if column.encoding != DICTIONARY},
        store_schema=False,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata({METADATA_KEY: json.dumps(description, separators=(",", ":"))})
    return sink.getvalue().to_pybytes()


def values_of(table: pa.Table, place: int, digits: int | None) -> Floats:
    """A channel's values (n,) from the columns that keep it; NaN where missing."""
    column = table[f"c{place}"]
    if digits is None:
        return column.to_numpy()
    missing = column.is_null().to_numpy() if column.null_count else None
    scaled = (column if missing is None else column.fill_null(0)).to_numpy()
    values = _unscale(scaled, digits)
    if f"r{place}" in table.column_names:
        values = (values.view(np.int64) + table[f"r{place}"].to_numpy()).view(np.float64)
    if missing is not None:
        values[missing] = np.nan
    return values
