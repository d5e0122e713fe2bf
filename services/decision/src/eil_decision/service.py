"""gRPC ⇄ domain of the decision service."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
import structlog
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS, Clock, from_us, to_us
from eil_mesh.errors import NotFound
from eil_mesh.event_log import tail
from eil_mesh.paging import newest_page_of
from eil_mesh.requests import replayed, request_id
from eil_mesh.store import Connection, Store, Tx

from eil_decision import controls, decisions, declarations, emissions
from eil_decision.domain.trust import lower
from eil_decision.drafting import Drafts
from eil_decision.emission import Emitter, observed
from eil_decision.planning import Known
from eil_decision.tree import tree_of

log = structlog.get_logger("eil.decision")


class DecisionService(decision_pb2_grpc.DecisionServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, drafts: Drafts, emitter: Emitter, clock: Clock) -> None:
        self._store, self._drafts, self._emitter, self._clock = store, drafts, emitter, clock

    async def Act(
        self, request: decision_pb2.ActRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ActResponse:
        begun, principal = time.perf_counter(), caller()
        tenant = principal.tenant
        answered, known, own = self._store.glance(
            lambda conn: (
                replayed(conn, tenant, request, decision_pb2.ActResponse),
                _known(conn, tenant, request.source),
                controls.mode_of(conn, tenant, request.source),
            )
        )
        if answered is not None:
            return answered
        draft = await self._drafts.draft(request, known, principal.subject)

        def commit(tx: Tx) -> decision_pb2.ActResponse:
            known = replayed(tx.conn, tenant, request, decision_pb2.ActResponse)
            return known or self._emitter.commit(tx, tenant, draft)

        if lower(own, request.mode) == "observe" and not request_id(request):
            response = observed(draft)  # not even an empty transaction
        else:
            response = await self._store.write(commit)
        metrics.DECISIONS.labels(response.action.type).inc()
        metrics.DECISION_LATENCY_MS.observe(1e3 * (time.perf_counter() - begun))
        log.info("decided", source=request.source, action=response.action.type, prediction=response.prediction_id)
        return response

    async def GetDecision(
        self, request: decision_pb2.GetDecisionRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.GetDecisionResponse:
        tenant = caller().tenant
        found = await self._store.read(lambda conn: decisions.find(conn, tenant, request.prediction_id))
        return decision_pb2.GetDecisionResponse(decision=_existing(found, request.prediction_id))

    async def GetDecisionTree(
        self, request: decision_pb2.GetDecisionTreeRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.GetDecisionTreeResponse:
        tenant = caller().tenant
        found = await self._store.read(lambda conn: decisions.find(conn, tenant, request.prediction_id))
        return decision_pb2.GetDecisionTreeResponse(root=tree_of(_existing(found, request.prediction_id)))

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
        principal, prediction_id = caller(), request.prediction_id

        def approve(tx: Tx) -> decision_pb2.Decision:
            decision = _existing(decisions.find(tx.conn, principal.tenant, prediction_id), prediction_id)
            return self._emitter.approve(tx, principal.tenant, principal.subject, decision)

        approved = await self._store.write(approve)
        return decision_pb2.ApproveDecisionResponse(action=approved.response.action)

    async def SetMode(
        self, request: decision_pb2.SetModeRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.SetModeResponse:
        principal, source, mode = caller(), request.source, request.mode
        await self._store.write(lambda tx: controls.set_mode(tx, principal.tenant, source, mode, principal.subject))
        return decision_pb2.SetModeResponse(source=source, mode=mode)

    async def StopActions(
        self, request: decision_pb2.StopActionsRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.StopActionsResponse:
        principal = caller()

        def stop(tx: Tx) -> list[decision_pb2.Stop]:
            controls.stop(tx, principal.tenant, request.source, principal.subject, request.reason)
            return controls.stops(tx.conn, principal.tenant)

        return decision_pb2.StopActionsResponse(stops=await self._store.write(stop))

    async def ReleaseActions(
        self, request: decision_pb2.ReleaseActionsRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ReleaseActionsResponse:
        principal = caller()

        def release(tx: Tx) -> list[decision_pb2.Stop]:
            controls.release(tx, principal.tenant, request.source, principal.subject, request.reason)
            return controls.stops(tx.conn, principal.tenant)

        return decision_pb2.ReleaseActionsResponse(stops=await self._store.write(release))

    async def ListStops(
        self, request: decision_pb2.ListStopsRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ListStopsResponse:
        tenant = caller().tenant
        return decision_pb2.ListStopsResponse(stops=await self._store.read(lambda conn: controls.stops(conn, tenant)))

    async def SetLevers(
        self, request: decision_pb2.SetLeversRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.SetLeversResponse:
        principal, source, levers = caller(), request.source, request.levers
        await self._store.write(
            lambda tx: declarations.set_levers(tx, principal.tenant, source, levers, principal.subject)
        )
        return decision_pb2.SetLeversResponse(source=source, levers=levers)

    async def GetLevers(
        self, request: decision_pb2.GetLeversRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.GetLeversResponse:
        tenant, source = caller().tenant, request.source
        declared = await self._store.read(lambda conn: declarations.levers_message(conn, tenant, source))
        return decision_pb2.GetLeversResponse(source=source, levers=declared.levers)

    async def StreamActions(
        self, request: decision_pb2.StreamActionsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[decision_pb2.StreamActionsResponse]:
        tenant = caller().tenant
        async with aclosing(tail(self._store, 0, tenant=tenant, topics=[decisions.ACTIONS_TOPIC])) as journal:
            async for entry in journal:
                decision = decision_pb2.Decision.FromString(entry.payload or b"")
                if request.source in ("", decision.request.source) and await self._leaves(tenant, decision):
                    yield _emitted(decision)

    async def _leaves(self, tenant: str, decision: decision_pb2.Decision) -> bool:
        """Whether an action still leaves now that a subscriber is there to hear it: a stop counts from the moment it is answered."""
        prediction_id, now_us = decision.response.prediction_id, self._clock.now_us()
        return decision.response.emitted and await self._store.read(
            lambda conn: emissions.runs(conn, tenant, prediction_id, now_us)
        )


def _known(conn: Connection, tenant: str, source: str) -> Known:
    return Known(
        decisions.largest_fleet(conn, tenant, source),
        declarations.levers(conn, tenant, source),
        emissions.orders(conn, tenant, source),
    )


def _existing(decision: decision_pb2.Decision | None, prediction_id: str) -> decision_pb2.Decision:
    if decision is None:
        raise NotFound(
            f"prediction {prediction_id!r} was never issued; only POST /v1/act issues predictions: use the prediction_id it answers",
            reason="PREDICTION_UNKNOWN",
        )
    return decision


def _emitted(decision: decision_pb2.Decision) -> decision_pb2.StreamActionsResponse:
    lease_us = round(decision.response.action.lease_s * MICROSECONDS)
    return decision_pb2.StreamActionsResponse(
        source=decision.request.source,
        prediction_id=decision.response.prediction_id,
        action=decision.response.action,
        emitted=decision.emitted,
        lease_until=from_us(to_us(decision.emitted) + lease_us),
    )
