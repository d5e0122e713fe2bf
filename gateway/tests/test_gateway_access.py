"""What crosses the door besides REST: gRPC, gRPC-Web, WebSocket, browsers, TLS; and that nobody brings an identity along."""

import base64
import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

if TYPE_CHECKING:
    from gateway_door import Door

SENSE = regime_pb2.SenseRequest(source="datacenter-01", telemetry={"power_draw": 850.5})
SENSE.timestamp.FromJsonString("2025-01-20T12:00:00Z")
FORGED = (
    ("x-eil-service", "proof"),
    ("X-EIL-Service", "proof"),
    ("X-Eil-Tenant", "other"),
    ("x-eil-tenant", "third"),
    ("x-eil-anything", "1"),
    ("X-JWT-Payload", "e30"),
    ("X-Forwarded-Client-Cert", "By=eil-proof"),
    ("x-forwarded-host", "elsewhere"),
    ("x-envoy-original-path", "/v1/forged"),
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    ("X-Request-Id", "forged"),
)
SENSE_PATH = "/eil.regime.v1.RegimeService/Sense"


def not_forged(received: list[tuple[str, str]]) -> None:
    names = [name.lower() for name, _ in received]
    assert not [name for name in names if name.startswith(("x-eil-", "x-jwt-"))]
    assert not {"x-forwarded-client-cert", "x-forwarded-host", "x-envoy-upstream-rq-timeout-ms"} & set(names)
    assert "forged" not in " ".join(value for _, value in received)
    assert names.count("x-request-id") == 1
    assert "authorization" in names, "services verify the token again"


def metadata(door: "Door", *roles: str) -> tuple[tuple[str, str], ...]:
    return tuple(door.bearer(*roles).items())


def refused(call: Callable[[], Any], code: grpc.StatusCode, reason: str | None) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    assert error.code() == code, error
    status = rpc_status.from_call(error)
    if reason is not None:
        info = error_details_pb2.ErrorInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert info.reason == reason
    return error


