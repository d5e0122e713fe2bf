"""A saved detector goes on to the bit, and bytes that are none are refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from eil_regime.domain.detector import Detector
from hypothesis import given, settings
from hypothesis import strategies as st


def telemetry(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(n) + 6.0 * (np.arange(n) // 300 % 2)
    b = np.where(rng.random(n) < 0.1, np.nan, rng.standard_t(3, n))
    late = np.where(np.arange(n) < n // 2, np.nan, rng.standard_normal(n))
    return {"a": a, "b": b, "late": late}


def part(columns: dict[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: column[start:stop] for name, column in columns.items()}


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 999), max_size=6), seed=st.integers(0, 3))
def test_however_rows_are_batched_and_saved_between_nothing_changes(cuts: list[int], seed: int) -> None:
    columns, times = telemetry(1000, seed), np.arange(1000.0)
    times[600:] += 5000.0  # a gap
    whole = Detector()
    trace = whole.advance(times, columns)
    piecewise, found = Detector(), []
    edges = [0, *sorted(set(cuts)), 1000]
    for start, stop in itertools.pairwise(edges):
        piece = piecewise.advance(times[start:stop], part(columns, start, stop))
        np.testing.assert_array_equal(piece.confidence, trace.confidence[start:stop])
        np.testing.assert_array_equal(piece.regime, trace.regime[start:stop])
        found += piece.shifts
        piecewise = Detector.load(piecewise.dump())
    assert tuple(found) == trace.shifts
    assert piecewise.dump() == whole.dump()
    assert piecewise.verdict == whole.verdict
    assert piecewise.gaps == whole.gaps == 1


def test_row_by_row_is_the_same_as_in_one_go() -> None:
    columns = telemetry(700, 1)
    whole, single = Detector(), Detector()
    whole.advance(np.arange(700.0), columns)
    for i in range(700):
        single.update(float(i), {name: float(column[i]) for name, column in columns.items()})
    assert single.dump() == whole.dump()


def test_a_later_row_never_changes_an_earlier_verdict() -> None:
    columns = telemetry(1000, 2)
    short = Detector().advance(np.arange(640.0), part(columns, 0, 640))
    long = Detector().advance(np.arange(1000.0), columns)
    np.testing.assert_array_equal(short.confidence, long.confidence[:640])
    assert short.shifts == tuple(shift for shift in long.shifts if shift.detected_s < 640.0)


def test_bytes_that_are_no_state_are_refused() -> None:
    detector = Detector()
    detector.advance(np.arange(50.0), telemetry(50, 0))
    blob = detector.dump()
    for wrong in (b"", b"EILR", b"x" * 200, blob[:-1], blob + b"\0", blob[:20], b"EILS" + blob[4:]):
        with pytest.raises(ValueError, match="detector state"):
            Detector.load(wrong)
    damaged = blob.replace(b'"channels"', b'"chonnels"')
    with pytest.raises(ValueError, match="damaged"):
        Detector.load(damaged)


def test_an_empty_detector_survives_saving() -> None:
    detector = Detector.load(Detector().dump())
    assert detector.verdict is None
    assert detector.update(0.0, {"a": math.nan}).label == "stable"
    assert detector.update(1.0, {"a": 1.0}).regime_id == "r1"
