"""Samples put in order once, and their digest that knows no order."""

import numpy as np
import pytest
from eil.regime.v1 import regime_pb2
from eil_atlas.domain.content import HOUR_US, Content, between, content_of, merge, without
from eil_atlas.domain.segments import Samples
from eil_atlas.recorder import content_of_records
from hypothesis import given
from hypothesis import strategies as st

NAN = float("nan")
CELLS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.sampled_from([0.0, -0.0, 1.5, float("inf"), 3.0])),
    max_size=40,
)


def told(cells):
    """One part for each sample."""
    return [([time_us], {channel: [value]}) for channel, time_us, value in cells]


def as_dict(samples: Samples) -> dict[tuple[str, int], bytes]:
    return {
        (name, int(time_us)): np.float64(value).tobytes()
        for name, values in samples.channels.items()
        for time_us, value in zip(samples.times_us, values, strict=True)
        if not np.isnan(value)
    }


def first_kept(cells) -> dict[tuple[str, int], bytes]:
    kept: dict[tuple[str, int], bytes] = {}
    for channel, time_us, value in cells:
        kept.setdefault((channel, time_us), np.float64(value).tobytes())
    return kept


@given(CELLS)
def test_the_first_sample_of_a_channel_and_time_stands_and_times_rise(cells):
    merged = merge(told(cells))
    assert as_dict(merged) == first_kept(cells)
    assert (np.diff(merged.times_us) > 0).all()
    assert not any(np.isnan(values).all() for values in merged.channels.values())
    held = [~np.isnan(values) for values in merged.channels.values()]
    assert merged.times_us.size == 0 or np.any(held, axis=0).all()


@given(CELLS, CELLS)
def test_what_is_known_is_left_out_and_both_together_are_all(before, after):
    known, both = merge(told(before)), merge(told(before + after))
    fresh = without(merge(told(after)), known)
    assert as_dict(fresh) == {key: bits for key, bits in as_dict(both).items() if key not in as_dict(known)}
    assert content_of(known) + content_of(fresh) == content_of(both)


@given(CELLS, st.randoms())
def test_the_digest_knows_no_order(cells, random):
    once = [(channel, time_us, bits) for (channel, time_us), bits in first_kept(cells).items()]
    cells = [(channel, time_us, np.frombuffer(bits)[0]) for channel, time_us, bits in once]
    content = content_of(merge(told(cells)))
    random.shuffle(cells)
    assert content_of(merge(told(cells))) == content
    assert content.samples == len(once)


@pytest.mark.parametrize(
    "other",
    [
        {"a": [1.0, 2.0], "b": [3.0, NAN]},  # lost
        {"a": [2.0, 1.0], "b": [3.0, 4.0]},  # exchanged between moments
        {"a": [3.0, 2.0], "b": [1.0, 4.0]},  # exchanged between channels
        {"a": [1.0, 2.0], "c": [3.0, 4.0]},  # another channel
        {"a": [1.0, np.nextafter(2.0, 3.0)], "b": [3.0, 4.0]},  # one bit
    ],
)
def test_the_digest_tells_what_differs(other):
    times = np.array([10, 20])
    content = content_of(merge([(times, {"a": [1.0, 2.0], "b": [3.0, 4.0]})]))
    assert content_of(merge([(times, other)])).digest != content.digest
    assert content_of(merge([(times + 1, {"a": [1.0, 2.0], "b": [3.0, 4.0]})])).digest != content.digest


def test_zero_and_its_negative_are_two_values():
    assert content_of(merge([([1], {"a": [0.0]})])) != content_of(merge([([1], {"a": [-0.0]})]))


def test_a_digest_comes_back_from_its_text_and_stays_what_it_was_in_every_release():
    content = content_of(merge([([1_700_000_000_000_000], {"power_draw": [850.5]})]))
    assert Content.parse(content.samples, content.digest) == content
    assert content.digest == "66e9601d42eb27e9e7afe72f76a89b61"


def test_a_span_begins_with_its_begin_and_ends_before_its_end():
    samples = merge([([10, 20, 30], {"a": [1.0, 2.0, 3.0]})])
    assert between(samples, 10, 30).times_us.tolist() == [10, 20]
    assert between(samples, 11, 12).times_us.size == 0


def test_the_journals_records_tell_the_content_of_every_hour():
    first = regime_pb2.TelemetryRecord(times_us=[HOUR_US - 1, HOUR_US])
    first.columns.add(name="a", values=[1.0, 2.0])
    again = regime_pb2.TelemetryRecord(times_us=[HOUR_US, HOUR_US + 1])
    again.columns.add(name="a", values=[9.0, NAN])
    again.columns.add(name="b", values=[NAN, 3.0])
    hours = content_of_records([first, again])
    assert hours == {
        0: content_of(merge([([HOUR_US - 1], {"a": [1.0]})])),
        HOUR_US: content_of(merge([([HOUR_US, HOUR_US + 1], {"a": [2.0, NAN], "b": [NAN, 3.0]})])),
    }
