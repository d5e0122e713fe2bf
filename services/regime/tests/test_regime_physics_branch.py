"""The physics branch stays quiet under nulls, speaks under faults, and remembers across a dump."""

import math

import numpy as np
import pytest
from eil_physics import Energy, Gap, ThermalNode, integrate, observe_window
from eil_regime.domain.physics_branch import BALANCE_Z, Block, PhysicsBranch

C, UA, AMBIENT = 15e3, 20.0, 297.0
NODE = ThermalNode(C, UA, AMBIENT, 0.02 * C, 0.005 * UA, 0.1, "fitted", frozen_at_s=0.0)
IDLE = Energy(30_000.0, 60.0, 60.0, (), 300.0)


def autoregressive(rng, rho, size, channels=4):
    shocks = math.sqrt(1 - rho**2) * rng.standard_normal((size, channels))
    x = np.zeros((size, channels))
    x[0] = rng.standard_normal(channels)
    for k in range(1, size):
        x[k] = rho * x[k - 1] + shocks[k]
    return x


def blocks_of(table, start=0):
    return [
        Block(60.0 * (start + i + 1), 60.0, {f"c{j}": 100 + value for j, value in enumerate(row)}, IDLE)
        for i, row in enumerate(table)
    ]


def levels(table):
    branch = PhysicsBranch()
    return [branch.update(block) for block in blocks_of(table)]


