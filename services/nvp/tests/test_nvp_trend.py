"""Damped trends: the filter is the recursion, nothing looks ahead, and noise around a drifting mean is smoothed away."""

from __future__ import annotations

import numpy as np
import pytest
from eil_nvp.domain.forecast import forecast
from eil_nvp.domain.trend import EXPERTS, FORGETTING, PHI, follow


def load(rows: int, seed: int, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """A noisy load and its mean."""
    rng = np.random.default_rng(seed)
    mean = np.exp(0.02 * rng.standard_normal(rows).cumsum()) * 10.0
    return mean * np.exp(noise * rng.standard_normal(rows)), mean


def test_the_filter_is_the_recursion() -> None:
    series = np.log(load(200, 0)[0])
    a, b = EXPERTS.T
    level, slope = np.full(a.size, series[0]), np.zeros(a.size)
    for value in series:
        error = value - level - PHI * slope
        level, slope = level + PHI * slope + a * error, PHI * slope + a * b * error
    trend = follow(np.exp(series))
    np.testing.assert_allclose(trend.level[-1], level, rtol=0, atol=1e-12)
    np.testing.assert_allclose(trend.slope[-1], slope, rtol=0, atol=1e-12)


def test_weights_follow_the_likelihood_of_the_past() -> None:
    series = np.log(load(300, 1)[0])
    trend = follow(np.exp(series))
    a, b = EXPERTS.T
    level, slope, square, score = (
        np.full(a.size, series[0]),
        np.zeros(a.size),
        np.full(a.size, 0.08**2),
        np.zeros(a.size),
    )
    for value in series:
        error = value - level - PHI * slope
        score = FORGETTING * score - 0.5 * np.minimum(error**2 / square, 25.0) - 0.5 * np.log(square)
        square = FORGETTING * square + (1 - FORGETTING) * error**2
        level, slope = level + PHI * slope + a * error, PHI * slope + a * b * error
    wanted = np.exp(score - score.max())
    np.testing.assert_allclose(trend.weights[-1], wanted / wanted.sum(), rtol=1e-9)


def test_nothing_looks_ahead() -> None:
    values = load(200, 2)[0]
    whole, part = follow(values), follow(values[:120])
    np.testing.assert_allclose(whole.forecasts(slice(119, 120), 5), part.forecasts(slice(-1, None), 5), rtol=1e-12)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_noise_about_a_drifting_mean_is_smoothed(seed: int) -> None:
    values, mean = load(800, seed)
    said = follow(values).forecasts(np.arange(200, 799), 1)[:, 0]
    error = np.sqrt(np.mean((said - mean[201:]) ** 2))
    assert error < 0.75 * np.sqrt(np.mean((values[200:799] - mean[201:]) ** 2))


def test_values_below_zero_are_not_taken_in_logs() -> None:
    trend = follow(np.sin(np.arange(100) / 9.0))
    assert not trend.logs
    assert np.isfinite(trend.forecasts(slice(-1, None), 3)).all()


@pytest.mark.parametrize("values", [np.full(50, 3.0), np.zeros(50), np.array([2.0])])
def test_what_never_moves_stays(values: np.ndarray) -> None:
    np.testing.assert_allclose(follow(values).forecasts(slice(-1, None), 4)[0], values[-1], atol=1e-12)


def test_a_forecast_takes_the_trend_where_it_errs_least() -> None:
    values, _ = load(288, 6)
    answer = forecast(values[:, None], 3)
    assert "trend" in answer.method or "mean" in answer.method
    assert "errs least" in answer.reason
