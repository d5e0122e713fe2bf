"""REST through the real door: answers, refusals, and one shape for every error."""

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from gateway_door import Door

SENSE: dict[str, Any] = {
    "source": "datacenter-01",
    "timestamp": "2025-01-20T12:00:00Z",
    "telemetry": {"cpu_usage": 0.75, "power_draw": 850.5, "temperature": 72.3, "network_throughput": 1250000},
    "context": {"workload_type": "ml_training", "priority": "high"},
}
ACT = {"goal": "minimize_energy", "current_state": {"active_servers": 12, "avg_utilization": 0.68}}
LARGE = b'{"source":"' + b"a" * 1_100_000 + b'"}'


def refusal(response: httpx.Response, http: int, code: int, reason: str) -> dict[str, Any]:
    """The error, which has the one shape and the request's id."""
    assert response.status_code == http, response.text
    assert response.headers["content-type"] == "application/json"
    error = response.json()
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == code
    info = error["details"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["reason"], info["domain"]) == (reason, "eil.energy")
    if "x-request-id" in response.headers:
        assert info["metadata"]["request_id"] == response.headers["x-request-id"]
    return error


def test_the_example_is_answered(door: "Door") -> None:
    with door.client() as client:
        response = client.post("/v1/sense", json=SENSE, headers=door.bearer("agent"))
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "accepted"
    assert body["energy_state"]["total_energy"] == pytest.approx(51_030)
    assert body["energy_state"]["entropy"] == 0, "zeroes are written out"
    assert response.headers["x-request-id"] == door.seen.last()["x-request-id"]


def test_without_a_good_token_nobody_passes(door: "Door") -> None:
    expired, good = door.token("agent", ttl_s=-60), door.token("agent")
    header, claims, signature = good.split(".")
    tokens = {
        "": "TOKEN_MISSING",
        f"Basic {good}": "TOKEN_MISSING",
        f"Bearer {expired}": "TOKEN_EXPIRED",
        f"Bearer {header}.{claims}.{signature[::-1]}": "TOKEN_INVALID",
        f"Bearer eyJhbGciOiJub25lIn0.{claims}.": "TOKEN_INVALID",
        "Bearer nonsense": "TOKEN_INVALID",
    }
    calls = len(door.seen.calls)
    with door.client() as client:
        for authorization, reason in tokens.items():
            headers = {"authorization": authorization} if authorization else {}
            error = refusal(client.post("/v1/sense", json=SENSE, headers=headers), 401, 16, reason)
            assert "eil token" in error["message"]
        query = client.post(f"/v1/sense?access_token={good}", json=SENSE)
        refusal(query, 400, 3, "MALFORMED_REQUEST")
    assert len(door.seen.calls) == calls, "no service was reached"


@pytest.mark.parametrize(("role", "passes"), [("viewer", False), ("agent", True), ("operator", True), ("admin", True)])
def test_roles_decide(door: "Door", role: str, passes: bool) -> None:
    with door.client() as client:
        response = client.post("/v1/sense", json=SENSE, headers=door.bearer(role))
    if passes:
        assert response.status_code == 200
    else:
        assert "--role" in refusal(response, 403, 7, "ROLE_NOT_ALLOWED")["message"]


def test_a_services_error_comes_through_whole(door: "Door") -> None:
    with door.client(headers=door.bearer("agent")) as client:
        bad = refusal(client.post("/v1/sense", json={**SENSE, "source": " "}), 400, 3, "INVALID_ARGUMENT")
        assert bad["details"][1]["field_violations"][0]["field"] == "source"
        refusal(client.get("/v1/regime/status?source=x"), 404, 5, "SOURCE_UNKNOWN")
        answer = client.post("/v1/act", json=ACT)
        busy = refusal(answer, 503, 14, "UNAVAILABLE")
        assert busy["details"][1]["retry_delay"] == "0.100s"
        assert answer.headers["retry-after"] == "1", "whole seconds"


def test_malformed_requests_are_refused(door: "Door") -> None:
    with door.client(headers=door.bearer("agent")) as client:
        refusal(client.post("/v1/sense", content=b"{nope"), 400, 3, "MALFORMED_REQUEST")
        error = refusal(client.get("/v1/regime/status?sorce=x"), 400, 3, "MALFORMED_REQUEST")
        assert "sorce" in error["message"]
        refusal(client.get("/v1/regime/status", headers={"x_eil_service": "proof"}), 400, 3, "MALFORMED_REQUEST")
        refusal(client.get("/v1/regime/status", headers={"x-big": "a" * 40_000}), 431, 8, "HEADERS_TOO_LARGE")
        refusal(
            client.get("/v1/regime/status", headers={"upgrade": "websocket", "connection": "upgrade"}),
            403,
            3,
            "NO_UPGRADE_HERE",
        )


