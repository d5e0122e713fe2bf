import os

# Matrices this small are slower on several BLAS threads; it works only before NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from eil_nvp.domain.telemetry import Novelty, NoveltyConfig

HOURS = np.arange(1500)


def daily(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = 3.0 * np.sin(2 * np.pi * HOURS / 24)[:, None]
    return 20.0 + wave + 0.5 * rng.normal(size=(HOURS.size, 2))


def test_what_was_trained_on_is_inside():
    novelty = Novelty.fit(daily(1))
    fresh = daily(2)
    verdicts = [novelty.judge(fresh[:end]) for end in range(100, 1500, 10)]
    assert np.mean([verdict.in_domain for verdict in verdicts]) > 0.9
    assert not any(verdict.abstain for verdict in verdicts)


def test_shapes_levels_and_volatility_never_seen_widen_and_abstain_in_the_end():
    novelty, usual = Novelty.fit(daily(1)), daily(2)[:240]
    fast = usual.copy()
    fast[:, 0] = 20.0 + 3.0 * np.sin(2 * np.pi * np.arange(240) / 3)
    verdict = novelty.judge(fast)
    assert verdict.widening[0] > 2.0
    assert verdict.widening[1] < 1.3
    assert "channel 0" in verdict.reasons[0]
    widenings = [novelty.judge(usual + shift).widening[0] for shift in (0.0, 1.0, 3.0, 30.0)]
    assert widenings == sorted(widenings)
    assert widenings[0] < 1.3
    assert novelty.judge(usual + 30.0).abstain
    assert novelty.judge(20.0 + 8.0 * (usual - 20.0)).abstain


def test_plans_outside_the_range_of_training_widen():
    plan = (HOURS % 4).astype(float)[:, None]
    novelty, usual = Novelty.fit(daily(1), plan=plan), daily(2)[:240]
    assert novelty.judge(usual, plan=plan[:246]).widening.max() < 1.3
    verdict = novelty.judge(usual, plan=np.vstack([plan[:240], [[9.0]]]))
    assert verdict.widening.min() >= 3.0
    assert "planned input 0" in verdict.reasons[-1]
    with pytest.raises(ValueError, match="as in training"):
        novelty.judge(usual)
    with pytest.raises(ValueError, match="state them all"):
        novelty.judge(usual, plan=np.full((3, 1), np.nan))


def test_missing_values_widen():
    novelty, holed = Novelty.fit(daily(1)), daily(2)[:240]
    holed[-20:-2:2] = np.nan
    verdict = novelty.judge(holed)
    assert not verdict.in_domain
    assert verdict.widening.min() >= 2.0


def test_a_constant_channel_that_moves_is_strange():
    still = daily(1)
    still[:, 1] = 7.0
    novelty = Novelty.fit(still)
    assert novelty.judge(still).widening[1] == 1.0
    moved = still.copy()
    moved[-1, 1] = 8.0
    assert novelty.judge(moved).abstain


def test_saved_state_judges_alike():
    novelty = Novelty.fit(daily(1), config=NoveltyConfig(window=12))
    again = Novelty.from_arrays({name: array.copy() for name, array in novelty.arrays().items()})
    assert again.config == novelty.config
    np.testing.assert_array_equal(novelty.judge(daily(3)).widening, again.judge(daily(3)).widening)


def test_a_short_history_is_judged_by_what_there_is():
    assert Novelty.fit(daily(1)).judge(daily(2)[:5]).widening.shape == (2,)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="needs at least 25"):
        Novelty.fit(daily(1)[:24])
    with pytest.raises(ValueError, match="without long gaps"):
        Novelty.fit(np.where(HOURS[:, None] % 20 < 8, np.nan, 1.0))
    with pytest.raises(ValueError, match="2 were trained on"):
        Novelty.fit(daily(1)).judge(np.zeros((30, 3)))
