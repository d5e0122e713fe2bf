"""gRPC ⇄ domain of the decision service."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS, Clock, from_us, to_us
from eil_mesh.errors import FailedPrecondition, NotFound
from eil_mesh.event_log import tail
from eil_mesh.identity import Principal
from eil_mesh.paging import newest_page_of
from eil_mesh.requests import remember, replayed
from eil_mesh.reward import MICRO, reward_u, skill
from eil_mesh.store import Store, Tx

from eil_decision import decisions
from eil_decision.domain.choice import Candidate
from eil_decision.planning import Plan, Planner


class DecisionService(decision_pb2_grpc.DecisionServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, planner: Planner, clock: Clock, horizon_s: float) -> None:
        self._store, self._planner, self._clock, self._horizon_s = store, planner, clock, horizon_s

    async def Act(
        self, request: decision_pb2.ActRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ActResponse:
        begun, principal = time.perf_counter(), caller()
        tenant = principal.tenant
        answered, largest = await self._store.read(
            lambda conn: (
                replayed(conn, tenant, request, decision_pb2.ActResponse),
                decisions.largest_fleet(conn, tenant, request.source),
            )
        )
        if answered is not None:
            return answered
        horizon_s = request.horizon_s or self._horizon_s
        plan = await self._planner.plan(request, horizon_s, self._clock.now_us(), largest)
        draft = _decision(request, plan, horizon_s, principal)

        def commit(tx: Tx) -> decision_pb2.ActResponse:
            if known := replayed(tx.conn, tenant, request, decision_pb2.ActResponse):
                return known
            own = decisions.mode_of(tx.conn, tenant, request.source)
            draft.response.mode = min(own, request.mode or own, key=decisions.MODES.index)
            draft.response.emitted = draft.response.mode == "auto"
            draft.committed.CopyFrom(from_us(tx.now_us))
            draft.may_mint = bool(request.source) and not decisions.overlaps_minting(
                tx.conn, tenant, request.source, plan.window_start_us
            )
            if not draft.may_mint:
                draft.response.pft_reward = 0.0
            if request.source:
                decisions.note_fleet(tx, tenant, request.source, plan.largest)
            decisions.commit(tx, tenant, draft)
            remember(tx, tenant, request, draft.response)
            return draft.response

        response = await self._store.write(commit)
        metrics.DECISIONS.labels(response.action.type).inc()
        metrics.DECISION_LATENCY_MS.observe(1e3 * (time.perf_counter() - begun))
        return response

    async def GetDecision(
        self, request: decision_pb2.GetDecisionRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.GetDecisionResponse:
        tenant = caller().tenant
        found = await self._store.read(lambda conn: decisions.find(conn, tenant, request.prediction_id))
        return decision_pb2.GetDecisionResponse(decision=_existing(found, request.prediction_id))

    async def ListDecisions(
        self, request: decision_pb2.ListDecisionsRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ListDecisionsResponse:
        tenant = caller().tenant
        size, before = newest_page_of(request)
        found = await self._store.read(lambda conn: decisions.newest(conn, tenant, request.source, before, size))
        return decision_pb2.ListDecisionsResponse(
            decisions=[decision for _, decision in found],
            next_page_token=str(found[-1][0]) if len(found) == size else "",
        )

    async def ApproveDecision(
        self, request: decision_pb2.ApproveDecisionRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ApproveDecisionResponse:
        principal = caller()

        def approve(tx: Tx) -> decision_pb2.Decision:
            decision = _existing(
                decisions.find(tx.conn, principal.tenant, request.prediction_id), request.prediction_id
            )
            if decision.response.emitted:
                return decision
            if decision.response.mode != "approve":
                raise FailedPrecondition(
                    f"this decision was made in mode {decision.response.mode!r}, which carries nothing out; "
                    "set the source's mode to `approve` and ask again",
                    reason="NOT_FOR_APPROVAL",
                )
            if tx.now_us > to_us(decision.committed) + decision.response.horizon_s * MICROSECONDS:
                raise FailedPrecondition(
                    "the decision's horizon has passed; ask for a new one", reason="DECISION_EXPIRED"
                )
            decision.response.emitted = True
            decision.approved_by = principal.subject
            decisions.replace_body(tx, principal.tenant, decision)
            return decision

        approved = await self._store.write(approve)
        return decision_pb2.ApproveDecisionResponse(action=approved.response.action)

    async def SetMode(
        self, request: decision_pb2.SetModeRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.SetModeResponse:
        tenant = caller().tenant

        def put(tx: Tx) -> None:
            tx.conn.execute(
                "INSERT INTO modes VALUES (?,?,?) ON CONFLICT DO UPDATE SET mode = excluded.mode",
                (tenant, request.source, request.mode),
            )

        await self._store.write(put)
        return decision_pb2.SetModeResponse(source=request.source, mode=request.mode)

    async def StreamActions(
        self, request: decision_pb2.StreamActionsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[decision_pb2.StreamActionsResponse]:
        topics = [decisions.ACTIONS_TOPIC]
        async with aclosing(tail(self._store, 0, tenant=caller().tenant, topics=topics)) as journal:
            async for entry in journal:
                decision = decision_pb2.Decision.FromString(entry.payload or b"")
                if decision.response.emitted and request.source in ("", decision.request.source):
                    yield decision_pb2.StreamActionsResponse(
                        source=decision.request.source,
                        prediction_id=decision.response.prediction_id,
                        action=decision.response.action,
                    )


def _existing(decision: decision_pb2.Decision | None, prediction_id: str) -> decision_pb2.Decision:
    if decision is None:
        raise NotFound(
            f"prediction {prediction_id!r} was never issued; only POST /v1/act issues predictions: use the prediction_id it answers",
            reason="PREDICTION_UNKNOWN",
        )
    return decision


def _quantised(value: float) -> float:
    """To 10⁻³, so that echoes compare exactly."""
    return round(value, 3)


def _decision(
    request: decision_pb2.ActRequest, plan: Plan, horizon_s: float, principal: Principal
) -> decision_pb2.Decision:
    """The decision but for what only its transaction knows: mode, commitment, right to mint."""
    choice, chosen, hold = plan.choice, plan.choice.chosen, plan.choice.hold
    delta = chosen.servers - hold.servers
    decided = {"energy", "entropy"} if plan.entropy_decided else {"energy"}
    expected_skill = skill(chosen.energy_high_j - chosen.energy_low_j, plan.baseline[1] - plan.baseline[0])
    response = decision_pb2.ActResponse(
        action=decision_pb2.Action(
            type="scale_down" if delta < 0 else "scale_up" if delta > 0 else "hold",
            target_servers=chosen.servers,
            expected_energy_savings=_quantised(hold.energy_j - chosen.energy_j),
            expected_entropy_change=_quantised((chosen.energy_j - hold.energy_j) / plan.ambient_k),
        ),
        proof=decision_pb2.Checks(
            energy_conservation=True,
            entropy_valid=chosen.energy_j >= 0,
            feasibility_check=choice.feasible,
            untested=["energy_conservation"],
        ),
        pft_reward=reward_u(expected_skill, decided) / MICRO,
        prediction_id=f"pred_{secrets.token_hex(12)}",
        horizon_s=horizon_s,
        predicted_state=decision_pb2.PredictedState(
            energy=_quantised(chosen.energy_j),
            entropy=_quantised(chosen.energy_j / plan.ambient_k),
            energy_low=_quantised(chosen.energy_low_j),
            energy_high=_quantised(chosen.energy_high_j),
        ),
        alternatives=[_alternative(candidate, chosen) for candidate in choice.others],
        reason="; ".join(
            [choice.reason, f"load by {plan.load.source}", *(f"assumed: {a}" for a in plan.plant.assumptions)]
        ),
        window_start=from_us(plan.window_start_us),
    )
    return decision_pb2.Decision(
        request=request,
        response=response,
        window_start=from_us(plan.window_start_us),
        window_end=from_us(plan.window_start_us + round(horizon_s * MICROSECONDS)),
        baseline_low=plan.baseline[0],
        baseline_high=plan.baseline[1],
        inputs_digest=plan.inputs_digest,
        asked_by=principal.subject,
    )


def _alternative(candidate: Candidate, chosen: Candidate) -> decision_pb2.Alternative:
    worse_j = candidate.cost_j - chosen.cost_j
    return decision_pb2.Alternative(
        target_servers=candidate.servers,
        cost=_quantised(candidate.cost_j),
        energy=_quantised(candidate.energy_j),
        latency_ms=_finite(candidate.latency_ms),
        reason=candidate.broken[0] if candidate.broken else f"costs {worse_j:.0f} J more",
    )


def _finite(latency_ms: float | None) -> float:
    return round(latency_ms, 3) if latency_ms is not None and latency_ms < 1e9 else 0.0
