"""Diffusion through the door: a model trained and published, drafts by it, streams as REST has them, and an answer held against its run."""

import json
import ssl

import httpx
from eil_cli.main import build
from typer.testing import CliRunner

FIELD = {"gaussian_free_field": {"side": 8, "mass2": 0.5}}


def test_a_trained_model_is_published_and_drafts(mesh, tmp_path):
    small = ["--fields", "64", "--updates", "5", "--width", "4", "--no-video", "--out", str(tmp_path)]
    assert CliRunner().invoke(build(), ["diffusion", "train", "gaussian_free_field", *small]).exit_code == 0
    checkpoint = tmp_path / "diffusion_checkpoints" / "gaussian_free_field.ckpt"
    published = CliRunner().invoke(build(), ["diffusion", "publish", str(checkpoint), "--state", str(mesh.state)])
    assert published.exit_code == 0, published.output
    door = mesh.door("operator")
    models = {one["name"]: one for one in door.call("GET", "/v1/diffusion/models")["models"]}
    assert not models["gaussian_free_field"]["built_in"]
    assert models["phi4"]["built_in"]
    asked = {"energy": FIELD, "count": 16, "steps": 5, "model": "gaussian_free_field"}
    answer = door.call("POST", "/v1/diffusion/sample", asked)
    assert answer["model_digest"] == models["gaussian_free_field"]["digest"]
    assert answer["laws"]["verdict"] in ("held", "untestable")


def test_an_answer_is_verified_and_an_altered_one_is_not(mesh):
    door = mesh.door("operator")
    asked = {"energy": FIELD, "count": 9, "steps": 4, "seed": 7}
    answer = door.call("POST", "/v1/diffusion/sample", asked)
    path = f"/v1/diffusion/runs/{answer['run_id']}"
    assert door.call("GET", path)["run"]["count"] == 9
    shown = {"sample": asked, "configurations": answer["configurations"]}
    verdict = door.call("POST", f"{path}:verify", shown)
    assert verdict["valid"], verdict
    shown["configurations"][3]["values"][0] += 1.0
    verdict = door.call("POST", f"{path}:verify", shown)
    assert not verdict["valid"]
    assert {one["name"] for one in verdict["checks"] if not one["held"]} == {"values", "energies"}


def test_a_stream_is_lines_of_json_that_end_with_the_answer(mesh):
    body = {"request": {"energy": FIELD, "steps": 10, "corrections": 0}, "every": 5}
    headers = {"authorization": f"Bearer {mesh.token('operator')}", "accept": "application/x-ndjson"}
    url = f"{mesh.endpoint.url}/v1/diffusion/sample:stream"
    answer = httpx.post(
        url, json=body, headers=headers, verify=ssl.create_default_context(cafile=mesh.endpoint.ca), timeout=30.0
    )
    assert answer.status_code == 200, answer.text
    told = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
    assert [one["stage"]["done"] for one in told[:-1]] == [5, 10]
    assert told[-1]["response"]["run_id"]


def test_what_does_not_confine_is_refused_with_the_field_at_fault(mesh):
    status, body = mesh.door("operator").post(
        "/v1/diffusion/sample", {"energy": {"quadratic": {"matrix": [1, 0, 0, -1]}}}
    )
    assert status == 400
    assert "smallest eigenvalue" in body["message"]
