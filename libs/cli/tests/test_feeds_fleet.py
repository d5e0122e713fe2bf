"""The fleet's feed: windows, meters, obedience, and what it does when the mesh does not answer."""

import math
from itertools import pairwise
from typing import Any

import pytest
from eil_cli.door import NOT_REACHED, DoorError
from eil_cli.feeds.fleet import FleetFeed, FleetPlan
from eil_cli.feeds.meter import Meter
from eil_cli.feeds.outbox import Outbox
from eil_cli.feeds.times import rfc3339, unix_s
from eil_twin import Fleet

START_S = 1_800_000_000.0


class FakeMesh:
    """Answers as the contract says and measures the samples that it was sent."""

    def __init__(self, *, horizon_s: float = 15.0, target: int = 8, mode: str = "auto", valid: bool = True) -> None:
        self.horizon_s, self.target, self.mode, self.valid = horizon_s, target, mode, valid
        self.samples: list[tuple[float, dict[str, float]]] = []
        self.acts: list[dict] = []
        self.proofs: list[dict] = []
        self.windows: dict[str, tuple[float, float]] = {}
        self.fail: dict[str, list[DoorError]] = {}
        self.entropy_method = "ambient_ratio"

    def call(self, method, path, body: Any = None, *, params: Any = None) -> Any:
        if self.fail.get(path):
            raise self.fail[path].pop(0)
        if path == "/v1/sense":
            assert body["context"]["power_kind"] == "mean"
            self.samples.append((unix_s(body["timestamp"]), body["telemetry"]))
            return {"status": "accepted"}
        if path == "/v1/act":
            return self._act(body)
        if path == "/v1/proof":
            self.proofs.append(body)
            return {"valid": self.valid, "energy_error": 0.5, "entropy_error": 0.6, "pft_minted": 2.0, "reason": ""}
        assert path == "/v1/regime/measure"
        energy_j = self.energy_j(unix_s(params["start"]), unix_s(params["end"]))
        return {"entropy": energy_j / 300.0, "entropy_method": self.entropy_method}

    def _act(self, body):
        self.acts.append(body)
        start_s = self.samples[-1][0]
        name = f"pred_{len(self.acts)}"
        self.windows[name] = (start_s, start_s + self.horizon_s)
        return {
            "action": {"type": "scale_down", "target_servers": self.target, "expected_energy_savings": 234.5},
            "prediction_id": name,
            "horizon_s": self.horizon_s,
            "predicted_state": {"energy": 9000.125, "entropy": 30.5, "energy_low": 8900.0, "energy_high": 9100.0},
            "mode": self.mode,
            "window_start": rfc3339(start_s),
        }

    def energy_j(self, start_s: float, end_s: float) -> float:
        """What the mesh makes of mean powers: each reaches back to the sample before it."""
        times = [time_s for time_s, _ in self.samples]
        return sum(
            telemetry["power_draw"] * (time_s - before_s)
            for before_s, (time_s, telemetry) in zip(times, self.samples[1:], strict=False)
            if start_s < time_s <= end_s
        )


def feed_of(
    mesh: FakeMesh, *, period_s: float = 1.0, start_s: float = START_S, count: int = 0
) -> tuple[FleetFeed, Fleet, list[str]]:
    lines: list[str] = []
    fleet = Fleet(start_s=start_s)
    outbox = Outbox(mesh, "datacenter-01", lines.append)
    plan = FleetPlan("datacenter-01", horizon_s=mesh.horizon_s, period_s=period_s, count=count)
    return FleetFeed(fleet, mesh, outbox, plan, start_s=start_s, say=lines.append), fleet, lines


def run(feed: FleetFeed, from_s: float, to_s: float, step_s: float = 0.37) -> None:
    """Ticks at moments that have nothing to do with the sampling grid."""
    for index in range(math.ceil((to_s - from_s) / step_s)):
        feed.tick(from_s + index * step_s)


def test_samples_lie_on_the_grid_however_the_clock_ticks():
    mesh = FakeMesh()
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 10.5)
    assert [time_s for time_s, _ in mesh.samples] == [START_S + second for second in range(1, 11)]


def test_proofs_report_exactly_the_committed_window():
    mesh = FakeMesh()
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 65.0)
    assert len(mesh.proofs) == 3
    for proof in mesh.proofs:
        start_s, end_s = mesh.windows[proof["prediction_id"]]
        assert proof["actual_state"]["energy"] == pytest.approx(mesh.energy_j(start_s, end_s), rel=1e-9)
        assert unix_s(proof["timestamp"]) == end_s
        assert proof["predicted_state"] == {"energy": 9000.125, "entropy": 30.5}


def test_committed_windows_of_one_source_never_overlap():
    mesh = FakeMesh(horizon_s=10.0)
    feed, _, _ = feed_of(mesh, period_s=3.0)  # the horizon is no whole number of periods
    run(feed, START_S, START_S + 120.0)
    windows = sorted(mesh.windows.values())
    assert len(windows) > 4
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(windows))


def test_the_window_of_a_horizon_between_samples_is_counted_in_part():
    meter = Meter(keep_s=100.0)
    meter.add(0.0, 3.0, power_w=100.0, ambient_c=20.0)
    meter.add(3.0, 6.0, power_w=200.0, ambient_c=26.0)
    assert meter.energy_j(1.0, 4.0) == pytest.approx(2 * 100.0 + 1 * 200.0)
    assert meter.ambient_k(1.0, 4.0) == pytest.approx(273.15 + 22.0)
    assert meter.energy_j(5.0, 7.0) is None
    with pytest.raises(ValueError, match="must come after"):
        meter.add(5.0, 7.0, power_w=1.0, ambient_c=20.0)