def test_grpc_passes_with_a_token_and_a_role(door: "Door") -> None:
    with door.channel() as channel:
        stub = regime_pb2_grpc.RegimeServiceStub(channel)
        assert stub.Sense(SENSE, metadata=metadata(door, "agent"), timeout=5).status == "accepted"
        refused(lambda: stub.Sense(SENSE, timeout=5), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        old = (("authorization", f"Bearer {door.token('agent', ttl_s=-60)}"),)
        refused(lambda: stub.Sense(SENSE, metadata=old), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
        viewer = metadata(door, "viewer")
        refused(lambda: stub.Sense(SENSE, metadata=viewer), grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        nothing = regime_pb2.SenseRequest()
        agent = metadata(door, "agent")
        error = refused(
            lambda: stub.Sense(nothing, metadata=agent), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"
        )
        status = rpc_status.from_call(error)  # pyright: ignore[reportArgumentType] - it is a call, too
        assert status is not None
        assert len(status.details) == 2, "the field violations come along"


def test_what_is_for_services_alone_is_denied_to_admin(door: "Door") -> None:
    admin = metadata(door, "admin")
    forged = (*admin, ("x-eil-service", "proof"))
    with door.channel() as channel:
        stub = economy_pb2_grpc.EconomyServiceStub(channel)
        mint = economy_pb2.MintRequest()
        refused(lambda: stub.Mint(mint, metadata=forged), grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        keda = "/externalscaler.ExternalScaler/GetMetrics"
        for path in ("/eil.events.v1.EventLogService/Subscribe", "/eil.regime.v1.RegimeService/Nope", keda, "/a.B/C"):
            call = channel.unary_unary(path)
            refused(lambda call=call: call(b"", metadata=admin), grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
            refused(lambda call=call: call(b""), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


def test_a_service_that_is_down_is_unavailable(door: "Door") -> None:
    with door.channel() as channel:
        stub = economy_pb2_grpc.EconomyServiceStub(channel)
        ask = economy_pb2.GetBalancesRequest()
        viewer = metadata(door, "viewer")
        refused(lambda: stub.GetBalances(ask, metadata=viewer), grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")


def test_grpc_takes_larger_bodies_than_rest(door: "Door") -> None:
    large = regime_pb2.SenseRequest(context={"note": "a" * 3_000_000})
    large.MergeFrom(SENSE)
    with door.channel() as channel:
        stub = regime_pb2_grpc.RegimeServiceStub(channel)
        assert stub.Sense(large, metadata=metadata(door, "agent"), timeout=10).status == "accepted"


def grpc_web(door: "Door", token: dict[str, str], extra: tuple[tuple[str, str], ...] = ()) -> tuple[bytes, str]:
    """Call Sense as a browser does; the message's bytes and the gRPC status, from the trailers or, of a refusal, from the headers."""
    request = SENSE.SerializeToString()
    frame = b"\0" + len(request).to_bytes(4, "big") + request
    headers = [("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1"), *token.items(), *extra]
    with door.client() as client:
        response = client.post(SENSE_PATH, content=frame, headers=headers)
    body, message, trailers = (
        response.content,
        b"",
        {k: v for k, v in response.headers.items() if k.startswith("grpc-")},
    )
    while body:
        flag, size = body[0], int.from_bytes(body[1:5], "big")
        if flag & 0x80:
            trailers |= dict(line.split(":", 1) for line in body[5 : 5 + size].decode().split("\r\n") if line)
        else:
            message = body[5 : 5 + size]
        body = body[5 + size :]
    return message, trailers["grpc-status"].strip()


def test_grpc_web_passes_under_the_same_policy(door: "Door") -> None:
    message, status = grpc_web(door, door.bearer("agent"))
    assert (regime_pb2.SenseResponse.FromString(message).status, status) == ("accepted", "0")
    assert grpc_web(door, {})[1] == "16"
    assert grpc_web(door, door.bearer("viewer"))[1] == "7"


def test_nobody_brings_an_identity_along(door: "Door") -> None:
    agent = door.bearer("agent")
    body = {"source": "a", "timestamp": "2025-01-20T12:00:00Z", "telemetry": {"power_draw": 1}}
    for path in ("/v1/sense", "/v1/health", "/mcp"):
        with door.client() as client:
            headers = [*agent.items(), *FORGED]
            response = client.request("GET" if "health" in path else "POST", path, json=body, headers=headers)
        assert response.status_code == 200, response.text
        not_forged(door.seen.calls[-1][1])
    grpc_web(door, agent, FORGED)
    not_forged(door.seen.calls[-1][1])
    with door.channel() as channel:
        forged = [(name.lower(), value) for name, value in FORGED]
        stub = regime_pb2_grpc.RegimeServiceStub(channel)
        stub.Sense(SENSE, metadata=(*metadata(door, "agent"), *forged, ("x-eil-blob-bin", b"proof")), timeout=5)
    not_forged(door.seen.calls[-1][1])


def test_headers_of_the_hop_cannot_smuggle(door: "Door") -> None:
    with door.client() as client:
        headers = {**door.bearer("agent"), "connection": "x-eil-service, keep-alive", "x-eil-service": "proof"}
        client.post("/mcp", content=b"{}", headers=headers)
    not_forged(door.seen.calls[-1][1])


def test_health_needs_no_token(door: "Door") -> None:
    with door.client() as client:
        assert client.get("/v1/health").json()["path"] == "/v1/health"
    with door.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        refused(lambda: list(watch(b"", timeout=5)), grpc.StatusCode.UNIMPLEMENTED, None)


def test_mcp_needs_a_token_of_any_role(door: "Door") -> None:
    with door.client() as client:
        assert client.post("/mcp", json={}).status_code == 401
        assert client.post("/mcp", json={}, headers=door.bearer("viewer")).status_code == 200
        assert client.post(f"/mcp?access_token={door.token('admin')}", json={}).status_code == 401, "headers alone"
        strange = door.token("viewer").split(".")
        claims = json.loads(base64.urlsafe_b64decode(strange[1] + "=="))
        strange[1] = base64.urlsafe_b64encode(json.dumps({**claims, "roles": ["admin"]}).encode()).rstrip(b"=").decode()
        forged = {"authorization": f"Bearer {'.'.join(strange)}"}
        assert client.post("/mcp", json={}, headers=forged).status_code == 401


def test_a_websocket_passes_with_a_token(door: "Door") -> None:
    url = f"wss://localhost:{door.port}/v1/stream"
    token = door.token("viewer")
    for address, headers in ((url, {"authorization": f"Bearer {token}"}), (f"{url}?access_token={token}", {})):
        with connect(address, ssl=door.tls(), additional_headers={**headers, "x-eil-service": "proof"}) as websocket:
            websocket.send("hello")
            assert websocket.recv(5) == "you said hello"
        assert "x-eil-service" not in door.seen.last()
    for address in (url, f"{url}?access_token=nonsense"):
        with pytest.raises(InvalidStatus) as caught:
            connect(address, ssl=door.tls())
        assert caught.value.response.status_code == 401


def test_the_access_log_holds_no_token(door: "Door") -> None:
    token = door.token("viewer")
    with door.client() as client:
        client.get(f"/v1/stream?access_token={token}")
        request_id = client.get("/v1/health", headers=door.bearer("viewer")).headers["x-request-id"]
    log = door.state / "gateway/access.log"
    for _ in range(60):
        if request_id in log.read_text():
            break
        time.sleep(0.1)
    text = log.read_text()
    assert request_id in text
    assert "access_token" not in text
    assert token not in text
    assert "eyJ" not in text
    assert {"path", "code", "ms", "request_id", "subject"} <= set(json.loads(text.splitlines()[-1]))


def test_tls_is_1_3_alone(door: "Door") -> None:
    old = door.tls()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", door.port), 5) as raw,
        pytest.raises(ssl.SSLError),
        old.wrap_socket(raw, server_hostname="localhost"),
    ):
        pass
    with (
        socket.create_connection(("127.0.0.1", door.port), 5) as raw,
        door.tls().wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        assert secure.version() == "TLSv1.3"


def test_pages_of_allowed_origins_alone_may_call(door: "Door", narrow_door: "Door") -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for standing, origin, allowed in (
        (door, "https://portal.example", "https://portal.example"),
        (door, "https://elsewhere.example", None),
        (narrow_door, "https://portal.example", None),
    ):
        with standing.client() as client:
            preflights = [
                client.options(path, headers={"origin": origin, **asked}) for path in ("/v1/sense", SENSE_PATH)
            ]
            answer = client.get("/v1/health", headers={"origin": origin})
        for response in (*preflights, answer):
            assert response.headers.get("access-control-allow-origin") == allowed
