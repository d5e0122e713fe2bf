"""What there is to see of a mesh, asked through its door: sources, actions with their verdicts, balances, health."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from eil_cli.door import DoorError
from eil_cli.feeds.contact import Caller
from eil_cli.feeds.times import unix_s

TRACE = 40
"""Newest power values kept of a source."""
ACTIONS = 6
PROOFS = 3 * ACTIONS
"""Verdicts asked for: those of the actions shown, and some that the mesh settled in between."""
TOKENS = ("CEU", "PFT", "MUNT")
ISSUANCE = "@issuance"
"""The ledger's own account that tokens come from; it belongs to nobody."""
U_PER_TOKEN = 1_000_000


@dataclass(frozen=True)
class SourceView:
    """One source as it stands."""

    tenant: str
    name: str
    kind: str
    method: str
    """METERED, COUNTER, MODELLED, SIMULATED, or empty where power is unknown."""
    power_w: float | None
    energy_j: float | None
    window_s: float
    entropy_j_per_k: float | None
    entropy_method: str
    regime: str
    regime_id: str
    next_regime: str
    confidence: float
    reason: str
    clock_s: float
    samples: int
    shifts: int
    trace_w: tuple[float, ...] = ()


@dataclass(frozen=True)
class VerdictView:
    """What became of a prediction."""

    valid: bool
    evidence: str
    energy_error_pct: float
    measured_j: float
    pft: float
    settled_by_mesh: bool
    reason: str


