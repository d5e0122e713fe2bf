"""Energy by window: what the integral must satisfy, with the physics library as the oracle."""

import numpy as np
import pytest
from eil_atlas.domain.windows import WINDOW_US, state_id, window_energies, window_start_us
from eil_physics.energy import integrate
from hypothesis import given
from hypothesis import strategies as st

FIRST_US = 30_000_000 * WINDOW_US


def test_windows_are_aligned_to_the_epoch_and_half_open():
    assert window_start_us(FIRST_US) == FIRST_US
    assert window_start_us(FIRST_US + WINDOW_US - 1) == FIRST_US
    assert window_start_us(FIRST_US + WINDOW_US) == FIRST_US + WINDOW_US


def test_a_states_identity_depends_on_tenant_source_and_window_alone():
    assert state_id("a", "s", FIRST_US) == state_id("a", "s", FIRST_US)
    ids = {
        state_id(*key) for key in (("a", "s", 0), ("b", "s", 0), ("a", "t", 0), ("a", "s", WINDOW_US), ("as", "", 0))
    }
    assert len(ids) == 5


def test_constant_power_fills_every_window():
    times = FIRST_US + 1_000_000 * np.arange(181)
    found = window_energies(times, np.full(181, 100.0), FIRST_US, 3, "instant")
    np.testing.assert_allclose(found.energy_j, [6000.0] * 3)
    np.testing.assert_allclose(found.covered_s, [60.0] * 3)


def test_a_gap_is_not_covered_and_not_bridged():
    seconds = np.concatenate((np.arange(0, 31), np.arange(90, 121)))
    found = window_energies(FIRST_US + 1_000_000 * seconds, np.full(62, 100.0), FIRST_US, 2, "instant")
    np.testing.assert_allclose(found.covered_s, [30.0, 30.0])
    np.testing.assert_allclose(found.energy_j, [3000.0, 3000.0])


def test_a_pause_does_not_pass_for_the_period_of_two_samples():
    pause = window_energies(FIRST_US + 1_000_000 * np.array([0, 7200]), [100.0, 100.0], FIRST_US, 121, "instant")
    assert pause.covered_s.sum() == 0
    hourly = window_energies(FIRST_US + 3_600_000_000 * np.arange(4), [100.0] * 4, FIRST_US, 180, "instant")
    np.testing.assert_allclose(hourly.covered_s, 60.0)


@pytest.mark.parametrize("kind", ["instant", "mean"])
@pytest.mark.parametrize("samples", [0, 1])
def test_too_few_samples_cover_nothing(kind, samples):
    found = window_energies([FIRST_US] * samples, [5.0] * samples, FIRST_US, 2, kind)
    assert found.energy_j.tolist() == [0.0, 0.0]
    assert found.covered_s.tolist() == [0.0, 0.0]


@given(
    steps=st.lists(st.integers(1, 40_000_000), min_size=4, max_size=60),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["instant", "mean"]),
)
def test_every_window_equals_the_integral_of_the_physics_library(steps, seed, kind):
    times = FIRST_US - WINDOW_US + np.cumsum(np.array(steps, dtype=np.int64) + 1000)
    watts = np.random.default_rng(seed).uniform(0, 1000, times.size)
    windows = int((times[-1] - FIRST_US) // WINDOW_US) + 2
    if windows < 1:
        return
    found = window_energies(times, watts, FIRST_US, windows, kind)
    seconds = (times - FIRST_US) / 1e6
    for i in range(windows):
        wanted = integrate(seconds, watts, 60.0 * i, 60.0 * (i + 1), kind=kind)
        assert found.energy_j[i] == pytest.approx(wanted.energy_j, rel=1e-9, abs=1e-6)
        assert found.covered_s[i] == pytest.approx(wanted.covered_s, rel=1e-9, abs=1e-6)
