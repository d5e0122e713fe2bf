"""The functional-pruning statistic equals the brute-force likelihood ratio, its threshold keeps the stated run length."""

from __future__ import annotations

import numpy as np
import pytest
from eil_regime.domain.focus import Focus, threshold_for
from hypothesis import given, settings
from hypothesis import strategies as st


def brute_force(y: np.ndarray, min_before: int) -> tuple[float, int] | None:
    best = None
    for tau in range(min_before, len(y)):
        before, after = y[:tau].mean(), y[tau:].mean()
        ratio = float(((y - y.mean()) ** 2).sum() - ((y[:tau] - before) ** 2).sum() - ((y[tau:] - after) ** 2).sum())
        if best is None or ratio > best[0]:
            best = ratio, tau
    return best


@pytest.mark.parametrize("min_before", [1, 5, 16])
@pytest.mark.parametrize("seed", range(4))
def test_equals_brute_force_over_all_change_points_at_every_step(seed: int, min_before: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(150) + 2.0 * (np.arange(150) > 90) + 0.1 * rng.standard_normal(150).cumsum()
    focus = Focus(min_before)
    for n in range(1, len(y) + 1):
        focus.update(y[n - 1], mark=1000.0 + n)
        change, expected = focus.change(), brute_force(y[:n], min_before)
        if expected is None:
            assert change is None
            continue
        assert change is not None
        assert change.statistic == pytest.approx(expected[0], rel=1e-9, abs=1e-9)
        assert change.index == expected[1]
        assert change.mark == 1000.0 + expected[1] + 1  # the first value after the change
        assert change.mean_before == pytest.approx(y[: expected[1]].mean())
        assert change.mean_after == pytest.approx(y[expected[1] : n].mean())
    assert focus.dropped == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-50, 50, allow_nan=False), min_size=2, max_size=40))
def test_equals_brute_force_on_any_series(values: list[float]) -> None:
    focus = Focus()
    for i, value in enumerate(values):
        focus.update(value, float(i))
    change, expected = focus.change(), brute_force(np.array(values), 1)
    assert change is not None
    assert expected is not None
    assert change.statistic == pytest.approx(expected[0], rel=1e-7, abs=1e-7)


def test_memory_stays_bounded_on_a_trend_and_the_loss_is_counted_and_small() -> None:
    focus, exact = Focus(max_candidates=32), Focus(max_candidates=3000)
    for i in range(2000):
        focus.update(0.01 * i, float(i))
        exact.update(0.01 * i, float(i))
    sizes = [len(focus.state()[half]) // 3 for half in ("lower", "upper")]
    assert max(sizes) <= 32
    assert focus.dropped > 0
    assert exact.dropped == 0
    kept, best = focus.change(), exact.change()
    assert kept is not None
    assert best is not None
    assert 0.95 * best.statistic <= kept.statistic <= best.statistic * (1 + 1e-12)


def test_hull_of_noise_stays_logarithmic() -> None:
    rng = np.random.default_rng(5)
    focus = Focus()
    for i, value in enumerate(rng.standard_normal(20_000)):
        focus.update(float(value), float(i))
    assert focus.dropped == 0
    assert len(focus.state()["lower"]) // 3 < 30


def test_threshold_keeps_the_stated_mean_run_on_white_noise() -> None:
    rng = np.random.default_rng(11)
    stated, runs = 500.0, []
    threshold = threshold_for(stated)
    for _ in range(60):
        focus = Focus()
        for i in range(5_000):
            focus.update(float(rng.standard_normal()), float(i))
            change = focus.change()
            if change is not None and change.statistic > threshold:
                break
        runs.append(focus.count)
    assert 0.7 * stated < float(np.mean(runs)) < 2.0 * stated


def test_threshold_grows_with_the_run_and_refuses_short_ones() -> None:
    assert threshold_for(1e4) < threshold_for(1e5) < threshold_for(8e5)
    with pytest.raises(ValueError, match="at least 100"):
        threshold_for(10.0)
    with pytest.raises(ValueError, match="min_before"):
        Focus(min_before=0)
