"""Where actions leave: a decision is committed, and emitted as far as its source is trusted, in one transaction."""

from dataclasses import dataclass, replace

from eil.decision.v1 import decision_pb2
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, from_us, to_us
from eil_mesh.errors import FailedPrecondition
from eil_mesh.requests import remember
from eil_mesh.store import Tx

from eil_decision import controls, decisions, declarations, emissions
from eil_decision.domain import trust
from eil_decision.domain.trust import Limits
from eil_decision.drafting import Draft


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why an action does not leave: in a word, for programs, and in a sentence."""

    outcome: str
    sentence: str


def observed(draft: Draft) -> decision_pb2.ActResponse:
    """The answer in mode `observe`: what would be decided. Nothing is committed, so nothing can be proven or earned by it."""
    response = decision_pb2.ActResponse()
    response.CopyFrom(draft.decision.response)
    response.mode, response.prediction_id, response.pft_reward = "observe", "", 0.0
    response.reason += "; observed only: no prediction was committed"
    return response


class Emitter:
    """Commits decisions and emits actions. Its methods run inside a transaction."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def commit(self, tx: Tx, tenant: str, draft: Draft) -> decision_pb2.ActResponse:
        """Commit a drafted decision, emit its action if it may leave, and remember the answer."""
        request, response = draft.decision.request, draft.decision.response
        response.mode = trust.lower(controls.mode_of(tx.conn, tenant, request.source), request.mode)
        if response.mode == "observe":
            answer = observed(draft)
            remember(tx, tenant, request, answer)
            return answer
        decision = draft.decision
        decision.committed.CopyFrom(from_us(tx.now_us))
        decision.may_mint = bool(request.source) and not decisions.overlaps_minting(
            tx.conn, tenant, request.source, to_us(decision.window_start)
        )
        if not decision.may_mint:
            response.pft_reward = 0.0
        if request.source:
            decisions.note_fleet(tx, tenant, request.source, draft.largest)
            declarations.note_clock(tx, tenant, request.source, to_us(decision.window_start))
            self._follow(tx, tenant, draft)
            self._let_out(tx, tenant, draft)
        decisions.commit(tx, tenant, decision)
        remember(tx, tenant, request, response)
        return response

    def approve(self, tx: Tx, tenant: str, by: str, decision: decision_pb2.Decision) -> decision_pb2.Decision:
        """Emit the action of a decision that waits for it; what was emitted before is left as it is.

        Raises:
            FailedPrecondition: it does not wait, its time is over, or its source is no longer trusted so far.
        """
        response, source = decision.response, decision.request.source
        if response.emitted:
            return decision
        if response.mode != "approve":
            raise FailedPrecondition(
                f"this decision was made in mode {response.mode!r}, which carries nothing out; "
                "set the source's mode to `approve` and ask again",
                reason="NOT_FOR_APPROVAL",
            )
        if tx.now_us > to_us(decision.committed) + response.horizon_s * MICROSECONDS:
            raise FailedPrecondition("the decision's horizon has passed; ask for a new one", reason="DECISION_EXPIRED")
        if not trust.may_emit(own := controls.mode_of(tx.conn, tenant, source)):
            raise FailedPrecondition(
                f"the mode of {source!r} was lowered to {own!r} since; set it to `approve` and ask for a new decision",
                reason="NOT_FOR_APPROVAL",
            )
        newer = emissions.newest(tx.conn, tenant, source)
        if newer and newer.emitted_us >= to_us(decision.committed):
            raise FailedPrecondition(
                f"a newer action of {source!r} was emitted since ({newer.prediction_id}); this one would undo it: ask for a new one",
                reason="DECISION_SUPERSEDED",
            )
        largest = decisions.largest_fleet(tx.conn, tenant, source)
        urgent = response.action.type == "scale_up"  # of two who judge it needed one is an operator
        if withheld := self._withheld(tx, tenant, Draft(decision, largest, urgent)):
            raise FailedPrecondition(
                f"the action cannot be emitted: {withheld.sentence}",
                reason="ACTIONS_STOPPED"
                if withheld.outcome == "stopped"
                else "TELEMETRY_TOO_OLD"
                if withheld.outcome == "advise_only"
                else "MOVES_USED_UP",
            )
        decision.approved_by = by
        self._emit(tx, tenant, decision)
        decisions.replace_body(tx, tenant, decision)
        return decision

    def _follow(self, tx: Tx, tenant: str, draft: Draft) -> None:
        """Compare what was ordered with what the fleet is now; a source that follows nothing falls back to `advise`."""
        request, response = draft.decision.request, draft.decision.response
        servers, clock_us = request.current_state.active_servers, to_us(draft.decision.window_start)
        before = emissions.following(tx.conn, tenant, request.source)
        after = before.seen(servers, clock_us, self._limits.follow_s)
        if why := trust.not_followed(request.source, after, servers, self._limits):
            after = replace(after, missed=0, halted=why)
            controls.fall_back(tx, tenant, request.source, why)
            draft.decision.withheld = "ineffective" if trust.may_emit(response.mode) else ""
            response.mode = trust.lower(response.mode, "advise")
            metrics.EMISSIONS.labels("ineffective").inc()
        if after != before:
            emissions.put_following(tx, tenant, request.source, after)
        if after.halted:
            response.reason += f"; not emitted: {after.halted}"

    def _let_out(self, tx: Tx, tenant: str, draft: Draft) -> None:
        """Emit the action, have it wait for approval, or turn it into advice that says why."""
        response = draft.decision.response
        if not trust.may_emit(response.mode):
            return
        if withheld := self._withheld(tx, tenant, draft):
            response.mode, draft.decision.withheld = "advise", withheld.outcome
            response.reason += f"; not emitted: {withheld.sentence}"
            metrics.EMISSIONS.labels(withheld.outcome).inc()
        elif response.mode == "auto":
            self._emit(tx, tenant, draft.decision)
        else:
            _write_lease(response.action, self._order(tx, tenant, draft.decision))

    def _withheld(self, tx: Tx, tenant: str, draft: Draft) -> Withheld | None:
        """Why the action must not leave, whatever its mode."""
        decision, source = draft.decision, draft.decision.request.source
        if why := controls.stopped(tx.conn, tenant, source):
            return Withheld("stopped", why)
        if why := draft.advise_only or self._stands_still(tx, tenant, decision):
            return Withheld("advise_only", why)
        if draft.urgent:
            return None
        moved = emissions.moved_since(tx.conn, tenant, source, to_us(decision.window_start))
        moving = self._order(tx, tenant, decision).moved
        fleet = max(draft.largest, decision.request.current_state.active_servers)
        if why := trust.over_budget(moving, moved, fleet, self._limits):
            return Withheld("budget", why)
        return None

    def _stands_still(self, tx: Tx, tenant: str, decision: decision_pb2.Decision) -> str:
        source, clock_us = decision.request.source, to_us(decision.window_start)
        since_us = declarations.standing_since_us(tx.conn, tenant, source, clock_us, tx.now_us)
        return trust.stands_still(since_us, tx.now_us, decision.response.horizon_s)

    def _order(self, tx: Tx, tenant: str, decision: decision_pb2.Decision) -> trust.Order:
        response, source = decision.response, decision.request.source
        return trust.order(
            decision.request.current_state.active_servers,
            response.action.target_servers,
            emissions.standing(tx.conn, tenant, source, tx.now_us),
            response.horizon_s,
            self._limits,
        )

    def _emit(self, tx: Tx, tenant: str, decision: decision_pb2.Decision) -> None:
        response, source = decision.response, decision.request.source
        ordered, clock_us = self._order(tx, tenant, decision), to_us(decision.window_start)
        _write_lease(response.action, ordered)
        response.emitted = True
        decision.emitted.CopyFrom(from_us(tx.now_us))
        emissions.put(tx, tenant, source, response.prediction_id, clock_us, ordered)
        before = emissions.following(tx.conn, tenant, source)
        after = before.ordered(decision.request.current_state.active_servers, ordered.target, clock_us)
        if after != before:
            emissions.put_following(tx, tenant, source, after)
        metrics.EMISSIONS.labels("renewed" if ordered.renewal else "emitted").inc()


def _write_lease(action: decision_pb2.Action, ordered: trust.Order) -> None:
    action.lease_s, action.revert_to_servers, action.renewal = ordered.lease_s, ordered.revert_to, ordered.renewal
