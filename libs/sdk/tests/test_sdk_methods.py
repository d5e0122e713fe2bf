"""Every method: what it asks the mesh, and that the documentation has it as it is."""

import inspect
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from eil.atlas.v1 import atlas_pb2
from eil.decision.v1 import decision_pb2
from eil.diffusion.v1 import diffusion_pb2
from eil.economy.v1 import economy_pb2
from eil.market.v1 import market_pb2
from eil.nvp.v1 import nvp_pb2
from eil.proof.v1 import proof_pb2
from eil.regime.v1 import regime_pb2
from eil_sdk import EIL, AsyncEIL, InvalidArgument
from eil_sdk.client import _Client
from google.protobuf.timestamp_pb2 import Timestamp

DOCS = (Path(__file__).parents[3] / "docs/sdk.md").read_text()
NOON = datetime(2025, 1, 20, 12, tzinfo=UTC)
AT = Timestamp(seconds=1_737_374_400)
ANSWER = decision_pb2.ActResponse(
    prediction_id="pred_1", predicted_state=decision_pb2.PredictedState(energy=3200.0, entropy=148.5, energy_low=1.0)
)
ISING = diffusion_pb2.Ising(side=8, beta=0.4)
METHODS = {
    name: method
    for base in _Client.__mro__
    for name, method in vars(base).items()
    if inspect.isfunction(method) and hasattr(method, "__wrapped__")
}


def method(name, *args, **kwargs):
    """(method, the request that it makes)"""
    return name, METHODS[name].__wrapped__(None, *args, **kwargs)


