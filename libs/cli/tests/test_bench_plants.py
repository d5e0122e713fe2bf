"""The simulated plants are what they say, and the benchmark's figures come from their truth."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from eil_cli.bench.plant import Plant, draw_plant, simulate
from eil_cli.bench.plants import (
    EDGES,
    METHODS,
    OURS,
    STEPS_K,
    TRUTH,
    constant_loads,
    examine,
    instrumental_variables,
    least_squares,
    plant_measures,
)
from eil_cli.bench.report import Measure, Report
from eil_cli.main import build
from typer.testing import CliRunner

PLANT = Plant(15e3, 20.0, 800.0, 4 * 3600.0, 10.0, 0.0, 0.0, False, 0.01)


def test_plants_are_realistic_and_of_every_kind():
    rng = np.random.default_rng(1)
    drawn = [draw_plant(1.0, False, rng) for _ in range(200)]
    assert all(2e3 <= plant.capacity_j_per_k <= 60e3 for plant in drawn)
    assert all(180 <= plant.capacity_j_per_k / plant.conductance_w_per_k <= 3600 for plant in drawn)
    assert all(100 <= plant.mean_power_w <= 5000 for plant in drawn)
    assert all(7200 <= plant.record_s <= 86_400 for plant in drawn)
    assert {plant.power_kind for plant in drawn} == {"instant", "mean"}


def test_a_record_obeys_the_node_and_its_sensors():
    record = simulate(PLANT, np.random.default_rng(2))
    again = simulate(PLANT, np.random.default_rng(2))
    assert np.array_equal(record.temperature_k, again.temperature_k)
    assert record.time_s[record.fitted - 1] == PLANT.record_s
    assert record.ambient_k is None
    # Energy in, less stored, less lost, is nothing, once the meter's gain is taken off.
    energy = np.sum(record.power_w[1:]) * PLANT.period_s / record.gain
    stored = PLANT.capacity_j_per_k * (record.temperature_k[-1] - record.temperature_k[0])
    mean = np.mean((record.temperature_k[1:] + record.temperature_k[:-1]) / 2)
    lost = PLANT.conductance_w_per_k * (mean - record.true_ambient_k) * PLANT.period_s * (record.time_s.size - 1)
    assert energy == pytest.approx(stored + lost, rel=0.005)
    whole = simulate(replace(PLANT, step_k=1.0, channel=True), np.random.default_rng(2))
    assert np.array_equal(whole.temperature_k, np.round(whole.temperature_k))
    assert whole.ambient_k is not None


def test_the_baselines_find_a_plant_without_noise():
    record = simulate(PLANT, np.random.default_rng(3), load_w=_steps(30_000))
    for method in (least_squares, instrumental_variables):
        capacity, conductance, ambient = method(record, PLANT.period_s)
        assert capacity == pytest.approx(record.gain * PLANT.capacity_j_per_k, rel=0.05)
        assert conductance == pytest.approx(record.gain * PLANT.conductance_w_per_k, rel=0.05)
        assert ambient == pytest.approx(record.true_ambient_k, abs=1.0)


def test_noise_is_what_sets_the_methods_apart():
    plant = replace(PLANT, noise_k=0.3, step_k=1.0, record_s=12 * 3600.0)
    finding = examine(plant, simulate(plant, np.random.default_rng(4)), clock_s=iter([1.0, 1.5]).__next__)
    assert finding.fit_ms == 500.0
    assert finding.node.identified
    errors = {name: abs(found[0] / finding.truth[0] - 1) for name, found in finding.estimates.items()}
    assert errors[OURS] < 0.05 < 0.3 < errors["least squares"]
    assert set(finding.fidelity) == {OURS, EDGES, TRUTH, *METHODS}
    assert finding.fidelity[OURS] > 0.99


def test_constant_load_is_refused():
    assert constant_loads(seed=5, count=2) == 0


def test_the_report_has_every_class_beside_its_baselines():
    report = plant_measures(seed=6, per_class=4)
    for step_k in STEPS_K:
        for what in ("capacity", "conductance", "ambient", "fidelity"):
            for label in ("median", "worst"):
                name = f"plants_step_{step_k:g}k_{what}_{label}"
                assert report.measures[name].goal is not None
                assert math.isfinite(report.measures[name].value)
                assert name in report.baselines["least squares"]
    assert report.passed
    assert report.measures["plants_step_1k_ambient_worst"].gate == 1.0
    assert report.measures["plants_step_1k_fidelity_median"].better == "higher"


def test_the_command_writes_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "eil_cli.bench.plants.plant_measures", lambda: Report("plants", {"plants_fit_ms": Measure(3.0, "ms")})
    )
    ran = CliRunner().invoke(build(), ["bench", "plants", "--json", str(tmp_path / "plants.json")])
    assert ran.exit_code == 0, ran.output
    written = json.loads((tmp_path / "plants.json").read_text())
    assert written["bench"] == "plants"
    assert written["measures"]["plants_fit_ms"]["value"] == 3.0


def _steps(seconds):
    return 800.0 + 300.0 * (np.arange(seconds) // 900 % 2)
