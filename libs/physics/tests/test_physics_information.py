"""Ψ: what it measures, how often it cries wolf, and what it sees."""

import numpy as np
import pytest
from eil_physics import ThermalGraph, effective_samples_mean, effective_samples_variance, psi, psi_x, unbiased_rho
from scipy.signal import lfilter
from scipy.stats import kstest


def noise(rng, rho, trials, samples, channels=1):
    """Stationary AR(1) of unit variance, (trials, samples, channels); rho = 0 is white."""
    shocks = rng.standard_normal((trials, samples, channels))
    shocks[:, 1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], shocks, axis=1))


def alarm_rate(x, **options):
    half = x.shape[1] // 2
    return np.mean([psi(trial[:half], trial[half:], 60.0, **options).significant for trial in x])


def test_it_is_the_formula():
    rng = np.random.default_rng(1)
    before, after = rng.standard_normal((50, 2)), rng.standard_normal((50, 2)) @ [[1, 0.4], [0, 1.2]] + 0.5
    mean_shift = after.mean(0) - before.mean(0)
    first, second = np.cov(before.T), np.cov(after.T)
    inverse = np.linalg.inv((first + second) / 2)
    shape = inverse @ (second - first)
    expected = (mean_shift @ inverse @ mean_shift + 0.5 * np.trace(shape @ shape)) / 30**2
    result = psi(before, after, 30.0, rho=0.0)
    assert result.psi_per_s2 == pytest.approx(expected, rel=1e-10)
    assert result.statistic == pytest.approx(0.5 * 50 * 30**2 * expected, rel=1e-10)
    assert result.degrees == 5


def test_it_does_not_depend_on_the_channels_units():
    rng = np.random.default_rng(2)
    before, after = noise(rng, 0.6, 2, 400, 3)
    scale, shift = np.array([1e6, 1.0, 1e-3]), np.array([300.0, 0.0, 5.0])
    plain, scaled = psi(before, after, 60.0), psi(before * scale + shift, after * scale + shift, 60.0)
    assert scaled.psi_per_s2 == pytest.approx(plain.psi_per_s2, rel=1e-9)
    assert scaled.statistic == pytest.approx(plain.statistic, rel=1e-9)


def test_it_tends_to_the_fisher_information_of_a_moving_gaussian():
    # p(x, t) = N(vt, (σ + st)²): ∫|∂ₜp|²/p = (v² + 2s²)/σ². Windows with exactly those moments stand for p.
    v, s, sigma, spacing = 0.02, 0.01, 2.0, 1.0
    base = np.sqrt(2) * np.sin(2 * np.pi * np.arange(10_000) / 10_000)
    before, after = ((sigma + s * t) * base + v * t for t in (-spacing / 2, spacing / 2))
    assert psi(before, after, spacing, rho=0.0).psi_per_s2 == pytest.approx((v**2 + 2 * s**2) / sigma**2, rel=1e-3)


@pytest.mark.parametrize(("rho", "samples"), [(0.0, 200), (0.9, 600), (0.9, 4000)])
def test_false_alarms_at_one_percent_with_rho_estimated_as_by_default(rho, samples):
    x = noise(np.random.default_rng(3), rho, 2500, 2 * samples)
    assert alarm_rate(x) <= 0.015


def test_false_alarms_of_several_channels_with_different_memories():
    rng = np.random.default_rng(4)
    slow, fast = noise(rng, 0.9, 1500, 2000, 1), noise(rng, 0.2, 1500, 2000, 2)
    mixed = np.concatenate((slow, fast), axis=2) @ [[1, 0.5, 0.2], [0, 1, 0.7], [0.3, 0, 1]]
    assert alarm_rate(mixed) <= 0.015


def test_false_alarms_with_rho_given():
    x = noise(np.random.default_rng(5), 0.9, 1500, 8000)
    assert alarm_rate(x, rho=0.9) <= 0.015


def test_without_the_effective_sample_sizes_most_alarms_are_false():
    x = noise(np.random.default_rng(6), 0.9, 400, 8000)
    assert alarm_rate(x, rho=0.0) > 0.5


@pytest.mark.parametrize(("rho", "samples"), [(0.0, 200), (0.9, 4000)])
def test_half_a_standard_deviation_is_seen_nine_times_in_ten(rho, samples):
    x = noise(np.random.default_rng(7), rho, 500, 2 * samples)
    x[:, samples:] += 0.5
    assert alarm_rate(x) >= 0.9


