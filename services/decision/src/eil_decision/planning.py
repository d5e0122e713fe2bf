"""From a question to a plan: fetch what is known, forecast the load, learn the plant, choose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np
import structlog
from eil.decision.v1 import decision_pb2
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc

from eil_decision import inputs
from eil_decision.domain.baseline import ASSUMED_HALF_WIDTH, persistence_interval
from eil_decision.domain.choice import Choice
from eil_decision.domain.learning import learn_delay, with_speeds
from eil_decision.domain.levers import Lever
from eil_decision.domain.load import MIN_HISTORY, Load, as_it_is, from_forecast, stage_rows
from eil_decision.domain.lookahead import STAGES
from eil_decision.domain.plant import History
from eil_decision.domain.search import Situation, decide, situation_of

log = structlog.get_logger("eil.decision")
MAX_SERVERS = 10_000
"""Sizes searched at most where no lever says more."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the decision service itself knows of a source."""

    largest: int = 0
    """The largest fleet that earlier decisions have seen."""
    levers: tuple[Lever, ...] = ()
    """Declared ones."""
    orders: tuple[tuple[float, int], ...] = ()
    """(moment on the source's clock [s], servers ordered) of the newest emitted actions, oldest first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A choice with what it rests on."""

    choice: Choice
    load: Load
    levers: tuple[Lever, ...]
    """Declared ones."""
    assumptions: tuple[str, ...]
    """What was not learned, for people."""
    ambient_k: float
    window_start_us: int
    baseline: tuple[float, float]
    """Persistence's interval of the window's energy [J]."""
    entropy_decided: bool
    """The source's entropy is measured by a thermal node, so that its check will have power to decide."""
    inputs_digest: str
    largest: int
    """The largest fleet seen."""
    too_old: str
    """Why what it rests on is too old to act on, for people; empty if it is not."""


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

    async def plan(self, request: decision_pb2.ActRequest, horizon_s: float, now_us: int, known: Known) -> Plan:
        """Plan one decision.

        Raises:
            grpc.aio.AioRpcError: NOT_FOUND if the source never sent a sample.
            InvalidArgument: the request contradicts itself or the source's levers.
        """
        answer = regime_pb2.GetHistoryResponse()
        if request.source:
            answer = await self._regime.GetHistory(regime_pb2.GetHistoryRequest(source=request.source, rows=self._rows))
        levers, state, seen = known.levers, request.current_state, inputs.seen_of(answer)
        history = with_speeds(inputs.history_of(seen, state, levers), levers)
        settings, unseen = inputs.settings_of(state, levers, history)
        goal, rows = inputs.goal_of(request, horizon_s), history.rows_in(horizon_s)
        situation = situation_of(
            history,
            goal,
            await self._load(state, history, rows),
            levers,
            settings,
            servers=state.active_servers,
            largest=_largest(history, state.active_servers, known.largest),
            ambient_k=inputs.ambient_k(history),
            start_delay_s=learn_delay(known.orders, seen.times_s, history.servers),
        )
        choice = decide(situation)
        return Plan(
            choice=choice,
            load=situation.load,
            levers=levers,
            assumptions=(*situation.plant.assumptions, *_left(unseen), *_unjudged(situation)),
            ambient_k=situation.ambient_k,
            window_start_us=answer.times_us[-1] if answer.times_us else now_us,
            baseline=_baseline(history, rows, choice),
            entropy_decided=answer.energy_state.entropy_method == "thermal_node",
            inputs_digest=_digest(request, answer, known),
            largest=situation.largest,
            too_old=inputs.too_old(seen, horizon_s, levers),
        )

    async def _load(self, state: decision_pb2.CurrentState, history: History, rows: int) -> Load:
        speed = 1.0 if history.speed is None else float(history.speed[-1])
        now, past = state.active_servers * state.avg_utilization * speed, history.work()
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


def _largest(history: History, servers: int, known: int) -> int:
    """The largest fleet seen, by anyone."""
    seen = int(np.nanmax(history.servers, initial=max(servers, known)))
    return min(seen, max(MAX_SERVERS, servers))


def _left(unseen: Sequence[Lever]) -> list[str]:
    return [
        f"{lever.name} is left as it is: its value is not known; send channel {lever.shown_by!r}, or current_state.settings"
        for lever in unseen
    ]


def _unjudged(situation: Situation) -> list[str]:
    if situation.goal.max_temperature_c is None or situation.thermal is not None:
        return []
    return ["the temperature cannot be judged before the source has sent `temperature` for a few samples"]


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


def _digest(request: decision_pb2.ActRequest, seen: regime_pb2.GetHistoryResponse, known: Known) -> str:
    digest = hashlib.sha256(request.SerializeToString(deterministic=True))
    digest.update(seen.SerializeToString(deterministic=True))
    digest.update(repr(known).encode())
    return digest.hexdigest()
