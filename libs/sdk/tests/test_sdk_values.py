"""Times and numbers as people have them."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import numpy as np
import pytest
from eil_sdk import InvalidArgument
from eil_sdk.values import CHANNEL, SOURCE, columns, named, numbers, time_us, times_us, timestamp

NOON = datetime(2025, 1, 20, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_US = 1_737_374_400_250_000


@pytest.mark.parametrize(
    "time",
    [NOON, NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), NOON_US / 1e6, np.float64(NOON_US / 1e6)],
    ids=["UTC", "elsewhere", "seconds", "numpy"],
)
def test_a_moment_is_a_datetime_or_seconds(time):
    assert time_us(time) == NOON_US
    made = timestamp(time)
    assert made
    assert made.ToMicroseconds() == NOON_US


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_arrays_of_any_unit_are_moments(unit):
    begin = np.datetime64("2025-01-20T12:00:00.250").astype(f"datetime64[{unit}]")
    expected = [NOON_US, NOON_US + 1_000_000]
    assert times_us(np.array([begin, begin + np.timedelta64(1, "s")])) == expected
    assert times_us(np.array(expected) / 1e6) == expected
    assert times_us([NOON, NOON + timedelta(seconds=1)]) == expected


@pytest.mark.parametrize("time", [datetime(2025, 1, 20), "2025-01-20T12:00:00Z", None, math.nan, math.inf])
def test_what_is_no_moment_is_refused(time):
    with pytest.raises(InvalidArgument) as caught:
        time_us(time)
    assert list(caught.value.violations) == ["time"]


def test_numbers_come_as_lists_arrays_or_with_gaps():
    assert numbers(np.arange(3), "x") == numbers((0, 1, 2), "x") == [0.0, 1.0, 2.0]
    gap: Any = None
    assert math.isnan(numbers([gap], "x")[0])
    with pytest.raises(InvalidArgument, match="x must be numbers"):
        numbers([cast(Any, "warm")], "x")
    [column] = columns({"power_draw": np.array([1, 2], dtype=np.float32)})
    assert (column.name, list(column.values)) == ("power_draw", [1.0, 2.0])


@pytest.mark.parametrize(
    ("pattern", "name", "good"),
    [
        (SOURCE, "rack-7/a:b.c_d", True),
        (SOURCE, "-rack", False),
        (SOURCE, "a" * 129, False),
        (SOURCE, "rack\n", False),
        (CHANNEL, "power_draw", True),
        (CHANNEL, "7", False),
    ],
)
def test_names_are_those_of_the_contract(pattern, name, good):
    if good:
        assert named(pattern, name, "source") == name
    else:
        with pytest.raises(InvalidArgument):
            named(pattern, name, "source")
