"""The simulation behind identification is the solution of the node's equation, however it is sampled or averaged."""

import math

import numpy as np
import pytest
from eil_physics.thermal_simulation import Stretch, averaged, decayed, regression, response, wander
from eil_physics.whitening import autoregression, whitened


def stretch(t, drive, *, linear=False):
    return Stretch(t, drive, np.zeros_like(t), np.zeros_like(t), False, linear)


@pytest.mark.parametrize("tau", [0.5, 7.0, 300.0, 1e6])
@pytest.mark.parametrize("linear", [False, True])
def test_the_response_is_the_exact_solution_at_uneven_times(tau, linear):
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.uniform(0.5, 20, 400))
    drive = rng.uniform(-1, 2, 400)
    x, path = 0.0, [0.0]
    for k in range(1, t.size):
        fine = np.linspace(t[k - 1], t[k], 2001)
        value = np.interp(fine, t, drive) if linear else np.full(2001, drive[k])
        kernel = value * np.exp((fine - t[k]) / tau) / tau
        step = (fine[1] - fine[0]) / 3
        gained = step * (kernel[0] + kernel[-1] + 4 * kernel[1:-1:2].sum() + 2 * kernel[2:-1:2].sum())
        x = math.exp(-(t[k] - t[k - 1]) / tau) * x + gained
        path.append(x)
    assert response(stretch(t, drive), drive, tau, linear=linear) == pytest.approx(np.array(path), abs=2e-6)


def test_averages_are_those_of_the_exact_solution():
    tau, count = 40.0, 4
    t = np.arange(0.0, 801.0)
    power = np.repeat(np.random.default_rng(2).uniform(0, 1, 201), count)[: t.size]
    power = np.concatenate(([0.0], power[:-1]))  # the mean since the previous second, constant in each bin
    fine = stretch(t, power)
    path = response(fine, power, tau, linear=False)
    coarse = averaged(Stretch(t, power, path, np.ones_like(t), False, False), count)
    assert coarse.edge_s.tolist() == list(range(0, 801, count))
    assert response(coarse, coarse.power_w, tau, linear=False) == pytest.approx(coarse.temperature_k, abs=1e-4)
    decay = averaged(Stretch(t, power, decayed(fine, tau), np.ones_like(t), False, False), count).temperature_k
    assert decayed(coarse, tau) == pytest.approx(decay, rel=1e-4)
    assert coarse.ambient_k == pytest.approx(1)
    assert np.sum(coarse.power_w) * count == pytest.approx(power[1:].sum())


def test_the_regression_reproduces_a_node_from_its_parameters():
    tau, resistance, offset, start = 120.0, 0.05, 0.7, 9.0
    t = np.arange(0.0, 3000.0, 10)
    power = 600 + 200 * np.sin(t / 300)
    ambient = 295 + np.cos(t / 1000)
    steady = resistance * power + ambient + offset
    temperature = response(stretch(t, steady), steady, tau, linear=True) + (start + ambient[0]) * np.exp(-t / tau)
    target, design = regression([Stretch(t, power, temperature, ambient, False, True)], math.log(tau))
    assert design @ [resistance, offset, start] == pytest.approx(target, abs=1e-9)


def test_the_walk_has_the_variance_of_a_brownian_motion_about_its_mean():
    t = np.arange(0.0, 36_000.0, 60)
    columns = wander([stretch(t, t)], math.log(1.0), 0.1 / 60)
    assert columns.mean(axis=0) == pytest.approx(0, abs=1e-3)
    # Mean square of a centred Brownian motion is a sixth of its end's variance, of which six terms hold nine tenths.
    assert np.mean(np.sum(columns**2, axis=1)) == pytest.approx(0.1**2 * 10 / 6, rel=0.12)


def test_whitening_takes_out_the_colour_that_it_finds():
    rng = np.random.default_rng(3)
    parts = []
    for size in (3000, 2000):
        x = np.zeros(size)
        for k in range(1, size):
            x[k] = 0.8 * x[k - 1] + rng.standard_normal()
        parts.append(x)
    weights = autoregression(parts)
    assert weights[0] == pytest.approx(0.8, abs=0.05)
    white = whitened(parts[0][:, np.newaxis], weights)[:, 0]
    assert abs(np.corrcoef(white[1:], white[:-1])[0, 1]) < 0.05
    assert autoregression([np.zeros(50)]).size == 0
