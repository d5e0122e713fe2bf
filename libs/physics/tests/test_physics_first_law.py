"""The first law convicts a wrong node and leaves a right one alone."""

from dataclasses import replace

import numpy as np
import pytest
from eil_physics import (
    QUANTISED_1K_STD_K,
    ThermalNode,
    energy_fidelity,
    first_law,
    fit_node,
    integrate,
    observe_window,
    residual_u,
)

C, UA, AMBIENT = 15e3, 20.0, 297.0
NODE = ThermalNode(C, UA, AMBIENT, 0.02 * C, 0.01 * UA, 0.1, "fitted")


def plant(rng, samples, period=10.0, hold=12):
    """Timestamps, mean-kind power and temperature in whole kelvins of a node under stepping load, from any start."""
    power = np.repeat(rng.uniform(500, 900, samples // hold + 1), hold)[:samples]
    phi = np.exp(-UA * period / C)
    temperature = np.empty(samples)
    temperature[0] = AMBIENT + rng.uniform(15, 45)
    for k in range(1, samples):
        temperature[k] = phi * temperature[k - 1] + (1 - phi) * (AMBIENT + power[k] / UA)
    return period * np.arange(samples), power, np.round(temperature)


def balance(node, t, power, temperature, start, end, **options):
    energy = integrate(t, power, start, end, kind="mean", meter_relative_u=0.005)
    return first_law(node, energy, observe_window(node, t, temperature, start, end), **options)


def test_one_kelvin_steps_leave_twelve_percent_at_a_minute_and_under_one_at_a_quarter_of_an_hour():
    exact = replace(NODE, se_ambient_k=0.0)
    assert residual_u(exact, 850 * 60, 0.0, 60, QUANTISED_1K_STD_K) == pytest.approx(0.12, abs=0.0005)
    assert residual_u(exact, 850 * 900, 0.0, 900, QUANTISED_1K_STD_K) == pytest.approx(0.008, abs=0.0001)


def test_the_uncertainty_is_that_of_the_residual():
    rng = np.random.default_rng(41)
    t, period = np.arange(0.0, 901, 10), 900.0
    power, true = np.full(t.size, 850.0), AMBIENT + 850 / UA
    residuals = []
    for _ in range(1000):
        node = replace(NODE, ambient_k=AMBIENT + 0.4 * rng.standard_normal(), se_ambient_k=0.4)
        energy = integrate(t, power * (1 + 0.005 * rng.standard_normal()), 0, 900, meter_relative_u=0.005)
        reading = true + 0.3 * rng.standard_normal(t.size)
        residuals.append(first_law(node, energy, observe_window(node, t, reading, 0, 900, sensor_std_k=0.3)).residual)
    expected = residual_u(replace(NODE, se_ambient_k=0.4), 850 * period, 0.005 * 850 * period, period, 0.3)
    assert np.std(residuals) == pytest.approx(expected, rel=0.08)
    assert abs(np.mean(residuals)) < 0.0015


def test_half_the_conductance_is_contradicted_within_a_quarter_of_an_hour_and_the_true_node_is_not():
    rng = np.random.default_rng(42)
    wrong = replace(NODE, conductance_w_per_k=0.5 * UA)
    convicted = accused = 0
    for _ in range(200):
        t, power, temperature = plant(rng, 91)
        ends = (300.0, 600.0, 900.0)
        convicted += any(balance(wrong, t, power, temperature, 0, end).contradicted for end in ends)
        accused += any(balance(NODE, t, power, temperature, 0, end).contradicted for end in ends)
    assert convicted == 200
    assert accused <= 3


def test_a_fitted_node_is_not_accused_in_the_hour_after_its_fit():
    rng = np.random.default_rng(43)
    verdicts = []
    for _ in range(15):
        t, power, temperature = plant(rng, 900)
        node = fit_node(t[:540], power[:540], temperature[:540], power_kind="mean")
        starts = t[539] + 900 * np.arange(4)
        verdicts += [balance(node, t, power, temperature, start, start + 900).verdict for start in starts]
    assert verdicts.count("holds") >= 58
    assert verdicts.count("contradicted") <= 1


def test_a_lost_tenth_of_the_energy_is_seen_in_half_an_hour():
    t, power, temperature = plant(np.random.default_rng(44), 181)
    result = balance(NODE, t, 1.1 * power, temperature, 0, 1800)
    assert result.contradicted
    assert result.residual == pytest.approx(0.1 / 1.1, abs=0.02)


def test_what_has_no_power_to_decide_is_untested():
    t, power, temperature = plant(np.random.default_rng(45), 181)
    assert balance(NODE, t, power, temperature, 0, 900).verdict == "holds"
    cases = {
        "modelled": balance(NODE, t, power, temperature, 0, 900, modelled_power=True),
        "not identified": balance(replace(NODE, se_ambient_k=5.0), t, power, temperature, 0, 900),
        "gap": balance(NODE, t, power, temperature, 1000, 2000),
        "fitted on samples of this window": balance(replace(NODE, frozen_at_s=100), t, power, temperature, 0, 900),
        "no energy": balance(NODE, t, 0 * power, temperature, 0, 900),
        "too short": balance(NODE, t, power, temperature, 0, 10),
    }
    for reason, result in cases.items():
        assert result.verdict == "untested"
        assert not result.contradicted
        assert reason in result.reason


def test_energy_and_temperature_of_different_windows_are_refused():
    t, power, temperature = plant(np.random.default_rng(46), 181)
    with pytest.raises(ValueError, match="integrate one window"):
        first_law(NODE, integrate(t, power, 0, 900), observe_window(NODE, t, temperature, 0, 600))


def test_fidelity_stands_on_the_shortest_window_that_knows_the_residual_within_one_percent():
    t = np.arange(0.0, 3601, 10)
    power, temperature = np.full(t.size, 850.0), np.full(t.size, AMBIENT + 850 / UA)
    exact = replace(NODE, se_ambient_k=0.0)
    result = energy_fidelity(exact, t, power, temperature)
    assert result is not None
    assert result.fidelity == pytest.approx(1)
    # √2·C·σ_T/(P·W) = 1 % at W = 720.5 s, so the first window on the 10 s raster is 730 s.
    assert result.window_s == 730
    assert result.u_residual <= 0.01 < residual_u(exact, 850 * 720, 0.0, 720, QUANTISED_1K_STD_K)
    short_of_heat = energy_fidelity(replace(exact, conductance_w_per_k=0.9 * UA), t, power, temperature)
    assert short_of_heat is not None
    assert short_of_heat.fidelity == pytest.approx(0.9)


def test_fidelity_needs_enough_unbroken_metered_time_after_the_fit():
    t = np.arange(0.0, 1801, 10)
    power, temperature = np.full(t.size, 850.0), np.full(t.size, AMBIENT + 850 / UA)
    exact = replace(NODE, se_ambient_k=0.0)
    assert energy_fidelity(exact, t[:60], power[:60], temperature[:60]) is None
    assert energy_fidelity(replace(exact, frozen_at_s=1500), t, power, temperature) is None
    assert energy_fidelity(exact, t, power, temperature, modelled_power=True) is None
    assert energy_fidelity(replace(exact, se_capacity_j_per_k=C), t, power, temperature) is None
    keep = (t < 1200) | (t > 1300)
    assert energy_fidelity(exact, t[keep], power[keep], temperature[keep]) is None
