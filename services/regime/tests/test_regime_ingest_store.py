"""What is stored against a plain model of it: every value once, the first stands, and every question answered exactly."""

from __future__ import annotations

import math
import sqlite3
from unittest import mock

import numpy as np
import pytest
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import MICROSECONDS
from eil_mesh.journal import SCHEMA as JOURNAL
from eil_mesh.journal import Journal
from eil_mesh.store import Tx
from eil_regime import deletion, samples, segments, sources, tails
from eil_regime.batch import Batch
from eil_regime.ingest import Ingest
from eil_regime.live import Memory
from eil_regime.refusals import Limits
from eil_regime.segments import Segment
from hypothesis import given, settings
from hypothesis import strategies as st

NOW_US = 1_800_000_000 * MICROSECONDS
LIMITS = Limits(window_s=60.0, future_s=300.0, lateness_s=1e6, oldest_s=1e8)
NAMES = ("power_draw", "temperature", "x")

rows = st.tuples(
    st.integers(0, 40),  # time [s]
    st.lists(st.sampled_from([math.nan, 1.0, 2.0]), min_size=3, max_size=3).filter(
        lambda v: not all(map(math.isnan, v))
    ),
)
batches = st.lists(st.lists(rows, min_size=1, max_size=12), min_size=1, max_size=8)
small = st.sampled_from([0, 200, segments.SMALL_BYTES])  # every batch a segment of its own, some together, all in one


def segments_of(small_bytes: int):
    return mock.patch.object(segments, "SMALL_BYTES", small_bytes)


class Shelf:
    """A database in memory with one source, `plant`."""

    def __init__(self) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.row_factory = sqlite3.Row
        self.conn.executescript(JOURNAL + sources.SCHEMA + segments.SCHEMA + tails.SCHEMA + deletion.SCHEMA)
        self.journal, self.now_us, self.ingest = Journal(self.conn), NOW_US, Ingest(LIMITS)

    def take(self, batch: Batch, sender: str = "meter"):
        return self.ingest.take(Tx(self.conn, self.journal, self.now_us), "t", "plant", batch, "mean", sender)

    @property
    def source(self) -> sources.Source:
        found = sources.find_source(self.conn, "t", "plant")
        assert found is not None
        return found

    def segments(self) -> int:
        return self.conn.execute("SELECT count(*) FROM segments").fetchone()[0]


def batch_of(part) -> Batch:
    times_us = np.array([NOW_US + t * MICROSECONDS for t, _ in part])
    return Batch(times_us, NAMES, np.array([values for _, values in part]).T)


def expected(model: dict[tuple[str, int], float], part) -> tuple[int, int]:
    """Take rows into the model one by one; returns the rows with a new value and the values in conflict."""
    accepted = conflicts = 0
    for t, values in part:
        new = False
        for name, value in zip(NAMES, values, strict=True):
            key = (name, NOW_US + t * MICROSECONDS)
            if math.isnan(value):
                continue
            if key in model:
                conflicts += model[key] != value
            else:
                model[key], new = value, True
        accepted += new
    return accepted, conflicts


@settings(max_examples=60, deadline=None)
@given(batches, small)
def test_any_sequence_of_batches_is_kept_as_a_dictionary_would(parts, small_bytes):
    with segments_of(small_bytes):
        shelf, model, dropped = Shelf(), {}, 0
        for part in parts:
            outcome = shelf.take(batch_of(part))
            accepted, conflicts = expected(model, part)
            assert (outcome.accepted, outcome.duplicates) == (accepted, len(part) - accepted)
            assert sum(outcome.conflicts.values()) == conflicts
            dropped += conflicts
        times_us, columns = samples.newest_rows(shelf.conn, shelf.source, 1000)
        stored = {
            (n, int(t)): v for n, c in columns.items() for t, v in zip(times_us, c, strict=True) if not math.isnan(v)
        }
        assert stored == model
        assert shelf.source.conflicts == dropped
        assert shelf.source.clock_us == max(t for _, t in model)


