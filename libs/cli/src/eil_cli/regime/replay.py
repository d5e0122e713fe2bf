"""Series given to a fresh detector each, as fast as it goes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from eil_regime.domain.detector import Detector
from numpy.typing import NDArray

from eil_cli.regime.reports import CONFIDENCE_DIGITS, Reports
from eil_cli.regime.series import Series, read_series

BLOCK_ROWS = 8192
"""Rows that the detector takes in one go, so that progress shows."""

Progress = Callable[[int, int], None]
"""Called with rows done and rows in all."""


def _no_progress(done: int, total: int) -> None:
    """Nobody looks."""


def detect(series: Series, progress: Progress = _no_progress) -> Reports:
    """Reports of a fresh detector with its default configuration; row i is at i seconds."""
    detector = Detector()
    times_s = np.arange(series.rows, dtype=np.float64)
    traces = []
    progress(0, series.rows)
    for first, last in _blocks(series.rows):
        block = {name: values[first:last] for name, values in series.columns.items()}
        traces.append(detector.advance(times_s[first:last], block))
        progress(last, series.rows)
    shifts: dict[int, int] = {}
    for shift in (shift for trace in traces for shift in trace.shifts):
        shifts.setdefault(int(shift.detected_s), int(shift.at_s))
    confidence = _joined([trace.confidence for trace in traces], np.float32).astype(np.float64)
    return Reports(
        _joined([trace.regime for trace in traces], np.int32),
        _joined([trace.next_regime for trace in traces], np.int32),
        confidence.round(CONFIDENCE_DIGITS),
        tuple(shifts.items()),
    )


def _joined(parts: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    """All blocks as one array, also if there are none."""
    return np.concatenate([np.zeros(0, kind), *parts])


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for first in range(0, rows, BLOCK_ROWS):
        yield first, min(first + BLOCK_ROWS, rows)


@dataclass(frozen=True)
class Replayed:
    """What became of one file."""

    series: str
    rows: int
    columns: int
    shifts: int
    regimes: int
    """Different regimes that were reported."""
    seconds: float
    """Reading, detecting and writing [s]."""


def replay_file(path: Path, folder: Path, progress: Progress = _no_progress) -> Replayed:
    """Reads SERIES.csv, writes its reports into `folder` as SERIES.jsonl.

    Raises:
        SeriesError: the file is no series.
        OSError: it cannot be read, or the reports cannot be written.
    """
    began_s = time.perf_counter()
    series = read_series(path)
    reports = detect(series, progress)
    (folder / f"{series.name}.jsonl").write_text("".join(f"{line}\n" for line in reports.lines()))
    return Replayed(
        series.name,
        reports.rows,
        len(series.columns),
        len(reports.shifts),
        np.unique(reports.regime).size,
        time.perf_counter() - began_s,
    )
