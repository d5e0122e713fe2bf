"""Sense, act, proof through the gateway: what a newcomer does first."""

import numpy as np
import pytest
from eil_cli.main import build
from eil_nvp.domain.fields import datasets
from support.plant import Plant
from typer.testing import CliRunner


def test_the_blueprints_examples_are_accepted_verbatim(mesh):
    door = mesh.door("operator", tenant="examples")
    sensed = door.call(
        "POST",
        "/v1/sense",
        {
            "source": "datacenter-01",
            "timestamp": "2025-01-20T12:00:00Z",
            "telemetry": {"cpu_usage": 0.75, "power_draw": 850.5, "temperature": 72.3, "network_throughput": 1250000},
            "context": {"workload_type": "ml_training", "priority": "high"},
        },
    )
    assert sensed["status"] == "accepted"
    assert {"total_energy", "entropy", "regime"} <= sensed["energy_state"].keys()
    assert {"current", "next_likely", "confidence"} <= sensed["regime_prediction"].keys()

    acted = door.call(
        "POST",
        "/v1/act",
        {
            "goal": "minimize_energy",
            "constraints": {"max_latency_ms": 100, "min_throughput": 1000},
            "current_state": {"active_servers": 12, "avg_utilization": 0.68},
        },
    )
    assert {"type", "target_servers", "expected_energy_savings", "expected_entropy_change"} <= acted["action"].keys()
    assert {"energy_conservation", "entropy_valid", "feasibility_check"} <= acted["proof"].keys()
    assert acted["pft_reward"] == 0, "without a source nothing can be measured, so nothing is promised"
    assert acted["horizon_s"] == 300

    status, refused = door.post(
        "/v1/proof",
        {
            "prediction_id": "pred_abc123",
            "predicted_state": {"energy": 3200.0, "entropy": 148.5},
            "actual_state": {"energy": 3198.7, "entropy": 148.9},
            "timestamp": "2025-01-20T12:05:00Z",
        },
    )
    assert status == 404
    assert "/v1/act" in refused["message"], "it says where predictions come from"


def test_an_act_is_proven_and_mints_once_however_often_the_proof_is_sent(mesh, stamp):
    door = mesh.door("operator", tenant="demo", subject="fleet-owner")
    plant = Plant(door, stamp)
    door.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
    plant.sense(60)
    decision = plant.act()
    assert decision["action"]["type"] == "scale_down"
    assert decision["action"]["expected_energy_savings"] > 0
    low, high = decision["predicted_state"]["energy_low"], decision["predicted_state"]["energy_high"]
    assert low <= decision["predicted_state"]["energy"] <= high
    plant.sense(6)
    answers = [door.call("POST", "/v1/proof", plant.proof_of(decision)) for _ in range(3)]
    first = answers[0]
    assert first["valid"], first["reason"]
    assert first["evidence"] == "measured"
    assert first["pft_minted"] > 0
    assert first["energy_error"] < 5
    assert [answer["already_proven"] for answer in answers] == [False, True, True]
    assert {answer["pft_minted"] for answer in answers} == {first["pft_minted"]}
    balances = door.call("GET", "/v1/economy/balances", params={"owner": "fleet-owner"})["balances"]
    assert [b["balance"] for b in balances if b["token"] == "PFT"] == [pytest.approx(first["pft_minted"], abs=1e-6)]


def test_what_is_not_enrolled_is_judged_but_mints_nothing(mesh, stamp):
    plant = Plant(mesh.door("operator"), stamp)
    plant.sense(60)
    decision = plant.act()
    plant.sense(6)
    verdict = plant.door.call("POST", "/v1/proof", plant.proof_of(decision))
    assert verdict["valid"], verdict["reason"]
    assert verdict["pft_minted"] == 0
    assert "metered" in verdict["reason"]


def test_of_overlapping_predictions_only_the_first_mints(mesh, stamp):
    door = mesh.door("operator", tenant="demo", subject="overlapper")
    plant = Plant(door, stamp)
    door.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
    plant.sense(60)
    first, second = plant.act(), plant.act()
    plant.sense(6)
    minted = [door.call("POST", "/v1/proof", plant.proof_of(one))["pft_minted"] for one in (second, first)]
    assert minted[0] == 0
    assert minted[1] > 0


def test_a_self_reported_outcome_is_compared_marked_and_not_rewarded(mesh):
    door = mesh.door("operator")
    decision = door.call(
        "POST", "/v1/act", {"goal": "minimize_energy", "current_state": {"active_servers": 4, "avg_utilization": 0.5}}
    )
    predicted = decision["predicted_state"]
    state = {"energy": predicted["energy"], "entropy": predicted["entropy"]}
    body = {"prediction_id": decision["prediction_id"], "predicted_state": state, "actual_state": state}
    verdict = door.call("POST", "/v1/proof", body)
    assert verdict["evidence"] == "self_reported"
    assert verdict["pft_minted"] == 0


