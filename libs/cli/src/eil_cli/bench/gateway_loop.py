"""Many sources that turn the loop at once, each on the wall clock: a sample, the proof of the last prediction, the next question."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eil_gateway.keys import issue_token
from eil_twin import Fleet

from eil_cli.bench.mesh import MeasuredMesh
from eil_cli.bench.rest import RestPool
from eil_cli.door import DoorError
from eil_cli.endpoint import Endpoint
from eil_cli.feeds.contact import Contact
from eil_cli.feeds.declare import source_path
from eil_cli.feeds.meter import Meter
from eil_cli.feeds.times import rfc3339

TENANT = "demo"
PERIOD_S = 10.0
CONNECTIONS = 64
HISTORY = 12
"""Samples that a source has before it asks."""


@dataclass
class Turns:
    """Times of calls [ms], and what was refused."""

    sense_ms: list[float] = field(default_factory=list)
    act_ms: list[float] = field(default_factory=list)
    proof_ms: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    valid: int = 0


class _Source:
    """A simulated fleet behind the door."""

    def __init__(self, pool: RestPool, name: str, begin_s: float) -> None:
        self._pool, self._name = pool, name
        self._fleet, self._meter = Fleet(start_s=begin_s), Meter(keep_s=1e6)
        self._now_s = begin_s
        self._newest: Mapping[str, float] = {}
        self._committed: Mapping[str, Any] | None = None

    async def sense(self, now_s: float, turns: Turns) -> None:
        """Send what happened up to now."""
        start_s, self._now_s = self._now_s, now_s
        self._newest = self._fleet.advance(now_s)
        power_w, ambient_c = self._newest["power_draw"], self._newest["ambient_temperature"]
        self._meter.add(start_s, now_s, power_w=power_w, ambient_c=ambient_c)
        sample = {"source": self._name, "timestamp": rfc3339(now_s), "telemetry": self._newest}
        await self._timed("/v1/sense", {**sample, "context": {"power_kind": "mean"}}, turns.sense_ms, turns)

    async def turn(self, now_s: float, turns: Turns) -> None:
        """One turn: sample, proof, question."""
        await self.sense(now_s, turns)
        if self._committed is not None and (claim := self._claim(self._committed)):
            verdict = await self._timed("/v1/proof", claim, turns.proof_ms, turns)
            turns.valid += bool(verdict and verdict["valid"])
        self._committed = await self._timed("/v1/act", self._question(), turns.act_ms, turns)
        if self._committed:
            self._fleet.scale(self._committed["action"]["target_servers"])

    def _question(self) -> dict[str, Any]:
        newest = self._newest
        return {
            "source": self._name,
            "goal": "minimize_energy",
            "horizon_s": PERIOD_S,
            "constraints": {"max_latency_ms": self._fleet.max_latency_ms, "min_throughput": newest["request_rate"]},
            "current_state": {
                "active_servers": int(newest["active_servers"]),
                "avg_utilization": newest["cpu_usage"],
            },
        }

    def _claim(self, decision: Mapping[str, Any]) -> dict[str, Any] | None:
        """The claim of a decision whose window ends now."""
        end_s = self._now_s
        energy_j = self._meter.energy_j(end_s - PERIOD_S, end_s)
        ambient_k = self._meter.ambient_k(end_s - PERIOD_S, end_s)
        if energy_j is None or ambient_k is None:
            return None
        predicted = decision["predicted_state"]
        return {
            "prediction_id": decision["prediction_id"],
            "predicted_state": {"energy": predicted["energy"], "entropy": predicted["entropy"]},
            "actual_state": {"energy": energy_j, "entropy": energy_j / ambient_k},
            "timestamp": rfc3339(end_s),
        }

    async def _timed(self, path: str, body: Mapping[str, Any], times_ms: list[float], turns: Turns) -> Any:
        """The answer, or None if it was refused."""
        began_s = time.perf_counter()
        try:
            answer = await self._pool.post(path, body)
        except DoorError as error:
            turns.refusals.append(f"{path}: {error.reason}: {error.message}")
            return None
        times_ms.append(1e3 * (time.perf_counter() - began_s))
        return answer


async def _drive(endpoint: Endpoint, token: str, names: Sequence[str], seconds: float) -> Turns:
    turns, warm_up, rounds = Turns(), Turns(), 1 + round(seconds / PERIOD_S)
    begin_s = time.time() - (HISTORY + 1) * PERIOD_S
    async with RestPool(endpoint.url, endpoint.ca, token, CONNECTIONS) as pool:
        fleets = [_Source(pool, name, begin_s) for name in names]
        for step in range(1, HISTORY + 1):
            await asyncio.gather(*(fleet.sense(begin_s + step * PERIOD_S, warm_up) for fleet in fleets))

        async def live(place: int, fleet: _Source) -> None:
            first_s = time.time() + PERIOD_S * (1 + place / len(fleets))  # spread over the period
            for number in range(rounds + 1):
                due_s = first_s + number * PERIOD_S
                await asyncio.sleep(max(due_s - time.time(), 0.0))
                await fleet.turn(due_s, turns if number else warm_up)  # the first meets cold code and caches

        await asyncio.gather(*(live(place, fleet) for place, fleet in enumerate(fleets)))
    turns.refusals += warm_up.refusals
    return turns


def drive_sources(mesh: MeasuredMesh, sources: int, seconds: float) -> Turns:
    """Let so many sources turn the loop every `PERIOD_S` for so long, through TLS, token, roles and budget.

    Raises:
        DoorError: a source cannot be declared.
    """
    prefix = f"loop-{secrets.token_hex(3)}"
    names = [f"{prefix}-{number}" for number in range(sources)]
    operator = Contact.of(mesh.state, subject="operator:bench", roles=("operator",), tenant=TENANT)
    for name in names:
        operator.call("PUT", source_path(name), {"kind": "simulated"})
    operator.close()
    endpoint = Endpoint.load(mesh.state)
    token = issue_token(
        mesh.state, subject="bench", roles=["agent"], tenant=TENANT, ttl_s=6 * 3600.0, now_s=time.time()
    )
    return asyncio.run(_drive(endpoint, token, names, seconds))
