"""Batches that lie in no segment yet: nothing tells them from the others, and the detector goes on from them to the bit."""

from __future__ import annotations

import sqlite3
from unittest import mock

import numpy as np
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
from eil_regime.tails import Tail
from hypothesis import given, settings
from hypothesis import strategies as st

NOW_US = 1_800_000_000 * MICROSECONDS
LIMITS = Limits(window_s=60.0, future_s=300.0, lateness_s=1e6, oldest_s=1e8)


class Shelf:
    """A database in memory with one source, `plant`."""

    def __init__(self) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.row_factory = sqlite3.Row
        self.conn.executescript(JOURNAL + sources.SCHEMA + segments.SCHEMA + tails.SCHEMA + deletion.SCHEMA)
        self.journal, self.now_us, self.ingest = Journal(self.conn), NOW_US, Ingest(LIMITS)

    @property
    def tx(self) -> Tx:
        return Tx(self.conn, self.journal, self.now_us)

    def take(self, times_s, **columns):
        times_us = NOW_US + np.asarray(times_s, np.int64) * MICROSECONDS
        return self.ingest.take(
            self.tx,
            "t",
            "plant",
            Batch(times_us, tuple(columns), np.array([*columns.values()], float)),
            "mean",
            "meter",
        )

    @property
    def source(self) -> sources.Source:
        return sources.source_at(self.conn, 1)

    def rows(self, table: str) -> int:
        return self.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def detector(self) -> bytes:
        """The detector as a process finds it that begins now."""
        return Memory().recall(self.conn, self.source).detector.dump()

    def history(self):
        times_us, columns = samples.newest_rows(self.conn, self.source, 10_000)
        return times_us.tolist(), {name: values.tolist() for name, values in columns.items()}


steps = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 9), st.sampled_from(["x", "y", "both"])), min_size=1, max_size=25
)


@settings(max_examples=60, deadline=None)
@given(steps, st.sampled_from([0, 200, 600, tails.MOST_BYTES]))
def test_the_detector_found_is_the_one_that_ran_whatever_came_late_or_apart(parts, most_bytes):
    with mock.patch.object(tails, "MOST_BYTES", most_bytes):
        shelf = Shelf()
        for begin, rows, channels in parts:
            times_s = np.arange(begin, begin + rows)
            values = np.sin(times_s) + 10.0 * (begin > 30)
            names = ("x", "y") if channels == "both" else (channels,)
            shelf.take(times_s, **{name: values + len(name) for name in names})
        running = shelf.ingest._memory.recall(shelf.conn, shelf.source)
        assert shelf.detector() == running.detector.dump()
        assert len(shelf.ingest._memory._live) == 0, "what is recalled is kept by nobody else"


def test_the_window_in_memory_is_the_one_that_is_stored():
    running, restarted = Shelf(), Shelf()
    rng = np.random.default_rng(1)
    for t in range(-400, 0):
        sent = {"power_draw": [100.0 + rng.random()], **({"temperature": [50.0 + rng.random()]} if t % 3 else {})}
        restarted.ingest = Ingest(LIMITS)
        assert running.take([t], **sent).state == restarted.take([t], **sent).state
    recent = running.ingest._memory.recall(running.conn, running.source).recent
    assert recent is not None
    assert recent.samples <= 2 * (60 + samples.BEFORE + 1), "what left the window and its neighbours is let go"


def test_small_batches_gather_and_go_into_a_segment_together():
    shelf = Shelf()
    with mock.patch.object(tails, "MOST_BYTES", 600):
        for t in range(40):
            shelf.take([t], x=[float(t)])
            assert len(tails.find(shelf.conn, 1).body) <= 600
    assert (shelf.rows("segments"), shelf.rows("tails")) == (1, 1)
    times_us, columns = shelf.history()
    assert times_us == [NOW_US + t * MICROSECONDS for t in range(40)]
    assert columns == {"x": [float(t) for t in range(40)]}


