"""`eil bench loop`: how soon a mesh is ready, what it holds at rest, and how long one turn of the loop takes through the door."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eil_twin import Fleet

from eil_cli.bench.mesh import MeasuredMesh, measured_mesh
from eil_cli.bench.report import Measure, Report
from eil_cli.bench.statistics import percentile
from eil_cli.door import DoorError
from eil_cli.feeds.contact import Caller, Contact
from eil_cli.feeds.declare import mode_path, source_path
from eil_cli.feeds.meter import Meter
from eil_cli.feeds.times import rfc3339, unix_s

TENANT = "demo"
TURNS = 300
WARM_UP_TURNS = 30
HISTORY_SAMPLES = 120
HORIZON_S = 15.0
PERIOD_S = 1.0
REST_S = 3.0
"""Let a mesh settle for so long before its memory is read."""
MIB = 1024.0 * 1024.0


@dataclass
class Times:
    """Times of calls [ms], in the order of the calls, and what was refused."""

    sense_act_ms: list[float] = field(default_factory=list)
    proof_ms: list[float] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Commitment:
    prediction_id: str
    predicted_state: Mapping[str, float]
    start_s: float
    end_s: float


class LoopDriver:
    """Turns the loop of a simulated fleet on its own clock: a sample a second of simulated time, as fast as the door answers.

    Args:
        door: with the rights of an agent.
        source: declared before.
        start_s: begin of the simulation (Unix time), so far in the past that it does not overtake the present.
        clock_s: a monotonic clock that times the calls.
    """

    def __init__(
        self, door: Caller, source: str, *, start_s: float, clock_s: Callable[[], float] = time.perf_counter
    ) -> None:
        self._door, self._source, self._clock_s = door, source, clock_s
        self._fleet = Fleet(start_s=start_s)
        self._meter = Meter(keep_s=1e6)
        self._time_s = start_s
        self._newest: Mapping[str, float] = {}
        self._commitments: list[_Commitment] = []
        self.times = Times()

    def sense(self) -> None:
        """Sends the next sample.

        Raises:
            DoorError: it was refused.
        """
        self._send(self._next_sample())

    def turn(self, *, timed: bool) -> None:
        """One sample and one question, timed together. A refused question is counted, a refused sample ends the benchmark."""
        body = self._next_sample()
        question = self._question()
        began_s = self._clock_s()
        self._send(body)
        try:
            answer = self._door.call("POST", "/v1/act", question)
        except DoorError as error:
            self.times.refusals.append(f"act: {error.reason}: {error.message}")
            return
        if timed:
            self.times.sense_act_ms.append(1e3 * (self._clock_s() - began_s))
        start_s, state = unix_s(answer["window_start"]), answer["predicted_state"]
        self._commitments.append(
            _Commitment(
                answer["prediction_id"],
                {"energy": state["energy"], "entropy": state["entropy"]},
                start_s,
                start_s + answer["horizon_s"],
            )
        )
        self._fleet.scale(answer["action"]["target_servers"])

    def prove(self) -> None:
        """Proves every prediction whose window is over, each call timed."""
        over = [commitment for commitment in self._commitments if commitment.end_s <= self._time_s]
        for commitment in over:
            energy_j = self._meter.energy_j(commitment.start_s, commitment.end_s)
            ambient_k = self._meter.ambient_k(commitment.start_s, commitment.end_s)
            if energy_j is None or ambient_k is None:
                self.times.refusals.append(
                    f"proof: the window of {commitment.prediction_id} began before the first sample"
                )
                continue
            body = {
                "prediction_id": commitment.prediction_id,
                "predicted_state": dict(commitment.predicted_state),
                "actual_state": {"energy": energy_j, "entropy": energy_j / ambient_k},
                "timestamp": rfc3339(self._time_s),
            }
            began_s = self._clock_s()
            try:
                self._door.call("POST", "/v1/proof", body)
            except DoorError as error:
                self.times.refusals.append(f"proof: {error.reason}: {error.message}")
                continue
            self.times.proof_ms.append(1e3 * (self._clock_s() - began_s))
        self._commitments = [commitment for commitment in self._commitments if commitment.end_s > self._time_s]

    def health(self) -> None:
        """One round trip that asks nothing of any service but the door and the bridge, timed."""
        began_s = self._clock_s()
        self._door.call("GET", "/v1/health")
        self.times.health_ms.append(1e3 * (self._clock_s() - began_s))

    def _next_sample(self) -> dict[str, Any]:
        start_s, self._time_s = self._time_s, self._time_s + PERIOD_S
        self._newest = self._fleet.advance(self._time_s)
        self._meter.add(
            start_s,
            self._time_s,
            power_w=self._newest["power_draw"],
            ambient_c=self._newest["ambient_temperature"],
        )
        return {
            "source": self._source,
            "timestamp": rfc3339(self._time_s),
            "telemetry": self._newest,
            "context": {"power_kind": "mean"},
        }

    def _send(self, body: Mapping[str, Any]) -> None:
        self._door.call("POST", "/v1/sense", body)

    def _question(self) -> dict[str, Any]:
        return {
            "goal": "minimize_energy",
            "constraints": {
                "max_latency_ms": self._fleet.max_latency_ms,
                "min_throughput": self._newest["request_rate"],
            },
            "current_state": {
                "active_servers": int(self._newest["active_servers"]),
                "avg_utilization": self._newest["cpu_usage"],
            },
            "source": self._source,
            "horizon_s": HORIZON_S,
        }


def drive(
    driver: LoopDriver, *, history: int = HISTORY_SAMPLES, warm_up: int = WARM_UP_TURNS, turns: int = TURNS
) -> Times:
    """A history to decide from, turns that warm up, then the timed ones, their proofs, and as many round trips to /v1/health."""
    for _ in range(history):
        driver.sense()
    for _ in range(warm_up):
        driver.turn(timed=False)
    for _ in range(turns):
        driver.turn(timed=True)
    for _ in range(int(HORIZON_S / PERIOD_S) + 1):
        driver.sense()
    driver.prove()
    for _ in range(turns):
        driver.health()
    return driver.times


def measures(times: Times, *, ready_s: float | None, resident_bytes: int, first_proof_s: float | None) -> Report:
    """The report of what was measured."""
    found = {
        "sense_act_p99_ms": Measure(percentile(times.sense_act_ms, 0.99), "ms", gate=250.0, goal=40.0),
        "proof_p99_ms": Measure(percentile(times.proof_ms, 0.99), "ms", gate=50.0, goal=15.0),
        "resident_mib": Measure(resident_bytes / MIB, "MiB", gate=2048.0),
        "refused_calls": Measure(float(len(times.refusals)), "calls", gate=0.0),
    }
    if ready_s is not None:
        found["ready_s"] = Measure(ready_s, "s", gate=20.0)
    if first_proof_s is not None:
        found["first_proof_s"] = Measure(first_proof_s, "s", gate=240.0)
    baselines = {
        "median": {
            "sense_act_p99_ms": percentile(times.sense_act_ms, 0.5),
            "proof_p99_ms": percentile(times.proof_ms, 0.5),
        },
        # Two round trips of the door are in a turn, one is in a proof.
        "floor": {
            "sense_act_p99_ms": 2.0 * percentile(times.health_ms, 0.99),
            "proof_p99_ms": percentile(times.health_ms, 0.99),
        },
    }
    return Report("loop", found, baselines, _notes(times, ready_s))


def _notes(times: Times, ready_s: float | None) -> tuple[str, ...]:
    notes = [
        f"{len(times.sense_act_ms)} turns and {len(times.proof_ms)} proofs, one after another, "
        "through TLS, token check and transcoding; floor: /v1/health, p99, as often as the call goes through the door"
    ]
    if ready_s is None:
        notes.append("the mesh ran already, so the time to ready was not measured")
    notes += sorted(set(times.refusals))[:3]
    return tuple(notes)


def bench_loop(state: Path | None, first_proof_s: float | None = None) -> Report:
    """Measures a mesh.

    Args:
        state: state folder of a running mesh; None starts one in a folder of its own.
        first_proof_s: time from a clean clone to the first proven action, if somebody measured it [s].

    Raises:
        Failure: the mesh does not run or did not start.
        DoorError: it refuses samples.
    """
    with measured_mesh(state) as mesh:
        time.sleep(REST_S)
        resident_bytes = mesh.resident_bytes()
        times = drive(_driver(mesh))
        return measures(times, ready_s=mesh.ready_s, resident_bytes=resident_bytes, first_proof_s=first_proof_s)


def _driver(mesh: MeasuredMesh) -> LoopDriver:
    source = f"bench-{secrets.token_hex(4)}"
    operator = Contact.of(mesh.state, subject="operator:bench", roles=("operator",), tenant=TENANT)
    operator.call("PUT", source_path(source), {"kind": "simulated"})
    operator.call("PUT", mode_path(source), {"mode": "auto"})
    operator.close()
    length_s = (HISTORY_SAMPLES + WARM_UP_TURNS + TURNS + HORIZON_S + 60.0) * PERIOD_S
    agent = Contact.of(mesh.state, subject="bench", roles=("agent",), tenant=TENANT)
    return LoopDriver(agent, source, start_s=float(int(time.time() - length_s)))
