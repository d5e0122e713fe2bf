"""Plants are learned from telemetry, and what was not learned is named."""

import numpy as np
import pytest
from eil_decision.domain.learning import learn_plant
from eil_decision.domain.plant import History, assumed_plant


def history(n=200, idle=120.0, peak=300.0, service_ms=8.0, capacity=100.0, noise=0.01, servers=None, seed=1):
    r = np.random.default_rng(seed)
    servers = np.full(n, 12.0) if servers is None else servers
    used = r.uniform(0.2, 0.8, n)
    power = servers * (idle + (peak - idle) * used) * (1 + noise * r.standard_normal(n))
    return History(power, servers, used, servers * used * capacity, service_ms / (1 - used), 60.0)


def test_a_linear_plant_is_recovered():
    plant = learn_plant(history())
    assert np.allclose([plant.idle_w, plant.slope_w], [120.0, 180.0], rtol=0.03)
    assert plant.service_ms == pytest.approx(8.0, abs=0.1)
    assert plant.capacity == pytest.approx(100.0, abs=0.1)
    truth = 9 * (120.0 + 180.0 * 0.7)
    assert abs(plant.power_w(9, 6.3) - truth) < 3 * plant.power_sd_w(9, 6.3, 1e9) + 0.01 * truth


def test_the_standard_deviation_covers_what_extrapolation_misses():
    """Learned on one utilisation alone, the law is uncertain elsewhere."""
    seen = history(n=50)
    narrow = History(seen.power_w, seen.servers, np.full(50, 0.5), seen.request_rate, seen.latency_ms, 60.0)
    plant = learn_plant(narrow)
    here, far = plant.power_sd_w(12, 6.0, 1e9), plant.power_sd_w(12, 12.0, 1e9)
    assert far > 3 * here


def test_start_energy_is_learned_from_the_rows_in_which_servers_started():
    servers = np.full(200, 10.0)
    servers[100:] = 13.0
    seen = history(servers=servers, noise=0.0)
    seen.power_w[100] += 3 * 9000.0 / 60.0
    plant = learn_plant(seen)
    assert abs(plant.start_j - 9000.0) < 200.0
    assert not any("start" in assumption for assumption in plant.assumptions)


def test_nothing_measured_is_all_assumed():
    empty = np.array([])
    plant = learn_plant(History(empty, empty, empty, empty, empty, 0.0))
    assert plant == assumed_plant()
    assert len(plant.assumptions) == 3


def test_one_sample_scales_the_typical_server():
    one = np.array([1.0])
    plant = learn_plant(History(one * 2400.0, one * 12, one * 0.5, one * np.nan, one * np.nan, 0.0))
    assert abs(plant.power_w(12, 6.0) - 2400.0) < 1.0
    assert plant.assumptions


def test_missing_values_do_not_teach():
    seen = history()
    seen.power_w[::3] = np.nan
    seen.utilisation[::5] = np.nan
    assert learn_plant(seen).peak_w == pytest.approx(300.0, rel=0.02)
