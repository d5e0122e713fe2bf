"""The client of the gateway, against a real HTTP server that plays the gateway."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from eil_cli.door import NOT_REACHED, Door, DoorError
from eil_cli.endpoint import Endpoint
from eil_cli.health import gateway_serves
from eil_gateway.keys import ensure_keys

REFUSAL = {
    "code": 3,
    "message": "power_draw must not be negative",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "POWER_NEGATIVE",
            "domain": "eil.energy",
            "metadata": {"request_id": "1"},
        },
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "field_violations": [{"field": "telemetry.power_draw", "description": "is -1 W"}],
        },
    ],
}


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[dict[str, Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.seen.append(
            {
                "client": self.client_address,
                "method": self.command,
                "path": self.path,
                "body": json.loads(body) if body else None,
                "authorization": self.headers["authorization"],
            }
        )
        path = self.path.partition("?")[0]
        if path == "/refuse":
            self._send(400, json.dumps(REFUSAL))
        elif path == "/text":
            self._send(502, "no healthy upstream")
        else:
            self._send(200, '{"status": "accepted"}')

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        return

    do_GET = do_POST = do_PUT = _answer  # noqa: N815


def serve(context: ssl.SSLContext | None = None) -> tuple[ThreadingHTTPServer, list[dict[str, Any]]]:
    handler = type("Gateway", (Gateway,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server, handler.seen


def endpoint(port: int, scheme: str = "http", ca: str = "") -> Endpoint:
    url = f"{scheme}://127.0.0.1:{port}"
    return Endpoint(url=url, grpc=f"127.0.0.1:{port}", ca=ca, admin_token="admin", metrics={}, pid=1)


@pytest.fixture
def gateway() -> Iterator[tuple[Door, list[dict[str, Any]]]]:
    server, seen = serve()
    with Door(endpoint(server.server_port), "mine") as door:
        yield door, seen
    server.shutdown()
    server.server_close()


def test_requests_carry_the_token_and_share_one_connection(gateway: tuple[Door, list[dict[str, Any]]]) -> None:
    door, seen = gateway

    assert door.post("/v1/sense", {"source": "a"}) == (200, {"status": "accepted"})
    assert door.get("/v1/regime/status", {"source": "a/b"}) == (200, {"status": "accepted"})
    assert door.call("PUT", "/v1/modes/a", {"mode": "auto"}) == {"status": "accepted"}

    assert [(one["method"], one["path"]) for one in seen] == [
        ("POST", "/v1/sense"),
        ("GET", "/v1/regime/status?source=a%2Fb"),
        ("PUT", "/v1/modes/a"),
    ]
    assert seen[0]["body"] == {"source": "a"}
    assert {one["authorization"] for one in seen} == {"Bearer mine"}
    assert len({one["client"] for one in seen}) == 1


def test_a_refusal_has_status_reason_message_and_violations(gateway: tuple[Door, list[dict[str, Any]]]) -> None:
    door, _ = gateway

    with pytest.raises(DoorError) as caught:
        door.call("POST", "/refuse", {})

    error = caught.value
    assert (error.status, error.reason, error.message) == (400, "POWER_NEGATIVE", "power_draw must not be negative")
    assert error.violations == {"telemetry.power_draw": "is -1 W"}
    assert door.post("/refuse", {})[0] == 400


def test_an_answer_that_is_not_json_keeps_its_text(gateway: tuple[Door, list[dict[str, Any]]]) -> None:
    door, _ = gateway

    with pytest.raises(DoorError) as caught:
        door.call("GET", "/text")

    assert (caught.value.status, caught.value.reason) == (502, "HTTP_502")
    assert caught.value.message == "no healthy upstream"


def test_nobody_there_is_told_apart_from_a_refusal() -> None:
    server, _ = serve()
    server.shutdown()
    server.server_close()

    with Door(endpoint(server.server_port)) as door, pytest.raises(DoorError, match="eil up --detach") as caught:
        door.get("/v1/health")

    assert (caught.value.status, caught.value.reason) == (NOT_REACHED, "UNREACHABLE")


async def test_the_development_ca_is_verified(tmp_path: Path) -> None:
    keys, strangers = ensure_keys(tmp_path / "own"), ensure_keys(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.certificate, keys.key)
    server, seen = serve(context)
    url = f"https://127.0.0.1:{server.server_port}"

    with Door(endpoint(server.server_port, "https", str(keys.ca))) as door:
        assert door.get("/v1/health")[0] == 200
    assert await gateway_serves(url, keys.ca, "token")
    assert len(seen) == 2
    with (
        Door(endpoint(server.server_port, "https", str(strangers.ca))) as door,
        pytest.raises(DoorError, match="certificate verify failed"),
    ):
        door.get("/v1/health")
    assert not await gateway_serves(url, strangers.ca, "token")
    assert len(seen) == 2
    server.shutdown()
    server.server_close()
    assert not await gateway_serves(url, keys.ca, "token")


def test_a_missing_ca_is_an_expected_error(tmp_path: Path) -> None:
    with pytest.raises(DoorError, match="cannot be read"):
        Door(endpoint(1, "https", str(tmp_path / "ca.crt")))
