import math
from itertools import pairwise

import pytest
from eil_twin import Server, ThermalNode
from hypothesis import given
from hypothesis import strategies as st

SERVER = Server()


def test_power_runs_from_idle_to_peak_and_rises_all_the_way():
    powers_w = [SERVER.power_w(step / 100) for step in range(101)]
    assert powers_w[0] == SERVER.idle_w
    assert powers_w[-1] == pytest.approx(SERVER.peak_w)
    assert all(low < high for low, high in pairwise(powers_w))


def test_power_is_the_published_curve():
    # Fan et al. 2007 at half load with h = 1.4: 2·0.5 − 0.5^1.4 = 0.62107…
    assert SERVER.power_w(0.5) == pytest.approx(40.0 + 50.0 * (1.0 - 0.3789291416), rel=1e-9)


def test_latency_is_that_of_a_single_queue():
    assert SERVER.latency_ms(0.0) == SERVER.service_ms
    assert SERVER.latency_ms(0.8) == pytest.approx(5.0 * SERVER.service_ms)


@given(
    temperature_c=st.floats(-10.0, 120.0),
    power_w=st.floats(0.0, 5000.0),
    ambient_c=st.floats(-20.0, 45.0),
    duration_s=st.floats(1e-3, 1e4),
)
def test_a_thermal_step_conserves_energy(temperature_c: float, power_w: float, ambient_c: float, duration_s: float):
    node = ThermalNode(6000.0, 16.8)
    step = node.step(temperature_c, power_w, ambient_c, duration_s)
    stored_j = node.heat_capacity_j_per_k * (step.temperature_c - temperature_c)
    scale_j = power_w * duration_s + node.heat_capacity_j_per_k * 100.0
    assert abs(power_w * duration_s - stored_j - step.heat_loss_j) < 1e-12 * scale_j


def test_a_thermal_step_solves_the_equation():
    node = ThermalNode(6000.0, 16.8)
    temperature_c, power_w, ambient_c, step_s = 30.0, 800.0, 22.0, 1e-3
    euler_c = temperature_c
    for _ in range(60_000):
        euler_c += step_s * (power_w - 16.8 * (euler_c - ambient_c)) / 6000.0
    assert node.step(temperature_c, power_w, ambient_c, 60.0).temperature_c == pytest.approx(euler_c, abs=1e-4)


def test_two_thermal_steps_are_one():
    node = ThermalNode(6000.0, 16.8)
    half = node.step(30.0, 800.0, 22.0, 37.0)
    whole = node.step(30.0, 800.0, 22.0, 74.0)
    rest = node.step(half.temperature_c, 800.0, 22.0, 37.0)
    assert math.isclose(rest.temperature_c, whole.temperature_c, rel_tol=1e-13)
    assert math.isclose(half.heat_loss_j + rest.heat_loss_j, whole.heat_loss_j, rel_tol=1e-12)
