"""Feasibility: true states pass, swapped, scaled and sign-flipped ones do not."""

from dataclasses import replace

import numpy as np
import pytest
from eil_physics import ThermalGraph, field_feasibility, fin_lambda_per_m2, graph_feasibility, node_bounds
from scipy.integrate import solve_ivp
from scipy.stats import binom

AMBIENT, SENSOR_K, METER = 297.0, 0.3, 0.01
TIMES = np.arange(0.0, 901, 30)  # a quarter of an hour: over a minute, sensor noise hides C dT/dt
NODES = 12
CHAIN = ThermalGraph(
    capacity_j_per_k=np.linspace(12e3, 18e3, NODES),
    ambient_conductance_w_per_k=np.linspace(15, 25, NODES),
    edges=np.array([[i, i + 1] for i in range(NODES - 1)]),
    edge_conductance_w_per_k=np.linspace(3, 6, NODES - 1),
)


class Rack:
    """Exact states of the chain while it settles from one random load to another, and noisy readings of them."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.matrix = CHAIN.conductance_matrix()
        root = np.sqrt(CHAIN.capacity_j_per_k)
        self.rates, modes = np.linalg.eigh(self.matrix / np.outer(root, root))
        self.to_modes, self.from_modes = modes.T * root, (modes.T / root).T

    def state(self):
        """Temperatures (k, n) and power (n,) without noise."""
        before, power = self.rng.uniform(300, 900, (2, NODES))
        settled, start = np.linalg.solve(self.matrix, power), np.linalg.solve(self.matrix, before)
        amplitude = self.to_modes @ (start - settled)
        decay = np.exp(-np.outer(TIMES + self.rng.uniform(0, 600), self.rates))
        return AMBIENT + settled + (decay * amplitude) @ self.from_modes.T, power

    def judge(self, temperature, power):
        reading = temperature + SENSOR_K * self.rng.standard_normal(temperature.shape)
        metered = power * (1 + METER * self.rng.standard_normal(NODES))
        return graph_feasibility(
            CHAIN, TIMES, reading, metered, AMBIENT, sensor_std_k=SENSOR_K, power_std_w=METER * power
        )


def test_the_simulated_rack_obeys_the_differential_equation():
    temperature, power = Rack(61).state()

    def slope(_, excess):
        return (power - CHAIN.conductance_matrix() @ excess) / CHAIN.capacity_j_per_k

    solved = solve_ivp(slope, (0, 900), temperature[0] - AMBIENT, t_eval=TIMES, rtol=1e-10, atol=1e-9)
    assert temperature - AMBIENT == pytest.approx(solved.y.T, abs=1e-5)


def test_one_true_state_in_a_hundred_is_rejected():
    rack, trials = Rack(62), 2500
    rejected = sum(rack.judge(*rack.state()).verdict == "contradicted" for _ in range(trials))
    # A test at 1 % rejects 1 % of true states: not more than chance allows, nor so few that it is blind.
    assert binom.ppf(0.0005, trials, 0.01) <= rejected <= binom.ppf(0.9995, trials, 0.01)


def test_swapped_neighbours_are_rejected():
    rack, rejected, trials = Rack(63), 0, 500
    for _ in range(trials):
        temperature, power = rack.state()
        first = rack.rng.integers(NODES - 1)
        temperature[:, [first, first + 1]] = temperature[:, [first + 1, first]]
        rejected += rack.judge(temperature, power).verdict == "contradicted"
    assert rejected >= 0.8 * trials


def test_ten_percent_more_power_is_always_rejected():
    rack = Rack(64)
    states = [rack.state() for _ in range(300)]
    assert all(rack.judge(temperature, 1.1 * power).verdict == "contradicted" for temperature, power in states)


def test_the_covariance_is_that_of_the_residual():
    rack = Rack(65)
    temperature, power = rack.state()
    statistics, residuals = [], []
    for _ in range(1500):
        ambient = AMBIENT + 0.4 * rack.rng.standard_normal()
        result = graph_feasibility(
            CHAIN,
            TIMES,
            temperature + SENSOR_K * rack.rng.standard_normal(temperature.shape),
            power + 5 * rack.rng.standard_normal(NODES),
            ambient,
            sensor_std_k=SENSOR_K,
            power_std_w=5.0,
            ambient_std_k=0.4,
        )
        statistics.append(result.statistic)
        residuals.append(result.residual)
    assert np.mean(statistics) == pytest.approx(NODES, rel=0.03)
    assert np.var(statistics) == pytest.approx(2 * NODES, rel=0.15)
    assert np.abs(np.mean(residuals, axis=0)).max() < 4 * np.std(residuals, axis=0).max() / np.sqrt(1500)


def test_one_node_is_untested_and_has_bounds_instead():
    single = ThermalGraph(np.array([15e3]), np.array([20.0]), np.zeros((0, 2), dtype=int), np.zeros(0))
    result = graph_feasibility(single, [0, 60], [[340.0], [340.0]], [5e3], 297.0, sensor_std_k=0.3, power_std_w=5.0)
    assert result.verdict == "untested"
    assert node_bounds(15e3, 850, 0.03, nameplate_w=1000) == "holds"
    assert node_bounds(15e3, 1100, 0.03, nameplate_w=1000) == "contradicted"
    assert node_bounds(15e3, -20, 0.03, nameplate_w=1000) == "contradicted"
    assert node_bounds(15e3, -20, 0.03, nameplate_w=1000, power_std_w=10) == "holds"
    assert node_bounds(15e3, 850, -0.08, nameplate_w=1000) == "contradicted"
    assert node_bounds(15e3, 850, -0.08, nameplate_w=1000, sensor_rate_std_k_per_s=0.01) == "holds"


def test_the_laplacian_has_no_flow_at_equal_temperatures():
    assert CHAIN.conductance_matrix() @ np.ones(NODES) == pytest.approx(CHAIN.ambient_conductance_w_per_k)


def test_the_fin_passes_with_its_lambda_and_fails_with_the_sign_flipped():
    length, points, noise_k = 0.1, 81, 0.1
    rng = np.random.default_rng(66)
    x = np.linspace(0, length, points)
    minus_m2 = fin_lambda_per_m2(50.0, 0.0628, 15.0, 3.14e-4)
    m = np.sqrt(-minus_m2)
    assert m == pytest.approx(np.sqrt(50 * 0.0628 / (15 * 3.14e-4)))
    profile = 60 * np.cosh(m * (length - x)) / np.cosh(m * length)
    rejected = 0
    for _ in range(400):
        reading = profile + noise_k * rng.standard_normal(points)
        rejected += field_feasibility(reading, x[1], minus_m2, sensor_std_k=noise_k).verdict == "contradicted"
        assert field_feasibility(reading, x[1], -minus_m2, sensor_std_k=noise_k).verdict == "contradicted"
    assert rejected <= binom.ppf(0.9995, 400, 0.01)
    assert field_feasibility(profile, x[1], minus_m2, sensor_std_k=noise_k).verdict == "holds"


def test_a_plate_with_a_source_passes_and_fails_without_it():
    # θ = sin(ax)·sinh(by) + q/(−λk) solves ∇²θ + λθ = −q/k when b² − a² = −λ.
    points, h, lam, source, noise_k = 25, 0.01, -120.0, 2400.0, 0.1
    a = 10.0
    b = np.sqrt(a**2 - lam)
    x, y = np.meshgrid(h * np.arange(points), h * np.arange(points), indexing="ij")
    field = 3 * np.sin(a * x) * np.sinh(b * y) / np.sinh(b * h * points) + source / -lam
    reading = field + noise_k * np.random.default_rng(67).standard_normal(field.shape)
    options = {"sensor_std_k": noise_k, "source_std_k_per_m2": 1.0}
    assert field_feasibility(reading, h, lam, source_k_per_m2=source, **options).verdict == "holds"
    assert field_feasibility(reading, h, lam, source_k_per_m2=np.full(field.shape, 0.5), **options).verdict == (
        "contradicted"
    )


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least 3 points"):
        field_feasibility([1.0, 2.0], 0.1, -1.0, sensor_std_k=0.1)
    with pytest.raises(ValueError, match="must be positive"):
        field_feasibility([1.0, 2.0, 3.0], 0.1, -1.0, sensor_std_k=0.0)
    with pytest.raises(ValueError, match="tiles"):
        field_feasibility(np.zeros((60, 60)), 0.1, -1.0, sensor_std_k=0.1)
    state = (CHAIN, TIMES, np.full((TIMES.size, NODES), 330.0), np.full(NODES, 500.0), AMBIENT)
    with pytest.raises(ValueError, match="singular"):
        graph_feasibility(*state, sensor_std_k=0.0, power_std_w=0.0)
    with pytest.raises(ValueError, match="increasing timestamps"):
        graph_feasibility(CHAIN, [0.0], *state[2:], sensor_std_k=0.3, power_std_w=1.0)
    with pytest.raises(ValueError, match="matrix of temperatures"):
        graph_feasibility(CHAIN, TIMES, np.zeros((TIMES.size, 3)), *state[3:], sensor_std_k=0.3, power_std_w=1.0)
    with pytest.raises(ValueError, match="different nodes"):
        replace(CHAIN, edges=np.zeros((NODES - 1, 2), dtype=int))
    with pytest.raises(ValueError, match="n capacities"):
        replace(CHAIN, capacity_j_per_k=np.ones(3))
    with pytest.raises(ValueError, match="must be positive"):
        replace(CHAIN, capacity_j_per_k=np.zeros(NODES))
    with pytest.raises(ValueError, match=r"273\.15"):
        CHAIN.checked_temperature(np.full(NODES, -3.0))
    with pytest.raises(ValueError, match="one for each"):
        CHAIN.checked_temperature(np.ones(3))
