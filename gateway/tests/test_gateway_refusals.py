"""Every layer that can refuse a request answers with the one shape: HTTP itself, the door's filters, the way to a service, the service."""

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from resets import MOST, cut_off
from test_gateway_rest import refusal

if TYPE_CHECKING:
    from gateway_door import Door

SENSE = b'{"source":"a","timestamp":"2025-01-20T12:00:00Z","telemetry":{"power_draw":1}}'


@contextmanager
def connection(door: "Door") -> Iterator[Any]:
    """A TLS connection that says nothing by itself."""
    with (
        socket.create_connection(("127.0.0.1", door.port), 10) as raw,
        door.tls().wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        yield secure


def received(secure: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the one answer after which the door closes."""
    whole = b""
    while chunk := secure.recv(65536):
        whole += chunk
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower(), whole
    return int(head.split()[1]), json.loads(body)


def head(door: "Door", line: str, *headers: str) -> bytes:
    token = door.bearer("agent")["authorization"]
    return "\r\n".join(
        [line, "host: localhost", f"authorization: {token}", *headers, "connection: close", "", ""]
    ).encode()


MALFORMED = {
    "no HTTP": lambda door: b"hello, is anybody there?\r\n\r\n",
    "no host": lambda door: b"GET /v1/regime/status HTTP/1.1\r\n\r\n",
    "a method that is none": lambda door: head(door, "BREW /v1/sense HTTP/1.1"),
    "a space in a header's name": lambda door: head(door, "GET /v1/regime/status HTTP/1.1", "x bad: 1"),
    "two lengths": lambda door: (
        head(door, "POST /v1/sense HTTP/1.1", "content-length: 5", "content-length: 9") + b"{}   "
    ),
    "length and chunks": lambda door: (
        head(door, "POST /v1/sense HTTP/1.1", "content-length: 4", "transfer-encoding: chunked") + b"0\r\n\r\n"
    ),
    "chunks that are none": lambda door: (
        head(door, "POST /v1/sense HTTP/1.1", "transfer-encoding: chunked") + b"zz\r\n"
    ),
    "a negative length": lambda door: head(door, "POST /v1/sense HTTP/1.1", "content-length: -1"),
    "a fragment in the path": lambda door: head(door, "GET /v1/regime/status#x HTTP/1.1"),
    "a null byte in the path": lambda door: head(door, "GET /v1/regime/status%00 HTTP/1.1"),
    "CONNECT": lambda door: b"CONNECT localhost:22 HTTP/1.1\r\nhost: localhost:22\r\n\r\n",
    "HTTP/0.9": lambda door: b"GET /v1/health\r\n\r\n",
}


@pytest.mark.parametrize("request_of", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_request_is_refused_in_the_one_shape(door: "Door", request_of: Any) -> None:
    calls = len(door.seen.calls)
    with connection(door) as secure:
        secure.sendall(request_of(door))
        status, error = received(secure)
    assert 400 <= status < 500
    assert set(error) == {"code", "message", "details"}
    info = error["details"][0]
    assert info["reason"].isupper()
    assert info["domain"] == "eil.energy"
    assert error["message"]
    assert len(door.seen.calls) == calls


@pytest.mark.parametrize("path", ["/v1/sense", "/v1/metrics", "/v1/token"])
def test_a_body_that_trickles_is_given_up(hasty_door: "Door", path: str) -> None:
    with connection(hasty_door) as secure:
        secure.sendall(
            head(hasty_door, f"POST {path} HTTP/1.1", "content-type: application/json", "content-length: 900")
        )
        secure.settimeout(0.05)
        whole = b""
        for _ in range(600):
            secure.sendall(b" ")
            try:
                whole += secure.recv(65536)
                break
            except TimeoutError:
                pass
    assert whole.startswith(b"HTTP/1.1 408 "), whole
    assert json.loads(whole.partition(b"\r\n\r\n")[2])["details"][0]["reason"] == "REQUEST_TIMEOUT"


@pytest.mark.parametrize("depth", [101, 1000, 400_000])
@pytest.mark.parametrize("field", ["context", "unknown"])
def test_deeply_nested_json_is_refused(door: "Door", field: str, depth: int) -> None:
    body = f'{{"{field}":{"[" * depth}{"]" * depth}}}'
    calls = len(door.seen.calls)
    with door.client(headers=door.bearer("agent")) as client:
        refusal(client.post("/v1/sense", content=body), 400, 3, "MALFORMED_REQUEST")
    assert len(door.seen.calls) == calls


def test_telemetry_of_other_protocols_passes_as_it_comes(door: "Door") -> None:
    body = os.urandom(15 * 1024 * 1024)
    sent = {**door.bearer("agent"), "content-type": "application/x-protobuf", "content-encoding": "snappy"}
    with door.client(headers=sent) as client:
        answer = client.post("/v1/metrics", content=body)
        assert (answer.status_code, answer.content) == (200, body[:8])
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert door.seen.calls[-1][0] == f"ExportMetrics application/x-protobuf {len(body)}"
        assert door.seen.last()["content-encoding"] == "snappy"
        large = refusal(client.post("/v1/metrics", content=body + body), 413, 8, "BODY_TOO_LARGE")
        assert "16 MiB" in large["message"]
        refusal(client.post("/v1/metrics", content=body, headers=door.bearer("viewer")), 403, 7, "ROLE_NOT_ALLOWED")


def test_what_the_service_does_not_have_has_the_shape_too(door: "Door") -> None:
    with door.client(headers=door.bearer("operator")) as client:
        refusal(client.post("/v1/proof", json={"prediction_id": "p"}), 503, 14, "SERVICE_UNAVAILABLE")
        refusal(client.delete("/v1/sense"), 404, 12, "NO_SUCH_PATH")
        refusal(client.get("/v1/sense"), 404, 12, "NO_SUCH_PATH")


def test_a_refusal_of_grpc_web_says_why(door: "Door") -> None:
    headers = {"content-type": "application/grpc-web-text", "x-grpc-web": "1", **door.bearer("viewer")}
    frame = base64.b64encode(b"\0\0\0\0\0")
    with door.client() as client:
        answer = client.post("/eil.regime.v1.RegimeService/Sense", content=frame, headers=headers)
    assert answer.headers["grpc-status"] == "7"
    assert "role" in answer.headers["grpc-message"]


def test_a_stream_that_fails_midway_says_so(door: "Door") -> None:
    one = {"source": "", "prediction_id": ""}
    door.backends.decision.stream_fails = True
    try:
        with door.client(headers=door.bearer("agent")) as client:
            whole = client.get("/v1/actions").json()
            lines = client.get("/v1/actions", headers={"accept": "application/x-ndjson"})
            events = client.get("/v1/actions", headers={"accept": "text/event-stream"})
    finally:
        door.backends.decision.stream_fails = False
    for objects in (
        whole,
        [json.loads(line) for line in lines.text.splitlines()],
        [json.loads(event.removeprefix("data: ")) for event in events.text.split("\n\n") if event],
    ):
        assert objects[:2] == [one, one]
        assert objects[2]["error"]["code"] == 14
        assert objects[2]["error"]["details"][0]["reason"] == "STORE_FAILED"
        assert len(objects) == 3


def test_lines_and_events_are_called_by_their_names(door: "Door") -> None:
    with door.client(headers=door.bearer("agent")) as client:
        lines = {"accept": "application/x-ndjson"}
        assert client.get("/v1/actions", headers=lines).headers["content-type"] == "application/x-ndjson"
        refusal(client.get("/v1/actions", headers={**lines, "authorization": ""}), 401, 16, "TOKEN_MISSING")
        assert client.get("/v1/actions").headers["content-type"] == "application/json"


def test_requests_for_tokens_are_few_from_one_address(narrow_door: "Door", door: "Door") -> None:
    with narrow_door.client() as client:
        answers = [client.post("/v1/token", data={"grant_type": "client_credentials"}) for _ in range(40)]
    assert 429 in {answer.status_code for answer in answers}
    refusal(next(a for a in answers if a.status_code == 429), 429, 8, "TOO_MANY_REQUESTS")
    with door.client() as client:
        assert client.post("/v1/token", data={}).status_code == 200, "no token is needed to get one"
        refusal(client.post("/v1/token", content=b"a" * 9000), 413, 8, "BODY_TOO_LARGE")


def test_the_description_needs_no_token_and_opens_nothing_else(door: "Door") -> None:
    with door.client() as client:
        for path in ("/v1/openapi.json", "/docs", "/docs/start.js"):
            assert client.get(path).json()["path"] == path
        for path in (
            "/docs/",
            "/docs/../mcp",
            "/docs/..%2fmcp",
            "/docs/a/b",
            "/docs%2fx",
            "/docsx",
            "/v1/openapi.json/",
            "/v1/token/x",
        ):
            assert client.get(path).status_code in (401, 404), path


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("https://portal.example", True),
        ("SAME", True),
        ("https://portal.example.evil.example", False),
        ("http://portal.example", False),
        ("https://PORTAL.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_other_origins_may_not_open_streams(door: "Door", origin: str, passes: bool) -> None:
    sent = {**door.bearer("viewer"), "origin": origin.replace("SAME", door.url)}
    upgrade = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(b"0123456789abcdef").decode(),
    }
    calls = len(door.seen.calls)
    with door.client(headers=sent) as client:
        events = client.get("/v1/stream")
        if passes:
            assert events.status_code == 200
            return
        refusal(events, 403, 7, "ORIGIN_NOT_ALLOWED")
        refusal(client.get("/v1/stream", headers=upgrade), 403, 7, "ORIGIN_NOT_ALLOWED")
    assert len(door.seen.calls) == calls


def test_resets_in_a_row_end_the_connection_and_nothing_else(door: "Door") -> None:
    """HTTP/2 rapid reset: the client that does it is cut off, and others are served meanwhile."""
    context = door.tls()
    context.set_alpn_protocols(["h2"])
    asked = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/v1/regime/status"),
        *door.bearer("viewer").items(),
    ]
    with (
        socket.create_connection(("127.0.0.1", door.port), 10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        assert cut_off(secure, asked), f"{MOST} resets were borne"
    with door.client() as client:
        assert client.get("/v1/health").status_code == 200


def test_a_connection_that_shakes_no_hands_costs_nobody_anything(door: "Door") -> None:
    silent = [socket.create_connection(("127.0.0.1", door.port), 5) for _ in range(50)]
    try:
        with door.client() as client:
            began = time.monotonic()
            assert client.get("/v1/health").status_code == 200
            assert time.monotonic() - began < 5, "it waited for them"
    finally:
        for one in silent:
            one.close()
