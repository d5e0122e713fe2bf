"""`eil bench atlas`: what telemetry segments cost on disk and in time, beside plain Parquet and CSV."""

import csv
import hashlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from eil_atlas.domain.segments import decode, encode
from eil_mesh.clock import MICROSECONDS
from numpy.typing import NDArray

from eil_cli.bench.atlas_archive import bench_archive
from eil_cli.bench.progress import progress
from eil_cli.bench.report import Measure, Report
from eil_cli.regime.series import SeriesError, read_series, suite_files
from eil_cli.terminal import Failure

BYTES_GATE, BYTES_GOAL = 4.0, 2.0
WRITE_GATE, WRITE_GOAL = 2e6, 5e6
READ_GATE, READ_GOAL = 5e6, 20e6
FLEET_SAMPLES, FLEET_CHANNELS = 1_000_000, 8
FLEET_PERIOD_US = 10 * MICROSECONDS
REPEATS = 7
"""Every time is the median of so many."""
SNAPPY, CSV = "parquet snappy", "csv gzip"


@dataclass(frozen=True)
class Recording:
    """A stretch of samples: times (n,) [µs], never falling, and values (n,) by channel, NaN where missing."""

    times_us: NDArray[np.int64]
    channels: Mapping[str, NDArray[np.float64]]

    @property
    def samples(self) -> int:
        """Non-missing values."""
        return sum(int(np.count_nonzero(~np.isnan(values))) for values in self.channels.values())

    @property
    def table(self) -> pa.Table:
        """As it would be written without thought: int64 and float64."""
        return pa.table(
            {"time_us": self.times_us} | {k: pa.array(v, from_pandas=True) for k, v in self.channels.items()}
        )


@dataclass(frozen=True)
class Form:
    """A way to keep a recording."""

    write: Callable[[Recording], bytes]
    read: Callable[[bytes], object]


def _segment(recording: Recording) -> bytes:
    return encode(recording.times_us, recording.channels).content


def _read_segment(content: bytes) -> object:
    hashlib.sha256(content).hexdigest()  # what is read as an object has its digest checked
    return decode(content)


def _snappy(recording: Recording) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(recording.table, sink)
    return sink.getvalue().to_pybytes()


def _read_snappy(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content), use_threads=False)


def _csv(recording: Recording) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "gzip") as file:
        pa_csv.write_csv(recording.table, file)
    return sink.getvalue().to_pybytes()


def _read_csv(content: bytes) -> pa.Table:
    with pa.CompressedInputStream(pa.BufferReader(content), "gzip") as file:
        return pa_csv.read_csv(file, read_options=pa_csv.ReadOptions(use_threads=False))


OURS = Form(_segment, _read_segment)
BASELINES: Mapping[str, Form] = {SNAPPY: Form(_snappy, _read_snappy), CSV: Form(_csv, _read_csv)}


def bench_atlas(data: Path, *, fleet_samples: int = FLEET_SAMPLES, repeats: int = REPEATS) -> Report:
    """Bytes per sample of recorded series, one segment a series, and speed on them and on a simulated fleet's segment.

    Args:
        data: holds `nab` (folders real*, each of files `timestamp,value`) and `skab` or `regime/skab` (a suite of series).
        fleet_samples: size of the simulated segment.
        repeats: of each time the median of so many is taken.

    Raises:
        Failure: a suite is missing or not in order.
    """
    suites = {"nab": read_nab(data / "nab"), "skab": read_skab(data)}
    both = [recording for recordings in suites.values() for recording in recordings]
    sets = {**suites, "series": both, "fleet": [fleet(fleet_samples)]}
    measures: dict[str, Measure] = {"values_altered": Measure(sum(map(altered, both)), "", 0.0, 0.0)}
    baselines: dict[str, dict[str, float]] = {name: {} for name in BASELINES}
    with progress() as begin, one_core():
        step = begin("segments", len(sets) * (1 + len(BASELINES)))
        for name, recordings in sets.items():
            timed = name in ("series", "fleet")
            for form_name, form in {"": OURS, **BASELINES}.items():
                figures = measure(recordings, form, repeats if timed else 0)
                for what, value in figures.items():
                    if form_name:
                        baselines[form_name][f"{name}_{what}"] = value
                    else:
                        measures[f"{name}_{what}"] = _measure(name, what, value)
                step()
        drawn = sets["fleet"][0]
        measures |= bench_archive(drawn.times_us, drawn.channels)
    return Report("atlas", measures, baselines, _notes(suites, fleet_samples))


def _measure(name: str, what: str, value: float) -> Measure:
    if what == "bytes_per_sample":
        return Measure(value, "B", *((None, None) if name == "fleet" else (BYTES_GATE, BYTES_GOAL)))
    gate, goal = (WRITE_GATE, WRITE_GOAL) if what.startswith("write") else (READ_GATE, READ_GOAL)
    return Measure(value, "/s", gate, goal, "higher")


