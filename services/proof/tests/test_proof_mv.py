"""Baselines, placebo windows and savings."""

import dataclasses

import numpy as np
import pytest
from eil_proof.domain.mv import errors
from eil_proof.domain.mv.baseline import fit_baseline
from eil_proof.domain.mv.fitting import Fit, choose, gram, solve
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.models import MODELS, Candidate, basis, candidates, spec_of
from eil_proof.domain.mv.placebo import placebo
from eil_proof.domain.mv.savings import beyond, save, verdict
from hypothesis import given, settings
from hypothesis import strategies as st

HOUR_S = 3600
MONDAY_US = 1_767_571_200_000_000
N, M = 60 * 24, 7 * 24
NOTHING = np.zeros(M, np.bool_)


def load_of(hours, rng):
    hour = np.arange(hours)
    return 100 + 40 * np.sin(2 * np.pi * hour / 24) + 5 * rng.normal(size=hours)


def law(load):
    return 1e6 * (1 + 0.006 * np.maximum(load - 80, 0))


def plant(seed=0, *, noise=0.05, share=1.0, hours=N, rho=0.0):
    """A baseline and a reporting period that uses `share` of its law."""
    rng = np.random.default_rng(seed)
    load = load_of(hours + M, rng)
    shocks = rng.normal(size=hours + M)
    for place in range(1, hours + M):
        shocks[place] = rho * shocks[place - 1] + np.sqrt(1 - rho**2) * shocks[place]
    energy = law(load) + noise * 1.2e6 * shocks
    end_us = MONDAY_US + hours * HOUR_S * 1_000_000
    baseline = Intervals(MONDAY_US, HOUR_S, energy[:hours], load[:hours])
    return baseline, Intervals(end_us, HOUR_S, share * energy[hours:], load[hours:])


def scaled(measured, factor):
    return dataclasses.replace(measured, energy_j=measured.energy_j * factor)


def test_a_change_point_is_found():
    baseline, _ = plant(noise=0.01)
    fitted = fit_baseline(baseline, "change_point", M)
    chosen = fitted.fit.candidate
    assert chosen.parameters in (3, 5)
    knot = fitted.spec.knots[chosen.columns[1] - 2]
    assert abs(knot - 80) < 10
    assert fitted.adjusted_r2 > 0.97
    assert fitted.fit.coefficients[0] == pytest.approx(1e6, rel=0.05)


def test_slopes_are_never_negative():
    baseline, _ = plant(noise=0.01)
    falling = dataclasses.replace(baseline, energy_j=3e6 - baseline.energy_j)
    fitted = fit_baseline(falling, "change_point", M)
    assert fitted.fit.candidate.name.startswith("below")
    assert (fitted.fit.coefficients[1:] >= 0).all()


def test_time_of_week_is_collapsed_where_the_baseline_is_short():
    rng = np.random.default_rng(0)
    for weeks, grouping, groups in (
        (12, "hour_of_week", 168),
        (6, "hour_of_workday_or_weekend", 48),
        (2, "hour_of_day", 24),
    ):
        load = load_of(weeks * 168, rng)
        spec = spec_of("time_of_week_load", Intervals(MONDAY_US, HOUR_S, law(load), load))
        assert (spec.grouping, len(spec.groups)) == (grouping, groups)
        assert candidates(spec)[0].parameters == groups + len(spec.knots) - 1


def test_time_of_week_finds_what_hours_do():
    baseline, reporting = plant(noise=0.02)
    weekend = lambda part: 1e5 * (part.hour_of_week >= 120)  # noqa: E731
    baseline = dataclasses.replace(baseline, energy_j=baseline.energy_j + weekend(baseline))
    reporting = dataclasses.replace(reporting, energy_j=reporting.energy_j + weekend(reporting))
    simple, by_time = (fit_baseline(baseline, model, M) for model in ("change_point", "time_of_week_load"))
    assert by_time.cv < simple.cv
    assert save(by_time, reporting, NOTHING).state == "NOT_PROVEN"


def test_the_first_hour_of_monday_is_hour_nought():
    energy = np.ones(200)
    hours = Intervals(MONDAY_US, HOUR_S, energy, energy).hour_of_week
    assert hours[:3].tolist() == [0, 1, 2]
    assert hours[168] == 0


