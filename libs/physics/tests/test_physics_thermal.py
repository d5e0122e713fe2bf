"""The thermal node is found without bias, and only when the data can tell."""

import numpy as np
import pytest
from eil_physics import QUANTISED_1K_STD_K, ThermalNode, fit_node, observe_window

C, UA, AMBIENT = 15e3, 20.0, 297.0


def plant(rng, samples=720, period=10.0, hold=30, ambient=None, load=None):
    """Timestamps, mean-kind power and true temperature of a node whose load steps every ``hold`` samples."""
    power = np.repeat(rng.uniform(400, 900, samples // hold + 1), hold)[:samples] if load is None else load
    around = np.full(samples, AMBIENT) if ambient is None else ambient
    phi = np.exp(-UA * period / C)
    temperature = np.empty(samples)
    temperature[0] = around[0] + power[0] / UA + rng.uniform(-20, 5)
    for k in range(1, samples):
        temperature[k] = phi * temperature[k - 1] + (1 - phi) * (around[k] + power[k] / UA)
    return period * np.arange(samples), power, temperature


def least_squares_capacity(t, power, temperature):
    """C by regressing T' on T, the estimator that sensor noise biases."""
    design = np.column_stack((temperature[:-1], np.ones(len(t) - 1), power[1:]))
    keep, _, gain = np.linalg.lstsq(design, temperature[1:], rcond=None)[0]
    return -(t[1] - t[0]) / np.log(keep) * (1 - keep) / gain


def test_sensor_noise_does_not_bias_the_fit_and_its_standard_errors_are_honest():
    rng = np.random.default_rng(31)
    nodes, naive = [], []
    for _ in range(40):
        t, power, true = plant(rng)
        reading = true + 0.5 * rng.standard_normal(true.size)
        nodes.append(fit_node(t, power, reading, power_kind="mean"))
        naive.append(least_squares_capacity(t, power, reading))
    assert np.mean(naive) < 0.87 * C  # what the method is there to avoid
    found = np.array([[n.capacity_j_per_k, n.conductance_w_per_k, n.ambient_k] for n in nodes])
    errors = np.array([[n.se_capacity_j_per_k, n.se_conductance_w_per_k, n.se_ambient_k] for n in nodes])
    assert found.mean(0) == pytest.approx([C, UA, AMBIENT], rel=0.01)
    assert np.std((found - [C, UA, AMBIENT]) / errors, axis=0) == pytest.approx(1, abs=0.4)
    assert all(n.identified and n.ambient_source == "fitted" for n in nodes)


def test_whole_kelvin_steps_do_not_bias_the_fit():
    rng = np.random.default_rng(32)
    found = []
    for _ in range(10):
        t, power, true = plant(rng)
        found.append(fit_node(t, power, np.round(true), power_kind="mean").capacity_j_per_k)
    assert np.mean(found) == pytest.approx(C, rel=0.02)


def test_gaps_irregular_times_and_instant_power_are_handled_exactly_without_noise():
    rng = np.random.default_rng(33)
    t = np.cumsum(rng.uniform(4, 16, 600))
    t[300:] += 3600
    power = 600 + 250 * np.sin(t / 400) + 50 * np.sin(t / 90)
    # Closed form of C dT/dt = P − UA(T − T_amb) under two sinusoids, far from the start.
    tau = C / UA
    temperature = AMBIENT + 600 / UA
    for amplitude, slow in ((250, 400), (50, 90)):
        w = 1 / slow
        temperature = temperature + amplitude / UA * (np.sin(w * t) - w * tau * np.cos(w * t)) / (1 + (w * tau) ** 2)
    node = fit_node(t, power, temperature)
    assert node.capacity_j_per_k == pytest.approx(C, rel=0.005)
    assert node.conductance_w_per_k == pytest.approx(UA, rel=0.005)
    assert node.ambient_k == pytest.approx(AMBIENT, abs=0.3)


def test_an_ambient_channel_replaces_the_fitted_ambient_and_its_offset_is_learnt():
    rng = np.random.default_rng(34)
    ambient = AMBIENT + 4 * np.sin(np.arange(720) / 100)
    t, power, true = plant(rng, ambient=ambient)
    reading = true + 0.2 * rng.standard_normal(true.size)
    node = fit_node(t, power, reading, ambient_k=ambient - 0.8, ambient_std_k=0.5, power_kind="mean")
    assert node.ambient_source == "channel"
    assert node.identified
    assert node.capacity_j_per_k == pytest.approx(C, rel=0.05)
    assert node.conductance_w_per_k == pytest.approx(UA, rel=0.01)
    assert node.se_ambient_k < 0.25
    assert node.ambient_offset_k == pytest.approx(0.8, abs=3 * node.se_ambient_k)
    assert node.ambient_k == pytest.approx(ambient.mean() - 0.8 + node.ambient_offset_k)
    window = observe_window(node, t, reading, 1000, 1900, ambient_k=ambient - 0.8)
    assert window is not None
    assert window.ambient_k == pytest.approx(np.interp(np.arange(1000, 1901), t, ambient).mean(), abs=0.3)


def test_what_is_known_of_a_channel_holds_where_the_data_cannot_tell():
    rng = np.random.default_rng(38)
    load = np.where(np.arange(200) % 60 < 30, 840.0, 870.0)
    t, power, true = plant(rng, samples=200, load=load)
    reading = true + 0.5 * rng.standard_normal(200)
    node = fit_node(t, power, reading, ambient_k=np.full(200, AMBIENT), ambient_std_k=0.3, power_kind="mean")
    assert node.se_ambient_k == pytest.approx(0.3, rel=0.05)
    # An offset of 0.3 K in 43 K of excess is 0.7 % of UA, whatever the noise.
    assert node.se_conductance_w_per_k > 0.006 * node.conductance_w_per_k


def test_standard_errors_count_an_ambient_that_wanders_unseen():
    rng = np.random.default_rng(39)
    scores = []
    for _ in range(30):
        walk = np.cumsum(0.1 * np.sqrt(10 / 3600) * rng.standard_normal(1440))
        t, power, true = plant(rng, samples=1440, ambient=AMBIENT + walk)
        node = fit_node(t, power, np.round(true + 0.2 * rng.standard_normal(1440)), power_kind="mean")
        assert node.identified
        scores.append(
            [
                (node.capacity_j_per_k - C) / node.se_capacity_j_per_k,
                (node.conductance_w_per_k - UA) / node.se_conductance_w_per_k,
                (node.ambient_k - AMBIENT - walk.mean()) / node.se_ambient_k,
            ]
        )
    assert np.sqrt(np.mean(np.square(scores), axis=0)) == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("kind", ["mean", "instant"])
def test_a_long_record_is_averaged_down_without_bias(kind):
    rng = np.random.default_rng(40)
    seconds = 20_000
    load = np.interp(
        np.arange(seconds), np.arange(0, seconds + 300, 300), rng.uniform(400, 900, seconds // 300 + 2)[: 67 + 1]
    )
    held = (load[1:] + load[:-1]) / 2
    t, power, true = plant(rng, samples=seconds, period=1.0, load=np.append(held[0], held))
    reading = true + 0.5 * rng.standard_normal(seconds)
    node = fit_node(t, power if kind == "mean" else load, reading, power_kind=kind)
    assert node.capacity_j_per_k == pytest.approx(C, rel=0.01)
    assert node.conductance_w_per_k == pytest.approx(UA, rel=0.01)
    assert node.se_capacity_j_per_k < 0.01 * C


@pytest.mark.parametrize("with_channel", [False, True])
def test_constant_load_identifies_nothing(with_channel):
    rng = np.random.default_rng(35)
    load = 850 + 2 * rng.standard_normal(720)
    t, power, true = plant(rng, load=load)
    ambient = np.full(720, AMBIENT) if with_channel else None
    node = fit_node(t, power, true + 0.5 * rng.standard_normal(720), ambient_k=ambient, power_kind="mean")
    assert not node.identified
    assert node.se_capacity_j_per_k == np.inf
    assert node.ambient_k == pytest.approx(AMBIENT if with_channel else 295.0)


def test_an_ambient_that_the_data_cannot_tell_falls_back_to_the_default():
    rng = np.random.default_rng(36)
    load = np.where(np.arange(200) % 60 < 30, 840.0, 870.0)
    t, power, true = plant(rng, samples=200, load=load)
    node = fit_node(t, power, true + 0.5 * rng.standard_normal(200), power_kind="mean")
    assert (node.ambient_source, node.ambient_k, node.se_ambient_k) == ("default", 295.0, 10.0)
    assert not node.identified


def test_power_that_does_not_drive_the_temperature_identifies_nothing():
    rng = np.random.default_rng(37)
    identified = 0
    for _ in range(10):
        t, power, _ = plant(rng)
        identified += fit_node(t, power, 330 + 0.5 * rng.standard_normal(720), power_kind="mean").identified
    assert identified == 0


def test_too_few_samples_identify_nothing():
    for size in (0, 1, 10):
        node = fit_node(np.arange(size), np.arange(size), 300 + np.arange(size))
        assert not node.identified
        assert node.ambient_k == 295.0


def test_the_identified_rule():
    good = ThermalNode(C, UA, AMBIENT, 0.19 * C, 0.19 * UA, 2.9, "fitted")
    assert good.identified
    assert good.time_constant_s == C / UA
    assert not ThermalNode(C, UA, AMBIENT, 0.20 * C, 0.19 * UA, 2.9, "fitted").identified
    assert not ThermalNode(C, UA, AMBIENT, 0.19 * C, 0.20 * UA, 2.9, "fitted").identified
    assert not ThermalNode(C, UA, AMBIENT, 0.19 * C, 0.19 * UA, 3.0, "fitted").identified


def test_a_window_is_observed_between_samples_and_not_across_gaps():
    node = ThermalNode(C, UA, 300.0, 0, 0, 0, "fitted")
    t = np.array([0.0, 10, 20, 30, 100, 110])
    window = observe_window(node, t, 310 + 0.1 * t, 5, 25)
    assert window is not None
    assert (window.start_k, window.end_k) == pytest.approx((310.5, 312.5))
    assert window.excess_k_s == pytest.approx(20 * 11.5)
    assert (window.rise_k, window.ambient_k, window.samples) == pytest.approx((2.0, 300.0, 2))
    assert window.sensor_std_k == QUANTISED_1K_STD_K
    assert observe_window(node, t, 310 + 0.1 * t, 25, 105) is None
    assert observe_window(node, t, 310 + 0.1 * t, -5, 25) is None


def test_bad_input_is_named():
    node = ThermalNode(C, UA, 300.0, 0, 0, 0, "channel")
    with pytest.raises(ValueError, match="pass that channel"):
        observe_window(node, [0.0, 1], [300.0, 300], 0, 1)
    with pytest.raises(ValueError, match=r"273\.15"):
        observe_window(node, [0.0, 1], [-2.0, 20], 0, 1, ambient_k=[290.0, 290])
    with pytest.raises(ValueError, match="sensor_std_k"):
        observe_window(node, [0.0, 1], [300.0, 300], 0, 1, ambient_k=[290.0, 290], sensor_std_k=-1)
    with pytest.raises(ValueError, match="strictly increase"):
        fit_node([1.0, 0.0], [1.0, 1.0], [300.0, 300.0])
