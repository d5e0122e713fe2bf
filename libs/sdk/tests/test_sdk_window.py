"""Samples that are not acknowledged: nothing is let go of before, and nothing after."""

import itertools
import math

import pytest
from eil.regime.v1 import regime_pb2 as pb
from eil_sdk import InvalidArgument, window
from eil_sdk.window import IN_FLIGHT, MESSAGE_ROWS, MESSAGE_VALUES, Window
from hypothesis import given
from hypothesis import strategies as st


def held(*channels, time=1.0):
    return window.sample("rack", time, dict.fromkeys(channels or ("power_draw",), 5.0))


def acknowledge(*sequences, **more):
    return pb.IngestStreamResponse(sequences=sequences, **more)


def rows(message):
    return [(batch.source, time) for batch in message.batches for time in batch.times_us]


def test_the_first_sample_goes_at_once_and_later_ones_gather():
    samples = Window(1000)
    sent = 0
    for n in range(IN_FLIGHT + 5):
        samples.add("rack", "", held(time=float(n)))
        if message := samples.next(sent):
            assert message.sequence == sent + 1
            sent = message.sequence
    assert sent == IN_FLIGHT
    samples.acknowledge(acknowledge(1))
    message = samples.next(sent)
    assert message
    assert rows(message) == [("rack", (IN_FLIGHT + n) * 1_000_000) for n in range(5)]
    assert samples.next(message.sequence) is None


def test_samples_of_a_source_become_columns_with_gaps():
    samples = Window(1000)
    samples.add("a", "", window.sample("a", 1.0, {"power_draw": 1.0}))
    samples.add("b", "mean", window.sample("b", 1.0, {"power_draw": 9.0}))
    samples.add("a", "", window.sample("a", 2.0, {"temperature": 2.0}))
    message = samples.next(0)
    assert message
    a, b = message.batches
    assert (a.source, a.power_kind, list(a.times_us)) == ("a", "", [1_000_000, 2_000_000])
    assert [column.name for column in a.columns] == ["power_draw", "temperature"]
    assert a.columns[0].values[0] == 1.0
    assert math.isnan(a.columns[0].values[1])
    assert math.isnan(a.columns[1].values[0])
    assert a.columns[1].values[1] == 2.0
    assert (b.source, b.power_kind) == ("b", "mean")


def test_messages_are_bounded_by_rows_and_by_values():
    samples = Window(10**6)
    for n in range(MESSAGE_ROWS + 1):
        samples.add("rack", "", held(time=float(n)))
    assert [len(rows(samples.next(sent))) for sent in (0, 1)] == [MESSAGE_ROWS, 1]
    wide = Window(10**6)
    channels = [f"c{n}" for n in range(250)]
    for n in range(MESSAGE_VALUES // 250 + 1):
        wide.add("rack", "", held(*channels, time=float(n)))
    assert [len(rows(wide.next(sent))) for sent in (0, 1)] == [MESSAGE_VALUES // 250, 1]


def test_columns_are_cut_into_batches_that_fit():
    n = 2 * MESSAGE_ROWS + 7
    parts = list(window.batches("rack", range(n), {"power_draw": range(n)}, ""))
    assert [len(part.times_us) for part in parts] == [MESSAGE_ROWS, MESSAGE_ROWS, 7]
    assert [value for part in parts for value in part.columns[0].values] == list(range(n))


def test_room_is_for_what_is_not_acknowledged():
    samples = Window(10)
    for part in window.batches("rack", range(9), {"power_draw": range(9)}, ""):
        samples.add_batch(part)
    assert samples.room(1)
    assert not samples.room(2)
    samples.acknowledge(acknowledge(1))
    assert samples.room(11), "a batch larger than the window goes through it alone"


def test_a_refusal_names_source_and_time():
    samples = Window(10)
    for n in range(3):
        samples.add("rack", "", held(time=100.0 + n))
    samples.add("other", "", held(time=100.0))
    samples.next(0)
    refused = pb.RejectedBatch(sequence=1, source="rack", row=pb.RejectedRow(row=2, reason="BAD", message="mend it"))
    [refusal] = samples.acknowledge(acknowledge(1, accepted=3, rejected_count=1, rejected=[refused]))
    assert (refusal.source, refusal.time.timestamp(), refusal.reason, refusal.message) == (
        "rack",
        102.0,
        "BAD",
        "mend it",
    )
    assert (samples.tally.accepted, samples.tally.refused, samples.rows) == (3, 1, 0)


@pytest.mark.parametrize(
    ("source", "values"),
    [("no name!", {"power_draw": 1.0}), ("rack", {}), ("rack", {"7": 1.0}), ("rack", {"power_draw": "warm"})],
)
def test_what_the_contract_forbids_is_refused_where_it_is_sent(source, values):
    with pytest.raises(InvalidArgument):
        window.sample(source, 1.0, values)


def test_columns_of_another_length_are_refused():
    with pytest.raises(InvalidArgument, match="2 values for 3 times"):
        list(window.batches("rack", range(3), {"power_draw": [1.0, 2.0]}, ""))


STEPS = st.lists(st.sampled_from(["add", "batch", "send", "acknowledge", "break"]), max_size=200)


@given(STEPS, st.randoms(use_true_random=False))
def test_whatever_happens_every_sample_is_held_until_it_is_acknowledged(steps, random):
    """A mesh that stores what it acknowledges, and a wire that breaks at any moment and loses what is on it."""
    samples, numbers = Window(10**6), itertools.count()
    given_, stored, on_the_wire, sent = [], [], [], 0
    for step in [*steps, "break", *["send", "acknowledge"] * 300]:
        if step == "add":
            given_.append(next(numbers))
            samples.add("rack", "", held(time=float(given_[-1])))
        elif step == "batch":
            batch = [next(numbers), next(numbers)]
            given_ += batch
            for part in window.batches("rack", batch, {"power_draw": [1.0, 1.0]}, ""):
                samples.add_batch(part)
        elif step == "send" and (message := samples.next(sent)):
            assert message.sequence > sent
            sent = message.sequence
            on_the_wire.append(message)
        elif step == "acknowledge" and on_the_wire:
            message = on_the_wire.pop(random.randrange(len(on_the_wire)))
            stored += [time // 1_000_000 for _, time in rows(message)]
            samples.acknowledge(acknowledge(message.sequence))
        elif step == "break":
            sent = 0
            on_the_wire.clear()
        assert samples.rows == len(given_) - len(stored)
        assert samples.acknowledged(samples._last) == (not samples._closed)
    assert sorted(stored) == given_
