"""`EILOptimizer`: the planner as a library, without a mesh, for whoever has the telemetry at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from eil_decision.domain.choice import Choice
from eil_decision.domain.goal import Goal
from eil_decision.domain.learning import with_speeds
from eil_decision.domain.levers import FLEET, Lever, contradictions
from eil_decision.domain.load import MIN_HISTORY, Load, as_it_is, from_forecast, stage_rows
from eil_decision.domain.lookahead import STAGES
from eil_decision.domain.plant import History, Plant, newest_settings
from eil_decision.domain.search import decide as search
from eil_decision.domain.search import situation_of


class LoadPredictor(Protocol):
    """What `eil_nvp.NVPPredictor` is: it takes rows (n, d) and predicts the next ones, with `.point .low .high` (steps, d) and
    `.total_low .total_high` (d,) at 90 %, and says in `.method` how."""

    def observe(self, rows: Any) -> None:
        """Take rows that follow those before."""
        ...

    def predict(self, steps: int) -> Any:
        """The next rows."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice, and what it rests on."""

    choice: Choice
    plant: Plant
    load: Load


class EILOptimizer:
    """Chooses the size of a fleet, and the settings of other levers, as the decision service does.

    Not thread-safe; no clock, no I/O of its own.

    Args:
        nvp_predictor: makes a predictor of the load, e.g. `NVPPredictor` itself; each source gets its own. None: the load as it is.
        atlas_connector: gives a source's `History`, for calls that bring none.
        proof_economy: is told of every decision, in order, before it is returned: to commit its prediction and settle it later.

    Example:
        optimizer = EILOptimizer(nvp_predictor=NVPPredictor)
        decision = optimizer.decide("dc-01", Goal(300.0, max_latency_ms=20.0, min_throughput=None), servers=12, history=history)
    """

    def __init__(
        self,
        nvp_predictor: Callable[[], LoadPredictor] | None = None,
        atlas_connector: Callable[[str], History] | None = None,
        proof_economy: Callable[[str, Decision], None] | None = None,
    ) -> None:
        self._make, self._history, self._settle = nvp_predictor, atlas_connector, proof_economy
        self._predictors: dict[str, tuple[LoadPredictor, int]] = {}

    def decide(
        self,
        source: str,
        goal: Goal,
        *,
        servers: int,
        history: History | None = None,
        largest: int | None = None,
        levers: Sequence[Lever] = (),
        settings: Mapping[str, float] | None = None,
    ) -> Decision:
        """The cheapest action that keeps the goal's constraints.

        Args:
            source: whose load is predicted; its history must go on from call to call, oldest rows first.
            goal: horizon, constraints and what counts how much.
            servers: that serve now.
            history: its telemetry; None asks the connector.
            largest: servers that may be had, where `levers` say nothing of them; by default the largest number seen.
            levers: what may be moved; none is the number of servers.
            settings: values now of levers beside the fleet's size; by default the newest in `history.settings`.

        Raises:
            ValueError: there is no history, it holds no load, or the levers contradict each other.
        """
        if wrong := contradictions(levers):
            raise ValueError(
                f"the levers contradict each other: {'; '.join(f'{field} {why}' for field, why in wrong.items())}"
            )
        if history is None:
            if self._history is None:
                raise ValueError(f"nothing is known of {source!r}: give its history, or an atlas_connector that has it")
            history = self._history(source)
        history = with_speeds(history, levers)
        past = history.work()
        past = past[np.isfinite(past)]
        if not past.size:
            raise ValueError(f"the history of {source!r} holds no load: servers and utilisation must be known together")
        now = newest_settings(history, [lever for lever in levers if lever.kind not in FLEET]) | dict(settings or {})
        load = self._load(source, past, history.rows_in(goal.horizon_s), history.step_s)
        biggest = int(largest or max(servers, np.nanmax(history.servers)))
        situation = situation_of(history, goal, load, levers, now, servers=servers, largest=biggest)
        decision = Decision(search(situation), situation.plant, situation.load)
        if self._settle is not None:
            self._settle(source, decision)
        return decision

    def _load(self, source: str, past: np.ndarray, rows: int, step_s: float) -> Load:
        if self._make is None or past.size < MIN_HISTORY or step_s <= 0:
            return as_it_is(past, rows, "too little is known to forecast it")
        if source not in self._predictors:
            self._predictors[source] = self._make(), 0
        predictor, seen = self._predictors[source]
        predictor.observe(past[seen:, None])
        self._predictors[source] = predictor, past.size
        said = predictor.predict(STAGES * stage_rows(rows, step_s))
        width = float(said.total_high[0] - said.total_low[0])
        return from_forecast(said.point[:, 0], said.low[:, 0], said.high[:, 0], width, rows, said.method)
