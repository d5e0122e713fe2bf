import math
from itertools import pairwise

import numpy as np
import pytest
from eil_twin import Fleet
from hypothesis import given, settings
from hypothesis import strategies as st

START_S = 1_737_374_400.0
CHANNELS = {
    "cpu_usage",
    "power_draw",
    "temperature",
    "ambient_temperature",
    "network_throughput",
    "request_rate",
    "latency_ms",
    "active_servers",
}


def fleet_of(seed: int = 1, servers: int = 12) -> Fleet:
    return Fleet(servers=servers, seed=seed, start_s=START_S)


def run(fleet: Fleet, seconds: int, *, step_s: float = 5.0) -> list[dict[str, float]]:
    start_s = fleet.now_s
    return [fleet.advance(start_s + step_s * (index + 1)) for index in range(int(seconds / step_s))]


def mean(readings: list[dict[str, float]], channel: str) -> float:
    return sum(reading[channel] for reading in readings) / len(readings)


def test_energy_of_the_plant_is_conserved_through_every_action():
    fleet = fleet_of()
    start_c = fleet.truth.temperature_c
    for target in (12, 5, 9, 3, 12, 1, 8):
        fleet.scale(target)
        run(fleet, 130, step_s=3.7)
    truth = fleet.truth
    stored_j = fleet.node.heat_capacity_j_per_k * (truth.temperature_c - start_c)
    assert truth.energy_j > 400_000.0
    assert truth.energy_j == pytest.approx(stored_j + truth.heat_loss_j, rel=1e-11)


def test_the_balance_holds_when_the_heat_loss_is_integrated_from_the_outside():
    fleet = fleet_of(seed=5)
    first = before = fleet.truth
    loss_j, step_s = 0.0, 0.25
    for index in range(1200):
        if index == 200:
            fleet.scale(6)
        if index == 600:
            fleet.scale(11)
        fleet.advance(START_S + step_s * (index + 1))
        now = fleet.truth
        # The ambient is constant within a second, so the one after the step is the one during it.
        mean_c = 0.5 * (before.temperature_c + now.temperature_c)
        loss_j += fleet.node.conductance_w_per_k * (mean_c - now.ambient_c) * step_s
        before = now
    stored_j = fleet.node.heat_capacity_j_per_k * (before.temperature_c - first.temperature_c)
    assert before.energy_j == pytest.approx(stored_j + loss_j, rel=1e-7)


def test_the_meter_agrees_with_the_energy_drawn():
    fleet = fleet_of()
    readings = run(fleet, 900)
    metered_j = sum(reading["power_draw"] * 5.0 for reading in readings)
    assert metered_j == pytest.approx(fleet.truth.energy_j, rel=4 * 0.005 / math.sqrt(len(readings)))
    assert metered_j != fleet.truth.energy_j


def test_the_meter_is_a_mean_over_the_interval():
    fleet = fleet_of()
    reading = fleet.advance(START_S + 120.0)
    assert reading["power_draw"] == pytest.approx(fleet.truth.energy_j / 120.0, rel=0.025)


def test_sensor_noise_has_its_stated_size():
    fleet = fleet_of()
    errors_k, errors = [], []
    for index in range(800):
        before_j = fleet.truth.energy_j
        reading = fleet.advance(START_S + index + 1)
        errors_k.append(reading["temperature"] - fleet.truth.temperature_c)
        errors_k.append(reading["ambient_temperature"] - fleet.truth.ambient_c)
        errors.append(reading["power_draw"] / (fleet.truth.energy_j - before_j) - 1.0)
    assert np.std(errors_k) == pytest.approx(0.1, rel=0.1)
    assert np.std(errors) == pytest.approx(0.005, rel=0.1)


def test_telemetry_has_the_well_known_channels_in_their_units():
    reading = fleet_of().advance(START_S + 5.0)
    assert set(reading) == CHANNELS
    assert 0.0 < reading["cpu_usage"] < 1.0
    assert 12 * 40.0 < reading["power_draw"] < 12 * 90.0
    assert 40.0 < reading["temperature"] < 90.0
    assert reading["active_servers"] == 12.0
    assert reading["cpu_usage"] == pytest.approx(reading["request_rate"] / (12 * 200.0))
    assert reading["network_throughput"] == pytest.approx(1250.0 * reading["request_rate"])


def test_scaling_down_saves_energy_raises_latency_and_serves_the_same():
    left, scaled = fleet_of(), fleet_of()
    run(left, 60)
    run(scaled, 60)
    scaled.scale(9)
    before_j = left.truth.energy_j
    many, few = run(left, 300), run(scaled, 300)
    used_j, saved_j = (
        left.truth.energy_j - before_j,
        left.truth.energy_j - scaled.truth.energy_j,
    )
    assert 0.08 < saved_j / used_j < 0.2
    assert mean(few, "latency_ms") > 1.15 * mean(many, "latency_ms")
    assert max(reading["latency_ms"] for reading in few) < left.max_latency_ms
    assert scaled.truth.served_requests == pytest.approx(left.truth.served_requests, rel=1e-12)
    assert few[-1]["active_servers"] == 9.0
    assert scaled.truth.temperature_c < left.truth.temperature_c - 2.0


