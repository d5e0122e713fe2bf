"""A decision explains itself: what was weighed, why it won or lost, what became of its action."""

import pytest
from eil.decision.v1 import decision_pb2
from eil_decision.tree import tree_of


def decided(mode="auto", emitted=True, reason="cheapest"):
    response = decision_pb2.ActResponse(
        action=decision_pb2.Action(
            type="scale_down", target_servers=10, expected_energy_savings=250.0, lease_s=900.0, revert_to_servers=12
        ),
        predicted_state=decision_pb2.PredictedState(energy=3000.0),
        proof=decision_pb2.Checks(feasibility_check=True),
        alternatives=[
            decision_pb2.Alternative(target_servers=11, cost=40.0, energy=3100.0, reason="costs 40 J more"),
            decision_pb2.Alternative(target_servers=9, cost=-50.0, energy=2900.0, reason="breaks the latency"),
        ],
        mode=mode,
        emitted=emitted,
        reason=reason,
        horizon_s=300.0,
    )
    request = decision_pb2.ActRequest(
        goal="minimize_energy",
        constraints=decision_pb2.Constraints(max_latency_ms=20.0),
        current_state=decision_pb2.CurrentState(active_servers=12, avg_utilization=0.5),
    )
    return decision_pb2.Decision(request=request, response=response)


def test_every_candidate_stands_in_it_with_its_reason():
    root = tree_of(decided())
    assert root.label == "minimize_energy, over 300 s, 12 servers at 50%, latency up to 20 ms"
    choice, emission = root.children
    assert choice.outcome == "kept"
    assert [(node.label, node.outcome) for node in choice.children] == [
        ("10 servers (scale_down)", "chosen"),
        ("11 servers", "rejected"),
        ("9 servers", "rejected"),
    ]
    assert [node.reason for node in choice.children[1:]] == ["costs 40 J more", "breaks the latency"]
    assert (emission.outcome, emission.reason) == ("emitted", "holds for 900 s, then back to 12 servers")


@pytest.mark.parametrize(
    ("mode", "reason", "outcome", "why"),
    [
        ("approve", "cheapest", "waiting", "approve"),
        ("advise", "cheapest", "withheld", "mode advise emits nothing"),
        ("advise", "cheapest; not emitted: ada stopped all actions", "withheld", "ada stopped all actions"),
    ],
)
def test_it_says_why_an_action_did_not_leave(mode, reason, outcome, why):
    emission = tree_of(decided(mode, False, reason)).children[1]
    assert emission.outcome == outcome
    assert why in emission.reason


async def test_a_stored_decision_has_a_tree_and_no_other(serve, refused):
    async with serve() as world:
        await world.mode("auto")
        await world.stop()
        answer = await world.act(12, 10)
        assert (await world.decision(answer.prediction_id)).withheld == "stopped"
        request = decision_pb2.GetDecisionTreeRequest(prediction_id=answer.prediction_id)
        told = await world.stub.GetDecisionTree(request, metadata=world.auth("viewer"))
        assert told.root.children[1].outcome == "withheld"
        other = world.auth("viewer", tenant="acme")
        assert await refused(world.stub.GetDecisionTree(request, metadata=other)) == "PREDICTION_UNKNOWN"