def test_a_change_of_variance_alone_is_seen():
    x = noise(np.random.default_rng(8), 0.5, 300, 1200)
    x[:, 600:] *= 1.5
    assert alarm_rate(x) >= 0.9


def test_the_null_distribution_is_chi_square():
    x = noise(np.random.default_rng(9), 0.5, 1000, 4000)
    p_values = [psi(trial[:2000], trial[2000:], 1.0).p_value for trial in x]
    assert kstest(p_values, "uniform").pvalue > 0.001


def test_effective_sample_sizes_are_those_of_an_ar1():
    x = noise(np.random.default_rng(10), 0.8, 4000, 500)[:, :, 0]
    assert 1 / x.mean(1).var() == pytest.approx(effective_samples_mean(500, 0.8), rel=0.08)
    assert 2 / np.mean(x**2, axis=1).var() == pytest.approx(effective_samples_variance(500, 0.8), rel=0.08)


def test_the_correction_of_rho_removes_its_bias():
    samples = 60
    x = noise(np.random.default_rng(11), 0.6, 8000, samples)[:, :, 0]
    x = x - x.mean(1, keepdims=True)
    raw = np.mean(x[:, 1:] * x[:, :-1], axis=1) / np.mean(x**2, axis=1)
    assert raw.mean() < 0.58
    assert unbiased_rho(raw, samples).mean() == pytest.approx(0.6, abs=0.01)


def test_windows_too_short_for_their_memory_do_not_decide():
    x = noise(np.random.default_rng(12), 0.98, 1, 200)[0]
    result = psi(x[:100], x[100:] + 50, 60.0)
    assert not result.decided
    assert not result.significant


def test_channels_at_rest_are_judged_against_the_sensor_noise():
    still = np.full((50, 1), 345.0)
    result = psi(still, still + 5.0, 60.0, noise_floor_std=0.3)
    assert result.psi_per_s2 == pytest.approx((5 / 0.3) ** 2 / 60**2, rel=0.05)
    assert psi(still, still, 60.0, noise_floor_std=0.3).statistic == 0


@pytest.mark.parametrize(
    ("before", "after", "options", "words"),
    [
        (np.zeros((9, 1)), np.zeros((9, 2)), {}, "same channels"),
        (np.zeros((3, 1)), np.zeros((9, 1)), {}, "too few"),
        (np.full((9, 1), 2.0), np.full((9, 1), 2.0), {}, "channel 0 is constant"),
        (np.arange(20.0).reshape(10, 2), np.arange(20.0).reshape(10, 2), {}, "linearly dependent"),
        (np.arange(9.0), np.arange(9.0), {"rho": 1.0}, "within"),
        (np.array([np.nan] * 9), np.arange(9.0), {}, "finite"),
    ],
)
def test_bad_input_is_named(before, after, options, words):
    with pytest.raises(ValueError, match=words):
        psi(before, after, 60.0, **options)
    with pytest.raises(ValueError, match="positive spacing"):
        psi(np.arange(9.0), np.arange(9.0), 0.0)


def test_psi_x_is_the_share_of_entropy_that_gradients_make():
    graph = ThermalGraph(
        np.array([1e4, 2e4, 1e4]), np.array([5.0, 1.0, 3.0]), np.array([[0, 1], [1, 2]]), np.array([4.0, 2.0])
    )
    power, ambient = np.array([400.0, 0.0, 50.0]), 295.0
    excess = np.linalg.solve(graph.conductance_matrix(), power)
    temperature = ambient + excess
    total = graph.entropy_rate_w_per_k(temperature, np.zeros(3), ambient)
    # Work dissipated at T_i makes P_i/T_i, the surfaces make UA(T−T₀)²/(T·T₀); gradients make the rest.
    dissipated = np.sum(power / temperature)
    surfaces = np.sum(graph.ambient_conductance_w_per_k * excess**2 / (temperature * ambient))
    assert psi_x(graph, temperature, total) == pytest.approx((total - dissipated - surfaces) / total, rel=1e-9)
    assert psi_x(graph, np.full(3, 330.0), total) == 0
    with pytest.raises(ValueError, match="positive total"):
        psi_x(graph, temperature, 0.0)
