"""Bad input through the door: each gets its documented status and says what to do; nothing is stored, minted or lost."""

import json
import ssl

import httpx
import pytest
from support.plant import Plant

SAMPLE = {"source": "bad", "timestamp": "NOW", "telemetry": {"power_draw": 100.0}}
STATE = {"energy": 1.0, "entropy": 1.0}


def sample(**change):
    return {**SAMPLE, **change}


CASES = [
    # name, path, body, HTTP status, reason (None: any), words that the message must hold
    ("a text for a number", "/v1/sense", sample(telemetry={"power_draw": "much"}), 400, None, ["telemetry", "much"]),
    ("a list for a map", "/v1/sense", sample(telemetry=[1, 2]), 400, None, []),
    ("a number for the source", "/v1/sense", sample(source={"a": 1}), 400, None, []),
    ("no source", "/v1/sense", {k: v for k, v in SAMPLE.items() if k != "source"}, 400, "INVALID_ARGUMENT", ["source"]),
    ("no timestamp", "/v1/sense", {k: v for k, v in SAMPLE.items() if k != "timestamp"}, 400, "INVALID_ARGUMENT", ["timestamp"]),
    ("not a timestamp", "/v1/sense", sample(timestamp="yesterday"), 400, None, []),
    ("no telemetry", "/v1/sense", sample(telemetry={}), 400, "INVALID_ARGUMENT", ["telemetry"]),
    ("not a number", "/v1/sense", sample(telemetry={"power_draw": "NaN"}), 400, "INVALID_ARGUMENT", ["finite"]),
    ("infinite", "/v1/sense", sample(telemetry={"power_draw": "Infinity"}), 400, "INVALID_ARGUMENT", ["finite"]),
    ("negative watts", "/v1/sense", sample(telemetry={"power_draw": -5}), 400, "PHYSICS_VIOLATED", ["power_draw", "sign"]),
    ("below 0 K", "/v1/sense", sample(telemetry={"temperature": -300}), 400, "PHYSICS_VIOLATED", ["temperature"]),
    ("percent for a share", "/v1/sense", sample(telemetry={"cpu_usage": 75}), 400, "PHYSICS_VIOLATED", ["cpu_usage"]),
    ("absurd watts", "/v1/sense", sample(telemetry={"power_draw": 1e30}), 400, "PHYSICS_VIOLATED", ["power_draw"]),
    ("the future", "/v1/sense", sample(timestamp="+400"), 400, "TIMESTAMP_IN_FUTURE", ["clock"]),
    ("older than the retention", "/v1/sense", sample(timestamp="2014-02-14T14:30:00Z"), 400, "TIMESTAMP_TOO_OLD", ["days"]),
    ("unknown power kind", "/v1/sense", sample(context={"power_kind": "peak"}), 400, "INVALID_ARGUMENT", ["mean"]),
    ("columns of other lengths", "/v1/ingest", {"source": "bad", "timestamps": ["NOW"], "columns": [{"name": "x", "values": [1, 2]}]}, 400, "INVALID_ARGUMENT", ["2 values"]),
    ("act on an unknown source", "/v1/act", {"goal": "minimize_energy", "source": "nobody", "current_state": {"active_servers": 2, "avg_utilization": 0.5}}, 404, "SOURCE_UNKNOWN", ["/v1/sense"]),
    ("an unknown goal", "/v1/act", {"goal": "world_peace", "current_state": {"active_servers": 2, "avg_utilization": 0.5}}, 400, "INVALID_ARGUMENT", ["goal"]),
    ("act without a state", "/v1/act", {"goal": "minimize_energy"}, 400, "INVALID_ARGUMENT", ["current_state"]),
    ("utilisation above one", "/v1/act", {"goal": "minimize_energy", "current_state": {"active_servers": 2, "avg_utilization": 68}}, 400, "INVALID_ARGUMENT", ["avg_utilization"]),
    ("no servers", "/v1/act", {"goal": "minimize_energy", "current_state": {"active_servers": 0, "avg_utilization": 0.5}}, 400, "INVALID_ARGUMENT", ["active_servers"]),
    ("an unknown prediction", "/v1/proof", {"prediction_id": "pred_none", "predicted_state": STATE, "actual_state": STATE}, 404, "PREDICTION_UNKNOWN", ["/v1/act"]),
    ("a proof without figures", "/v1/proof", {"prediction_id": "pred_none"}, 400, "INVALID_ARGUMENT", ["state"]),
    ("a reservation of nothing", "/v1/economy/reservations", {"id": "r", "debit_owner": "a", "credit_owner": "b", "token": "CEU", "amount_u": 0, "ttl_s": 60}, 400, "INVALID_ARGUMENT", ["amount_u"]),
    ("a reservation from nobody", "/v1/economy/reservations", {"id": "r", "debit_owner": "nobody", "credit_owner": "b", "token": "CEU", "amount_u": 1, "ttl_s": 60}, 404, "ACCOUNT_NOT_FOUND", ["nobody"]),
    ("a reservation that nobody made", "/v1/economy/reservations/none:post", {}, 404, "PENDING_NOT_FOUND", ["none"]),
    ("a burn over 64 bits", "/v1/economy/burns", {"id": "b", "owner": "a", "token": "CEU", "amount_u": 2**64}, 400, None, []),
    ("a burn of the mesh's", "/v1/economy/burns", {"id": "b", "owner": "@metering", "token": "CEU", "amount_u": 1}, 403, "ACCOUNT_RESERVED", ["@metering"]),
    ("a licence shorter than its period", "/v1/economy/licences", {"id": "l", "model": "m", "holder": "a", "period_s": 60, "life_s": 30}, 400, "INVALID_TERMS", ["period"]),
    ("an unknown path", "/v1/senses", SAMPLE, 404, "NO_SUCH_PATH", []),
    ("not JSON", "/v1/sense", b"{source: ", 400, None, []),
]  # fmt: skip