ASKED = [
    (
        method("sense", "rack", {"power_draw": 5}, timestamp=NOON, context={"power_kind": "mean"}),
        regime_pb2.SenseRequest(
            source="rack", timestamp=AT, telemetry={"power_draw": 5.0}, context={"power_kind": "mean"}
        ),
    ),
    (
        method("ingest", "rack", [NOON], {"power_draw": np.array([5])}, power_kind="mean"),
        regime_pb2.IngestRequest(
            source="rack",
            times_us=[1_737_374_400_000_000],
            columns=[regime_pb2.Column(name="power_draw", values=[5.0])],
            power_kind="mean",
        ),
    ),
    (method("status", "rack"), regime_pb2.GetStatusRequest(source="rack")),
    (method("sources", page_size=7), regime_pb2.GetStatusRequest(page_size=7)),
    (
        method("measure", "rack", NOON, NOON.timestamp() + 60, received_after=NOON),
        regime_pb2.MeasureRequest(source="rack", start=AT, end=Timestamp(seconds=AT.seconds + 60), received_after=AT),
    ),
    (method("history", "rack", rows=9), regime_pb2.GetHistoryRequest(source="rack", rows=9)),
    (method("shifts", "rack", page_size=7), regime_pb2.ListShiftsRequest(source="rack", page_size=7)),
    (
        method(
            "act",
            "custom",
            active_servers=12,
            avg_utilization=0.5,
            settings={"cap": 200.0},
            source="rack",
            max_latency_ms=100,
            min_throughput=10,
            max_power_w=900,
            max_temperature_c=80,
            horizon_s=60,
            mode="observe",
            weights=decision_pb2.Weights(energy=1.0),
            price_per_kwh=np.array([0.3]),
            carbon_g_per_kwh=[300.0],
            series_step_s=900,
            request_id="mine",
        ),
        decision_pb2.ActRequest(
            goal="custom",
            constraints=decision_pb2.Constraints(
                max_latency_ms=100, min_throughput=10, max_power_w=900, max_temperature_c=80
            ),
            current_state=decision_pb2.CurrentState(active_servers=12, avg_utilization=0.5, settings={"cap": 200.0}),
            source="rack",
            horizon_s=60,
            mode="observe",
            weights=decision_pb2.Weights(energy=1.0),
            price_per_kwh=[0.3],
            carbon_g_per_kwh=[300.0],
            series_step_s=900,
            request_id="mine",
        ),
    ),
    (method("decision", "pred_1"), decision_pb2.GetDecisionRequest(prediction_id="pred_1")),
    (method("decisions", "rack", page_size=7), decision_pb2.ListDecisionsRequest(source="rack", page_size=7)),
    (method("explain", "pred_1"), decision_pb2.GetDecisionTreeRequest(prediction_id="pred_1")),
    (method("actions", "rack"), decision_pb2.StreamActionsRequest(source="rack")),
    *(
        (
            method("prove", decision, energy=3198.7, entropy=148.9, timestamp=NOON, request_id="mine"),
            proof_pb2.ProveRequest(
                prediction_id="pred_1",
                predicted_state=proof_pb2.State(energy=3200.0, entropy=148.5),
                actual_state=proof_pb2.State(energy=3198.7, entropy=148.9),
                timestamp=AT,
                request_id="mine",
            ),
        )
        for decision in (ANSWER, decision_pb2.Decision(response=ANSWER))
    ),
    (method("proof", "pred_1"), proof_pb2.GetProofRequest(prediction_id="pred_1")),
    (method("proofs", "rack", page_size=7), proof_pb2.ListProofsRequest(source="rack", page_size=7)),
    (method("balances", "alice"), economy_pb2.GetBalancesRequest(owner="alice")),
    (method("budget", "alice"), economy_pb2.GetBudgetRequest(principal="alice")),
    (method("pricing", quantity=5), market_pb2.GetPricingRequest(quantity=5)),
    (
        method("energy_map", start=NOON, end=NOON, form="grid", resolution_s=60, quantity="power"),
        atlas_pb2.GetEnergyMapRequest(start=AT, end=AT, form="grid", resolution_s=60, quantity="power"),
    ),
    (method("energy_map"), atlas_pb2.GetEnergyMapRequest()),
    (
        method("predict", {"power_draw": [1, 2]}, horizon=3, level=0.8, planned={"servers": [1, 2, 3, 4, 5]}),
        nvp_pb2.PredictRequest(
            history=[nvp_pb2.Series(name="power_draw", values=[1.0, 2.0])],
            horizon=3,
            level=0.8,
            planned=[nvp_pb2.Series(name="servers", values=[1, 2, 3, 4, 5])],
        ),
    ),
    *(
        (
            method(
                "sample", energy, count=2, steps=9, seed=3, kt=2.0, model="m", context=diffusion_pb2.Context(source="a")
            ),
            diffusion_pb2.SampleRequest(
                energy=diffusion_pb2.Energy(ising=ISING),
                count=2,
                steps=9,
                seed=3,
                kt=2.0,
                model="m",
                context=diffusion_pb2.Context(source="a"),
            ),
        )
        for energy in (ISING, diffusion_pb2.Energy(ising=ISING))
    ),
    (
        method("optimize", ISING, start=[1.0], steps=9, seed=3, constraints=diffusion_pb2.Constraints(total=1.0)),
        diffusion_pb2.OptimizeRequest(
            energy=diffusion_pb2.Energy(ising=ISING),
            start=[1.0],
            steps=9,
            seed=3,
            constraints=diffusion_pb2.Constraints(total=1.0),
        ),
    ),
]


@pytest.mark.parametrize(("asked", "expected"), ASKED, ids=[name for (name, _), _ in ASKED])
def test_a_method_asks_what_it_is_told_to(asked, expected):
    assert asked[1] == expected


def test_every_method_is_tried_above_and_has_an_explanation():
    assert {name for (name, _), _ in ASKED} == METHODS.keys()
    assert all(inspect.getdoc(made) for made in METHODS.values())


def test_the_documentation_has_every_method_as_it_is():
    rows = re.findall(r"^\| `(\w+)(\(.*?\))` \|", DOCS, re.MULTILINE)
    signatures = {
        name: str(
            signature.replace(
                parameters=[
                    parameter.replace(annotation=inspect.Parameter.empty)
                    for parameter in list(signature.parameters.values())[1:]
                ]
            )
        )
        for name, made in METHODS.items()
        for signature in [inspect.signature(made)]
    }
    assert dict(rows) == signatures


@pytest.mark.parametrize("kind", [EIL, AsyncEIL])
def test_both_clients_have_every_method(kind):
    assert all(getattr(kind, name) is made for name, made in METHODS.items())


def test_a_sample_without_a_time_is_of_now():
    _, asked = method("sense", "rack", {"power_draw": 5})
    assert abs(asked.timestamp.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() < 60


def test_what_is_no_energy_is_refused():
    with pytest.raises(InvalidArgument):
        method("sample", diffusion_pb2.Edge())
