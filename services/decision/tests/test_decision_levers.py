"""What may be moved: declarations that make sense, and values within bounds, steps and ramps."""

import math

import numpy as np
import pytest
from eil_decision.domain.levers import Lever, contradictions, fleet_lever
from hypothesis import given
from hypothesis import strategies as st

COOLING = Lever("crac", "cooling", 18.0, 27.0, 0.5, ramp_per_s=1 / 300)


def test_a_sound_declaration_has_no_contradictions():
    assert not contradictions(
        [
            Lever("servers", "servers", 2, 40, 2),
            Lever("clock", "frequency", 0.5, 1.0, 0.1),
            COOLING,
            Lever("later", "deferral", 0.0, 0.3, within_s=7200.0),
            Lever("kiln", "set_point", 100.0, 200.0, safe=150.0),
        ]
    )


@pytest.mark.parametrize(
    ("levers", "field", "word"),
    [
        ([Lever("a", "servers", 1, 9, 1), Lever("b", "consolidation", 1, 9, 1)], "levers[1].kind", "only one of"),
        ([Lever("a", "frequency", 0.5, 1), Lever("b", "power_cap", 100, 300)], "levers[1].kind", "contradicts 'a'"),
        ([COOLING, COOLING], "levers[1].name", "twice"),
        ([COOLING, Lever("b", "cooling", 18, 27, channel="crac")], "levers[1].channel", "as well"),
        ([Lever("a", "cooling", 27.0, 18.0)], "levers[0].high", "below"),
        ([Lever("a", "cooling", 18.0, 27.0, 20.0)], "levers[0].step", "larger than the range"),
        ([Lever("a", "cooling", 18.0, 27.0, safe=30.0)], "levers[0].safe", "outside"),
        ([Lever("a", "servers", 0, 9, 1)], "levers[0].low", "whole servers"),
        ([Lever("a", "servers", 1, 9.5, 1)], "levers[0].low", "whole"),
        ([Lever("a", "set_point", 0, 1)], "levers[0].safe", "must be said"),
        ([Lever("a", "frequency", 0.0, 1.0)], "levers[0].low", "above 0"),
        ([Lever("a", "deferral", 0.0, 1.1, within_s=60.0)], "levers[0].high", "from 0 to 1"),
        ([Lever("a", "deferral", 0.0, 0.5)], "levers[0].within_s", "how long"),
    ],
)
def test_contradictions_are_told_by_field(levers, field, word):
    assert word in contradictions(levers)[field]


@given(
    low=st.floats(-100, 100),
    width=st.floats(0, 100),
    steps=st.integers(0, 200),
    now=st.floats(-250, 250),
    ramp=st.one_of(st.just(math.inf), st.floats(0, 1)),
)
def test_what_is_reached_keeps_bounds_and_ramp(low, width, steps, now, ramp):
    lever = Lever("x", "set_point", low, low + width, width / steps if steps else 0.0, ramp, safe=low)
    values = lever.reachable(now, 300.0)
    assert values.size
    assert (np.abs(values - now) <= ramp * 300 + 1e-6).all(), "nothing moves faster than its ramp"
    if lever.inside(now):
        assert all(map(lever.inside, values.tolist()))
        assert np.isclose(values, now).any(), "it may always stay"
    else:
        outside = [value for value in values.tolist() if not lever.inside(value)]
        beyond = lambda value: max(lever.low - value, value - lever.high)  # noqa: E731
        assert all(beyond(value) <= beyond(now) for value in outside), "from outside it only comes nearer"


def test_values_lie_on_the_steps_and_the_present_one_among_them():
    assert COOLING.reachable(20.2, 300.0).tolist() == [19.5, 20.0, 20.2, 20.5, 21.0], "one kelvin in five minutes"
    assert fleet_lever(5).reachable(3.0, 60.0).tolist() == [1, 2, 3, 4, 5]


def test_narrower_bounds_hold_too():
    assert COOLING.reachable(20.0, 3000.0, 19.5, 20.5).tolist() == [19.5, 20.0, 20.5]


def test_where_the_mesh_is_gone_levers_go_back_to_what_is_safe():
    assert COOLING.revert_to == 18.0
    assert Lever("a", "frequency", 0.5, 1.0).revert_to == 1.0
    assert Lever("a", "deferral", 0.0, 0.5, within_s=1.0).revert_to == 0.0
    assert Lever("a", "power_cap", 100.0, 300.0, safe=250.0).revert_to == 250.0
