"""The load of decisions: its timing on a fake door, its sources, and the whole of it against a small mesh's services."""

import asyncio
from typing import Any

import numpy as np
import pytest
from eil_cli.bench.commands import BENCHES
from eil_cli.bench.decision import Load, Times, drive, measures, rest
from eil_cli.bench.decision_plant import MAX_LATENCY_MS, SERVERS, Plants
from eil_cli.door import DoorError
from eil_cli.feeds.times import unix_s

NOW_S = 1_800_000_000.0


def plants(sources: int) -> Plants:
    return Plants(sources, rows=48, step_s=300.0, later=20, period_s=10.0, now_s=NOW_S)


class FakeDoor:
    """Answers at once, or after `takes_s`; orders one server fewer each time."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.senses: list[dict[str, Any]] = []
        self.acts: list[dict[str, Any]] = []
        self.refuse = 0

    async def post(self, path, body) -> Any:
        (self.senses if path == "/v1/sense" else self.acts).append(body)
        await asyncio.sleep(self.takes_s)
        if path == "/v1/act" and self.refuse:
            self.refuse -= 1
            raise DoorError(503, "UNAVAILABLE", "not now")
        return {"action": {"target_servers": max(1, body.get("current_state", {}).get("active_servers", 2) - 1)}}


async def test_every_source_senses_and_acts_once_a_period():
    door, load = FakeDoor(), Load(sources=10, seconds=0.5, period_s=0.1, rows=48)
    used = iter(({"decision": 1.0, "client": 0.5}, {"decision": 3.0, "client": 0.75}))
    times = await drive(door, plants(10), [f"s{i}" for i in range(10)], load, lambda: next(used))
    assert load.calls == 60
    assert len(door.senses) == len(door.acts) == 60
    assert len(times.sense_ms) == len(times.act_ms) == 50  # without those that warm up
    assert [body["source"] for body in door.senses[:10]] == [f"s{i}" for i in range(10)]
    assert {body["source"] for body in door.acts[:10]} == {f"s{i}" for i in range(10)}
    assert times.cpu_s == {"decision": 2.0, "client": 0.25}
    stamps = [unix_s(body["timestamp"]) for body in door.senses if body["source"] == "s3"]
    assert stamps == [NOW_S + 10.0 * turn for turn in range(1, 7)]
    orders = [body["current_state"]["active_servers"] for body in door.acts if body["source"] == "s3"]
    assert orders == [max(1, orders[0] - turn) for turn in range(6)]


async def test_calls_are_sent_at_their_times_however_slow_the_answers_are():
    door, load = FakeDoor(takes_s=0.3), Load(sources=4, seconds=0.2, period_s=0.1, rows=48)
    times = await drive(door, plants(4), list("abcd"), load, dict)
    assert min(times.act_ms) >= 299.0
    assert times.seconds < 2.0  # far from one after another


async def test_refusals_count_and_fail_the_gate():
    door, load = FakeDoor(), Load(sources=10, seconds=0.2, period_s=0.1, rows=48)
    door.refuse = 3
    report = measures(await drive(door, plants(10), [f"s{i}" for i in range(10)], load, dict), load)
    assert report.measures["refused_calls"].value == 3.0
    assert not report.passed
    assert any("UNAVAILABLE" in note for note in report.notes)


def test_the_report_has_the_gates_of_decisions():
    load = Load(sources=100, seconds=10.0)
    times = Times([3.0] * 100, [9.0] * 98 + [40.0, 900.0], [], 10.0, {"decision": 0.3, "regime": 0.7, "client": 5.0})
    report = measures(times, load)
    assert report.passed
    assert report.measures["act_p99_ms"].value == 40.0
    assert report.measures["act_p99_ms"].gate == 250.0
    assert report.measures["cpu_per_turn_ms"].value == pytest.approx(10.0)
    assert measures(Times(), load).measures["act_p99_ms"].missed


def test_a_history_comes_in_batches_and_keeps_physics():
    told = [*plants(3).history(1, 20)]
    assert [len(times_us) for times_us, _ in told] == [20, 20, 8]
    times_us = np.concatenate([times for times, _ in told])
    assert times_us[-1] == 1e6 * NOW_S
    assert set(np.diff(times_us)) == {300_000_000}
    servers = np.concatenate([columns["active_servers"] for _, columns in told])
    used = np.concatenate([columns["cpu_usage"] for _, columns in told])
    assert ((servers >= 1) & (servers <= SERVERS)).all()
    assert ((used > 0) & (used < 1)).all()


def test_a_question_follows_the_newest_sample_and_the_orders():
    fleet = plants(1)
    sample = fleet.sample(0)
    fleet.follow(0, 7)
    asked = fleet.question(0)
    work = sample["telemetry"]["cpu_usage"] * sample["telemetry"]["active_servers"]
    assert asked["current_state"]["active_servers"] == 7
    assert asked["current_state"]["avg_utilization"] == pytest.approx(min(work / 7, 0.98))
    assert asked["constraints"] == {"max_latency_ms": MAX_LATENCY_MS}


async def test_the_load_waits_until_the_mesh_rests(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    used = iter((0.0, 1.0, 2.0, 2.1, 3.0, 3.1, 3.2))
    await rest(lambda: next(used))
    assert len(slept) == 6


def test_decision_is_a_benchmark():
    assert "decision" in BENCHES
