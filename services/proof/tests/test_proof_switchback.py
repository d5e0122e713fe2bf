"""Switchback tests."""

import numpy as np
import pytest
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.switchback import Switching, switchback

SWITCHING = Switching(pairs=14, block=24, washout=3, seed="a seed")
HOURS = SWITCHING.length
NOTHING = np.zeros(HOURS, np.bool_)


def on_hours(switching):
    return np.concatenate([np.repeat([first, not first], switching.block) for first in switching.on_first])


def measured(energy_j, driver=None):
    return Intervals(0, 3600, energy_j, np.full(HOURS, np.nan) if driver is None else driver)


def test_the_schedule_follows_from_the_seed_alone():
    assert SWITCHING.on_first == Switching(14, 24, 3, "a seed").on_first
    orders = {Switching(14, 24, 3, str(seed)).on_first for seed in range(50)}
    assert len(orders) > 40
    assert 0.4 < np.mean([*orders]) < 0.6


@pytest.mark.parametrize(("pairs", "block", "washout"), [(5, 24, 3), (14, 3, 3), (14, 24, -1)])
def test_what_is_no_test_is_refused(pairs, block, washout):
    with pytest.raises(ValueError, match=r"."):
        Switching(pairs, block, washout, "")


def test_a_saving_is_found_and_drift_cancels():
    rng = np.random.default_rng(0)
    drift = np.linspace(0, 0.5, HOURS)
    used = 1e6 * (1 + drift) * (1 - 0.1 * on_hours(SWITCHING)) + 2e4 * rng.normal(size=HOURS)
    found = switchback(measured(used), SWITCHING, NOTHING, adjust=False)
    assert found.state == "PROVEN"
    assert found.pairs == 14
    true = 1e5 * float(((1 + drift) * on_hours(SWITCHING) * (np.arange(HOURS) % 24 >= 3)).sum())
    assert found.low_j <= true <= found.high_j


def test_what_happens_during_the_wash_out_does_not_count():
    used = np.full(HOURS, 1e6) * (1 - 0.1 * on_hours(SWITCHING)) + np.random.default_rng(0).normal(size=HOURS)
    odd = np.where(np.arange(HOURS) % 24 < 3, 1e9, used)
    one, other = (switchback(measured(energy), SWITCHING, NOTHING, adjust=False) for energy in (used, odd))
    assert one == other


def test_adjusting_for_the_driver_narrows_the_interval():
    rng = np.random.default_rng(1)
    load = np.repeat(100 + 30 * rng.normal(size=28), 24)
    used = 1e4 * load * (1 - 0.1 * on_hours(SWITCHING)) + 1e3 * rng.normal(size=HOURS)
    plain, adjusted = (switchback(measured(used, load), SWITCHING, NOTHING, adjust=adjust) for adjust in (False, True))
    assert adjusted.adjusted
    assert adjusted.half_width_j < 0.3 * plain.half_width_j
    assert (plain.state, adjusted.state) == ("NOT_PROVEN", "PROVEN")


def test_permuting_pairs_changes_nothing():
    """Nothing rests on the order of time but the pairs themselves."""
    rng = np.random.default_rng(2)
    switching = Switching(14, 24, 0, "a seed")
    used = 1e6 * (1 - 0.05 * on_hours(switching)) + 1e5 * rng.normal(size=HOURS)
    within = np.concatenate([rng.permutation(24) + 24 * block for block in range(28)])
    one, other = (switchback(measured(energy), switching, NOTHING, adjust=False) for energy in (used, used[within]))
    assert other.saving_j == pytest.approx(one.saving_j)
    assert other.half_width_j == pytest.approx(one.half_width_j)


def test_lost_pairs():
    used = 1e6 * (1 - 0.1 * on_hours(SWITCHING)) + np.random.default_rng(0).normal(size=HOURS)
    gap = used.copy()
    gap[:12] = np.nan
    found = switchback(measured(gap), SWITCHING, NOTHING, adjust=False)
    assert (found.pairs, found.state) == (13, "PROVEN")
    gap[50:70] = np.nan
    assert switchback(measured(gap), SWITCHING, NOTHING, adjust=False).state == "INSUFFICIENT_DATA"
    with pytest.raises(ValueError, match="intervals"):
        switchback(measured(used), SWITCHING, NOTHING[:5], adjust=False)


def test_more_used_is_refuted():
    used = 1e6 * (1 + 0.1 * on_hours(SWITCHING)) + np.random.default_rng(0).normal(size=HOURS)
    found = switchback(measured(used), SWITCHING, NOTHING, adjust=False)
    assert found.state == "REFUTED"
    assert found.saving_j < 0