def _notes(suites: Mapping[str, list[Recording]], fleet_samples: int) -> tuple[str, ...]:
    counts = ", ".join(
        f"{name} {sum(r.samples for r in recordings):,} in {len(recordings)} segments"
        for name, recordings in suites.items()
    )
    return (
        f"samples: {counts}. A sample is one non-missing value with its share of the time; bytes are the whole file's.",
        "skab has no times and gets a row a second. Where a series' times fall back, its next segment begins.",
        f"fleet: one simulated segment of {fleet_samples:,} values, {FLEET_CHANNELS} channels, rounded to 0.1.",
        "Speed: one core, in memory; segments with their SHA-256, written and read.",
        "archive: the fleet's samples as records of 1000 rows, recorded, cut by the hour and read, durable; in S3 where "
        "AWS_ENDPOINT_URL_S3 names a server.",
    )


def measure(recordings: list[Recording], form: Form, repeats: int) -> dict[str, float]:
    """Bytes per sample of recordings kept in a form; with `repeats` also samples written and read per second."""
    samples = sum(recording.samples for recording in recordings)
    contents = [form.write(recording) for recording in recordings]
    figures = {"bytes_per_sample": sum(map(len, contents)) / samples}
    if repeats:
        figures["write_samples_per_s"] = samples / _median_s(lambda: [form.write(r) for r in recordings], repeats)
        figures["read_samples_per_s"] = samples / _median_s(lambda: [form.read(c) for c in contents], repeats)
    return figures


def altered(recording: Recording) -> int:
    """Values and times that come back from a segment with other bits."""
    segment = encode(recording.times_us, recording.channels)
    back = decode(segment.content, sha256=segment.summary.sha256)
    wrong = int(np.count_nonzero(back.times_us != recording.times_us))
    for name, values in recording.channels.items():
        wrong += int(np.count_nonzero(back.channels[name].view(np.int64) != values.view(np.int64)))
    return wrong


def _median_s(work: Callable[[], object], repeats: int) -> float:
    times_s: list[float] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - begun)
    return statistics.median(times_s)


@contextmanager
def one_core() -> Iterator[None]:
    """Arrow's pools with one thread each."""
    before = pa.cpu_count(), pa.io_thread_count()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    try:
        yield
    finally:
        pa.set_cpu_count(before[0])
        pa.set_io_thread_count(before[1])


def fleet(samples: int, seed: int = 1) -> Recording:
    """A source's simulated meters: levels that jump, a slow wave, noise; rounded to 0.1; 0.5 % missing; times a few ms off."""
    rng = np.random.default_rng(seed)
    rows = max(1, samples // FLEET_CHANNELS)
    at = np.arange(rows)
    jitter_us = np.rint(rng.normal(0.0, 3.0, rows)).astype(np.int64) * 1000
    channels: dict[str, NDArray[np.float64]] = {}
    for place in range(FLEET_CHANNELS):
        level = rng.uniform(100, 500, rows // 2000 + 1)[at // 2000]
        values = np.round(level + 20 * np.sin(at / (400 + 30 * place)) + rng.normal(0.0, 2.0, rows), 1)
        values[rng.random(rows) < 0.005] = np.nan
        channels[f"meter_{place}"] = values
    return Recording(1_700_000_000 * MICROSECONDS + at * FLEET_PERIOD_US + jitter_us, channels)


def read_nab(folder: Path) -> list[Recording]:
    """The series of NAB's folders real*, times taken as UTC; one that falls back in time is cut there.

    Raises:
        Failure: there is none, or one is not in order.
    """
    files = sorted(folder.glob("real*/*.csv"))
    if not files:
        raise Failure(f"{folder} holds no series real*/*.csv: give the folder above nab and skab with --data DIR")
    recordings: list[Recording] = []
    for path in files:
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))[1:]
            stamps = [datetime.fromisoformat(row[0]).replace(tzinfo=UTC).timestamp() for row in rows]
            values = np.array([float(row[1]) for row in rows])
        except (ValueError, IndexError) as error:
            raise Failure(f"{path} is no series of lines timestamp,value: {error}") from None
        times_us = np.rint(np.array(stamps) * MICROSECONDS).astype(np.int64)
        cuts = [0, *(np.flatnonzero(np.diff(times_us) < 0) + 1).tolist(), len(rows)]
        recordings += [
            Recording(times_us[begin:end], {"value": values[begin:end]}) for begin, end in pairwise(cuts) if end > begin
        ]
    return recordings


def read_skab(data: Path) -> list[Recording]:
    """The series of SKAB, a row a second.

    Raises:
        Failure: there is none, or one is not in order.
    """
    folder = next((path for path in (data / "skab", data / "regime" / "skab") if path.is_dir()), data / "skab")
    try:
        series = [read_series(path) for path in suite_files(folder)]
    except SeriesError as error:
        raise Failure(str(error)) from None
    return [Recording(np.arange(one.rows, dtype=np.int64) * MICROSECONDS, one.columns) for one in series]
