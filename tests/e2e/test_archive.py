"""The archive through the door: REST, the command, streams through Envoy."""

import csv
import json

import pytest
from eil_cli.door import DoorError
from support.mesh import eil

TENANT = "archive"
CONTENT = bytes(range(256)) * 20_000
"""5 MB: more than the door takes in one body."""


@pytest.fixture(scope="module")
def run(mesh):
    """The command, as an operator of a tenant of this module."""
    auth = mesh.token("operator", tenant=TENANT)
    return lambda *given, **rest: eil("atlas", *given, "--token", auth, "--state", str(mesh.state), **rest)


def test_samples_are_read_as_they_were_sent(mesh, stamp, run, tmp_path):
    door = mesh.door("operator", tenant=TENANT)
    sent = [(stamp(second - 100), 100.0 + second / 8) for second in range(90)]
    columns = [{"name": "power_draw", "values": [watts for _, watts in sent]}]
    door.call("POST", "/v1/ingest", {"source": "dc", "timestamps": [at for at, _ in sent], "columns": columns})
    span = ("--start", stamp(-100), "--end", stamp(-20))
    for _ in range(100):  # what travels as events arrives soon, not at once
        found = json.loads(run("samples", "dc", *span, "--json").stdout)
        if found:
            break
    assert found["power_draw"]["samples"] == 80
    assert found["power_draw"]["greatest"] == sent[79][1]
    file = tmp_path / "samples.csv"
    shown = run("samples", "dc", *span, "--csv", str(file)).stdout
    assert "power_draw" in shown
    rows = list(csv.reader(file.open()))
    assert rows[0] == ["timestamp", "power_draw"]
    assert [float(watts) for _, watts in rows[1:]] == [watts for _, watts in sent[:80]]
    pages = door.call("GET", "/v1/atlas/samples", params={"source": "dc", "start": stamp(-100), "end": stamp(-90)})
    assert sum(len(page["times_us"]) for page in pages) == 10
    assert json.loads(run("segments", "--json").stdout)["segments"] == []  # the hour is not over
    assert "digest" in run("segments").stdout


def test_a_file_larger_than_a_body_goes_through_the_door_and_comes_back(run, tmp_path):
    (tmp_path / "weights").write_bytes(CONTENT)
    digest = run("put", str(tmp_path / "weights"), "--type", "application/x-weights").stdout.strip()
    run("get", digest, str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == CONTENT
    (listed,) = json.loads(run("objects", "--type", "application/x-weights", "--json").stdout)["objects"]
    assert (listed["digest"], listed["size"]) == (digest, str(len(CONTENT)))
    assert digest in run("objects").stdout
    refused = run("get", "0" * 64, str(tmp_path / "nothing"), check=False)
    assert refused.returncode == 1
    assert "OBJECT_NOT_FOUND" in refused.stderr
    run("objects", "--delete", digest)
    assert json.loads(run("objects", "--type", "application/x-weights", "--json").stdout)["objects"] == []


def test_checkpoints_have_a_lineage(mesh, run):
    door = mesh.door("operator", tenant=TENANT)
    digest = door.call("POST", "/v1/atlas/objects", {"content": "d2VpZ2h0cw=="})["digest"]
    said = {"name": "rack", "kind": "heat", "digest": digest, "metrics": {"error": 0.25}}
    parent = door.call("POST", "/v1/atlas/checkpoints", said)["checkpoint"]
    child = door.call("POST", "/v1/atlas/checkpoints", {**said, "parents": [parent["checkpoint_id"]]})["checkpoint"]
    found = json.loads(run("lineage", child["checkpoint_id"], "--json").stdout)["checkpoints"]
    assert found == [child, parent]
    assert {one["checkpoint_id"] for one in json.loads(run("checkpoints", "rack", "--json").stdout)["checkpoints"]} == {
        child["checkpoint_id"],
        parent["checkpoint_id"],
    }
    assert child["checkpoint_id"] in run("checkpoints").stdout
    assert door.call("GET", f"/v1/atlas/checkpoints/{parent['checkpoint_id']}")["checkpoint"] == parent
    best = {"name": "rack", "metric": "error"}
    assert door.call("GET", "/v1/atlas/checkpoint", params=best)["checkpoint"]["name"] == "rack"
    with pytest.raises(DoorError) as caught:
        door.call("DELETE", f"/v1/atlas/checkpoints/{parent['checkpoint_id']}")
    assert (caught.value.status, caught.value.reason) == (400, "CHECKPOINT_HAS_CHILDREN")
    run("checkpoints", "--delete", child["checkpoint_id"])
    run("checkpoints", "--delete", parent["checkpoint_id"])
    assert json.loads(run("checkpoints", "--json").stdout)["checkpoints"] == []