@dataclass(frozen=True)
class ActionView:
    """A decision, with its verdict once there is one."""

    tenant: str
    source: str
    prediction_id: str
    committed_s: float
    kind: str
    before: int
    target: int
    mode: str
    horizon_s: float
    saving_j: float
    """Expected against doing nothing."""
    predicted_j: float
    window_end_s: float
    verdict: VerdictView | None = None


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment."""

    time_s: float
    url: str
    sources: tuple[SourceView, ...] = ()
    actions: tuple[ActionView, ...] = ()
    """Newest first."""
    balances: Mapping[str, Mapping[str, float]] | None = None
    """Tokens by tenant and token; None before the ledger answered."""
    healthy: bool = False
    trouble: tuple[str, ...] = ()
    """What could not be asked."""

    @property
    def proven(self) -> ActionView | None:
        """The newest action whose prediction was measured and found valid."""
        return next((action for action in self.actions if action.verdict and is_proven(action.verdict)), None)


def is_proven(verdict: VerdictView) -> bool:
    """Whether a verdict is a proof: valid, and by measurement."""
    return verdict.valid and verdict.evidence == "measured"


class Watcher:
    """Asks again each time it is told to. What is not answered keeps its last answer and is listed as trouble.

    Args:
        url: of the door, to show.
        tenants: a caller for each tenant to look at.
        now_s: the time of day.
    """

    def __init__(self, url: str, tenants: Mapping[str, Caller], *, now_s: Callable[[], float] = time.time) -> None:
        self._url, self._tenants, self._now_s = url, tenants, now_s
        self._answers: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._traces: dict[tuple[str, str], deque[float]] = {}
        self._clocks: dict[tuple[str, str], float] = {}
        self._trouble: list[str] = []

    def collect(self) -> Snapshot:
        """The present state. Never raises for what the mesh does not answer."""
        self._trouble = []
        sources: list[SourceView] = []
        actions: list[ActionView] = []
        balances: dict[str, dict[str, float]] = {}
        for tenant in self._tenants:
            for status in self._ask(tenant, "/v1/regime/status").get("sources") or ():
                sources.append(self._traced(_source_view(tenant, status)))
            decisions = self._ask(tenant, "/v1/decisions", page_size=ACTIONS).get("decisions") or ()
            verdicts = self._ask(tenant, "/v1/proofs", page_size=PROOFS).get("verdicts") or ()
            by_id = {verdict["response"]["prediction_id"]: verdict for verdict in verdicts}
            actions += [_action_view(tenant, decision, by_id) for decision in decisions]
            accounts = self._ask(tenant, "/v1/economy/balances")
            if accounts:
                balances[tenant] = _balances(accounts)
        actions.sort(key=lambda action: action.committed_s, reverse=True)
        return Snapshot(
            time_s=self._now_s(),
            url=self._url,
            sources=tuple(sources),
            actions=tuple(actions[:ACTIONS]),
            balances=balances or None,
            healthy=self._healthy(),
            trouble=tuple(self._trouble),
        )

    def _ask(self, tenant: str, path: str, **params: Any) -> Mapping[str, Any]:
        try:
            answer = self._tenants[tenant].call("GET", path, params=params)
        except DoorError as error:
            self._note(f"{path}: {error.reason}: {error.message}")
            return self._answers.get((tenant, path), {})
        self._answers[tenant, path] = answer
        return answer

    def _note(self, trouble: str) -> None:
        if trouble not in self._trouble:
            self._trouble.append(trouble)

    def _healthy(self) -> bool:
        try:
            next(iter(self._tenants.values())).call("GET", "/v1/health")
        except DoorError as error:
            self._note(f"/v1/health: {error.reason}: {error.message}")
            return False
        return True

    def _traced(self, view: SourceView) -> SourceView:
        """Adds the trace of power: seeded from the history at first sight, then one value whenever the clock moved."""
        key = (view.tenant, view.name)
        if key not in self._traces:
            self._traces[key] = deque(self._history_w(view), maxlen=TRACE)
        elif view.power_w is not None and view.clock_s > self._clocks[key]:
            self._traces[key].append(view.power_w)
        self._clocks[key] = view.clock_s
        return replace(view, trace_w=tuple(self._traces[key]))

    def _history_w(self, view: SourceView) -> list[float]:
        """The newest values of the power channel; a modelled power has no channel and starts its trace empty."""
        try:
            answer = self._tenants[view.tenant].call(
                "GET", "/v1/regime/history", params={"source": view.name, "rows": TRACE}
            )
        except DoorError as error:
            self._note(f"/v1/regime/history: {error.reason}: {error.message}")
            return []
        for column in answer.get("columns") or ():
            if column["name"] == "power_draw":
                return [float(value) for value in column["values"] if value != "NaN"]
        return []


def _source_view(tenant: str, status: Mapping[str, Any]) -> SourceView:
    state, prediction = status.get("energy_state") or {}, status.get("regime_prediction") or {}
    known = bool(state.get("power_method"))
    return SourceView(
        tenant=tenant,
        name=status["source"],
        kind=status.get("kind", ""),
        method=state.get("power_method", ""),
        power_w=state.get("power", 0.0) if known else None,
        energy_j=state.get("total_energy", 0.0) if known else None,
        window_s=state.get("window_s", 0.0),
        entropy_j_per_k=state.get("entropy", 0.0) if known else None,
        entropy_method=state.get("entropy_method", ""),
        regime=state.get("regime", ""),
        regime_id=state.get("regime_id", ""),
        next_regime=prediction.get("next_likely", ""),
        confidence=prediction.get("confidence", 0.0),
        reason=prediction.get("reason", ""),
        clock_s=unix_s(state["time"]) if state.get("time") else 0.0,
        samples=int(status.get("samples", 0)),
        shifts=int(status.get("shifts", 0)),
    )


def _action_view(tenant: str, decision: Mapping[str, Any], verdicts: Mapping[str, Mapping[str, Any]]) -> ActionView:
    request, response = decision["request"], decision["response"]
    action, predicted = response["action"], response["predicted_state"]
    verdict = verdicts.get(response["prediction_id"])
    return ActionView(
        tenant=tenant,
        source=request.get("source", ""),
        prediction_id=response["prediction_id"],
        committed_s=unix_s(decision["committed"]),
        kind=action["type"],
        before=request["current_state"]["active_servers"],
        target=action["target_servers"],
        mode=response.get("mode", ""),
        horizon_s=response["horizon_s"],
        saving_j=action["expected_energy_savings"],
        predicted_j=predicted["energy"],
        window_end_s=unix_s(decision["window_end"]),
        verdict=_verdict_view(verdict) if verdict else None,
    )


def _verdict_view(verdict: Mapping[str, Any]) -> VerdictView:
    response = verdict["response"]
    return VerdictView(
        valid=response["valid"],
        evidence=response.get("evidence", ""),
        energy_error_pct=response["energy_error"],
        measured_j=response.get("measured_energy", 0.0),
        pft=response["pft_minted"],
        settled_by_mesh=verdict.get("settled_by_mesh", False),
        reason=response.get("reason", ""),
    )


def _balances(answer: Mapping[str, Any]) -> dict[str, float]:
    total_u = dict.fromkeys(TOKENS, 0)
    for balance in answer.get("balances") or ():
        if balance["owner"] != ISSUANCE and balance["token"] in total_u:
            total_u[balance["token"]] += int(balance["balance_u"])
    return {token: amount_u / U_PER_TOKEN for token, amount_u in total_u.items()}
