"""The loop's benchmark on a fake door: what it sends, what it times, what it reports."""

from typing import Any, ClassVar

import pytest
from eil_cli.bench.commands import BENCHES
from eil_cli.bench.loop import HORIZON_S, MIB, LoopDriver, Times, drive, measures
from eil_cli.bench.mesh import measured_mesh
from eil_cli.door import DoorError
from eil_cli.feeds.times import rfc3339, unix_s
from eil_cli.terminal import Failure

START_S = 1_800_000_000.0


class FakeDoor:
    """Every call takes a fixed time on the driver's clock."""

    TAKES_S: ClassVar = {"/v1/sense": 0.003, "/v1/act": 0.007, "/v1/proof": 0.005, "/v1/health": 0.001}

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sent: list[tuple[float, float]] = []
        self.proofs: list[tuple[float, float, float]] = []
        self.windows: dict[str, float] = {}
        self.refuse_acts = 0

    def clock(self) -> float:
        return self.now_s

    def call(self, method, path, body: Any = None, *, params: Any = None) -> Any:
        self.now_s += self.TAKES_S[path]
        if path == "/v1/sense":
            self.sent.append((unix_s(body["timestamp"]), body["telemetry"]["power_draw"]))
        elif path == "/v1/act":
            if self.refuse_acts:
                self.refuse_acts -= 1
                raise DoorError(400, "INFEASIBLE", "no action keeps the constraints")
            start_s = self.sent[-1][0]
            name = f"pred_{len(self.windows)}"
            self.windows[name] = start_s
            return {
                "action": {"target_servers": 10},
                "prediction_id": name,
                "horizon_s": body["horizon_s"],
                "predicted_state": {"energy": 1.0, "entropy": 2.0, "energy_low": 0.0, "energy_high": 3.0},
                "window_start": rfc3339(start_s),
            }
        elif path == "/v1/proof":
            start_s = self.windows[body["prediction_id"]]
            energy_j = sum(power_w for time_s, power_w in self.sent if start_s < time_s <= start_s + HORIZON_S)
            self.proofs.append((start_s, energy_j, body["actual_state"]["energy"]))
            return {"valid": True}
        return {}


def test_a_turn_is_one_sample_and_one_question_and_every_prediction_is_proven():
    door = FakeDoor()
    driver = LoopDriver(door, "bench", start_s=START_S, clock_s=door.clock)
    times = drive(driver, history=5, warm_up=3, turns=20)
    assert times.sense_act_ms == pytest.approx([10.0] * 20)
    assert times.proof_ms == pytest.approx([5.0] * 23)
    assert times.health_ms == pytest.approx([1.0] * 20)
    assert [time_s for time_s, _ in door.sent] == [START_S + second for second in range(1, 5 + 3 + 20 + 16 + 1)]
    for _, measured_j, reported_j in door.proofs:
        assert reported_j == pytest.approx(measured_j)


def test_refused_questions_are_counted_and_fail_the_gate():
    door = FakeDoor()
    door.refuse_acts = 2
    times = drive(LoopDriver(door, "bench", start_s=START_S, clock_s=door.clock), history=5, warm_up=0, turns=10)
    assert len(times.sense_act_ms) == 8
    report = measures(times, ready_s=3.0, resident_bytes=0, first_proof_s=None)
    assert report.measures["refused_calls"].missed
    assert any("INFEASIBLE" in note for note in report.notes)


def test_the_report_has_the_gates_of_the_loop():
    times = Times(sense_act_ms=[10.0] * 98 + [39.0, 900.0], proof_ms=[4.0] * 99 + [60.0], health_ms=[1.0] * 100)
    report = measures(times, ready_s=19.0, resident_bytes=int(1500 * MIB), first_proof_s=200.0)
    assert report.measures["sense_act_p99_ms"].value == 39.0
    assert report.measures["sense_act_p99_ms"].reached
    assert report.measures["proof_p99_ms"].value == 4.0
    assert report.measures["resident_mib"].value == pytest.approx(1500.0)
    assert report.baselines["median"] == {"sense_act_p99_ms": 10.0, "proof_p99_ms": 4.0}
    assert report.baselines["floor"] == {"sense_act_p99_ms": 2.0, "proof_p99_ms": 1.0}
    assert report.passed
    gates = {name: measure.gate for name, measure in report.measures.items()}
    assert gates == {
        "sense_act_p99_ms": 250.0,
        "proof_p99_ms": 50.0,
        "resident_mib": 2048.0,
        "refused_calls": 0.0,
        "ready_s": 20.0,
        "first_proof_s": 240.0,
    }


def test_without_any_answer_the_gates_are_missed():
    report = measures(Times(), ready_s=None, resident_bytes=0, first_proof_s=None)
    assert report.measures["sense_act_p99_ms"].missed
    assert "ready_s" not in report.measures
    assert any("ran already" in note for note in report.notes)


def test_a_folder_without_a_mesh_is_refused(tmp_path):
    with pytest.raises(Failure, match="no mesh runs"), measured_mesh(tmp_path):
        pass


def test_the_loop_is_a_benchmark():
    assert "loop" in BENCHES
