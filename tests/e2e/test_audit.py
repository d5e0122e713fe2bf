"""The audit log of a running mesh: each decision, proof, mint and change of settings with who asked, under which id and for what."""

import json
import shutil
import sqlite3
import time

import httpx
import pytest
from support.mesh import eil
from support.plant import Plant

PURPOSE = {"eil.goal": "halve the night's energy", "eil.energy_budget_j": "3600000"}


@pytest.fixture(scope="module")
def audited(mesh, tmp_path_factory):
    """A loop turned by two people for a purpose: the decision, and every request's id by method."""
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    plant = Plant(
        mesh.door("operator", tenant="demo", subject="anna"),
        lambda seconds: (now + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"),
    )
    headers = {
        "authorization": f"Bearer {mesh.token('operator', tenant='demo', subject='anna')}",
        "baggage": "eil.goal=halve%20the%20night%27s%20energy,eil.energy_budget_j=3600000,eil.tenant=other,secret=x",
    }
    ids = {}
    with httpx.Client(base_url=mesh.endpoint.url, headers=headers, verify=mesh.endpoint.ca) as client:

        def sent(verb, path, body):
            answer = client.request(verb, path, json=body)
            assert answer.status_code == 200, answer.text
            ids[path.split("/")[2]] = answer.headers["x-request-id"]
            return answer.json()

        sent("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
        plant.sense(60)
        question = {
            "source": plant.source,
            "goal": "minimize_energy",
            "horizon_s": 60,
            "current_state": {"active_servers": plant.servers, "avg_utilization": plant.utilisation},
        }
        decision = sent("POST", "/v1/act", question)
        plant.servers, plant.energy_j = decision["action"]["target_servers"], 0.0
        plant.sense(6)
        verdict = sent("POST", "/v1/proof", plant.proof_of(decision))
        assert verdict["pft_minted"] > 0, verdict["reason"]
        again = client.post("/v1/proof", json=plant.proof_of(decision))
        assert again.json()["already_proven"]
        refused = client.put(f"/v1/sources/{plant.source}", json={"kind": "metered"})
        assert refused.status_code == 400
    _await_anchored(mesh)
    return decision, ids


def _await_anchored(mesh, within_s=60.0):
    """Wait for a signed head over the newest decision: what is younger could be cut off unseen."""
    until = time.monotonic() + within_s
    while True:
        journals = json.loads(eil("audit", "verify", "--json", "--state", str(mesh.state)).stdout)["journals"]
        if not next(one["not_anchored"] for one in journals if one["journal"] == "decision/0"):
            return
        assert time.monotonic() < until, "no head was anchored"
        time.sleep(0.5)


def log_of(mesh, ids):
    """What was recorded under these request ids."""
    found = eil("audit", "log", "--json", "--tenant", "demo", "--last", "10000", "--state", str(mesh.state)).stdout
    return [row for row in json.loads(found) if row["request_id"] in ids.values()]


def test_every_step_is_recorded_with_principal_and_request_id(mesh, audited):
    _, ids = audited

    rows = log_of(mesh, ids)

    steps = [(row["method"].rpartition("/")[2], row["subject"], row["request_id"]) for row in rows]
    assert [*dict.fromkeys(steps)] == [
        ("PutSource", "anna", ids["sources"]),
        ("Act", "anna", ids["act"]),
        ("Prove", "anna", ids["proof"]),
        ("SubmitMint", "proof", ids["proof"]),  # no person mints: the proof service does, under the id of who asked
    ]
    assert {(row["tenant"], *row["roles"]) for row in rows if row["subject"] == "anna"} == {("demo", "operator")}
    beside = {row["method"].rpartition("/")[2]: row["entries"] for row in rows if row["entries"]}
    assert beside.keys() == {"Act", "SubmitMint", "Prove"}, "decision, mint and verdict stand beside their records"


def test_the_purpose_travels_every_hop_and_the_tenant_is_the_tokens(mesh, audited):
    _, ids = audited
    for row in log_of(mesh, ids):
        assert {name: row["baggage"][name] for name in PURPOSE} == PURPOSE
        assert "secret" not in row["baggage"]
        assert row["tenant"] == "demo", "what baggage says of the tenant is not believed"


def test_the_decision_says_for_what_it_was_made(mesh, audited):
    decision, _ = audited
    door = mesh.door("viewer", tenant="demo")

    found = door.call("GET", f"/v1/decisions/{decision['prediction_id']}")["decision"]

    assert {name: found["purpose"][name] for name in PURPOSE} == PURPOSE


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET payload = x'00' WHERE topic = 'eil.audit.calls' AND payload IS NOT NULL",
        "UPDATE journal SET key = '@bert' WHERE topic = 'eil.audit.calls'",
        "DELETE FROM journal WHERE topic = 'eil.audit.calls'",
        'UPDATE journal SET "offset" = "offset" + 1000000 WHERE topic = \'eil.audit.calls\'',
    ],
    ids=["changed", "another's name", "removed", "moved"],
)
def test_tampering_with_the_log_is_found(mesh, audited, tmp_path, change):
    copy = tmp_path / "export.jsonl.gz"
    eil("audit", "export", str(copy), "--state", str(mesh.state))
    assert eil("audit", "verify", "--export", str(copy)).returncode == 0
    state = tmp_path / "state"
    state.mkdir()
    for service in ("decision", "atlas"):
        with sqlite3.connect(mesh.state / f"{service}.db") as live, sqlite3.connect(state / f"{service}.db") as own:
            live.backup(own)
    shutil.copytree(mesh.state / "keys", state / "keys")
    with sqlite3.connect(state / "decision.db") as conn:
        conn.executescript("DROP TRIGGER journal_stands; DROP TRIGGER journal_holds;")
        conn.execute(change)

    found = json.loads(eil("audit", "verify", "--json", "--state", str(state), check=False).stdout)

    problems = {journal["journal"]: journal["problems"] for journal in found["journals"]}
    assert problems["decision/0"]
    assert not found["holds"]