@settings(max_examples=40, deadline=None)
@given(batches, small)
def test_what_is_remembered_between_batches_is_what_is_stored(parts, small_bytes):
    with segments_of(small_bytes):
        running, restarted = Shelf(), Shelf()
        for part in parts:
            restarted.ingest = Ingest(LIMITS)
            mine, other = running.take(batch_of(part)), restarted.take(batch_of(part))
            assert mine.state == other.state
            assert mine.prediction == other.prediction


@settings(max_examples=60, deadline=None)
@given(batches, st.integers(-5, 45), st.integers(1, 30), st.integers(-1, 9), small)
def test_a_window_holds_exactly_its_samples_and_neighbours(parts, start, length, after, small_bytes):
    with segments_of(small_bytes), mock.patch.object(samples, "BEFORE", 3):
        shelf, kept = Shelf(), {}
        for i, part in enumerate(parts):
            shelf.now_us = NOW_US + i
            shelf.take(batch_of(part), sender=f"meter-{i % 2}")
            for t, values in part:
                for name, value in zip(NAMES, values, strict=True):
                    if not math.isnan(value):
                        kept.setdefault((name, t), (value, NOW_US + i))
        start_us, end_us = (NOW_US + s * MICROSECONDS for s in (start, start + length))
        found = samples.window(
            shelf.conn, shelf.source, NAMES, start_us, end_us, received_after_us=NOW_US + after if after >= 0 else 0
        )
        for name in NAMES:
            mine = sorted((t, value, received) for (n, t), (value, received) in kept.items() if n == name)
            earlier = [row for row in mine if row[0] <= start][-samples.BEFORE :]
            inside = [
                row for row in mine if start < row[0] <= start + length and (after < 0 or row[2] > NOW_US + after)
            ]
            later = [row for row in mine if row[0] > start + length][:1]
            wanted = [(float(NOW_US // MICROSECONDS + t), value) for t, value, _ in earlier + inside + later]
            series = found.series.get(name)
            got = [] if series is None else list(zip(series.time_s.tolist(), series.value.tolist(), strict=True))
            assert got == wanted
            delays = [abs(received - NOW_US - t * MICROSECONDS) for t, _, received in inside]
            assert found.provenance(name) == (bool(inside), max(delays, default=0) / MICROSECONDS)


@settings(max_examples=40, deadline=None)
@given(batches, st.integers(1, 30), small)
def test_the_newest_rows_are_the_newest_times_of_all_channels(parts, wanted, small_bytes):
    with segments_of(small_bytes):
        shelf = Shelf()
        for part in parts:
            shelf.take(batch_of(part))
        whole_us, whole = samples.newest_rows(shelf.conn, shelf.source, 1000)
        times_us, columns = samples.newest_rows(shelf.conn, shelf.source, wanted)
        assert times_us.tolist() == whole_us[-wanted:].tolist()
        for name, column in columns.items():
            np.testing.assert_array_equal(column, whole[name][-wanted:])


def test_single_samples_share_segments_and_are_all_there():
    shelf = Shelf()
    for t in range(1500):
        shelf.take(Batch(np.array([NOW_US + t * 100_000]), ("x",), np.array([[float(t)]])))
    assert shelf.segments() < 10
    _, columns = samples.newest_rows(shelf.conn, shelf.source, 10_000)
    assert columns["x"].tolist() == [float(t) for t in range(1500)]


def test_neighbours_and_rows_are_found_across_many_segments():
    shelf = Shelf()
    for k in range(5):
        times_us = NOW_US + (k * 3000 + np.arange(3000)) * 10_000
        shelf.take(Batch(times_us, ("x",), np.full((1, 3000), float(k))))
        shelf.take(Batch(times_us[-1:] + 1, ("rare",), np.array([[float(k)]])))
    start_us = NOW_US + 3 * 30_000_000
    window = samples.window(shelf.conn, shelf.source, ("x", "rare"), start_us, start_us + MICROSECONDS)
    assert window.series["rare"].value.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert window.series["x"].value.size == samples.BEFORE + 100 + 1
    times_us, columns = samples.newest_rows(shelf.conn, shelf.source, 7000)
    assert times_us.size == 7000
    assert np.isfinite(columns["rare"]).sum() == 3


def test_segments_are_forgotten_whole_and_only_when_all_of_them_is_old():
    shelf = Shelf()
    shelf.take(batch_of([(0, [1.0, 1.0, 1.0])]))
    shelf.now_us += MICROSECONDS
    shelf.take(batch_of([(1, [2.0, 2.0, 2.0])]))
    shelf.now_us += segments.OPEN_US
    shelf.take(batch_of([(2, [1.0, 1.0, 1.0])]))
    assert shelf.segments() == 2, "a segment stays open for a day"
    assert segments.forget(shelf.conn, NOW_US + 1, 10) == 0, "its newest row is younger"
    assert segments.forget(shelf.conn, NOW_US + MICROSECONDS + 1, 10) == 1
    times_us, _ = samples.newest_rows(shelf.conn, shelf.source, 10)
    assert times_us.tolist() == [NOW_US + 2 * MICROSECONDS]


def test_after_a_transaction_is_undone_the_detector_goes_on_from_what_is_stored():
    shelf, straight = Shelf(), Shelf()
    for t in range(80):
        part = batch_of([(t, [100.0 + t % 7, 30.0, 1.0])])
        straight.take(part)
        if t % 9 == 4:
            shelf.conn.execute("SAVEPOINT undone")
            head = shelf.journal.head
            shelf.take(batch_of([(t, [9e9, 500.0, -1.0])]))
            shelf.conn.execute("ROLLBACK TO undone")
            shelf.journal.head = head
        shelf.take(part)
    mine, other = (Memory().recall(s.conn, s.source).detector for s in (shelf, straight))
    assert mine.dump() == other.dump()
    assert shelf.ingest._memory.recall(shelf.conn, shelf.source).detector.dump() == other.dump()


def test_the_journal_holds_what_was_stored_and_nothing_else():
    shelf = Shelf()
    request = regime_pb2.IngestRequest(
        source="plant",
        times_us=[NOW_US, NOW_US + 1],
        columns=[
            regime_pb2.Column(name="x", values=[1.0, math.nan]),
            regime_pb2.Column(name="y", values=[math.nan, 2.0]),
        ],
    )
    whole = Batch(np.array(request.times_us), ("x", "y"), np.array([column.values for column in request.columns]))
    tx = Tx(shelf.conn, shelf.journal, NOW_US)
    shelf.ingest.take(tx, "t", "plant", whole, "instant", "meter", request)
    changed = Batch(whole.times_us, ("x", "y"), np.array([[9.0, 3.0], [math.nan, 2.0]]))
    shelf.ingest.take(tx, "t", "plant", changed, "instant", "meter")
    first, second = (
        regime_pb2.TelemetryRecord.FromString(row[0])
        for row in shelf.conn.execute("SELECT payload FROM journal ORDER BY offset")
    )
    assert (list(first.times_us), first.columns[1].values[1]) == (list(request.times_us), 2.0)
    assert list(second.times_us) == [NOW_US + 1], (
        "the conflicting x of the first row is dropped, the repeated y is known"
    )
    assert [(column.name, list(column.values)) for column in second.columns] == [("x", [3.0])]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**60), 2**60), min_size=1, max_size=20), st.integers(1, 4), st.data())
def test_segments_keep_every_bit(times, channels, data):
    times_us = np.sort(np.array(times, np.int64))
    bits = st.lists(st.integers(0, 2**64 - 1), min_size=channels * len(times), max_size=channels * len(times))
    values = np.array(data.draw(bits), np.uint64).view(np.float64).reshape(channels, -1)
    own = np.array(data.draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times))))
    before = Segment(times_us, times_us[::-1].copy(), own, bytes(range(channels)), values)
    after = segments.unpack(before.channels, segments.pack(before))
    assert after.values.tobytes() == values.tobytes()
    assert after.times_us.tolist() == times_us.tolist()
    assert after.received_us.tolist() == before.received_us.tolist()
    assert after.own.tolist() == own.tolist()


def test_a_segment_of_a_later_version_is_not_guessed_at():
    one = np.array([1])
    body = segments.pack(Segment(one, one, np.array([True]), b"\0", np.array([[1.0]])))
    with pytest.raises(ValueError, match="version"):
        segments.unpack(b"\0", bytes([segments.VERSION + 1]) + body[1:])
