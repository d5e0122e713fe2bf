"""Entropy generated, its check, and the entropy of a state."""

from dataclasses import replace

import numpy as np
import pytest
from eil_physics import (
    Energy,
    ThermalNode,
    ThermalWindow,
    entropy_coherence,
    entropy_generated,
    integrate,
    observe_window,
    state_entropy,
)

C, UA, AMBIENT = 15e3, 20.0, 297.0
NODE = ThermalNode(C, UA, AMBIENT, 0.05 * C, 0.03 * UA, 0.5, "fitted")


def window(start_k, end_k, excess_k, length_s=900.0, sensor_std_k=0.3, samples=90):
    return ThermalWindow(0.0, length_s, start_k, end_k, excess_k, AMBIENT, sensor_std_k, samples)


def energy(energy_j):
    return Energy(energy_j, 900.0, 900.0, (), 0.01 * energy_j)


def test_steady_state_generates_energy_over_ambient():
    result = entropy_generated(NODE, energy(850 * 900), window(339.5, 339.5, 42.5))
    assert result.entropy_j_per_k == pytest.approx(850 * 900 / AMBIENT)
    assert (result.method, result.verdict) == ("thermal_node", "holds")


def test_cooling_without_load_generates_what_irreversible_heat_flow_does():
    t = np.arange(0.0, 4001, 5)
    temperature = AMBIENT + 40 * np.exp(-t * UA / C)
    seen = observe_window(NODE, t, temperature, 0, 4000)
    assert seen is not None
    result = entropy_generated(NODE, integrate(t, 0 * t, 0, 4000), seen)
    # C(T₁−T₂) flows into the ambient while the node loses C ln(T₁/T₂).
    expected = C * (temperature[0] - temperature[-1]) / AMBIENT - C * np.log(temperature[0] / temperature[-1])
    assert result.entropy_j_per_k == pytest.approx(expected, rel=1e-3)
    assert result.entropy_j_per_k > 0


def test_the_uncertainty_is_that_of_the_entropy():
    rng = np.random.default_rng(51)
    t = np.arange(0.0, 900, 10)
    true = 335 + 0.005 * t
    found = []
    for _ in range(1500):
        node = ThermalNode(
            C * (1 + 0.05 * rng.standard_normal()),
            UA * (1 + 0.03 * rng.standard_normal()),
            AMBIENT + 0.5 * rng.standard_normal(),
            0.05 * C,
            0.03 * UA,
            0.5,
            "fitted",
        )
        reading = true + 0.3 * rng.standard_normal(t.size)
        seen = observe_window(node, t, reading, 0, 890, sensor_std_k=0.3)
        found.append(entropy_generated(node, energy(1.0), seen).entropy_j_per_k)
    seen = observe_window(NODE, t, true, 0, 890, sensor_std_k=0.3)
    assert np.std(found) == pytest.approx(entropy_generated(NODE, energy(1.0), seen).u_entropy_j_per_k, rel=0.08)


def test_a_reversed_heat_flow_breaks_the_second_law_and_coherence_tells():
    good = entropy_generated(NODE, energy(1.0), window(339.0, 340.0, 42.0))
    bad = entropy_generated(NODE, energy(1.0), window(339.0, 340.0, -42.0))
    untested = entropy_generated(NODE, energy(1.0), None)
    assert (good.verdict, bad.verdict) == ("holds", "contradicted")
    assert entropy_coherence([good, good, good, bad, untested]) == pytest.approx(0.75)
    assert entropy_coherence([untested]) is None


def test_a_deficit_within_three_uncertainties_is_noise():
    exact = replace(NODE, se_capacity_j_per_k=0.0, se_conductance_w_per_k=0.0, se_ambient_k=0.0)
    at_ambient = window(AMBIENT + 0.5, AMBIENT - 0.5, 0.0, sensor_std_k=0.3)
    assert entropy_generated(exact, energy(1.0), at_ambient).verdict == "holds"
    sharper = replace(at_ambient, sensor_std_k=0.05)
    assert entropy_generated(exact, energy(1.0), sharper).verdict == "contradicted"


def test_without_an_identified_node_energy_over_ambient_is_marked_and_proves_nothing():
    vague = replace(NODE, ambient_k=295.0, se_ambient_k=10.0, ambient_source="default")
    for seen in (window(339.0, 340.0, 42.0), None):
        result = entropy_generated(vague, energy(900_000.0), seen)
        assert (result.method, result.verdict) == ("energy_over_ambient", "untested")
        ambient = AMBIENT if seen else 295.0
        assert result.entropy_j_per_k == pytest.approx(900_000 / ambient)
        assert result.u_entropy_j_per_k == pytest.approx(np.hypot(9000, 900_000 * 10 / ambient) / ambient)


def test_state_entropy_is_the_differential_entropy_of_the_gaussian():
    covariance, scale = np.array([[4.0, 0.6], [0.6, 0.25]]), np.array([2.0, 1.0])
    samples = np.random.default_rng(52).multivariate_normal([300, 5], covariance, 40_000)
    exact = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * covariance / np.outer(scale, scale)))
    assert state_entropy(samples, scale) == pytest.approx(exact, abs=0.02)


def test_state_entropy_falls_by_the_logarithm_of_the_frozen_scale():
    samples = np.random.default_rng(53).standard_normal((100, 3))
    shift = state_entropy(samples, [1, 1, 1]) - state_entropy(samples, [2, 4, 8])
    assert shift == pytest.approx(np.log(64))
    assert state_entropy(samples[:, 0], 1.0) == pytest.approx(
        0.5 * np.log(2 * np.pi * np.e * samples[:, 0].var(ddof=1))
    )


def test_state_entropy_of_few_samples_is_low_by_the_stated_bias():
    samples = np.random.default_rng(54).standard_normal((4000, 60, 2))
    found = np.mean([state_entropy(x, 1.0) for x in samples])
    assert found - np.log(2 * np.pi * np.e) == pytest.approx(-2 * 3 / (4 * 60), abs=0.012)


def test_a_channel_at_rest_has_the_entropy_of_its_noise_floor():
    still = np.full(50, 345.0)
    assert state_entropy(still, 2.0) == -np.inf
    expected = 0.5 * np.log(2 * np.pi * np.e * 0.15**2)
    assert state_entropy(still, 2.0, noise_floor_std=0.3) == pytest.approx(expected)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="longer window"):
        state_entropy(np.zeros((2, 2)), 1.0)
    with pytest.raises(ValueError, match="scale is not positive"):
        state_entropy(np.zeros((5, 2)), [1.0, 0.0])
    with pytest.raises(ValueError, match="finite"):
        state_entropy([1.0, np.nan, 2.0], 1.0)