def test_too_few_servers_break_the_latency_limit_and_shed_requests():
    fleet = fleet_of()
    fleet.scale(3)
    readings = run(fleet, 60)
    assert min(reading["latency_ms"] for reading in readings) > fleet.max_latency_ms
    assert max(reading["cpu_usage"] for reading in readings) <= 0.98 + 1e-12
    assert fleet.truth.shed_requests > 0.0


def test_a_start_costs_peak_power_for_the_boot_time_before_it_serves():
    quiet, started = fleet_of(), fleet_of()
    quiet.scale(10)
    started.scale(10)
    run(quiet, 60)
    run(started, 60)
    before_j = started.truth.energy_j
    started.scale(12)
    while_booting = run(quiet, 15), run(started, 15)
    extra_j = started.truth.energy_j - quiet.truth.energy_j
    assert extra_j == pytest.approx(2 * started.server.peak_w * 15.0, rel=1e-9)
    assert started.truth.booting_servers == 2
    assert [reading["latency_ms"] for reading in while_booting[1]] == [r["latency_ms"] for r in while_booting[0]]
    assert while_booting[1][-1]["active_servers"] == 10.0
    assert run(started, 5)[-1]["active_servers"] == 12.0
    assert started.truth.booting_servers == 0
    assert started.truth.energy_j - before_j > 0.0


def test_stopping_and_starting_again_costs_more_than_it_saves_within_the_boot_time():
    quiet, thrashed = fleet_of(), fleet_of()
    thrashed.scale(10)
    run(thrashed, 5)
    thrashed.scale(12)
    run(thrashed, 25)
    run(quiet, 30)
    assert thrashed.truth.energy_j > quiet.truth.energy_j


def test_booting_servers_are_the_first_to_stop():
    fleet = fleet_of()
    fleet.scale(4)
    fleet.advance(START_S + 1.0)
    fleet.scale(8)
    fleet.advance(START_S + 5.0)
    fleet.scale(10)
    fleet.scale(6)
    assert (
        fleet.truth.serving_servers,
        fleet.truth.booting_servers,
        fleet.target_servers,
    ) == (4, 2, 6)
    assert fleet.advance(START_S + 20.5)["active_servers"] == 4.0
    assert fleet.advance(START_S + 21.0)["active_servers"] == 6.0


def test_the_same_seed_gives_the_same_telemetry_and_another_gives_other():
    assert run(fleet_of(3), 120) == run(fleet_of(3), 120)
    assert run(fleet_of(3), 120) != run(fleet_of(4), 120)


@settings(max_examples=25, deadline=None)
@given(steps_s=st.lists(st.floats(0.05, 40.0), min_size=1, max_size=12))
def test_the_trajectory_does_not_depend_on_how_often_it_is_read(steps_s: list[float]):
    often, once = fleet_of(), fleet_of()
    now_s = START_S
    for fleet in (often, once):
        fleet.scale(6)
        fleet.advance(START_S + 3.3)
        fleet.scale(9)
    now_s = START_S + 3.3
    for step_s in steps_s:
        now_s += step_s
        often.advance(now_s)
    once.advance(now_s)
    for name, value in vars(once.truth).items():
        assert getattr(often.truth, name) == pytest.approx(value, rel=1e-9, abs=1e-6), name


def test_the_day_shows_within_minutes():
    fleet = fleet_of()
    readings = run(fleet, 600)
    busy, quiet = readings[:12], readings[54:66]
    assert mean(busy, "request_rate") > 2.0 * mean(quiet, "request_rate")
    assert mean(busy, "power_draw") > 1.2 * mean(quiet, "power_draw")


@pytest.mark.parametrize("target", [0, -3, 13])
def test_a_target_outside_the_fleet_is_refused_and_changes_nothing(target: int):
    fleet = fleet_of()
    with pytest.raises(ValueError, match=r"pass 1 … 12"):
        fleet.scale(target)
    assert fleet.target_servers == 12


def test_half_a_server_is_refused():
    with pytest.raises(TypeError):
        fleet_of().scale(6.5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("later_s", [0.0, -1.0, math.nan, 1e9])
def test_a_wrong_clock_is_refused_and_changes_nothing(later_s: float):
    fleet, other = fleet_of(), fleet_of()
    fleet.advance(START_S + 10.0)
    other.advance(START_S + 10.0)
    with pytest.raises(ValueError, match="after the last advance"):
        fleet.advance(START_S + 10.0 + later_s)
    assert fleet.advance(START_S + 20.0) == other.advance(START_S + 20.0)


@pytest.mark.parametrize(
    "wrong",
    [{"servers": 0}, {"day_s": 10.0}, {"day_s": math.nan}, {"start_s": math.inf}],
)
def test_a_fleet_that_cannot_be_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fleet(**({"start_s": START_S} | wrong))  # pyright: ignore[reportArgumentType]


def test_one_server_alone_works():
    fleet = fleet_of(servers=1)
    readings = run(fleet, 120)
    assert all(a["temperature"] != b["temperature"] for a, b in pairwise(readings))
    assert fleet.servers == fleet.target_servers == 1
