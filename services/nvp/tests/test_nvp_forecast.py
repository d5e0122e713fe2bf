import os

# Matrices this small are slower on several BLAS threads, and tens of times slower where the cores are shared. It works
# only before NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from eil_nvp.domain.forecast import Forecast, ForecastConfig, forecast
from eil_nvp.domain.ridge import design, fit
from hypothesis import given, settings
from hypothesis import strategies as st

Generator = Callable[[int, np.random.Generator], np.ndarray]


def ar1(steps: int, rng: np.random.Generator) -> np.ndarray:
    values = np.zeros((steps, 1))
    values[0] = rng.normal() / 0.6
    for t in range(1, steps):
        values[t] = 0.8 * values[t - 1] + rng.normal()
    return values


def seasonal(steps: int, rng: np.random.Generator) -> np.ndarray:
    phase = rng.uniform(0, 2 * np.pi)
    return 3 * np.sin(2 * np.pi * np.arange(steps) / 24 + phase)[:, None] + rng.normal(size=(steps, 1))


def random_walk(steps: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(steps, 1)).cumsum(axis=0)


def half_width(answer: Forecast) -> np.ndarray:
    return (answer.high - answer.low) / 2


class Replay(NamedTuple):
    covered: float
    """Share of single values inside their interval."""
    totals: float
    """Share of sums over the horizon inside theirs."""
    error_ratio: float
    """Mean squared error relative to persistence's."""
    persistence: float
    """Share of seeds answered by persistence."""


def replay(generate: Generator, steps: int, horizon: int, seeds: int = 120) -> Replay:
    covered, totals, methods, errors, still = [], [], [], 0.0, 0.0
    for seed in range(1000, 1000 + seeds):
        series = generate(steps + horizon, np.random.default_rng(seed))
        past, future = series[:steps], series[steps:]
        answer = forecast(past, horizon)
        covered.append(np.mean((answer.low <= future) & (future <= answer.high)))
        totals.append(np.all((answer.total_low <= future.sum(axis=0)) & (future.sum(axis=0) <= answer.total_high)))
        methods.append(answer.method == "persistence")
        errors += float(np.mean((future - answer.point) ** 2))
        still += float(np.mean((future - past[-1]) ** 2))
    return Replay(float(np.mean(covered)), float(np.mean(totals)), errors / still, float(np.mean(methods)))


# The best possible errors, with the process known, are 0.67 (AR) and 0.12 (seasonal) of persistence's.
@pytest.mark.parametrize(("generate", "skill"), [(ar1, 0.85), (seasonal, 0.2)])
def test_intervals_cover_near_nominal_and_ridge_beats_persistence(generate: Generator, skill: float) -> None:
    seen = replay(generate, steps=256, horizon=8)
    assert 0.87 <= seen.covered <= 0.95
    assert 0.82 <= seen.totals <= 0.97  # a share of 120 has a standard error of 0.027
    assert seen.error_ratio < skill


def test_a_random_walk_is_not_beaten_by_pretending() -> None:
    seen = replay(random_walk, steps=256, horizon=8)
    assert seen.persistence > 0.75
    assert seen.error_ratio < 1.04
    assert seen.covered > 0.82  # three standard errors: the steps of one random walk miss together


def test_a_noise_free_linear_recurrence_is_recovered_exactly() -> None:
    turn = 0.99 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    series = np.zeros((140, 2))
    series[0] = 5.0, -2.0
    for t in range(1, len(series)):
        series[t] = turn @ series[t - 1] + [1.0, 0.5]
    answer = forecast(series[:120], 20)
    assert answer.method == "ridge"
    np.testing.assert_allclose(answer.point, series[120:], atol=1e-4)
    np.testing.assert_allclose(answer.total_point, series[120:].sum(axis=0), atol=1e-3)


