"""Ten thousand claims of predictions through the door, most of them false: every verdict must be the one that the figures demand.

Fleets of tenant `demo` are asked for a decision, send what their meter then shows, and claim. What the meter shows is drawn around what was
predicted, hits and misses well apart from the 5 % of the tri-check, so that the right verdict is known from the figures alone. Each
claim is of one kind (`KINDS`), drawn by a seed; after a false one the honest one follows, so that what is minted is known too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import uvloop
from eil_gateway.keys import issue_token

from eil_cli.bench.report import Measure
from eil_cli.bench.rest import RestPool
from eil_cli.bench.statistics import percentile
from eil_cli.door import Door, DoorError
from eil_cli.endpoint import Endpoint
from eil_cli.feeds.times import rfc3339

TENANT, FOREIGN = "demo", "elsewhere"
STEP_S, WINDOW_S = 30.0, 60.0
PASSED_S = 700.0
"""Longer than telemetry may be late."""
HISTORY, SOURCES = 12, 2
MODELLED = "modelled"
"""The kind of a source that meters nothing: its power follows from its utilisation, which proves nothing."""
TOLERANCE, HIT, MISS = 0.05, 0.03, (0.10, 0.30)
NAMEPLATE_W = 4000.0
SERVERS, USED = 10, 0.5
MODELLED_J = NAMEPLATE_W * (0.5 + 0.5 * USED) * WINDOW_S
"""What the mesh makes of the utilisation: half of the nameplate's power idle."""
KINDS = ("honest", "altered", "early", "foreign", "unknown", "replayed", "unmeasured", "late", "inflated", MODELLED)


