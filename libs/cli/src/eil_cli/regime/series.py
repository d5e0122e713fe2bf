"""Suites of recorded series: a folder of CSV files, one row a sample."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class SeriesError(ValueError):
    """A file that is no series; the message says which file, where in it, and what to do."""


@dataclass(frozen=True)
class Series:
    """One recorded series."""

    name: str
    columns: dict[str, NDArray[np.float64]]
    """Values (rows,) of each column; NaN where missing."""

    @property
    def rows(self) -> int:
        """Samples of each column."""
        return next(iter(self.columns.values())).size

    @property
    def values(self) -> NDArray[np.float64]:
        """All columns, (rows, columns)."""
        return np.column_stack(list(self.columns.values()))


def suite_files(suite: Path) -> list[Path]:
    """The CSV files of a suite in order of their names.

    Raises:
        SeriesError: there are none.
    """
    files = sorted(suite.glob("*.csv"))
    if not files:
        raise SeriesError(f"{suite} holds no file *.csv: a suite is a folder with a CSV file for each series")
    return files


def read_series(path: Path) -> Series:
    """Reads a header line, then one row a sample, numbers with a decimal point separated by commas.

    An empty cell, NaN or an infinite value is missing. In a file of one column an empty line is therefore a row;
    in others empty lines may only end the file.

    Raises:
        SeriesError: the file does not have this form; with file, row (0 is the first below the header) and column.
        OSError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SeriesError(f"{path} is no CSV file in UTF-8: {error}") from None
    if not lines or not lines[0]:
        raise SeriesError(f"{path} has no header: its first line names the columns")
    names = [cell.strip() or f"column {place}" for place, cell in enumerate(lines[0], start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SeriesError(f"{path} has two columns {twice!r}: give each a name of its own")
    rows = lines[1:]
    if len(names) == 1:
        rows = [row or [""] for row in rows]
    while rows and not rows[-1]:
        rows.pop()
    values = np.array([_numbers(path, place, row, names) for place, row in enumerate(rows)], np.float64)
    values = values.reshape(len(rows), len(names))
    values[~np.isfinite(values)] = math.nan
    return Series(path.stem, {name: values[:, place].copy() for place, name in enumerate(names)})


def _numbers(path: Path, place: int, row: list[str], names: list[str]) -> list[float]:
    if len(row) != len(names):
        raise SeriesError(
            f"{path}, row {place} (line {place + 2}): {len(row)} cells where the header names {len(names)} columns; "
            "leave a missing value's cell empty, but keep its comma"
        )
    try:
        return [float(cell) if cell else math.nan for cell in row]
    except ValueError:
        return [_number(path, place, cell, name) for cell, name in zip(row, names, strict=True)]


def _number(path: Path, place: int, cell: str, name: str) -> float:
    text = cell.strip()
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise SeriesError(
            f"{path}, row {place} (line {place + 2}), column {name!r}: {text!r} is no number; "
            "a missing value is an empty cell or NaN"
        ) from None
