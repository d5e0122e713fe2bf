"""Energy is the integral of power, over real timestamps, with its gaps on the table."""

import numpy as np
import pytest
from eil_physics import Gap, integrate, integrate_channel
from hypothesis import given, settings
from hypothesis import strategies as st

UNIX = 1_763_800_000.0


@given(
    offset=st.floats(-500, 500),
    slope=st.floats(-5, 5),
    steps=st.lists(st.floats(0.5, 1.4), min_size=5, max_size=30),
    edges=st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda e: abs(e[0] - e[1]) > 1e-3),
)
@settings(max_examples=100, deadline=None)
def test_linear_power_is_integrated_exactly_between_any_edges(offset, slope, steps, edges):
    t = np.concatenate(([0.0], np.cumsum(steps)))
    a, b = (t[-1] * edge for edge in sorted(edges))
    energy = integrate(t, offset + slope * t, a, b)
    assert energy.energy_j == pytest.approx(offset * (b - a) + slope * (b**2 - a**2) / 2, abs=1e-8)
    assert energy.complete
    assert energy.covered_s == pytest.approx(b - a)


@given(
    steps=st.lists(st.one_of(st.floats(0.5, 2.0), st.floats(3.5, 20.0)), min_size=2, max_size=25),
    cuts=st.lists(st.floats(-0.2, 1.2), min_size=3, max_size=3, unique=True),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["instant", "mean"]),
)
@settings(max_examples=150, deadline=None)
def test_adjacent_windows_add_up_and_coverage_and_gaps_fill_the_window(steps, cuts, seed, kind):
    t = np.concatenate(([0.0], np.cumsum(steps)))
    power = np.random.default_rng(seed).uniform(0, 1000, t.size)
    a, b, c = sorted(cut * t[-1] for cut in cuts)
    if min(b - a, c - b) < 1e-3:
        return
    left, right, whole = (integrate(t, power, *w, kind=kind, period_s=1.0) for w in ((a, b), (b, c), (a, c)))
    assert left.energy_j + right.energy_j == pytest.approx(whole.energy_j, rel=1e-9, abs=1e-6)
    assert left.covered_s + right.covered_s == pytest.approx(whole.covered_s, abs=1e-6)
    for part in (left, right, whole):
        assert part.covered_s + sum(gap.duration_s for gap in part.gaps) == pytest.approx(part.window_s, abs=1e-4)


def test_a_gap_is_reported_and_not_bridged():
    t = UNIX + np.array([0.0, 10, 20, 60, 70, 80])  # 40 s of silence, four periods
    energy = integrate(t, np.full(6, 100.0), UNIX, UNIX + 80)
    assert energy.gaps == (Gap(UNIX + 20, UNIX + 60),)
    assert energy.energy_j == pytest.approx(4000)
    assert energy.covered_s == pytest.approx(40)
    assert energy.mean_power_w == pytest.approx(100)


def test_three_periods_are_still_joined_and_a_declared_period_decides():
    t = np.array([0.0, 10, 20, 50, 60])
    assert integrate(t, np.ones(5), 0, 60).complete
    assert integrate(t, np.ones(5), 0, 60, period_s=9.0).gaps == (Gap(20, 50),)


def test_a_mean_sample_counts_over_the_interval_that_ends_at_it_and_an_instant_one_does_not():
    t, power = np.array([10.0, 20, 30]), np.array([100.0, 200, 400])
    mean = integrate(t, power, 0, 30, kind="mean")
    assert mean.energy_j == pytest.approx(7000)
    assert mean.complete
    instant = integrate(t, power, 0, 30)
    assert instant.energy_j == pytest.approx(1500 + 3000)
    assert instant.gaps == (Gap(0, 10),)


def test_the_overlap_of_a_mean_sample_with_the_window_counts():
    energy = integrate([10.0, 20, 30], [100.0, 200, 400], 15, 22, kind="mean")
    assert energy.energy_j == pytest.approx(5 * 200 + 2 * 400)


def test_after_a_gap_a_mean_sample_answers_for_one_period_only():
    energy = integrate([10.0, 20, 30, 100, 110], [100.0] * 5, 0, 110, kind="mean")
    assert energy.gaps == (Gap(30, 90),)
    assert energy.energy_j == pytest.approx(5000)


def test_nothing_known_is_all_gap():
    for t, power in (([], []), ([5.0], [100.0])):
        energy = integrate(t, power, 0, 10)
        assert (energy.energy_j, energy.covered_s, energy.gaps) == (0.0, 0.0, (Gap(0, 10),))
        assert energy.mean_power_w is None
    assert integrate([5.0], [100.0], 0, 10, kind="mean", period_s=2.0).energy_j == pytest.approx(200)


def test_the_meter_gain_error_does_not_average_out():
    energy = integrate(np.arange(101.0), np.full(101, 50.0), 0, 100, meter_relative_u=0.01)
    assert energy.u_energy_j == pytest.approx(50)


@pytest.mark.parametrize(
    ("t", "power", "window", "options", "words"),
    [
        ([0.0, 0.0], [1.0, 1.0], (0, 1), {}, "strictly increase"),
        ([1.0, 0.0], [1.0, 1.0], (0, 1), {}, "strictly increase"),
        ([0.0, 1.0], [1.0], (0, 1), {}, "one value per sample"),
        ([0.0, 1.0], [1.0, np.nan], (0, 1), {}, "not finite"),
        ([0.0, np.inf], [1.0, 1.0], (0, 1), {}, "finite seconds"),
        ([0.0, 1.0], [1.0, 1.0], (1, 1), {}, "must end after it starts"),
        ([0.0, 1.0], [1.0, 1.0], (0, 1), {"period_s": 0.0}, "positive one"),
        ([0.0, 1.0], [1.0, 1.0], (0, 1), {"meter_relative_u": -0.1}, "0 or more"),
    ],
)
def test_bad_input_is_named(t, power, window, options, words):
    with pytest.raises(ValueError, match=words):
        integrate(t, power, *window, **options)


def test_a_channel_of_any_unit_integrates_the_same_way():
    t = np.linspace(0, 100, 21)
    assert integrate_channel(t, 300 + 0.1 * t, 0, 100).value == pytest.approx(30_000 + 500)