def test_nothing_is_predicted_far_beyond_the_baselines_span():
    baseline, reporting = plant()
    fitted = fit_baseline(baseline, "change_point", M)
    span = fitted.spec.high - fitted.spec.low
    near, far = fitted.spec.high + 0.09 * span, fitted.spec.high + 0.11 * span
    driver = reporting.driver.copy()
    driver[:3] = near, far, np.nan
    odd = dataclasses.replace(reporting, driver=driver)
    assert beyond(fitted, odd)[:3].tolist() == [False, True, False]
    assert save(fitted, odd, NOTHING).counted == M - 2


def test_a_refit_without_a_window_is_a_downdate():
    """Against refits the slow way."""
    baseline, _ = plant()
    spec = spec_of("change_point", baseline)
    tried, rows = candidates(spec), basis(spec, baseline)
    target, held = baseline.energy_j / 1e6, np.ones(N, np.bool_)
    place, coefficients = choose(
        gram(rows, target)[None], np.array([N]), np.array([target.sum()]), tried, nonnegative=True
    )
    columns = list(tried[int(place[0])].columns)
    fit = Fit(tried[int(place[0])], coefficients[0, columns])
    found = placebo(rows, target, held, fit, tried, M, nonnegative=True)
    begins = range((N - M) % 24, N - M + 1, 24)
    assert found.errors.size == len(begins)
    for error, begin in zip(found.errors, begins, strict=True):
        kept = np.ones(N, np.bool_)
        kept[begin : begin + M] = False
        x, y = rows[kept], target[kept]
        best, again = choose(gram(x, y)[None], np.array([kept.sum()]), np.array([y.sum()]), tried, nonnegative=True)
        assert best.size == 1
        slow = (rows[~kept] @ again[0]).sum() - target[~kept].sum()
        assert error == pytest.approx(slow, abs=1e-6)


def test_windows_side_by_side_around_a_mean_have_one_degree_less(monkeypatch):
    rng, length, windows = np.random.default_rng(3), 24, 10
    target = rng.normal(size=length * windows)
    mean = Candidate("mean", (0,), 1)
    monkeypatch.setattr("eil_proof.domain.mv.placebo.STEPS", 1)
    held, fit = np.ones(target.size, np.bool_), Fit(mean, target.mean(keepdims=True))
    found = placebo(np.ones((target.size, 1)), target, held, fit, (mean,), length, nonnegative=False)
    assert found.degrees == pytest.approx(windows - 1)
    sums = target.reshape(windows, length).sum(axis=1)
    exact = sums.std(ddof=1) * np.sqrt(1 + 1 / windows)
    assert found.standard_error(length + length / windows, 1.0) == pytest.approx(exact)


def test_solve_is_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    assert solve(x.T @ x, x.T @ y) == pytest.approx(np.linalg.lstsq(x, y, rcond=None)[0])


def test_the_variance_of_an_autoregressive_sum():
    for rho in (0.0, 0.5, 0.9):
        m = 30
        lags = np.abs(np.subtract.outer(np.arange(m), np.arange(m)))
        assert errors.ar1_sum_variance(rho, m) == pytest.approx((rho**lags).sum())


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_interval_grows_with_autocorrelation_and_the_independent_one_does_not(rho):
    baseline, reporting = plant(rho=rho)
    found = save(fit_baseline(baseline, "change_point", M), reporting, NOTHING)
    assert found.half_width_j / found.iid_half_width_j > (2.5 if rho else 0.6)
    assert found.half_width_j < (10 if rho else 1.5) * found.iid_half_width_j


def test_states():
    baseline, reporting = plant(1)
    fitted = fit_baseline(baseline, "change_point", M)
    for share, state in ((0.9, "PROVEN"), (1.0, "NOT_PROVEN"), (1.1, "REFUTED")):
        found = save(fitted, scaled(reporting, share), NOTHING)
        assert found.state == state
        assert found.saving_j == pytest.approx((1 - share) * found.predicted_j, abs=0.02 * found.predicted_j)
    most = np.arange(M) < 0.11 * M
    assert save(fitted, reporting, most).state == "INSUFFICIENT_DATA"
    assert verdict(1.0, 2.0, ("CV(RMSE) is 40 %",))[0] == "NOT_PROVEN"
    with pytest.raises(ValueError, match="committed"):
        save(fitted, baseline, np.zeros(N, np.bool_))