class Poster(Protocol):
    """What a claimant needs of a client."""

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer of a call that succeeds; raises DoorError."""
        ...


@dataclass
class Outcome:
    """What came of the claims."""

    claims: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    proof_ms: list[float] = field(default_factory=list)
    minted: float = 0.0
    """By the answers [PFT]."""


class Claimant:
    """One source and those who claim its predictions.

    Args:
        name: of the source.
        own, foreign: clients of its tenant and of another.
        seed: of what it draws.
        begin_s: moment of its first sample [Unix s].
        metered: it sends its power.
    """

    def __init__(
        self,
        name: str,
        own: Poster,
        foreign: Poster,
        seed: int,
        begin_s: float,
        outcome: Outcome,
        *,
        metered: bool = True,
    ) -> None:
        self._name, self._own, self._foreign, self._outcome = name, own, foreign, outcome
        self._metered = metered
        self._random, self._clock_s = np.random.default_rng(seed), begin_s

    async def begin(self) -> None:
        """Send a first history."""
        for _ in range(HISTORY):
            await self._sense(2000.0 * (1 + 0.01 * self._random.standard_normal()))

    async def claim(self, kind: str) -> None:
        """Have something predicted, and claim it as the kind says."""
        self._outcome.claims[kind] += 1
        decision = await self._own.post("/v1/act", self._question())
        if kind in ("unmeasured", "late"):
            await self._unmeasured(kind, decision)
            return
        committed, body = decision["predicted_state"], self._claim(decision, 0.0)
        if kind == "early":
            await self._refused(kind, self._own, self._claim(decision, committed["energy"]), "NOT_YET_MEASURED")
        energy_j = await self._measure(committed)
        body["actual_state"] = {"energy": energy_j, "entropy": energy_j / 295.0}
        if kind == "altered":
            nearer = {"energy": energy_j, "entropy": committed["entropy"]}
            await self._refused(kind, self._own, body | {"predicted_state": nearer}, "PREDICTION_ALTERED")
        elif kind == "foreign":
            await self._refused(kind, self._foreign, body, "PREDICTION_UNKNOWN")
        elif kind == "unknown":
            await self._refused(kind, self._own, body | {"prediction_id": "pred_invented"}, "PREDICTION_UNKNOWN")
        elif kind == "inflated":
            invented_j = energy_j * (1 + self._random.choice((-1, 1)) * self._random.uniform(0.06, 0.5))
            false = {"energy": invented_j, "entropy": invented_j / 295.0}
            await self._refused(kind, self._own, body | {"actual_state": false}, "REPORT_CONTRADICTED")
        await self._proven(kind, body, self._metered and self._right(committed, energy_j))
        if kind == "replayed":
            await self._proven(kind, body, self._right(committed, energy_j), again=True)

    async def _unmeasured(self, kind: str, decision: dict[str, Any]) -> None:
        """Let the window pass without half of its samples; late ones come when nobody may count them any more."""
        begin_s, power_w = self._clock_s, decision["predicted_state"]["energy"] / WINDOW_S
        if kind == "unmeasured":
            await self._sense(power_w)
            self._clock_s = begin_s + WINDOW_S
        self._clock_s = begin_s + WINDOW_S + PASSED_S
        await self._sense(2000.0)
        end_s, self._clock_s = self._clock_s, begin_s
        if kind == "late":
            for _ in range(2):
                try:
                    await self._sense(power_w)
                except DoorError as refused:
                    if refused.reason != "SAMPLE_TOO_LATE":
                        self._outcome.wrong.append(f"{kind}: {refused.reason}: {refused.message}")
        self._clock_s = end_s
        await self._proven(kind, self._claim(decision, decision["predicted_state"]["energy"]), False)

    async def _measure(self, committed: Mapping[str, float]) -> float:
        """Send the window's samples; energy that they show [J]."""
        off = self._random.uniform(-HIT, HIT)
        if self._random.random() < 0.3:
            off = self._random.choice((-1, 1)) * self._random.uniform(*MISS)
        energy_j = committed["energy"] * (1 + off)
        for _ in range(round(WINDOW_S / STEP_S)):
            await self._sense(energy_j / WINDOW_S)
        return energy_j if self._metered else MODELLED_J

    @staticmethod
    def _right(committed: Mapping[str, float], energy_j: float) -> bool:
        """Whether the tri-check must hold: no thermal node, so that energy alone decides."""
        near = abs(committed["energy"] - energy_j) <= TOLERANCE * energy_j
        return near and committed["energy_low"] <= energy_j <= committed["energy_high"]

    async def _proven(self, kind: str, body: Mapping[str, Any], valid: bool, *, again: bool = False) -> None:
        begun_s = time.perf_counter()
        try:
            answer = await self._own.post("/v1/proof", body)
        except DoorError as refused:
            self._outcome.wrong.append(f"{kind}: refused with {refused.reason}: {refused.message}")
            return
        self._outcome.proof_ms.append(1e3 * (time.perf_counter() - begun_s))
        wrong = answer["valid"] != valid or (not valid and answer["pft_minted"] > 0)
        wrong = wrong or (again and not answer["already_proven"])
        if wrong:
            said = f"valid {answer['valid']}, minted {answer['pft_minted']}, {answer['reason']}"
            self._outcome.wrong.append(f"{kind}: should be {valid}, is {said}")
        if not again:
            self._outcome.minted += answer["pft_minted"]

    async def _refused(self, kind: str, client: Poster, body: Mapping[str, Any], reason: str) -> None:
        try:
            answer = await client.post("/v1/proof", body)
        except DoorError as refused:
            if refused.reason != reason:
                self._outcome.wrong.append(f"{kind}: {refused.reason} instead of {reason}: {refused.message}")
            return
        self._outcome.wrong.append(f"{kind}: was judged: {answer['reason']}")

    async def _sense(self, power_w: float) -> None:
        self._clock_s += STEP_S
        telemetry = {"cpu_usage": USED, "active_servers": SERVERS}
        sent = telemetry | {"power_draw": power_w} if self._metered else telemetry
        context = {"power_kind": "mean"}
        body = {"source": self._name, "timestamp": rfc3339(self._clock_s), "telemetry": sent, "context": context}
        await self._own.post("/v1/sense", body)

    def _question(self) -> dict[str, Any]:
        now = {"active_servers": SERVERS, "avg_utilization": USED}
        return {"source": self._name, "goal": "minimize_energy", "horizon_s": WINDOW_S, "current_state": now}

    def _claim(self, decision: Mapping[str, Any], energy_j: float) -> dict[str, Any]:
        committed = decision["predicted_state"]
        return {
            "prediction_id": decision["prediction_id"],
            "predicted_state": {"energy": committed["energy"], "entropy": committed["entropy"]},
            "actual_state": {"energy": energy_j, "entropy": energy_j / 295.0},
            "timestamp": rfc3339(self._clock_s),
        }


