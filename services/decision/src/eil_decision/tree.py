"""A stored decision as a tree: what was asked, what was weighed, what became of it."""

from collections.abc import Mapping

from eil.decision.v1 import decision_pb2

Node = decision_pb2.DecisionNode


def tree_of(decision: decision_pb2.Decision) -> Node:
    """The question, under it the choice with its candidates, cheapest first after the chosen one, and the emission."""
    asked = decision.request
    limits = [
        f"latency up to {asked.constraints.max_latency_ms:g} ms" * bool(asked.constraints.max_latency_ms),
        f"{asked.constraints.min_throughput:g}/s at least" * bool(asked.constraints.min_throughput),
        f"power up to {asked.constraints.max_power_w:g} W" * bool(asked.constraints.max_power_w),
        f"temperature up to {asked.constraints.max_temperature_c:g} °C" * bool(asked.constraints.max_temperature_c),
    ]
    now = f"{asked.current_state.active_servers} servers at {asked.current_state.avg_utilization:.0%}"
    label = ", ".join([asked.goal, f"over {decision.response.horizon_s:g} s", now, *filter(None, limits)])
    return Node(kind="question", label=label, children=[_choice(decision), _emission(decision)])


def _choice(decision: decision_pb2.Decision) -> Node:
    response, chosen = decision.response, decision.response.action
    winner = Node(
        kind="candidate",
        label=f"{_label(chosen.target_servers, {s.lever: s.value for s in chosen.settings})} ({chosen.type})",
        outcome="chosen",
        reason=f"saves {chosen.expected_energy_savings:g} J against doing nothing; disruption score {response.disruption_score:g}",
        energy=response.predicted_state.energy,
    )
    losers = [
        Node(
            kind="candidate",
            label=_label(other.target_servers, other.settings),
            outcome="rejected",
            reason=other.reason,
            cost=other.cost,
            energy=other.energy,
        )
        for other in response.alternatives
    ]
    outcome = "kept" if response.proof.feasibility_check else "broken"
    return Node(
        kind="choice",
        label="the size of the fleet" if not chosen.settings else "the levers",
        outcome=outcome,
        reason=response.reason,
        children=[winner, *losers],
    )


def _label(servers: int, settings: Mapping[str, float]) -> str:
    return ", ".join([f"{servers} servers", *(f"{name} {value:g}" for name, value in sorted(settings.items()))])


def _emission(decision: decision_pb2.Decision) -> Node:
    response, action = decision.response, decision.response.action
    node = Node(kind="emission", label=f"mode {response.mode}", outcome="withheld")
    if response.emitted:
        node.outcome = "emitted"
        node.reason = f"holds for {action.lease_s:g} s, then back to {action.revert_to_servers} servers"
        if decision.approved_by:
            node.reason += f"; approved by {decision.approved_by}"
    elif response.mode == "approve":
        node.outcome, node.reason = "waiting", "an operator may approve it while its horizon lasts"
    else:
        node.reason = response.reason.partition("not emitted: ")[2] or f"mode {response.mode} emits nothing"
    return node