def test_a_large_batch_takes_what_has_gathered_with_it():
    shelf = Shelf()
    shelf.take([0], x=[1.0])
    shelf.take(np.arange(-1999, 0), x=np.arange(1999))
    assert (shelf.rows("segments"), shelf.rows("tails")) == (1, 0)
    assert len(shelf.history()[0]) == 2000


def test_what_has_gathered_for_long_is_settled_and_nothing_changes():
    shelf = Shelf()
    for t in range(5):
        shelf.take([t], x=[float(t)])
    known, detector = shelf.history(), shelf.detector()
    assert shelf.ingest.settle(shelf.tx, NOW_US, 10) == 0, "it came just now"
    assert shelf.ingest.settle(shelf.tx, NOW_US + 1, 10) == 1
    assert (shelf.rows("segments"), shelf.rows("tails")) == (1, 0)
    assert (shelf.history(), shelf.detector()) == (known, detector)
    assert shelf.conn.execute("SELECT received_us FROM segments").fetchone()[0] == NOW_US
    shelf.take([5], x=[5.0])
    assert len(shelf.history()[0]) == 6


def test_a_settling_that_is_undone_loses_nothing():
    shelf = Shelf()
    shelf.take([0], x=[1.0])
    shelf.conn.execute("SAVEPOINT undone")
    shelf.ingest.settle(shelf.tx, NOW_US + 1, 10)
    shelf.conn.execute("ROLLBACK TO undone")
    shelf.take([1], x=[2.0])
    assert shelf.history()[1] == {"x": [1.0, 2.0]}


def test_rows_found_in_the_tail_and_in_a_segment_count_once():
    shelf = Shelf()
    for t in range(3):
        shelf.take([t], x=[float(t)])
    segments.add(
        shelf.conn, shelf.source, segments.merge(tails.find(shelf.conn, 1).pieces())
    )  # a reader between the two
    window = samples.window(shelf.conn, shelf.source, ["x"], NOW_US - 1, NOW_US + 10 * MICROSECONDS)
    assert window.series["x"].value.tolist() == [0.0, 1.0, 2.0]
    assert shelf.history()[1] == {"x": [0.0, 1.0, 2.0]}


def test_a_source_is_deleted_with_its_tail():
    shelf = Shelf()
    shelf.conn.execute("PRAGMA foreign_keys=ON")
    shelf.take([0], x=[1.0])
    deletion.delete(shelf.tx, "t", "plant")
    assert shelf.rows("tails") == 0


def test_memory_is_bounded_by_bytes_and_what_was_forgotten_is_found_again():
    shelf, ample = Shelf(), Shelf()
    with mock.patch("eil_regime.live.REMEMBERED_BYTES", 40_000):
        for t in range(30):
            for name in ("a", "b", "c", "d"):
                batch = Batch(np.array([NOW_US + t * MICROSECONDS]), ("x",), np.array([[float(t % 7)]]))
                mine = shelf.ingest.take(shelf.tx, "t", name, batch, "mean", "meter")
                with mock.patch("eil_regime.live.REMEMBERED_BYTES", 1 << 30):
                    assert ample.ingest.take(ample.tx, "t", name, batch, "mean", "meter").prediction == mine.prediction
    assert 1 <= len(shelf.ingest._memory._live) < 4 == len(ample.ingest._memory._live)
    assert shelf.ingest._memory._nbytes == sum(live.nbytes for live in shelf.ingest._memory._live.values()) <= 40_000


def test_a_tail_keeps_every_piece_as_it_came():
    one = Segment(
        np.array([5, 9]), np.array([7, 7]), np.array([True, True]), b"\x00\x02", np.array([[1, np.nan], [3, 4]])
    )
    other = Segment(np.array([1]), np.array([8]), np.array([False]), b"\x01", np.array([[2.0]]))
    tail = Tail().grown(one).grown(other)
    assert tail.opened_us == 7
    for before, after in zip((one, other), tail.pieces(), strict=True):
        assert after.channels == before.channels
        for part in ("times_us", "received_us", "own", "values"):
            np.testing.assert_array_equal(getattr(after, part), getattr(before, part))