def test_planned_inputs_drive_the_forecast() -> None:
    rng = np.random.default_rng(3)
    servers = rng.integers(4, 13, size=(160, 1)).astype(float).repeat(2, axis=0)
    power = 200 + 100 * servers + rng.normal(scale=5, size=servers.shape)
    answer = forecast(power[:300], 10, planned=servers[300:310], planned_history=servers[:300])
    assert answer.method == "ridge"
    assert answer.in_domain
    np.testing.assert_allclose(answer.point, 200 + 100 * servers[300:310], atol=12)


@pytest.mark.parametrize(("servers_ahead", "factor"), [(13.6, 1.2), (16.0, 1.5), (30.0, 2.0)])
def test_a_plan_outside_its_history_is_said_and_widened_by_how_far(servers_ahead: float, factor: float) -> None:
    rng = np.random.default_rng(4)
    servers = rng.integers(4, 13, size=(300, 1)).astype(float)
    power = 100 * servers + rng.normal(scale=5, size=servers.shape)
    inside = forecast(power, 5, planned=np.full((5, 1), 8.0), planned_history=servers)
    outside = forecast(power, 5, planned=np.full((5, 1), servers_ahead), planned_history=servers)
    assert inside.in_domain
    assert not outside.in_domain
    assert "planned inputs leave" in outside.reason
    assert f"widened {factor:g} times" in outside.reason
    np.testing.assert_allclose(half_width(outside), factor * half_width(inside))


def test_a_jump_beyond_the_training_range_is_said_and_widened() -> None:
    series = ar1(300, np.random.default_rng(5))
    jumped = series.copy()
    jumped[-1] = 60.0
    narrow = forecast(jumped, 5, config=ForecastConfig(widening=1.0))
    wide = forecast(jumped, 5, config=ForecastConfig(widening=3.0))
    assert forecast(series, 5).in_domain
    assert not wide.in_domain
    assert "newest inputs leave" in wide.reason
    np.testing.assert_allclose(half_width(wide), 3 * half_width(narrow))
    np.testing.assert_allclose(wide.total_high - wide.total_low, 3 * (narrow.total_high - narrow.total_low))


def test_a_ramp_that_leaves_its_past_is_out_of_domain() -> None:
    ramp = np.arange(120.0)[:, None]
    answer = forecast(ramp, 30)
    np.testing.assert_allclose(answer.point[:, 0], np.arange(120.0, 150.0), atol=1e-3)
    assert not answer.in_domain
    assert "forecast leaves" in answer.reason


def test_one_sample_answers_with_a_stated_assumption() -> None:
    answer = forecast(np.array([[850.0]]), 3)
    assert (answer.method, answer.in_domain, answer.trained_on) == ("persistence", False, 0)
    assert "assumption" in answer.reason
    np.testing.assert_allclose(answer.point, 850.0)
    np.testing.assert_allclose(half_width(answer), 2 * 850.0)
    np.testing.assert_allclose(answer.total_high - answer.total_point, 3 * 2 * 850.0)


def test_little_history_falls_back_to_a_random_walk_interval() -> None:
    answer = forecast(np.array([[1.0], [2.0], [1.5], [1.0]]), 4)
    assert (answer.method, answer.in_domain, answer.trained_on) == ("persistence", False, 3)
    assert "13 are needed" in answer.reason
    widths = half_width(answer)[:, 0]
    np.testing.assert_allclose(widths / widths[0], np.sqrt([1, 2, 3, 4]))


def test_few_equal_samples_do_not_pretend_certainty() -> None:
    assert (half_width(forecast(np.full((3, 1), 12.0), 2)) >= 4.0).all()


def test_enough_for_persistence_but_not_for_ridge_is_calibrated_persistence() -> None:
    rng = np.random.default_rng(6)
    answer = forecast(ar1(30, rng), 5)
    assert answer.method == "persistence"
    assert "needed to train" in answer.reason
    needed = int(answer.reason.split("samples, ")[1].split()[0])
    assert "held-out origins" in forecast(ar1(needed, rng), 5).reason


