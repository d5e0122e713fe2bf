"""What counts as a reading of a frame: coverage, spread, and nothing that is 0 because it is missing."""

import pytest
from eil_atlas.domain.readings import Energy, Frames, Gap, Quantity, Reading, measure

MINUTE = 60_000_000
T0 = 30_000_000 * MINUTE
HOUR = Frames(T0, MINUTE, 60, 1)


def minutes(source: str, watts, *, first: int = 0, covered_s: float = 60.0, regime: str = "r1") -> list[Energy]:
    """A row a minute, at so many watts over the covered time; entropy at 300 K."""
    return [
        Energy(source, T0 + (first + i) * MINUTE, each * covered_s, covered_s, each * covered_s / 300.0, regime)
        for i, each in enumerate(watts)
    ]


def only(rows, frames: Frames = HOUR, quantity: Quantity = "energy") -> Reading | Gap:
    (frame,) = measure(rows, frames, quantity)
    (found,) = (*frame.readings, *frame.gaps)
    return found


@pytest.mark.parametrize(("quantity", "value"), [("energy", 360_000.0), ("power", 100.0), ("entropy", 1200.0)])
def test_a_covered_frame_is_read_as_it_is(quantity, value):
    found = only(minutes("a", [100.0] * 60), quantity=quantity)
    assert isinstance(found, Reading)
    assert (found.value, found.uncertainty, found.covered_s) == (pytest.approx(value), 0.0, 3600.0)


@pytest.mark.parametrize(("quantity", "per_watt"), [("energy", 3600.0), ("power", 1.0), ("entropy", 12.0)])
def test_what_is_not_covered_is_scaled_up_with_the_sources_own_spread(quantity, per_watt):
    found = only(minutes("a", [90.0, 110.0] * 24), quantity=quantity)
    assert isinstance(found, Reading)
    assert found.value == pytest.approx(100.0 * per_watt)
    assert found.covered_s == 48 * 60
    assert found.uncertainty == pytest.approx(0.2 * 10.1 * per_watt, rel=0.01), "a fifth is not covered; ± 10.1 W of it"


def test_a_source_without_a_history_is_trusted_with_nothing():
    found = only(minutes("a", [100.0], covered_s=45.0), Frames(T0, MINUTE, 1, 1), "power")
    assert isinstance(found, Reading)
    assert (found.value, found.uncertainty) == (pytest.approx(100.0), pytest.approx(25.0))


def test_less_than_half_is_a_gap_and_never_a_zero():
    assert only(minutes("a", [100.0] * 29)) == Gap("a", 29 * 60.0)
    assert isinstance(only(minutes("a", [100.0] * 30)), Reading)
    assert isinstance(only(minutes("a", [0.0] * 60)), Reading), "a measured zero is one"
    (frame,) = measure([], HOUR, "energy", ["silent"])
    assert (frame.readings, frame.gaps) == ((), (Gap("silent", 0.0),))


def test_frames_share_the_rows_out_and_those_outside_count_nowhere():
    frames = Frames(T0, MINUTE, 5, 3)
    rows = minutes("b", [10.0] * 5 + [20.0] * 5, regime="r1") + minutes("b", [90.0], first=15)
    rows += minutes("a", [5.0] * 15, regime="r2")
    found = measure(reversed(rows), frames, "power")
    assert [[(each.source, each.value) for each in frame.readings] for frame in found] == [
        [("a", 5.0), ("b", 10.0)],
        [("a", 5.0), ("b", 20.0)],
        [("a", 5.0)],
    ]
    assert [frame.gaps for frame in found] == [(), (), (Gap("b", 0.0),)]
    assert {each.regime for frame in found for each in frame.readings if each.source == "a"} == {"r2"}
    assert (frames.begin_us(1), frames.end_us) == (T0 + 5 * MINUTE, T0 + 15 * MINUTE)
