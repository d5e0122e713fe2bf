"""Rows whose numbers break a law of physics are refused, and told which; what the laws allow is never refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eil_mesh.clock import MICROSECONDS
from eil_physics import ThermalNode
from eil_regime.batch import Batch
from eil_regime.domain.bounds import explain, impossible
from eil_regime.domain.heating import Heating
from eil_regime.refusals import Check, Limits
from eil_regime.sources import Source
from hypothesis import given
from hypothesis import strategies as st

NOW_US = 1_800_000_000 * MICROSECONDS
LIMITS = Limits(window_s=60.0, future_s=300.0, lateness_s=1e6, oldest_s=1e8)
NODE = ThermalNode(20_000.0, 25.0, 295.0, 100.0, 0.1, 0.2, "fitted", 0.0)
RATE = 1000.0 / (20_000.0 - 300.0)


def source(node: ThermalNode | None = NODE, nameplate_w: float = 1000.0, kind: str = "metered") -> Source:
    names = ["power_draw", "temperature"]
    return Source(1, "t", "s", kind, "", nameplate_w, 0.0, "instant", names, None, 1, 0, 0, None, node, None, None)


def judged(times_s, of: Source | None = None, newest: tuple[float, float] | None = None, **columns: list[float]):
    times_us = NOW_US + np.round(np.array(times_s, float) * MICROSECONDS).astype(np.int64)
    batch = Batch(times_us, tuple(columns), np.array([*columns.values()], float))
    return Check(batch, LIMITS, NOW_US, of or source(), newest)


@pytest.mark.parametrize(
    ("channel", "value", "law"),
    [
        ("power_draw", -0.1, "first law"),
        ("power_draw", 2e12, "first law"),
        ("temperature", -273.2, "third law"),
        ("ambient_temperature", -300.0, "third law"),
        ("cpu_usage", 1.01, "conservation of the whole"),
        ("cpu_usage", -0.01, "conservation of the whole"),
        ("request_rate", -1.0, "conservation of what is counted"),
    ],
)
def test_a_value_beyond_its_bounds_is_told_the_law(channel, value, law):
    assert impossible([channel], np.array([[value, 0.5]])).tolist() == [[True, False]]
    assert law in explain(channel, value)
    check = judged([0, 1], None, None, **{channel: [value, 0.5]})
    [refusal] = check.refusals()
    assert (refusal.row, refusal.reason, refusal.out_of_range) == (0, "PHYSICS_VIOLATED", False)
    assert law in refusal.message
    assert law in refusal.violations[f"telemetry[{channel}]"]


def test_power_over_the_nameplate_and_its_uncertainty_breaks_the_first_law():
    check = judged([0, 1, 2], power_draw=[1000.0, 1030.0, 1031.0])
    assert check.good.tolist() == [True, True, False]
    assert "nameplate" in check.refusals()[0].message
    assert "first law" in check.refusals()[0].message
    assert judged([0], source(kind="estimated"), power_draw=[1900.0]).sound, "an estimate may be off by 90 %"
    assert judged([0], source(nameplate_w=0.0), power_draw=[1e9]).sound, "nothing was declared"


def test_a_temperature_that_no_power_explains_breaks_the_first_law():
    check = judged([0, 1, 2, 3], temperature=[50.0, 80.0, 80.0, 50.2])
    assert check.good.tolist() == [True, False, False, True], "each is held against the last that can be"
    refusal = check.refusals()[0]
    assert (refusal.row, refusal.reason) == (1, "PHYSICS_VIOLATED")
    assert "first law" in refusal.violations["telemetry[temperature]"]


def test_it_is_held_against_what_is_known_and_not_against_what_is_missing():
    newest = (NOW_US / MICROSECONDS - 1, 50.0)
    assert not judged([0], newest=newest, temperature=[70.0]).sound
    assert judged([0], newest=newest, temperature=[51.0]).sound
    assert judged([-5, 0], newest=newest, temperature=[90.0, 51.0]).sound, "what comes late is not looked at"
    assert judged([0, 1], power_draw=[1.0, 1.0], temperature=[math.nan, 90.0]).sound
    assert judged([-1, 1000, 0], temperature=[50.0, 90.0, 50.5]).good.tolist() == [True, False, True], (
        "nor against a refused one"
    )
    assert judged([1, 0], temperature=[90.0, 50.0]).good.tolist() == [False, True], "in order of time, as sent by place"


@pytest.mark.parametrize("of", [source(node=None), source(nameplate_w=0.0)])
def test_without_a_node_or_a_nameplate_nobody_knows(of):
    assert judged([0, 1], of, temperature=[50.0, 90.0]).sound
    assert Heating.of(of.node, of.nameplate_w) is None


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=60), st.floats(0.5, 120.0))
def test_what_the_node_can_do_is_never_refused(load, period_s):
    """Any power up to the nameplate through the node itself, read by a sensor of whole degrees."""
    temperature, readings = 30.0, []
    for share in load:
        rest = 22.0 + 1000.0 * share / NODE.conductance_w_per_k
        temperature = rest + (temperature - rest) * math.exp(-period_s / NODE.time_constant_s)
        readings.append(round(temperature))
    times_s = -period_s * np.arange(len(load))[::-1]
    assert judged(times_s, temperature=readings).sound


@given(st.floats(1.0, 600.0), st.sampled_from([-1, 1]))
def test_the_limit_is_the_nameplate_over_the_heat_capacity(step_s, sign):
    most_k = RATE * step_s + 3 * math.sqrt(2 / 12)
    assert judged([-step_s, 0], temperature=[100.0, 100.0 + sign * 0.999 * most_k]).sound
    assert not judged([-step_s, 0], temperature=[100.0, 100.0 + sign * 1.001 * most_k]).sound