def test_each_channel_takes_its_own_better_method() -> None:
    rng = np.random.default_rng(8)
    answer = forecast(np.hstack([random_walk(400, rng), seasonal(400, rng)]), 12)
    assert answer.methods == ("persistence", "ridge")
    assert "channels 0" in answer.reason
    assert np.ptp(answer.point[:, 0]) == 0.0


def test_a_constant_channel_stays_constant() -> None:
    rng = np.random.default_rng(9)
    answer = forecast(np.hstack([np.full((200, 1), 7.0), ar1(200, rng)]), 6)
    np.testing.assert_array_equal(answer.point[:, 0], 7.0)
    np.testing.assert_array_equal(answer.high[:, 0], 7.0)


def test_missing_values_are_interpolated_and_reported() -> None:
    series = np.arange(200.0)[:, None]
    holed = series.copy()
    holed[[3, 50, 51]] = np.nan
    answer = forecast(holed, 2)
    assert "3 missing values linearly interpolated" in answer.reason
    np.testing.assert_allclose(answer.point, forecast(series, 2).point, atol=1e-6)


def test_a_mostly_missing_history_is_out_of_domain() -> None:
    series = ar1(200, np.random.default_rng(10))
    series[20:90] = np.nan
    answer = forecast(series, 4)
    assert not answer.in_domain
    assert "interpolated" in answer.reason


@pytest.mark.parametrize(
    ("history", "arguments", "message"),
    [
        (np.zeros(5), {}, "give \\(T, d\\)"),
        (np.zeros((0, 1)), {}, "at least one sample"),
        (np.full((5, 1), np.inf), {}, "infinite"),
        (np.full((5, 1), np.nan), {}, "no value at all"),
        (np.zeros((5, 1)), {"horizon": 0}, "at least one step"),
        (np.zeros((5, 1)), {"level": 1.0}, "strictly between"),
        (np.zeros((5, 1)), {"planned": np.zeros((2, 1))}, "go together"),
        (np.zeros((5, 1)), {"planned": np.zeros((3, 1)), "planned_history": np.zeros((5, 1))}, "same p"),
        (np.zeros((5, 1)), {"planned": np.full((2, 1), np.nan), "planned_history": np.zeros((5, 1))}, "missing"),
    ],
)
def test_bad_input_is_refused_with_a_reason(history: np.ndarray, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast(history, **{"horizon": 2, **arguments})


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 150),
    channels=st.integers(1, 9),
    horizon=st.integers(1, 20),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_every_answer_is_finite_ordered_and_scales_with_the_data(
    steps: int, channels: int, horizon: int, seed: int, scale: float
) -> None:
    history = np.random.default_rng(seed).normal(size=(steps, channels)) * scale
    answer = forecast(history, horizon)
    assert answer.point.shape == answer.low.shape == answer.high.shape == (horizon, channels)
    assert answer.total_point.shape == answer.total_low.shape == answer.total_high.shape == (channels,)
    assert np.isfinite(answer.low).all()
    assert np.isfinite(answer.high).all()
    assert (answer.low <= answer.point).all()
    assert (answer.point <= answer.high).all()
    assert (answer.total_low <= answer.total_high).all()


def test_leave_one_out_in_closed_form_picks_what_refitting_picks() -> None:
    rng = np.random.default_rng(11)
    noise = rng.normal(size=(60, 1))
    learned = fit(design(noise, np.zeros((61, 0)), 8), 52, 8)
    # White noise: the best one-step forecast is the mean, whatever the window says.
    windows = design(noise, np.zeros((61, 0)), 8).windows
    predicted = windows @ learned.lag_weights + learned.intercept
    assert predicted.std() < 0.5 * noise.std()


def test_only_the_newest_history_counts() -> None:
    series = ar1(600, np.random.default_rng(12))
    config = ForecastConfig(max_history=200)
    answer = forecast(series, 5, config=config)
    np.testing.assert_array_equal(answer.point, forecast(series[-200:], 5).point)
    assert answer.trained_on < 200