def heat_blocks(seed, *, fault=None, minutes=120, at=60):
    """A node under stepping load, read in whole kelvins every 5 s; from minute `at` on a fan or the meter fails."""
    rng = np.random.default_rng(seed)
    size, keep = minutes * 12 + 2, {}
    t = 5.0 * np.arange(1, size + 1)
    power = np.repeat(rng.uniform(500, 900, size // 120 + 1), 120)[:size]
    broken = t > 60 * at
    conductance = np.where(broken, UA / 2, UA) if fault == "fan" else np.full(size, UA)
    keep = np.exp(-5 * conductance / C)
    x, path = AMBIENT + 35, []
    for k in range(size):
        x = keep[k] * x + (1 - keep[k]) * (AMBIENT + power[k] / conductance[k])
        path.append(x)
    reading = np.round(np.array(path) + 0.2 * rng.standard_normal(size))
    metered = np.where(broken, 1.1 * power, power) if fault == "meter" else power
    for minute in range(minutes):
        start, end = 5.0 + 60 * minute, 65.0 + 60 * minute
        energy = integrate(t, metered, start, end, kind="mean", meter_relative_u=0.01)
        window = observe_window(NODE, t, reading, start, end)
        assert window is not None
        yield Block(end, 60.0, {"power_draw": energy.energy_j / 60, "temperature": window.end_k}, energy, NODE, window)


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_noise_without_change_is_no_evidence(rho):
    rng = np.random.default_rng(1)
    assert {e.level for e in levels(autoregressive(rng, rho, 1500))} == {"none"}


def test_a_daily_cycle_is_no_evidence():
    rng = np.random.default_rng(2)
    cycle = 5 * np.cos(2 * np.pi * (np.arange(2900)[:, np.newaxis] / 1440 - 0.03 * np.arange(4)))
    evidence = levels(autoregressive(rng, 0.0, 2900) + cycle)
    assert {e.level for e in evidence} == {"none"}


def test_a_slow_approach_to_instability_is_critical_before_it_tips():
    found = 0
    for seed in range(4):
        rng = np.random.default_rng([3, seed])
        table = autoregressive(rng, 0.3, 1900)
        for k in range(1200, 1900):
            rho = 0.3 + 0.67 * min((k - 1200) / 480, 1)
            table[k, 0] = rho * table[k - 1, 0] + math.sqrt(1 - 0.09) * rng.standard_normal()
        evidence = levels(table)
        warned = [e for e in evidence[1200:] if e.level == "critical"]
        assert all(e.level == "none" for e in evidence[:1200])
        found += bool(warned)
        assert all("c0 swings more" in e.sentence and e.strongest == "early warning" for e in warned)
    assert found >= 3


def test_a_jump_of_all_channels_is_an_unusual_speed_of_change():
    rng = np.random.default_rng(4)
    table = autoregressive(rng, 0.0, 1100)
    table[1000:] += 3
    evidence = levels(table)
    assert all(e.level == "none" for e in evidence[:1000])
    hits = [i for i, e in enumerate(evidence[1000:1064]) if e.strongest == "speed of change"]
    assert hits
    assert "faster than they usually do" in evidence[1000 + hits[0]].sentence


def test_a_true_node_balances():
    for seed in range(3):
        branch = PhysicsBranch()
        evidence = [branch.update(block) for block in heat_blocks(seed)]
        assert max(e.balance.z for e in evidence) < BALANCE_Z
        assert evidence[-1].level == "none"
        assert abs(evidence[-1].balance.value) < 3 * evidence[-1].u_residual
        assert evidence[-1].phi.value == pytest.approx(-C / 332, rel=0.03)
        rate = 700 / AMBIENT
        assert np.mean([e.entropy_rate.value for e in evidence]) == pytest.approx(rate, rel=0.15)


def test_a_meter_that_reads_a_tenth_too_much_is_named():
    branch = PhysicsBranch()
    evidence = [branch.update(block) for block in heat_blocks(5, fault="meter")]
    assert all(e.level == "none" for e in evidence[:60])
    last = evidence[-1]
    assert (last.level, last.strongest) == ("drifting", "heat balance")
    assert last.balance.value == pytest.approx(0.1 / 1.1, abs=0.025)
    assert last.sentence.startswith("heat balance off by +")
    assert last.sentence.endswith("power meter or airflow")
    assert min(i for i, e in enumerate(evidence) if e.level != "none") <= 60 + 20


def test_a_failed_fan_is_critical_within_a_quarter_of_an_hour():
    branch = PhysicsBranch()
    evidence = [branch.update(block) for block in heat_blocks(6, fault="fan")]
    assert all(e.level == "none" for e in evidence[:60])
    assert any(e.level == "critical" for e in evidence[60:75])
    assert evidence[-1].balance.value < -0.15


def test_without_a_node_there_is_entropy_and_nothing_to_balance():
    evidence = PhysicsBranch().update(Block(60.0, 60.0, {"power_draw": 500.0}, IDLE))
    assert evidence.entropy_rate.value == pytest.approx(500 / 295)
    assert math.isnan(evidence.balance.value)
    assert math.isnan(evidence.phi.value)
    assert (evidence.level, evidence.sentence, evidence.balance.z) == ("none", "", 0.0)


def test_a_gap_starts_the_balance_anew():
    branch, blocks = PhysicsBranch(), list(heat_blocks(7, minutes=40, at=99))
    before = [branch.update(block) for block in blocks[:20]][-1]
    after = branch.update(blocks[25])
    assert after.u_residual > 3 * before.u_residual


def test_constant_and_missing_channels_are_no_evidence():
    branch = PhysicsBranch()
    for i in range(700):
        means = {"a": 1.0, "b": 0.0, "c": math.nan if i % 3 else 2.0}
        evidence = branch.update(Block(60.0 * (i + 1), 60.0, means if i else {}, IDLE))
        assert evidence.level == "none"


def test_a_dump_is_small_and_goes_on_exactly():
    rng = np.random.default_rng(8)
    table = autoregressive(rng, 0.3, 3000, channels=9)
    heat = list(heat_blocks(8))
    for blocks, cut in ((blocks_of(table), 2950), (blocks_of(table)[:900], 300), (heat, 50), (heat, 0)):
        whole, first = PhysicsBranch(), PhysicsBranch()
        for block in blocks[:cut]:
            whole.update(block)
            first.update(block)
        saved = first.dump()
        assert len(saved) < 13_000
        second = PhysicsBranch.load(saved)
        assert repr(second.evidence) == repr(whole.evidence)
        for block in blocks[cut:]:
            assert repr(second.update(block)) == repr(whole.update(block))
        assert second.dump() == whole.dump()


def test_what_single_precision_does_not_hold_counts_as_missing():
    branch = PhysicsBranch()
    for i in range(300):
        means = {"a": 1e300 if i % 3 else 3e38 * (-1) ** i, "b": float(i % 5)}
        evidence = branch.update(Block(60.0 * (i + 1), 60.0, means, IDLE))
    assert evidence.level == "none"


def test_part_of_a_block_gives_the_rate_of_that_part():
    part = Energy(15_000.0, 30.0, 60.0, (Gap(30.0, 60.0),), 150.0)
    evidence = PhysicsBranch().update(Block(60.0, 60.0, {"power_draw": 500.0}, part))
    assert evidence.entropy_rate.value == pytest.approx(500 / 295)


def test_evidence_speaks_of_the_present_for_three_blocks():
    branch, blocks = PhysicsBranch(), list(heat_blocks(7, minutes=10, at=99))
    assert branch.update(blocks[0]).until_s == blocks[0].end_s + 180
    assert branch.update(blocks[3]).until_s == blocks[3].end_s + 3 * 180


def test_bad_blocks_and_states_are_refused():
    branch = PhysicsBranch()
    branch.update(Block(60.0, 60.0, {"a": 1.0}, IDLE))
    for block in (
        Block(60.0, 60.0, {"a": 1.0}, IDLE),
        Block(120.0, 0.0, {"a": 1.0}, IDLE),
        Block(math.nan, 60.0, {}, IDLE),
    ):
        with pytest.raises(ValueError, match="order of time"):
            branch.update(block)
    saved = branch.dump()
    for blob in (
        b"",
        saved[:-1],
        saved + b"0",
        saved.replace(b'"state":1', b'"state":9'),
        saved.replace(b"names", b"manes"),
    ):
        with pytest.raises(ValueError, match="damaged"):
            PhysicsBranch.load(blob)
