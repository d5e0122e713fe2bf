"""From a plan to a decision that lacks only what its transaction knows: mode, emission, commitment, right to mint."""

import secrets
from dataclasses import dataclass
from typing import Protocol

from eil.decision.v1 import decision_pb2
from eil_mesh.call import current_call
from eil_mesh.clock import MICROSECONDS, Clock, from_us
from eil_mesh.reward import MICRO, reward_u, skill

from eil_decision.domain import disruption
from eil_decision.domain.choice import Candidate
from eil_decision.planning import Known, Plan, Planner


@dataclass(frozen=True, slots=True)
class Draft:
    """A decision before its transaction."""

    decision: decision_pb2.Decision
    largest: int
    """The largest fleet seen."""
    urgent: bool = False
    """The size now breaks a constraint and more servers are wanted: no budget of moves holds them back."""
    advise_only: str = ""
    """Why what it rests on is good enough for advice alone, for people; empty if it is good enough to act on."""


class Drafts(Protocol):
    """Whoever drafts decisions."""

    async def draft(self, request: decision_pb2.ActRequest, known: Known, asked_by: str) -> Draft:
        """Draft one, given what the service itself knows of the source."""
        ...


class Drafter:
    """Drafts what the planner plans."""

    def __init__(self, planner: Planner, clock: Clock, horizon_s: float) -> None:
        self._planner, self._clock, self._horizon_s = planner, clock, horizon_s

    async def draft(self, request: decision_pb2.ActRequest, known: Known, asked_by: str) -> Draft:
        """Plan, and put the plan into the words of the contract."""
        horizon_s = request.horizon_s or self._horizon_s
        plan = await self._planner.plan(request, horizon_s, self._clock.now_us(), known)
        chosen, hold = plan.choice.chosen, plan.choice.hold
        urgent = bool(hold.broken) and chosen.servers > hold.servers
        decision = _decision(request, plan, horizon_s, asked_by)
        if call := current_call():
            decision.purpose.update(call.baggage)
        return Draft(decision, plan.largest, urgent, plan.too_old)


def _quantised(value: float) -> float:
    """To 10⁻³, so that echoes compare exactly."""
    return round(value, 3)


def _decision(request: decision_pb2.ActRequest, plan: Plan, horizon_s: float, asked_by: str) -> decision_pb2.Decision:
    return decision_pb2.Decision(
        request=request,
        response=_response(plan, horizon_s),
        window_start=from_us(plan.window_start_us),
        window_end=from_us(plan.window_start_us + round(horizon_s * MICROSECONDS)),
        baseline_low=plan.baseline[0],
        baseline_high=plan.baseline[1],
        inputs_digest=plan.inputs_digest,
        asked_by=asked_by,
    )


def _response(plan: Plan, horizon_s: float) -> decision_pb2.ActResponse:
    choice, chosen, hold = plan.choice, plan.choice.chosen, plan.choice.hold
    settings = _settings(plan)
    delta = chosen.servers - hold.servers
    decided = {"energy", "entropy"} if plan.entropy_decided else {"energy"}
    expected_skill = skill(chosen.energy_high_j - chosen.energy_low_j, plan.baseline[1] - plan.baseline[0])
    return decision_pb2.ActResponse(
        action=decision_pb2.Action(
            type=_type(delta, settings),
            target_servers=chosen.servers,
            expected_energy_savings=_quantised(hold.energy_j - chosen.energy_j),
            expected_entropy_change=_quantised((chosen.energy_j - hold.energy_j) / plan.ambient_k),
            settings=settings,
        ),
        proof=decision_pb2.Checks(
            energy_conservation="energy_conservation" not in chosen.unlawful,
            entropy_valid="entropy_valid" not in chosen.unlawful,
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
        reason="; ".join([choice.reason, f"load by {plan.load.source}", *(f"assumed: {a}" for a in plan.assumptions)]),
        window_start=from_us(plan.window_start_us),
        disruption_score=_quantised(disruption.score(hold.energy_j, chosen.energy_j, hold.servers, chosen.servers)),
    )


def _type(delta: int, settings: list[decision_pb2.Setting]) -> str:
    if delta:
        return "scale_down" if delta < 0 else "scale_up"
    return "adjust" if any(setting.change for setting in settings) else "hold"


def _settings(plan: Plan) -> list[decision_pb2.Setting]:
    chosen, hold = plan.choice.chosen, plan.choice.hold
    return [
        decision_pb2.Setting(
            lever=lever.name,
            value=chosen.setting[lever.name],
            change=chosen.setting[lever.name] - hold.setting[lever.name],
            revert_to=lever.revert_to,
        )
        for lever in plan.levers
        if lever.name in chosen.setting
    ]


def _alternative(candidate: Candidate, chosen: Candidate) -> decision_pb2.Alternative:
    worse_j, wrong = candidate.cost_j - chosen.cost_j, [*candidate.unlawful.values(), *candidate.broken]
    return decision_pb2.Alternative(
        target_servers=candidate.servers,
        cost=_quantised(candidate.cost_j),
        energy=_quantised(candidate.energy_j),
        latency_ms=_finite(candidate.latency_ms),
        reason=wrong[0] if wrong else f"costs {worse_j:.0f} J more",
        settings=candidate.setting,
    )


def _finite(latency_ms: float | None) -> float:
    return round(latency_ms, 3) if latency_ms is not None and latency_ms < 1e9 else 0.0
