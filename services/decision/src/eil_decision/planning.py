"""From a question to a plan: fetch what is known, forecast the load, learn the plant, choose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import grpc
import numpy as np
import structlog
from eil.decision.v1 import decision_pb2
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS
from eil_physics.thermal import DEFAULT_AMBIENT_K

from eil_decision.domain.baseline import ASSUMED_HALF_WIDTH, persistence_interval
from eil_decision.domain.choice import Choice, Goal, candidates, choose
from eil_decision.domain.load import MIN_HISTORY, Load, as_it_is, from_forecast, stage_rows
from eil_decision.domain.lookahead import STAGES
from eil_decision.domain.plant import History, Plant, assumed_plant, learn_plant

log = structlog.get_logger("eil.decision")
KELVIN = 273.15
MAX_SERVERS = 10_000
"""Sizes searched at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A choice with what it rests on."""

    choice: Choice
    plant: Plant
    load: Load
    ambient_k: float
    window_start_us: int
    baseline: tuple[float, float]
    """Persistence's interval of the window's energy [J]."""
    entropy_decided: bool
    """The source's entropy is measured by a thermal node, so that its check will have power to decide."""
    inputs_digest: str
    largest: int
    """The largest fleet seen: the search went from one server to it."""


class Planner:
    """Plans with what the regime and nvp services know."""

    def __init__(
        self,
        regime: regime_pb2_grpc.RegimeServiceAsyncStub,
        nvp: nvp_pb2_grpc.NvpServiceAsyncStub,
        history_rows: int,
        forecast_deadline_s: float,
    ) -> None:
        self._regime, self._nvp = regime, nvp
        self._rows, self._deadline_s = history_rows, forecast_deadline_s

    async def plan(self, request: decision_pb2.ActRequest, horizon_s: float, now_us: int, largest: int) -> Plan:
        """Plan one decision; `largest` is the largest fleet that earlier decisions have seen.

        Raises:
            grpc.aio.AioRpcError: NOT_FOUND if the source never sent a sample.
        """
        known = regime_pb2.GetHistoryResponse()
        if request.source:
            known = await self._regime.GetHistory(regime_pb2.GetHistoryRequest(source=request.source, rows=self._rows))
        history = _history(known, request.current_state)
        rows = max(1, round(horizon_s / history.step_s)) if history.step_s > 0 else 1
        plant = learn_plant(history) if history.power_w.size else assumed_plant()
        load = await self._load(request, history, rows)
        limits = request.constraints
        latency_ms = limits.max_latency_ms or None
        goal = Goal(horizon_s, latency_ms, limits.min_throughput or None, history.caution(latency_ms))
        servers = request.current_state.active_servers
        seen = int(np.nanmax(history.servers, initial=max(servers, largest)))
        largest = min(seen, max(MAX_SERVERS, servers))
        choice = choose(candidates(plant, load, goal, servers, largest, float(rows)), servers)
        return Plan(
            choice=choice,
            plant=plant,
            load=load,
            ambient_k=_ambient_k(known),
            window_start_us=known.times_us[-1] if known.times_us else now_us,
            baseline=_baseline(history, rows, choice),
            entropy_decided=known.energy_state.entropy_method == "thermal_node",
            inputs_digest=_digest(request, known),
            largest=largest,
        )

    async def _load(self, request: decision_pb2.ActRequest, history: History, rows: int) -> Load:
        now = request.current_state.active_servers * request.current_state.avg_utilization
        past = history.servers * history.utilisation
        past = np.append(past[np.isfinite(past)][:-1], now)
        if past.size < MIN_HISTORY:
            return as_it_is(past, rows, "too little is known to forecast it")
        series = nvp_pb2.Series(name="load", values=past)
        ahead = STAGES * stage_rows(rows, history.step_s)
        try:
            answer = await self._nvp.Predict(
                nvp_pb2.PredictRequest(history=[series], horizon=ahead, level=0.9), timeout=self._deadline_s
            )
        except grpc.aio.AioRpcError as error:
            log.warning("no forecast", code=error.code().name, detail=error.details())
            return as_it_is(past, rows, f"no forecast could be had ({error.code().name})")
        predicted = answer.predictions[0]
        width = predicted.total_high - predicted.total_low
        source = f"{answer.method}: {answer.reason}"
        return from_forecast(predicted.point, predicted.low, predicted.high, width, rows, source)


def _column(known: regime_pb2.GetHistoryResponse, name: str) -> np.ndarray:
    for column in known.columns:
        if column.name == name:
            return np.array(column.values, dtype=np.float64)
    return np.full(len(known.times_us), np.nan)


def _history(known: regime_pb2.GetHistoryResponse, now: decision_pb2.CurrentState) -> History:
    times_s = np.array(known.times_us, dtype=np.float64) / MICROSECONDS
    servers = _column(known, "active_servers")
    return History(
        power_w=_column(known, "power_draw"),
        servers=np.where(np.isfinite(servers), servers, float(now.active_servers)),
        utilisation=_column(known, "cpu_usage"),
        request_rate=_column(known, "request_rate"),
        latency_ms=_column(known, "latency_ms"),
        step_s=float(np.median(np.diff(times_s))) if times_s.size > 1 else 0.0,
    )


def _ambient_k(known: regime_pb2.GetHistoryResponse) -> float:
    ambient = _column(known, "ambient_temperature")
    ambient = ambient[np.isfinite(ambient)]
    return float(ambient[-1]) + KELVIN if ambient.size else DEFAULT_AMBIENT_K


def _baseline(history: History, rows: int, choice: Choice) -> tuple[float, float]:
    """Persistence over past windows as long as the horizon; where there is none, around doing nothing."""
    known = np.isfinite(history.power_w)
    power_w, servers = history.power_w[known], history.servers[known]
    windows = power_w.size // rows
    if windows == 0 or history.step_s == 0:
        energy_j = choice.hold.energy_j * choice.chosen.servers / choice.hold.servers
        return energy_j * (1 - ASSUMED_HALF_WIDTH), energy_j * (1 + ASSUMED_HALF_WIDTH)
    kept = windows * rows
    energy_j = power_w[-kept:].reshape(windows, rows).sum(axis=1) * history.step_s
    return persistence_interval(energy_j, servers[-kept:].reshape(windows, rows).mean(axis=1), choice.chosen.servers)


def _digest(request: decision_pb2.ActRequest, known: regime_pb2.GetHistoryResponse) -> str:
    digest = hashlib.sha256(request.SerializeToString(deterministic=True))
    digest.update(known.SerializeToString(deterministic=True))
    return digest.hexdigest()