def reason_of(answer):
    details = answer.get("details") or []
    return next((d["reason"] for d in details if d.get("@type", "").endswith("ErrorInfo")), None)


@pytest.fixture
def send(mesh, stamp):
    """POST with the timestamps of a case made real; returns status and JSON answer."""

    def post(path, body, *, token=None):
        raw = (
            body
            if isinstance(body, bytes)
            else json.dumps(body).replace('"NOW"', f'"{stamp(0)}"').replace('"+400"', f'"{stamp(400)}"').encode()
        )
        headers = {"content-type": "application/json"}
        if token != "":
            headers["authorization"] = f"Bearer {token or mesh.token('operator', tenant='bad-input')}"
        response = httpx.post(
            f"{mesh.endpoint.url}{path}",
            content=raw,
            headers=headers,
            verify=ssl.create_default_context(cafile=mesh.endpoint.ca),
            timeout=30,
        )
        return response.status_code, response.json()

    return post


@pytest.mark.parametrize(
    ("path", "body", "status", "reason", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bad_bodies(mesh, send, path, body, status, reason, words):
    got, answer = send(path, body)
    assert got == status, answer
    assert answer["message"]
    assert isinstance(answer["code"], int)
    if reason:
        assert reason_of(answer) == reason
    everything = json.dumps(answer)
    assert all(word in everything for word in words), answer
    door = mesh.door("viewer", tenant="bad-input")
    assert door.get("/v1/regime/status")[1]["sources"] == [], "nothing was stored"
    assert door.get("/v1/decisions")[1]["decisions"] == []
    # What is refused once its fields were looked at has been paid, as was asking here.
    owners = {balance["owner"] for balance in door.get("/v1/economy/balances")[1]["balances"]}
    assert owners <= {"@treasury", "@mint", "@metering", "@budget/tester"}


def test_an_oversized_body(send):
    status, answer = send("/v1/sense", sample(context={"blob": "x" * 2_000_000}))
    assert status == 413
    assert answer["message"]


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [
        (lambda mesh: "", 401, "TOKEN_MISSING"),
        (lambda mesh: "not.a.token", 401, "TOKEN_INVALID"),
        (lambda mesh: mesh.token("operator")[:-6] + "AAAAAA", 401, "TOKEN_INVALID"),
        (lambda mesh: mesh.token("operator", ttl_s=-3600), 401, "TOKEN_EXPIRED"),
        (lambda mesh: mesh.token("viewer"), 403, "ROLE_NOT_ALLOWED"),
    ],
    ids=["missing", "malformed", "forged", "expired", "wrong role"],
)
def test_bad_tokens(mesh, send, token, status, reason):
    got, answer = send("/v1/sense", SAMPLE, token=token(mesh))
    assert (got, reason_of(answer)) == (status, reason), answer


def test_duplicates_conflicts_and_late_samples(mesh, stamp):
    door = mesh.door("agent", tenant="repeats")
    body = {"source": "s", "timestamp": stamp(0), "telemetry": {"power_draw": 100.0}}
    assert door.call("POST", "/v1/sense", body)["status"] == "accepted"
    assert door.call("POST", "/v1/sense", body)["status"] == "duplicate"
    conflict = door.call("POST", "/v1/sense", {**body, "telemetry": {"power_draw": 200.0}})
    assert conflict["conflicting"] == ["power_draw"]
    assert conflict["energy_state"]["power"] == 100.0
    out_of_order = door.call("POST", "/v1/sense", {**body, "timestamp": stamp(-30)})
    assert out_of_order["status"] == "accepted"
    status, late = door.post("/v1/sense", {**body, "timestamp": stamp(-700)})
    assert (status, reason_of(late)) == (400, "SAMPLE_TOO_LATE")


def test_a_request_id_counts_once(mesh, stamp):
    door = mesh.door("agent", tenant="repeats")
    body = {"source": "once", "timestamp": stamp(0), "telemetry": {"power_draw": 100.0}, "request_id": "r-1"}
    assert door.call("POST", "/v1/sense", body) == door.call("POST", "/v1/sense", body)
    status, other = door.post("/v1/sense", {**body, "telemetry": {"power_draw": 101.0}})
    assert (status, reason_of(other)) == (409, "REQUEST_ID_REUSED")


def test_false_proofs_store_and_mint_nothing(mesh, stamp):
    door = mesh.door("operator", tenant="demo", subject="forger")
    plant = Plant(door, stamp)
    door.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
    plant.sense(60)
    decision = plant.act()
    predicted = decision["predicted_state"]
    exact = {"energy": predicted["energy"], "entropy": predicted["entropy"]}

    early = plant.proof_of(decision, actual_state=exact)
    status, answer = door.post("/v1/proof", early)
    assert (status, reason_of(answer)) == (400, "NOT_YET_MEASURED")
    plant.sense(6)
    altered = plant.proof_of(decision, predicted_state={**exact, "energy": plant.energy_j})
    status, answer = door.post("/v1/proof", altered)
    assert (status, reason_of(answer)) == (400, "PREDICTION_ALTERED")
    invented = plant.proof_of(decision, actual_state={"energy": plant.energy_j * 1.2, "entropy": 1.0})
    status, answer = door.post("/v1/proof", invented)
    assert (status, reason_of(answer)) == (400, "REPORT_CONTRADICTED")

    assert door.get(f"/v1/proofs/{decision['prediction_id']}")[0] == 404, "none of these was judged"
    assert door.call("GET", "/v1/economy/balances", params={"owner": "forger"})["balances"] == []
    assert door.call("POST", "/v1/proof", plant.proof_of(decision))["valid"], "the honest proof still counts"