def test_entropy_is_energy_over_ambient_until_a_node_is_identified():
    mesh = FakeMesh()
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 31.5)
    actual = mesh.proofs[0]["actual_state"]
    start_s, end_s = mesh.windows["pred_1"]
    ambient_k = 273.15 + sum(
        telemetry["ambient_temperature"] for time_s, telemetry in mesh.samples if start_s < time_s <= end_s
    ) / (end_s - start_s)
    assert actual["entropy"] == pytest.approx(actual["energy"] / ambient_k)
    mesh.entropy_method = "thermal_node"
    run(feed, START_S + 31.5, START_S + 47.0)
    actual = mesh.proofs[1]["actual_state"]
    assert actual["entropy"] == pytest.approx(actual["energy"] / 300.0)


def test_actions_are_carried_out_at_once_and_only_when_meant():
    mesh = FakeMesh(target=7)
    feed, fleet, lines = feed_of(mesh)
    run(feed, START_S, START_S + 15.2)
    assert fleet.target_servers == 7
    assert any("scale_down 12 → 7 servers; predicted 9,000 J" in line for line in lines)

    advised = FakeMesh(target=7, mode="advise")
    feed, fleet, lines = feed_of(advised)
    run(feed, START_S, START_S + 15.2)
    assert fleet.target_servers == 12
    assert any("not applied, mode advise" in line for line in lines)


def test_a_target_that_the_fleet_lacks_is_not_applied():
    mesh = FakeMesh(target=40)
    feed, fleet, lines = feed_of(mesh)
    run(feed, START_S, START_S + 15.2)
    assert fleet.target_servers == 12
    assert any("not applied: target_servers is 40" in line for line in lines)


def test_the_question_carries_the_constraints_and_the_state_of_the_plant():
    mesh = FakeMesh()
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 15.2)
    (asked,) = mesh.acts
    assert asked["constraints"]["max_latency_ms"] == 100.0
    assert asked["constraints"]["min_throughput"] == max(telemetry["request_rate"] for _, telemetry in mesh.samples)
    assert asked["current_state"] == {
        "active_servers": 12,
        "avg_utilization": mesh.samples[-1][1]["cpu_usage"],
    }


def test_an_unanswered_question_is_not_asked_again_within_its_horizon():
    mesh = FakeMesh()
    mesh.fail["/v1/act"] = [DoorError(NOT_REACHED, "TIMEOUT", "no answer")]
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 29.5)
    assert mesh.acts == []
    run(feed, START_S + 29.5, START_S + 31.0)
    assert len(mesh.acts) == 1


def test_a_proof_that_comes_too_early_is_sent_again():
    mesh = FakeMesh()
    early = DoorError(400, "NOT_YET_MEASURED", "the window is not over")
    mesh.fail["/v1/proof"] = [early, early]
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 33.0)
    assert [proof["prediction_id"] for proof in mesh.proofs] == ["pred_1"]
    assert feed.record.valid == 1


def test_a_refused_proof_is_given_up_and_said():
    mesh = FakeMesh()
    mesh.fail["/v1/proof"] = [DoorError(400, "REPORT_CONTRADICTED", "the meter says otherwise")]
    feed, _, lines = feed_of(mesh)
    run(feed, START_S, START_S + 47.0)
    assert any("none of pred_1: REPORT_CONTRADICTED" in line for line in lines)
    assert [proof["prediction_id"] for proof in mesh.proofs] == ["pred_2"]


def test_samples_of_an_outage_are_sent_later_and_the_proof_still_covers_them():
    mesh = FakeMesh()
    feed, _, _ = feed_of(mesh)
    run(feed, START_S, START_S + 20.0)
    mesh.fail["/v1/sense"] = [DoorError(503, "UNAVAILABLE", "restarting")] * 2
    run(feed, START_S + 20.0, START_S + 40.0)
    assert [time_s for time_s, _ in mesh.samples] == [START_S + second for second in range(1, len(mesh.samples) + 1)]
    start_s, end_s = mesh.windows["pred_1"]
    assert mesh.proofs[0]["actual_state"]["energy"] == pytest.approx(mesh.energy_j(start_s, end_s))


def test_after_a_long_sleep_the_gap_stays_and_its_window_is_not_proven():
    mesh = FakeMesh()
    feed, _, lines = feed_of(mesh)
    run(feed, START_S, START_S + 20.0)
    run(feed, START_S + 1000.0, START_S + 1020.0)
    assert any("passed without a sample" in line for line in lines)
    assert any("none of pred_1: its window was not sampled throughout" in line for line in lines)
    assert [proof["prediction_id"] for proof in mesh.proofs] == ["pred_2"]
    assert len(mesh.samples) < 80


def test_valid_proofs_are_counted():
    mesh = FakeMesh(valid=False)
    feed, _, lines = feed_of(mesh)
    run(feed, START_S, START_S + 47.0)
    assert (feed.record.acts, feed.record.proofs, feed.record.valid) == (3, 2, 0)
    assert any(line.startswith("proof  NOT valid") for line in lines)


def test_after_the_wanted_proofs_nothing_more_is_committed():
    mesh = FakeMesh()
    feed, _, _ = feed_of(mesh, count=2)
    run(feed, START_S, START_S + 100.0)
    assert feed.done
    assert (len(mesh.acts), len(mesh.proofs)) == (2, 2)
