"""A simulated fleet as a source that obeys: sense, act, apply, measure, prove, again."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eil_cli.door import DoorError
from eil_cli.feeds.contact import Caller, is_passing
from eil_cli.feeds.meter import Meter
from eil_cli.feeds.outbox import Outbox, Sample
from eil_cli.feeds.times import rfc3339, unix_s

# Behind by more, the fleet leaves a gap instead of catching up: the machine slept.
MAX_BEHIND_S = 120.0
# The servable throughput asked for is the largest demand of this many seconds.
DEMAND_MEMORY_S = 60.0
RETRY_ACT_S = 5.0
MAX_PROOF_TRIES = 30
NOT_YET_MEASURED = "NOT_YET_MEASURED"


class Plant(Protocol):
    """What the feed needs of a fleet."""

    @property
    def max_latency_ms(self) -> float:
        """The latency its owner wants kept."""
        ...

    @property
    def target_servers(self) -> int:
        """Servers that serve or boot."""
        ...

    def scale(self, target_servers: int) -> None:
        """Starts or stops servers; ValueError outside of what is installed."""
        ...

    def advance(self, now_s: float) -> dict[str, float]:
        """Telemetry up to now."""
        ...


@dataclass(frozen=True)
class FleetPlan:
    """What the feed does."""

    source: str
    horizon_s: float
    """Length of a committed window [s]."""
    period_s: float
    """Time between samples [s]."""
    count: int = 0
    """Proofs after which it is done; 0 is never."""


@dataclass(frozen=True)
class Committed:
    """A prediction that waits for its outcome."""

    prediction_id: str
    predicted_state: Mapping[str, float]
    start_s: float
    end_s: float


@dataclass
class FleetRecord:
    """What came of the predictions."""

    acts: int = 0
    proofs: int = 0
    valid: int = 0
    pft: float = 0.0


class FleetFeed:
    """Samples lie on a grid of whole periods from `start_s`, so that a committed window begins and ends with a sample and the
    fleet's own meter counts exactly the window.

    Args:
        plant: the fleet, simulated from `start_s` on.
        door: for acts and proofs.
        outbox: of the source.
        plan: names and lengths.
        start_s: begin of the simulation (Unix time).
        say: takes lines for people.
    """

    def __init__(
        self,
        plant: Plant,
        door: Caller,
        outbox: Outbox,
        plan: FleetPlan,
        *,
        start_s: float,
        say: Callable[[str], None],
    ) -> None:
        self._plant, self._door, self._outbox, self._plan, self._say = plant, door, outbox, plan, say
        self._time_s = start_s
        self._next_act_s = start_s + plan.horizon_s
        self._meter = Meter(keep_s=4.0 * plan.horizon_s + MAX_BEHIND_S)
        self._demand_per_s: deque[float] = deque(maxlen=max(1, math.ceil(DEMAND_MEMORY_S / plan.period_s)))
        self._newest: Mapping[str, float] = {}
        self._committed: Committed | None = None
        self._proof_tries = 0
        self.record = FleetRecord()

    @property
    def done(self) -> bool:
        """Whether it has as many proofs as were wanted."""
        return 0 < self._plan.count <= self.record.proofs

    @property
    def next_sample_s(self) -> float:
        """When the next sample is due (Unix time)."""
        return self._time_s + self._plan.period_s

    def tick(self, now_s: float) -> None:
        """Does what is due at `now_s` (Unix time). Trouble with the mesh is said and tried again, never raised."""
        self._sample(now_s)
        self._outbox.flush(now_s)
        clock_s = self._outbox.clock_s
        if clock_s is None:
            return
        if self._committed is not None and clock_s >= self._committed.end_s:
            self._prove(self._committed, clock_s)
        if self._committed is None and clock_s >= self._next_act_s and not self.done:
            self._act(clock_s)

    def _sample(self, now_s: float) -> None:
        period_s = self._plan.period_s
        behind_s = now_s - self._time_s
        if behind_s > MAX_BEHIND_S:
            skipped_s = math.floor(behind_s / period_s) * period_s
            self._say(f"{skipped_s:.0f} s passed without a sample; they stay a gap")
            self._time_s += skipped_s
            self._plant.advance(self._time_s)
        while self.next_sample_s <= now_s:
            start_s, self._time_s = self._time_s, self.next_sample_s
            self._newest = self._plant.advance(self._time_s)
            self._demand_per_s.append(self._newest["request_rate"])
            self._meter.add(
                start_s,
                self._time_s,
                power_w=self._newest["power_draw"],
                ambient_c=self._newest["ambient_temperature"],
            )
            self._outbox.put(Sample(self._time_s, self._newest, {"power_kind": "mean", "workload_type": "simulated"}))

    def _act(self, clock_s: float) -> None:
        request = {
            "goal": "minimize_energy",
            "constraints": {
                "max_latency_ms": self._plant.max_latency_ms,
                "min_throughput": max(self._demand_per_s),
            },
            "current_state": {
                "active_servers": int(self._newest["active_servers"]),
                "avg_utilization": self._newest["cpu_usage"],
            },
            "source": self._plan.source,
            "horizon_s": self._plan.horizon_s,
        }
        try:
            answer = self._door.call("POST", "/v1/act", request)
        except DoorError as error:
            # An unanswered question may have been committed all the same: what it speaks of must not be spoken of twice.
            pause_s = self._plan.horizon_s if is_passing(error) else RETRY_ACT_S
            self._next_act_s = clock_s + pause_s
            self._say(f"act    no decision ({error.reason}: {error.message}); asked again in {pause_s:.0f} s")
            return
        self.record.acts += 1
        start_s = unix_s(answer["window_start"])
        end_s = start_s + answer.get("horizon_s", self._plan.horizon_s)
        self._committed = Committed(answer["prediction_id"], _state(answer["predicted_state"]), start_s, end_s)
        self._proof_tries = 0
        self._next_act_s = end_s
        self._apply(answer)

    def _apply(self, answer: Mapping[str, Any]) -> None:
        """Obeys a decision that the mesh meant to be carried out, and says what was decided."""
        action, predicted = answer["action"], answer["predicted_state"]
        before, target = self._plant.target_servers, int(action["target_servers"])
        note = ""
        if answer.get("mode", "auto") != "auto":
            note = f"; not applied, mode {answer['mode']}"
        else:
            try:
                self._plant.scale(target)
            except ValueError as error:
                note = f"; not applied: {error}"
        self._say(
            f"act    {action['type']} {before} → {target} servers{note}; predicted {predicted['energy']:,.0f} J "
            f"[{predicted['energy_low']:,.0f} … {predicted['energy_high']:,.0f}] in {answer['horizon_s']:g} s, "
            f"saving {action['expected_energy_savings']:,.0f} J  {answer['prediction_id']}"
        )

    def _prove(self, committed: Committed, clock_s: float) -> None:
        energy_j = self._meter.energy_j(committed.start_s, committed.end_s)
        ambient_k = self._meter.ambient_k(committed.start_s, committed.end_s)
        if energy_j is None or ambient_k is None:
            self._give_up(committed, clock_s, "its window was not sampled throughout")
            return
        self._proof_tries += 1
        try:
            answer = self._door.call(
                "POST",
                "/v1/proof",
                {
                    "prediction_id": committed.prediction_id,
                    "predicted_state": dict(committed.predicted_state),
                    "actual_state": {"energy": energy_j, "entropy": self._entropy(committed, energy_j / ambient_k)},
                    "timestamp": rfc3339(clock_s),
                },
            )
        except DoorError as error:
            if (is_passing(error) or error.reason == NOT_YET_MEASURED) and self._proof_tries < MAX_PROOF_TRIES:
                return
            self._give_up(committed, clock_s, f"{error.reason}: {error.message}")
            return
        self._committed = None
        self.record.proofs += 1
        self.record.valid += bool(answer["valid"])
        self.record.pft += answer["pft_minted"]
        reason = f"; {answer['reason']}" if answer.get("reason") else ""
        self._say(
            f"proof  {'valid' if answer['valid'] else 'NOT valid'}, measured {energy_j:,.0f} J, energy error "
            f"{answer['energy_error']:.2f} %, entropy error {answer['entropy_error']:.2f} %, "
            f"{answer['pft_minted']:g} PFT  {committed.prediction_id}{reason}"
        )

    def _entropy(self, committed: Committed, ambient_ratio_j_per_k: float) -> float:
        """Entropy generated in the window [J/K]: by the mesh's thermal node if it has identified one, otherwise E/T_amb by the
        fleet's own meters. No fleet owns a meter of entropy."""
        try:
            measured = self._door.call(
                "GET",
                "/v1/regime/measure",
                params={
                    "source": self._plan.source,
                    "start": rfc3339(committed.start_s),
                    "end": rfc3339(committed.end_s),
                },
            )
        except DoorError as error:
            self._say(f"entropy by E/T_amb, for the mesh's measurement failed ({error.reason}: {error.message})")
            return ambient_ratio_j_per_k
        return measured["entropy"] if measured.get("entropy_method") == "thermal_node" else ambient_ratio_j_per_k

    def _give_up(self, committed: Committed, clock_s: float, why: str) -> None:
        self._committed = None
        self._next_act_s = max(self._next_act_s, clock_s)
        self._say(f"proof  none of {committed.prediction_id}: {why}; the mesh settles it by itself")


def _state(predicted: Mapping[str, float]) -> dict[str, float]:
    """What a proof must echo of a committed state."""
    return {"energy": predicted["energy"], "entropy": predicted["entropy"]}
