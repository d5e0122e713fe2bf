"""All readings of a window say more than the two at its edges, and presuppose no balance."""

from dataclasses import replace

import numpy as np
import pytest
from eil_physics import ThermalNode, first_law, integrate, observe_window, track_window

C, UA, AMBIENT = 15e3, 20.0, 297.0
NODE = ThermalNode(C, UA, AMBIENT, 0.02 * C, 0.01 * UA, 0.1, "fitted")


def record(rng, *, share=1.0, noise=0.0, ambient=None):
    """A quarter of an hour at 5 s, of which `share` of the metered power arrives."""
    t = np.arange(0.0, 901, 5)
    power = np.repeat(rng.uniform(500, 900, t.size // 30 + 1), 30)[: t.size]
    around = np.full(t.size, AMBIENT) if ambient is None else ambient
    keep = np.exp(-5 * UA / C)
    temperature = np.empty(t.size)
    temperature[0] = AMBIENT + 30
    for k in range(1, t.size):
        temperature[k] = keep * temperature[k - 1] + (1 - keep) * (around[k] + share * power[k] / UA)
    return t, power, temperature + noise * rng.standard_normal(t.size)


def residual(node, t, power, window):
    balance = first_law(node, integrate(t, power, t[0], t[-1], kind="mean"), window)
    assert balance.residual is not None
    return balance.residual


def tracked(node, t, power, temperature, **options):
    return track_window(node, t, power, temperature, float(t[0]), float(t[-1]), power_kind="mean", **options)


@pytest.mark.parametrize("share", [1.0, 0.9, 0.5])
def test_the_share_of_power_that_arrives_is_found_exactly_without_noise(share):
    t, power, temperature = record(np.random.default_rng(1), share=share)
    window = tracked(NODE, t, power, temperature)
    assert window is not None
    assert residual(NODE, t, power, window) == pytest.approx(1 - share, abs=1e-9)
    assert (window.start_k, window.end_k) == pytest.approx((temperature[0], temperature[-1]))


def test_a_wrong_conductance_is_not_explained_away():
    t, power, temperature = record(np.random.default_rng(2))
    wrong = replace(NODE, conductance_w_per_k=UA / 2)
    assert residual(wrong, t, power, tracked(wrong, t, power, temperature)) > 0.3


def test_noise_leaves_less_of_it_than_the_edges_do():
    rng = np.random.default_rng(3)
    edges, path = [], []
    for _ in range(100):
        t, power, temperature = record(rng, noise=0.4)
        reading = np.round(temperature)
        path.append(residual(NODE, t, power, tracked(NODE, t, power, reading)))
        edges.append(residual(NODE, t, power, observe_window(NODE, t, reading, t[0], t[-1])))
    assert np.std(path) < 0.4 * np.std(edges)
    assert abs(np.mean(path)) < 3 * np.std(path) / 10


def test_a_moving_ambient_and_its_offset_are_followed():
    rng = np.random.default_rng(4)
    t = np.arange(0.0, 901, 5)
    ambient = AMBIENT + 2 * np.sin(t / 200)
    _, power, temperature = record(rng, ambient=ambient)
    node = replace(NODE, ambient_source="channel", ambient_offset_k=0.5)
    window = tracked(node, t, power, temperature, ambient_k=ambient - 0.5)
    # The plant holds its ambient for 5 s where the channel is read as a line.
    assert residual(node, t, power, window) == pytest.approx(0, abs=2e-3)


def test_few_readings_or_other_edges_are_observed_as_they_are():
    t, power, temperature = record(np.random.default_rng(5), noise=0.4)
    for start, end in ((0.0, 20.0), (2.5, 900.0), (0.0, 897.0)):
        seen = observe_window(NODE, t, temperature, start, end)
        assert track_window(NODE, t, power, temperature, start, end, power_kind="mean") == seen
    hidden = (t < 300) | (t > 400)
    assert tracked(NODE, t[hidden], power[hidden], temperature[hidden]) is None