def test_the_rest_of_the_public_surface_answers(mesh, stamp):
    door = mesh.door("operator")
    Plant(door, stamp).sense(3)
    assert door.get("/v1/health")[0] == 200
    assert door.call("GET", "/v1/regime/status")["sources"]
    assert {price["token"] for price in door.call("GET", "/v1/market/pricing")["prices"]} == {"CEU", "PFT", "MUNT"}
    assert "nodes" in door.call("GET", "/v1/energy/map")
    predicted = door.call(
        "POST", "/v1/nvp/predict", {"history": [{"name": "load", "values": [1.0, 2.0, 3.0, 4.0]}], "horizon": 2}
    )
    assert len(predicted["predictions"][0]["point"]) == 2
    field = {"energy": {"gaussian_free_field": {"side": 8, "mass2": 0.5}}, "count": 2, "steps": 5, "seed": 1}
    for path in ("/v1/diffusion/sample", "/v1/diffuse", "/diffuse"):
        assert len(door.call("POST", path, field)["configurations"]) == 2
    racks = {"rack_heat_map": {"rows": 2, "columns": 2, "power_w": [800, 900, 700, 1000], "ambient_c": 22}}
    for path in ("/v1/diffusion/optimize", "/v1/optimize", "/optimize"):
        best = door.call("POST", path, {"energy": racks, "steps": 5})
        assert best["best"]["energy"] <= best["start_energy"]


def test_a_trained_model_is_published_and_predicts_a_field(mesh, tmp_path):
    small = ["--trajectories", "6", "--steps", "4", "--points", "16", "--updates", "5", "--out", str(tmp_path)]
    assert CliRunner().invoke(build(), ["nvp", "train", "heat", *small]).exit_code == 0
    publish = ["nvp", "publish", str(tmp_path / "heat.safetensors"), "--state", str(mesh.state)]
    assert CliRunner().invoke(build(), publish).exit_code == 0
    made, _ = datasets.read(tmp_path / "heat.h5")
    grids = [{"values": field.ravel().tolist()} for field in (made.states[0, 0, 0], made.inputs[0, 0, 0])]
    door = mesh.door("operator")
    question = {"domain": "heat", "state": grids[:1], "inputs": grids[1:]}
    said = door.call("POST", "/v1/nvp/fields:predict", question)
    np.testing.assert_allclose(said["states"][0]["channels"][0]["values"], made.states[0, 1, 0].ravel(), atol=1e-8)
    assert said["in_domain"]
    assert door.call("GET", "/v1/nvp/models")["models"][0]["digest"] == said["model"]["digest"]
    only_licensed(door, said["model"]["digest"], question)


def only_licensed(door, digest, question):
    """Once its owner asks for licences, a model is used by those who hold one, for as many steps as it says."""
    door.call("PUT", f"/v1/nvp/models/{digest}", {"licensed": True})
    status, answer = door.post("/v1/nvp/fields:predict", question)
    assert (status, answer["details"][0]["reason"]) == (404, "LICENCE_NOT_FOUND")
    terms = {"model": digest, "holder": "tester", "steps": 1, "period_s": 3600, "life_s": 7200}
    door.call("POST", "/v1/economy/licences", {"id": f"of-{digest[:12]}", **terms})
    assert door.call("POST", "/v1/nvp/fields:predict", question)["model"]["licensed"]
    status, answer = door.post("/v1/nvp/fields:predict", question)
    assert (status, answer["details"][0]["reason"]) == (429, "LICENCE_USED_UP")
    door.call("PUT", f"/v1/nvp/models/{digest}", {"licensed": False})
    assert not door.call("POST", "/v1/nvp/fields:predict", question)["model"]["licensed"]


def test_unproven_predictions_settle_themselves(mesh, stamp):
    """Leaving out the bad ones earns nothing: ten minutes of the source's clock after its window the mesh judges."""
    import time

    plant = Plant(mesh.door("operator"), stamp)
    plant.sense(30)
    decision = plant.act()
    plant.sense(6 + 61)
    deadline = time.monotonic() + 60
    while True:
        status, answer = plant.door.get(f"/v1/proofs/{decision['prediction_id']}")
        if status == 200 or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert status == 200, answer
    assert answer["verdict"]["settled_by_mesh"]


def test_a_fleet_that_shrank_for_longer_than_the_history_may_grow_back(mesh, stamp):
    plant = Plant(mesh.door("operator"), stamp, begin_s=-5000.0)
    plant.sense(10)
    assert plant.act()["action"]["target_servers"] < 10
    for _ in range(3):  # more rows than a decision looks back
        plant.sense(100)
    answer = plant.act(constraints={"max_latency_ms": 10.0})
    assert answer["action"]["target_servers"] == 10, answer["reason"]
