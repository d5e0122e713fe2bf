"""Recorded telemetry from a CSV file."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})
# Seconds stay below this until the year 5138; milliseconds have been above it since 1973.
_LARGEST_UNIX_S = 1e11


class RecordingError(ValueError):
    """A file that cannot be read as a recording; the message names file, line and remedy."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}, line {line}: {message}")
        self.path = path
        self.line = line


@dataclass(frozen=True)
class Recording:
    """Samples in order of time, one row for each moment."""

    channels: tuple[str, ...]
    times_s: tuple[float, ...]
    """Unix time [s] of each row; with `synthetic_time` seconds since the first row. Strictly increasing."""
    rows: tuple[tuple[float | None, ...], ...]
    """Values of each row, one for each channel; None where missing."""
    synthetic_time: bool
    """True if the file has no timestamps and the rows were spaced by the period."""
    skipped_columns: tuple[str, ...] = ()
    """Columns without numbers."""
    duplicate_lines: tuple[int, ...] = ()
    """Lines that repeat an earlier line's timestamp. They only fill in what that line misses; a differing second value
    is dropped."""
    unsorted_lines: int = 0
    """How many lines are older than the line before them."""

    def samples(self) -> Iterator[tuple[float, dict[str, float]]]:
        """Time [s] and the values present at it, by channel; moments without any value are left out."""
        for time_s, row in zip(self.times_s, self.rows, strict=True):
            values = {name: value for name, value in zip(self.channels, row, strict=True) if value is not None}
            if values:
                yield time_s, values


@dataclass(frozen=True)
class _Line:
    number: int
    cells: list[str]


def read_recording(path: Path | str, *, period_s: float = 60.0, mapping: Mapping[str, str] | None = None) -> Recording:
    """Reads a CSV file with a header line, separated by commas or semicolons, decimals with a point.

    The timestamp column is called timestamp or datetime, or else date or time (any case); it holds ISO 8601 (a blank
    may stand for the T; UTC if no zone is given) or Unix seconds. Without one, row i is at i × `period_s`. A column is
    a channel if more than half of its filled cells are numbers; then the others are errors. Empty cells and the usual
    words for missing values (NaN, NA, null, none, -) are missing.

    Args:
        path: the file.
        period_s: spacing of the rows [s] if the file has no timestamps.
        mapping: new names of columns, as in {"value": "cpu_usage"}; the others keep their own.

    Raises:
        RecordingError: the file does not have this form; with file and line.
        ValueError: `period_s` is not a positive number.
        OSError: the file cannot be opened.
    """
    path = Path(path)
    if not (math.isfinite(period_s) and period_s > 0.0):
        raise ValueError(f"period_s is {period_s}: rows need a positive spacing in seconds")
    header, lines = _read_lines(path)
    time_column = _time_column(path, header)
    names = _channel_names(path, header, mapping or {}, time_column)
    columns, skipped = _numeric_columns(names, lines)
    unusable = [names[column] for column in skipped if mapping and names[column] in mapping.values()]
    if unusable or not columns:
        what = f"the mapped columns {unusable} do not hold" if unusable else "no column holds"
        raise RecordingError(
            path, header.number, f"{what} numbers in most cells; numbers look like 0.5 or 1e3, not 0,5"
        )
    rows = [tuple(_value(path, line, names, column) for column in columns) for line in lines]
    if time_column is None:
        times_s = [index * period_s for index in range(len(lines))]
    else:
        times_s = [_time_s(path, line, time_column) for line in lines]
    merged, duplicates = _merge(times_s, rows, lines)
    return Recording(
        channels=tuple(names[column] for column in columns),
        times_s=tuple(merged),
        rows=tuple(merged.values()),
        synthetic_time=time_column is None,
        skipped_columns=tuple(names[column] for column in skipped),
        duplicate_lines=duplicates,
        unsorted_lines=sum(later < earlier for earlier, later in pairwise(times_s)),
    )