def test_what_a_baseline_lacks():
    baseline, _ = plant()
    holes = baseline.energy_j.copy()
    holes[::8] = np.nan
    assert "missing" in fit_baseline(dataclasses.replace(baseline, energy_j=holes), "change_point", M).lacking[0]
    assert "windows" in fit_baseline(baseline, "change_point", N // 3).lacking[0]
    drifting, _ = plant(rho=0.99)
    lacking = fit_baseline(drifting, "time_of_week_load", M).lacking
    assert "independent" in lacking[0]


def test_a_noisy_model_proves_nothing():
    baseline, reporting = plant(noise=0.4)
    fitted = fit_baseline(baseline, "change_point", M)
    assert "CV(RMSE)" in fitted.failed_gates[0]
    assert save(fitted, scaled(reporting, 0.5), NOTHING).state == "NOT_PROVEN"


def test_bias_of_blocked_cross_validation_sees_a_drift():
    baseline, _ = plant()
    rising = dataclasses.replace(baseline, energy_j=baseline.energy_j * np.linspace(1, 2, N))
    assert abs(fit_baseline(rising, "change_point", M).nmbe_blocked) > 0.1
    assert abs(fit_baseline(baseline, "change_point", M).nmbe_blocked) < 0.01


@pytest.mark.parametrize("model", MODELS)
@given(factor=st.sampled_from([1 / 3.6e6, 1e-3, 1e3, 1.7e9]), seed=st.integers(0, 5))
@settings(max_examples=8, deadline=None)
def test_units_do_not_matter(model, factor, seed):
    """kWh or J: the same saving, the same verdict."""
    baseline, reporting = plant(seed, share=0.9)
    found = save(fit_baseline(baseline, model, M), reporting, NOTHING)
    other = save(fit_baseline(scaled(baseline, factor), model, M), scaled(reporting, factor), NOTHING)
    assert other.state == found.state
    for name in ("saving_j", "half_width_j", "ar1_half_width_j", "guideline14_half_width_j"):
        assert getattr(other, name) == pytest.approx(getattr(found, name) * factor, rel=1e-7)


def test_permuted_time_hides_autocorrelation_from_formulas():
    """The AR(1) and HAC widths rest on the order of time: shuffled, they are too narrow."""
    baseline, reporting = plant(rho=0.9)
    order = np.random.default_rng(0).permutation(N)
    shuffled = dataclasses.replace(baseline, energy_j=baseline.energy_j[order], driver=baseline.driver[order])
    found, other = (save(fit_baseline(one, "change_point", M), reporting, NOTHING) for one in (baseline, shuffled))
    assert other.saving_j == pytest.approx(found.saving_j, rel=1e-6)
    assert other.ar1_half_width_j < 0.4 * found.ar1_half_width_j


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_intervals_hold_what_they_should(rho):
    """A hundred meters; the benchmark tries thousands."""
    held, false = [], []
    for seed in range(100):
        baseline, reporting = plant(seed, rho=rho)
        found = save(fit_baseline(baseline, "change_point", M), reporting, NOTHING)
        held.append(found.low_j <= 0 <= found.high_j)
        false.append(found.state == "PROVEN")
    assert 0.80 <= np.mean(held) <= 0.98
    assert np.mean(false) <= 0.12


def test_what_cannot_be_fitted_is_refused():
    few = Intervals(MONDAY_US, HOUR_S, np.ones(2), np.ones(2))
    nothing = dataclasses.replace(few, energy_j=np.full(2, np.nan))
    for measured, model, length in (
        (few, "change_point", 1),
        (nothing, "mean", 1),
        (few, "mean", 0),
        (few, "other", 1),
    ):
        with pytest.raises(ValueError, match=r"."):
            fit_baseline(measured, model, length)
    with pytest.raises(ValueError, match="not positive"):
        fit_baseline(dataclasses.replace(few, energy_j=np.zeros(2)), "mean", 1)
    with pytest.raises(ValueError, match="rows of one length"):
        Intervals(MONDAY_US, HOUR_S, np.ones(2), np.ones(3))


def test_a_short_length_makes_no_more_windows_than_are_needed():
    rng = np.random.default_rng(0)
    load = load_of(5000, rng)
    fitted = fit_baseline(
        Intervals(MONDAY_US, HOUR_S, law(load) + 1e4 * rng.normal(size=5000), load), "change_point", 3
    )
    assert fitted.placebo.windows == 1666
    assert fitted.placebo.errors.size <= 200
    assert 100 < fitted.placebo.degrees <= 200
