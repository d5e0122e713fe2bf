import os

# Matrices this small are slower on several BLAS threads; it works only before NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from eil_nvp.domain.telemetry import ConformalConfig, OnlineConformal
from eil_nvp.domain.telemetry.baselines import (
    adaptive_conformal,
    online_conformal,
    quantile_tracker,
    split_conformal,
)

ROWS, HELD = 2500, 500


def drifting(seed: int, channels: int = 4) -> np.ndarray:
    """Errors whose size follows the hour and swells to three times over the rows, with bursts."""
    rng = np.random.default_rng(seed)
    hours = np.arange(ROWS)[:, None]
    size = (1.0 + 0.6 * np.sin(2 * np.pi * hours / 24)) * (1.0 + 2.0 * hours / ROWS) * (1.0 + (hours // 400 % 2))
    return size * rng.standard_t(5, size=(ROWS, channels))


def worst(error: np.ndarray, half: np.ndarray, stretch: int = 500) -> float:
    inside = np.vstack([np.zeros((1, error.shape[1])), np.abs(error) <= half]).cumsum(axis=0)
    return float(((inside[stretch:] - inside[:-stretch]) / stretch).min())


@pytest.mark.parametrize("seed", range(4))
def test_coverage_holds_under_drift_where_split_conformal_loses_it(seed: int):
    error = drifting(seed)
    ours, judged = online_conformal(error)[HELD:], error[HELD:]
    assert np.mean(np.abs(judged) <= ours) == pytest.approx(0.9, abs=0.01)
    assert worst(judged, ours) >= 0.865
    split = split_conformal(error[:HELD], len(judged))
    assert np.mean(np.abs(judged) <= split) < 0.8
    tracker = quantile_tracker(error)[HELD:]
    assert np.mean(np.abs(judged) <= tracker) == pytest.approx(0.9, abs=0.02)
    assert ours.mean() < tracker.mean()


@pytest.mark.parametrize("delay", [3, 24])
def test_coverage_holds_when_errors_are_known_late(delay: int):
    error = drifting(7)
    assert np.mean(np.abs(error[HELD:]) <= online_conformal(error, delay)[HELD:]) == pytest.approx(0.9, abs=0.015)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_other_levels(level: float):
    error = drifting(8)
    half = online_conformal(error, config=ConformalConfig(level=level))[HELD:]
    assert np.mean(np.abs(error[HELD:]) <= half) == pytest.approx(level, abs=0.015)


@pytest.mark.parametrize("method", [online_conformal, quantile_tracker, adaptive_conformal])
@pytest.mark.parametrize("delay", [1, 24])
def test_no_interval_rests_on_an_error_not_yet_known(method, delay: int):
    error = drifting(9)[:800]
    changed = error.copy()
    changed[600:] *= 50.0
    before, after = method(error, delay), method(changed, delay)
    np.testing.assert_allclose(before[: 600 + delay], after[: 600 + delay], rtol=1e-12)
    assert not np.array_equal(before[600 + delay :], after[600 + delay :])


def test_many_columns_are_each_what_they_are_alone():
    rng = np.random.default_rng(10)
    series = rng.normal(size=(300, 2)).cumsum(axis=0)
    both, late = OnlineConformal(2, (1, 5)), OnlineConformal(2, (5,))
    for row in series:
        both.observe(row)
        late.observe(row)
        both.issue(np.stack([row, row]))
        late.issue(row[None])
    (low, high), (low_late, high_late) = both.intervals(np.zeros((2, 2))), late.intervals(np.zeros((1, 2)))
    np.testing.assert_array_equal(low[1], low_late[0])
    np.testing.assert_array_equal(high[1], high_late[0])
    assert np.all((high - low)[1] > 1.5 * (high - low)[0])


def test_sums_over_the_horizon_are_covered():
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(3000, 2)) + 10.0
    sums = OnlineConformal(2, (), totals=(6,), config=ConformalConfig(period=1))
    inside = []
    issued: list[tuple[np.ndarray, np.ndarray]] = []
    for t, row in enumerate(rows):
        sums.observe(row)
        if t >= 600:
            low, high = issued[t - 6]
            total = rows[t - 5 : t + 1].sum(axis=0)
            inside.append((low[0] <= total) & (total <= high[0]))
        issued.append(sums.issue(np.full((1, 2), 60.0)))
    low, high = issued[-1]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.015)
    assert np.mean(high - low) == pytest.approx(2 * 1.645 * np.sqrt(6), rel=0.3)


def test_saved_state_continues_bit_exactly():
    error = drifting(12)
    one, two = OnlineConformal(4, (1, 3), (5,)), OnlineConformal(4, (1, 3), (5,))
    for t, row in enumerate(error[:400]):
        if t == 300:
            two.restore({name: array.copy() for name, array in one.arrays().items()})
        for each in (one, two) if t >= 300 else (one,):
            each.observe(row)
            each.issue(np.zeros((3, 4)))
    for low, again in zip(one.intervals(np.zeros((3, 4))), two.intervals(np.zeros((3, 4))), strict=True):
        np.testing.assert_array_equal(low, again)
    with pytest.raises(ValueError, match="belongs to other intervals"):
        OnlineConformal(3, (1,)).restore(one.arrays())


def test_missing_rows_and_forecasts_teach_nothing_and_break_nothing():
    rng = np.random.default_rng(13)
    some, inside = OnlineConformal(1, (1,)), []
    low, high = some.issue(np.zeros((1, 1)))
    for t in range(3000):
        row = rng.normal(size=1) if rng.random() > 0.3 else np.array([np.nan])
        some.observe(row)
        if t > 600 and np.isfinite(row[0]) and np.isfinite(low[0, 0]):
            inside.append(low[0, 0] <= row[0] <= high[0, 0])
        low, high = some.issue(np.full((1, 1), 0.0 if rng.random() > 0.2 else np.nan))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)


def test_without_errors_the_interval_is_infinite():
    fresh = OnlineConformal(1, (1,))
    for t in range(9):
        low, high = fresh.issue(np.zeros((1, 1)))
        assert np.isinf(high[0, 0] - low[0, 0])
        fresh.observe(np.array([float(t % 3)]))
    low, high = fresh.intervals(np.zeros((1, 1)))
    assert np.isfinite(high[0, 0] - low[0, 0])


def test_errors_of_zero_do_not_freeze_the_scales():
    stuck = np.concatenate([np.zeros((300, 1)), np.random.default_rng(14).normal(size=(1500, 1))])
    half = online_conformal(stuck)
    assert np.mean(np.abs(stuck[800:]) <= half[800:]) == pytest.approx(0.9, abs=0.02)
    assert half[800:].mean() < 3.0


def test_units_do_not_matter():
    error = drifting(15)[:600]
    np.testing.assert_allclose(online_conformal(1e3 * error), 1e3 * online_conformal(error), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: OnlineConformal(1, ()), "at least one"),
        (lambda: OnlineConformal(0, (1,)), "0 channels"),
        (lambda: OnlineConformal(1, (0,)), "at least 1"),
        (lambda: OnlineConformal(1, (1,), config=ConformalConfig(level=1.0)), "strictly between 0 and 1"),
        (lambda: OnlineConformal(2, (1,)).issue(np.zeros(2)), "give \\(1, 2\\)"),
        (lambda: OnlineConformal(2, (1,)).observe(np.array([1.0, np.inf])), "finite or NaN"),
        (lambda: split_conformal(np.zeros((5, 1)), 3), "5 held-out errors"),
    ],
)
def test_bad_input_is_named(make, match: str):
    with pytest.raises(ValueError, match=match):
        make()