def _read_lines(path: Path) -> tuple[_Line, list[_Line]]:
    """The header and the lines with content, all of the header's width."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecordingError(path, line, f"this is no UTF-8 text ({error.reason}): save the file in UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        found = [_Line(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise RecordingError(path, reader.line_num, f"this is no CSV ({error}): repair the line") from error
    if len(found) < 2:
        raise RecordingError(path, 1, "a recording needs a header line and at least one line of values")
    header, lines = found[0], found[1:]
    for line in lines:
        if len(line.cells) != len(header.cells):
            raise RecordingError(
                path, line.number, f"{len(line.cells)} cells, but the header has {len(header.cells)}: repair the line"
            )
    if all(_is_number(cell) for cell in header.cells):
        raise RecordingError(
            path, header.number, "the first line holds numbers: put a line with column names before it"
        )
    return header, lines


def _time_column(path: Path, header: _Line) -> int | None:
    lower = [cell.lower() for cell in header.cells]
    for name in ("timestamp", "datetime"):
        if name in lower:
            return lower.index(name)
    if "date" in lower and "time" in lower:
        raise RecordingError(path, header.number, "date and time are two columns: join them in one called timestamp")
    return next((lower.index(name) for name in ("time", "date") if name in lower), None)


def _channel_names(path: Path, header: _Line, mapping: Mapping[str, str], time_column: int | None) -> dict[int, str]:
    """Name of each column but the timestamp's, by index."""
    columns = {index: cell for index, cell in enumerate(header.cells) if index != time_column}
    unknown = sorted(set(mapping) - set(columns.values()))
    if unknown:
        raise RecordingError(
            path, header.number, f"the mapping names {unknown}, but the columns are {sorted(columns.values())}"
        )
    names = {index: mapping.get(cell, cell) or _unnamed(index) for index, cell in columns.items()}
    repeated = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if repeated:
        raise RecordingError(path, header.number, f"more than one column is called {repeated}: give each its own name")
    return names


def _unnamed(column: int) -> str:
    return f"(column {column + 1})"


def _numeric_columns(names: dict[int, str], lines: list[_Line]) -> tuple[list[int], list[int]]:
    """Indices of the columns that are channels and of those that are not. A column without a name is none."""
    numeric: list[int] = []
    skipped: list[int] = []
    for column, name in names.items():
        filled = [line.cells[column] for line in lines if line.cells[column].lower() not in _MISSING]
        is_channel = 2 * sum(map(_is_number, filled)) > len(filled) and name != _unnamed(column)
        (numeric if is_channel else skipped).append(column)
    return numeric, skipped


def _is_number(cell: str) -> bool:
    if "_" in cell:  # float() takes 1_000 for a number
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _value(path: Path, line: _Line, names: dict[int, str], column: int) -> float | None:
    cell = line.cells[column]
    if cell.lower() in _MISSING:
        return None
    if not _is_number(cell) or not math.isfinite(float(cell)):
        raise RecordingError(
            path, line.number, f"{cell!r} in column {names[column]} is no finite number: correct it, or leave it empty"
        )
    return float(cell)


def _time_s(path: Path, line: _Line, column: int) -> float:
    cell = line.cells[column]
    if _is_number(cell):
        time_s = float(cell)
        if abs(time_s) < _LARGEST_UNIX_S:
            return time_s
        raise RecordingError(
            path, line.number, f"the timestamp {cell} is no Unix time in seconds: give seconds, or ISO 8601"
        )
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError as error:
        raise RecordingError(
            path, line.number, f"the timestamp {cell!r} is not ISO 8601: write it like 2025-01-20T12:00:00Z"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _merge(
    times_s: list[float], rows: list[tuple[float | None, ...]], lines: list[_Line]
) -> tuple[dict[float, tuple[float | None, ...]], tuple[int, ...]]:
    """Rows by time, in its order, and the numbers of the lines that repeated a time."""
    merged: dict[float, tuple[float | None, ...]] = {}
    duplicates: list[int] = []
    for index in sorted(range(len(rows)), key=times_s.__getitem__):
        time_s, row = times_s[index], rows[index]
        if time_s in merged:
            duplicates.append(lines[index].number)
            row = tuple(second if first is None else first for first, second in zip(merged[time_s], row, strict=True))
        merged[time_s] = row
    return merged, tuple(duplicates)