@pytest.mark.parametrize(
    "path", ["/v1/nope", "/", "/eil.regime.v1.RegimeService/Sense", "/v1/health/", "/grpc.health.v1.Health/Check"]
)
def test_unknown_paths_are_not_found(door: "Door", path: str) -> None:
    calls = len(door.seen.calls)
    with door.client(headers=door.bearer("admin")) as client:
        assert path in refusal(client.post(path, json={}), 404, 12, "NO_SUCH_PATH")["message"]
    assert len(door.seen.calls) == calls


def test_methods_for_services_alone_have_no_rest(door: "Door") -> None:
    with door.client(headers=door.bearer("admin")) as client:
        for path in (
            "/v1/economy/mint",
            "/eil.economy.v1.EconomyService/Mint",
            "/eil.events.v1.EventLogService/Subscribe",
        ):
            refusal(client.post(path, json={}), 404, 12, "NO_SUCH_PATH")


@pytest.mark.parametrize("path", ["/v1/sense", "/mcp"])
def test_large_bodies_are_refused(door: "Door", path: str) -> None:
    with door.client(headers=door.bearer("agent")) as client:
        assert "1 MiB" in refusal(client.post(path, content=LARGE), 413, 8, "BODY_TOO_LARGE")["message"]
        assert client.post("/v1/sense", json={**SENSE, "context": {"note": "a" * 1_000_000}}).status_code == 200


def test_large_answers_pass(door: "Door") -> None:
    with door.client(headers=door.bearer("viewer")) as client:
        response = client.get("/v1/regime/history?source=a")
    assert response.status_code == 200, response.text[:500]
    assert len(response.json()["columns"][0]["values"]) == 200_000


def test_verbs_and_escaped_names_in_paths(door: "Door") -> None:
    with door.client(headers=door.bearer("operator")) as client:
        assert client.post("/v1/decisions/pred_1:approve", json={}).status_code == 200
        assert door.seen.calls[-1][0] == "ApproveDecision pred_1"
        removed = client.post("/v1/market/liquidity:remove", json={"request_id": "a", "pair": "CEU-PFT", "shares": "3"})
        assert removed.json()["amount0_u"] == "3"
        assert client.put("/v1/sources/plant%2Fline%3A1", json={"kind": "simulated"}).status_code == 200
        assert door.seen.calls[-1][0] == "PutSource plant/line:1"


def test_streams_are_written_as_asked(door: "Door") -> None:
    one = {"source": "", "prediction_id": ""}
    with door.client(headers=door.bearer("agent")) as client:
        assert client.get("/v1/actions").json() == [one, one]
        lines = client.get("/v1/actions", headers={"accept": "application/x-ndjson"}).text.split()
        assert [json.loads(line) for line in lines] == [one, one]
        events = client.get("/v1/actions", headers={"accept": "text/event-stream"})
        assert events.headers["content-type"] == "text/event-stream"
        assert [json.loads(event.removeprefix("data: ")) for event in events.text.split("\n\n") if event] == [one, one]
        refusal(
            client.get("/v1/actions", headers={"accept": "text/event-stream", "authorization": ""}),
            401,
            16,
            "TOKEN_MISSING",
        )


def test_idempotent_calls_are_retried_and_others_never(door: "Door") -> None:
    with door.client(headers={**door.bearer("agent"), "idempotency-key": "k1"}) as client:
        before, door.backends.regime.failures = len(door.seen.calls), 2
        assert client.post("/v1/sense", json=SENSE).status_code == 200
        assert [call[0] for call in door.seen.calls[before:]] == ["Sense"] * 3
        assert door.seen.last()["idempotency-key"] == "k1"
        before = len(door.seen.calls)
        assert client.post("/v1/act", json=ACT).status_code == 503
        assert [call[0] for call in door.seen.calls[before:]] == ["Act"]


def test_a_service_that_is_down_is_unavailable(door: "Door") -> None:
    with door.client(headers=door.bearer("viewer")) as client:
        answer = client.get("/v1/economy/balances")
        down = refusal(answer, 503, 14, "SERVICE_UNAVAILABLE")
        assert down["details"][1]["retry_delay"] == "1s"
        assert answer.headers["retry-after"] == "1"


def test_a_flood_is_refused(narrow_door: "Door") -> None:
    with narrow_door.client(headers=narrow_door.bearer("viewer")) as client:
        answers = [client.get("/v1/nope") for _ in range(8)]
    flooded = [answer for answer in answers if answer.status_code == 429]
    assert flooded
    refusal(flooded[0], 429, 8, "TOO_MANY_REQUESTS")


def test_figures_are_served_and_the_rest_of_the_admin_interface_is_not(door: "Door") -> None:
    figures = f"http://127.0.0.1:{door.figures_port}"
    assert "envoy_http_downstream_rq_total" in httpx.get(f"{figures}/stats/prometheus").text
    assert httpx.get(f"{figures}/ready").text.strip() == "LIVE"
    for path in ("/", "/config_dump", "/quitquitquit", "/stats/prometheus/../../config_dump"):
        assert httpx.post(f"{figures}{path}").status_code == 404