def measure_claims(
    state: Path, count: int, step: Callable[[], None], seed: int = 1
) -> tuple[dict[str, Measure], tuple[str, ...]]:
    """Claims through the door of a running mesh: measures, and notes.

    Args:
        state: the mesh's state folder.
        count: of claims.
        step: called after each.
        seed: of their kinds and figures.
    """
    return uvloop.run(_measured(state, count, step, seed))


async def _measured(
    state: Path, count: int, step: Callable[[], None], seed: int
) -> tuple[dict[str, Measure], tuple[str, ...]]:
    endpoint, outcome, now_s = Endpoint.load(state), Outcome(), time.time()
    subject = f"claimant-{seed}-{int(now_s)}"
    tokens = {
        tenant: issue_token(state, subject=subject, roles=["admin"], tenant=tenant, ttl_s=3600.0, now_s=now_s)
        for tenant in (TENANT, FOREIGN)
    }
    kinds = np.random.default_rng(seed).choice(KINDS, size=count)
    begin_s = now_s - (WINDOW_S + PASSED_S + STEP_S) * (count / SOURCES + HISTORY)
    names = [f"{subject}-{number}" for number in range(SOURCES + 1)]  # the first meters nothing
    with Door(endpoint, tokens[TENANT]) as door:
        for name in names:
            door.call("PUT", f"/v1/sources/{name}", {"kind": "simulated", "nameplate_w": NAMEPLATE_W})
    async with (
        RestPool(endpoint.url, endpoint.ca, tokens[TENANT], len(names)) as own,
        RestPool(endpoint.url, endpoint.ca, tokens[FOREIGN], len(names)) as foreign,
    ):
        claimants = [Claimant(name, own, foreign, seed + number, begin_s, outcome) for number, name in enumerate(names)]
        await asyncio.gather(
            *(
                _claims(claimant, kinds[number :: len(names)].tolist(), step)
                for number, claimant in enumerate(claimants)
            )
        )
    with Door(endpoint, tokens[TENANT]) as door:
        await _booked(door, subject, outcome)
    return _measures(outcome), tuple(dict.fromkeys(outcome.wrong))[:5]


async def _claims(claimant: Claimant, kinds: list[str], step: Callable[[], None]) -> None:
    await claimant.begin()
    for kind in kinds:
        await claimant.claim(kind)
        step()


async def _booked(door: Door, subject: str, outcome: Outcome) -> None:
    """What the ledger holds must be what the answers said, once it has booked what is owed."""
    held = 0.0
    for _ in range(100):
        balances = door.call("GET", "/v1/economy/balances", params={"owner": subject})["balances"]
        held = sum(int(balance["balance_u"]) for balance in balances if balance["token"] == "PFT") / 1e6
        if abs(held - outcome.minted) < 1e-3:
            return
        await asyncio.sleep(0.1)
    outcome.wrong.append(f"the ledger holds {held:.6f} PFT, the answers promised {outcome.minted:.6f}")


def _measures(outcome: Outcome) -> dict[str, Measure]:
    return {
        "claims_wrongly_judged": Measure(float(len(outcome.wrong)), "claims", gate=0.0),
        "claims": Measure(float(sum(outcome.claims.values())), "claims", better="higher"),
        "claims_minted": Measure(outcome.minted, "PFT", better="higher"),
        "proof_p50_ms": Measure(percentile(outcome.proof_ms, 0.5), "ms"),
        "proof_p99_ms": Measure(percentile(outcome.proof_ms, 0.99), "ms", gate=50.0, goal=10.0),
    }
