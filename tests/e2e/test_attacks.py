"""Attacks on the door of a whole mesh: each ends in its documented error, and nothing is stored. docs/security.md has the same table."""

import base64
import json
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import psutil
import pytest
from eil_gateway.contract import all_methods
from resets import MOST, cut_off
from support.attacker import CROWN, TENANT, Answer, Attacker, read
from support.mesh import eil
from support.plant import Plant

SAMPLE = {"source": "forged", "timestamp": "NOW", "telemetry": {"power_draw": 100.0}}
SENSE_PATH = "/eil.regime.v1.RegimeService/Sense"
REFUSALS = {400, 401, 403, 404}


@pytest.fixture
def attacker(mesh) -> Iterator[Attacker]:
    """Whatever it does, nothing may be stored."""
    attacker = Attacker(mesh)
    before = attacker.stored()
    yield attacker
    assert attacker.stored() == before


@pytest.fixture
def sample(stamp) -> bytes:
    """A sample that would be taken, were its sender allowed to send it."""
    return json.dumps({**SAMPLE, "timestamp": stamp(0)}).encode()


TOKENS = {
    "none": (lambda a: "", "TOKEN_MISSING"),
    "no bearer": (lambda a: f"Basic {a.signed()}", "TOKEN_MISSING"),
    "not a token": (lambda a: "Bearer not.a.token", "TOKEN_INVALID"),
    "half a token": (lambda a: f"Bearer {a.signed()[:40]}", "TOKEN_INVALID"),
    "expired": (lambda a: f"Bearer {a.signed(exp=int(time.time()) - 60)}", "TOKEN_EXPIRED"),
    "no expiry": (lambda a: f"Bearer {a.signed(exp=None)}", "TOKEN_INVALID"),
    "not valid yet": (lambda a: f"Bearer {a.signed(nbf=int(time.time()) + 600)}", "TOKEN_INVALID"),
    "another audience": (lambda a: f"Bearer {a.signed(aud='shop')}", "TOKEN_INVALID"),
    "another issuer": (lambda a: f"Bearer {a.signed(iss='https://mallory.example')}", "TOKEN_INVALID"),
    "alg none": (lambda a: f"Bearer {a.forged({'alg': 'none'})}", "TOKEN_INVALID"),
    "the public key as a shared secret": (lambda a: f"Bearer {a.forged({'alg': 'HS256'})}", "TOKEN_INVALID"),
    "another key under a known id": (lambda a: f"Bearer {a.forged({'alg': 'RS256'})}", "TOKEN_INVALID"),
    "another algorithm": (lambda a: f"Bearer {a.forged({'alg': 'RS512'})}", "TOKEN_INVALID"),
    "its own key along": (lambda a: f"Bearer {a.forged({'alg': 'RS256', 'jwk': a.own_jwk()})}", "TOKEN_INVALID"),
    "an address for its key": (
        lambda a: f"Bearer {a.forged({'alg': 'RS256', 'jku': 'https://mallory.example/jwks', 'kid': 'mine'})}",
        "TOKEN_INVALID",
    ),
    "a path for a key id": (lambda a: f"Bearer {a.forged({'alg': 'RS256', 'kid': '../../dev/null'})}", "TOKEN_INVALID"),
    "another's signature": (
        lambda a: "Bearer " + ".".join([*a.signed(roles=["viewer"]).split(".")[:2], a.signed().split(".")[2]]),
        "TOKEN_INVALID",
    ),
    "no signature": (lambda a: f"Bearer {a.signed().rpartition('.')[0]}.", "TOKEN_INVALID"),
    "two tokens": (lambda a: f"Bearer {a.signed(exp=1)}, Bearer {a.signed(exp=1)}", "TOKEN_INVALID"),
}


@pytest.mark.parametrize(("make", "reason"), TOKENS.values(), ids=TOKENS.keys())
def test_a_bad_token_opens_no_door(attacker, sample, make, reason):
    sent = {"authorization": header} if (header := make(attacker)) else {}
    for method, path, body in (
        ("POST", "/v1/sense", sample),
        ("POST", "/mcp", b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'),
        ("GET", "/v1/stream", b""),
    ):
        answer = attacker.send(method, path, body, **sent)
        assert (answer.status, answer.reason) == (401, reason), (path, answer.body)
    with attacker.grpc() as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(SENSE_PATH)(b"", metadata=tuple(sent.items()), timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED  # pyright: ignore[reportAttributeAccessIssue] - it is a call


def test_a_token_in_the_query_is_taken_by_the_stream_alone(attacker, sample):
    answer = attacker.send("POST", f"/v1/sense?access_token={attacker.signed()}", sample)
    assert (answer.status, answer.reason) == (400, "MALFORMED_REQUEST")
    assert attacker.send("POST", f"/mcp?access_token={attacker.signed()}", b"{}").reason == "TOKEN_MISSING"


PATHS = [
    "/v1/sense",
    "/v1//sense",
    "//v1/sense",
    "/v1/./sense",
    "/v1/x/../sense",
    "/v1/health/../sense",
    "/docs/../v1/sense",
    "/docs/..%2fv1/sense",
    "/V1/SENSE",
    "/v1/sense/",
    "/v1/sense//",
    "/v1/%73ense",
    "/v1%2fsense",
    "/v1%2Fsense",
    "/v1/%2e%2e/v1/sense",
    "/v1/health/..%2fsense",
    "/v1/sense;x=1",
    "/v1/sense%00",
    "/v1/sense%20",
    "/v1/sense?/v1/health",
    "/v1/sense#/v1/health",
    "/v1\\sense",
    "https://localhost/v1/sense",
    SENSE_PATH,
    f"{SENSE_PATH}/",
    f"/v1/health/..{SENSE_PATH}",
    f"/grpc.health.v1.Health/..{SENSE_PATH}",
    "/grpc.health.v1.Health/%2e%2e/eil.regime.v1.RegimeService/Sense",
    "/eil.regime.v1.RegimeService%2fSense",
    "/eil.regime.v1.regimeservice/sense",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_way_of_writing_a_path_lends_a_role(attacker, sample, path):
    for token in ({}, {"authorization": attacker.bearer("viewer")}):
        answer = attacker.send("POST", path, sample, **token)
        assert answer.status in REFUSALS, answer
        assert answer.reason in ("ROLE_NOT_ALLOWED", "NO_SUCH_PATH", "MALFORMED_REQUEST", "TOKEN_MISSING"), answer


OVERRIDES = [
    ("x-http-method-override", "POST"),
    ("x-http-method", "PUT"),
    ("x-method-override", "DELETE"),
    ("x-original-url", "/v1/sense"),
    ("x-rewrite-url", "/v1/sense"),
    ("x-envoy-original-path", "/v1/sense"),
    ("x-envoy-original-method", "POST"),
    ("x-forwarded-path", "/v1/sense"),
    ("x-forwarded-proto", "http"),
    ("x-envoy-decorator-operation", "sense"),
    ("te", "trailers"),
    ("grpc-timeout", "1H"),
]


@pytest.mark.parametrize("header", OVERRIDES, ids=[name for name, _ in OVERRIDES])
def test_no_header_makes_another_request_of_it(attacker, sample, header):
    viewer = attacker.bearer("viewer")
    asked = attacker.send("GET", "/v1/regime/status", headers=[header], authorization=viewer)
    assert (asked.status, json.loads(asked.body)["sources"]) == (200, []), "it is what it was without the header"
    denied = attacker.send("POST", "/v1/sense", sample, headers=[header], authorization=viewer)
    assert (denied.status, denied.reason) == (403, "ROLE_NOT_ALLOWED")
    posted = attacker.send("POST", "/v1/regime/status", sample, headers=[header], authorization=viewer)
    assert (posted.status, posted.reason) == (404, "NO_SUCH_PATH")


IDENTITIES = [
    ("x-eil-service", "proof"),
    ("X-EIL-Service", "bridge"),
    ("x-eil-tenant", CROWN),
    ("x-jwt-payload", base64.b64encode(json.dumps({"roles": ["admin"], "tenant": CROWN}).encode()).decode()),
    ("x-forwarded-client-cert", "By=spiffe://eil/proof;Subject=CN=eil-proof"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-real-ip", "127.0.0.1"),
    ("forwarded", "for=127.0.0.1;proto=https"),
    ("x-envoy-internal", "true"),
    ("x-request-id", "chosen-by-me"),
]


def test_nobody_can_say_who_he_is_on_any_method(attacker):
    """Every method of the mesh, by gRPC: without a token, and with one of a role that may not call it."""
    forged = tuple((name.lower(), value) for name, value in IDENTITIES)
    viewer = (*forged, ("authorization", attacker.bearer("viewer")))
    asked = 0
    with attacker.grpc() as channel:
        for method in all_methods():
            for metadata, expected in ((forged, "UNAUTHENTICATED"), (viewer, "PERMISSION_DENIED")):
                if expected == "PERMISSION_DENIED" and "viewer" in method.access.roles:
                    continue
                call = channel.stream_stream if method.streaming else channel.unary_unary
                request: Any = iter([b""]) if method.streaming else b""
                with pytest.raises(grpc.RpcError) as caught:
                    _all_of(call(method.path)(request, metadata=metadata, timeout=20))
                assert caught.value.code().name == expected, method.path  # pyright: ignore[reportAttributeAccessIssue]
                asked += 1
    assert asked > 150


def _all_of(answer: Any) -> list[Any]:
    return list(answer)


@pytest.mark.parametrize("path", ["/v1/regime/status", "/v1/decisions", "/v1/economy/balances", "/v1/proofs", "/mcp"])
def test_a_tenant_in_a_header_reaches_nothing(mesh, attacker, path):
    if path == "/mcp":
        call = {"name": "get_status", "arguments": {}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        accepted = [("accept", "application/json, text/event-stream")]
        plain = attacker.send("POST", path, body, accepted, authorization=attacker.bearer("viewer"))
        forged = attacker.send("POST", path, body, [*accepted, *IDENTITIES], authorization=attacker.bearer("viewer"))
    else:
        plain = attacker.send("GET", path, authorization=attacker.bearer("viewer"))
        forged = attacker.send("GET", path, headers=IDENTITIES, authorization=attacker.bearer("viewer"))
    assert plain.status == forged.status == 200, forged.body
    assert _without_times(plain.body) == _without_times(forged.body)
    assert forged.headers.get("x-request-id") != "chosen-by-me"


def _without_times(body: bytes) -> str:
    return re.sub(r"[0-9:.TZ-]{10,}", "", body.decode())


def test_what_is_sent_under_a_forged_tenant_is_the_senders_own(mesh, stamp):
    attacker = Attacker(mesh)
    body = json.dumps({**SAMPLE, "timestamp": stamp(0)}).encode()
    before = mesh.door("viewer", tenant=CROWN).call("GET", "/v1/regime/status")["sources"]
    assert attacker.send("POST", "/v1/sense", body, IDENTITIES, authorization=attacker.bearer("agent")).status == 200
    assert mesh.door("viewer", tenant=CROWN).call("GET", "/v1/regime/status")["sources"] == before == []
    mine = mesh.door("viewer", tenant=TENANT).call("GET", "/v1/regime/status")["sources"]
    assert [source["source"] for source in mine] == ["forged"]
    mesh.door("admin", tenant=TENANT).call("DELETE", "/v1/sources/forged")


@pytest.mark.parametrize(
    "path",
    [
        "/eil.economy.v1.EconomyService/Mint",
        "/eil.events.v1.EventLogService/Subscribe",
        "/externalscaler.ExternalScaler/GetMetrics",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
        "/nobody.v1.Nothing/Nowhere",
    ],
)
def test_what_is_the_meshs_own_is_closed_to_admin(attacker, path):
    admin = (("authorization", attacker.bearer("admin")), ("x-eil-service", "proof"))
    with attacker.grpc() as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path)(b"", metadata=admin, timeout=10)
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED  # pyright: ignore[reportAttributeAccessIssue]
    rest = attacker.send("POST", path, b"{}", authorization=attacker.bearer("admin"))
    assert (rest.status, rest.reason) == (404, "NO_SUCH_PATH")


def test_grpc_web_lends_no_role(attacker):
    sent = {"authorization": attacker.bearer("viewer"), "x-grpc-web": "1", "content-type": "application/grpc-web+proto"}
    with httpx.Client(base_url=attacker.mesh.endpoint.url, verify=attacker.context()) as client:
        answer = client.post(SENSE_PATH, content=b"\0\0\0\0\0", headers=sent)
    assert answer.headers["grpc-status"] == "7"


HEAVY = {
    "2 MB": (lambda: json.dumps({**SAMPLE, "context": {"blob": "x" * 2_000_000}}).encode(), 413, "BODY_TOO_LARGE"),
    "objects in objects": (lambda: b'{"x":' * 200_000 + b"1" + b"}" * 200_000, 413, "BODY_TOO_LARGE"),
    "lists in lists": (lambda: b'{"context":' + b"[" * 300_000 + b"]" * 300_000 + b"}", 400, "MALFORMED_REQUEST"),
    "deep in a field that nobody knows": (lambda: b'{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400, "MALFORMED_REQUEST"),
    "a number of a million digits": (lambda: b'{"telemetry":{"power_draw":' + b"9" * 1_000_000 + b"}}", 400, "MALFORMED_REQUEST"),
    "a key a hundred thousand times": (lambda: b"{" + b'"x":1,' * 100_000 + b'"x":1}', 400, "INVALID_ARGUMENT"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "status", "reason"), HEAVY.values(), ids=HEAVY.keys())
def test_a_body_made_to_hurt_is_refused(attacker, make, status, reason):
    answer = attacker.send("POST", "/v1/sense", make(), authorization=attacker.bearer("agent"))
    assert (answer.status, answer.reason) == (status, reason), answer


def test_deep_json_does_not_hurt_what_python_reads(attacker):
    for body in (b"[" * 400_000, b'{"a":' * 150_000, b"[" * 100_000 + b"]" * 100_000):
        accept = [("accept", "application/json, text/event-stream")]
        answer = attacker.send("POST", "/mcp", body, accept, authorization=attacker.bearer("viewer"))
        assert 400 <= answer.status < 500, answer
    assert attacker.send("GET", "/v1/health").status == 200


def test_headers_that_trickle_are_given_up(attacker):
    """A request whose headers have no end: others are served meanwhile, and it is told why it ends."""
    with attacker.connection() as slow:
        slow.sendall(b"POST /v1/sense HTTP/1.1\r\nhost: localhost\r\n")
        slow.settimeout(0.5)
        whole = b""
        for beat in range(60):
            try:
                slow.sendall(b"x-a: b\r\n")
                if not (chunk := slow.recv(65536)):
                    break
                whole += chunk
            except TimeoutError:
                if beat % 5 == 0:
                    assert attacker.send("GET", "/v1/health").status == 200
            except OSError:  # the door has closed
                break
    assert whole.startswith(b"HTTP/1.1 408 "), whole
    assert b"REQUEST_TIMEOUT" in whole


def test_a_flood_of_resets_ends_its_own_connection_alone(attacker):
    """HTTP/2 rapid reset."""
    asked = {":method": "GET", ":scheme": "https", ":authority": "localhost", ":path": "/v1/regime/status"}
    headers = [*asked.items(), ("authorization", attacker.bearer("viewer"))]
    with attacker.connection("h2") as secure:
        assert cut_off(secure, headers), f"{MOST} resets were borne"
    assert attacker.send("GET", "/v1/regime/status", authorization=attacker.bearer("viewer")).status == 200


@pytest.mark.parametrize("origin", ["https://mallory.example", "null", "http://localhost:8443", "file://"])
def test_a_page_from_elsewhere_opens_no_stream(attacker, origin):
    upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", base64.b64encode(b"0123456789abcdef").decode()),
        ("origin", origin),
    ]
    target = f"/v1/stream?access_token={attacker.bearer('viewer').split()[1]}"
    assert _upgraded(attacker, target, upgrade).reason == "ORIGIN_NOT_ALLOWED"
    events = attacker.send("GET", target, headers=[("origin", origin)])
    assert (events.status, events.reason) == (403, "ORIGIN_NOT_ALLOWED")


def _upgraded(attacker: Attacker, target: str, headers: list[tuple[str, str]]) -> Answer:
    lines = "\r\n".join([f"GET {target} HTTP/1.1", "host: localhost", *(f"{n}: {v}" for n, v in headers), "", ""])
    with attacker.connection() as secure:
        secure.sendall(lines.encode())
        secure.settimeout(10)
        whole = secure.recv(65536)
    head, _, body = whole.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), {}, body)


def test_secrets_of_accounts_are_not_guessed_and_scopes_not_widened(mesh, attacker):
    made = eil(
        "account", "add", "meter-of-attacks", "-r", "agent", "--tenant", TENANT, "--json", "--state", str(mesh.state)
    )
    account = json.loads(made.stdout)
    try:
        with httpx.Client(base_url=mesh.endpoint.url, verify=attacker.context()) as client:

            def ask(secret: str, **form: str) -> httpx.Response:
                grant = {"grant_type": "client_credentials", **form}
                return client.post("/v1/token", data=grant, auth=(account["client_id"], secret))

            good = ask(account["client_secret"])
            assert good.status_code == 200, good.text
            wide = ask(account["client_secret"], scope="admin")
            assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope")
            answers = [ask(f"{account['client_secret'][:-4]}{i:04d}") for i in range(60)]
        assert {answer.status_code for answer in answers} <= {401, 429}
        token = good.json()["access_token"]
        put = attacker.send("PUT", "/v1/modes/forged", b'{"mode":"auto"}', authorization=f"Bearer {token}")
        assert (put.status, put.reason) == (403, "ROLE_NOT_ALLOWED")
    finally:
        eil("account", "remove", account["client_id"], "--state", str(mesh.state))


def test_a_proof_is_paid_once_and_to_nobody_else(mesh, stamp):
    owner = mesh.door("operator", tenant="demo", subject="owner-of-proof")
    plant = Plant(owner, stamp)
    owner.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
    plant.sense(60)
    decision = plant.act()
    plant.sense(6)
    proof = plant.proof_of(decision)
    stranger = mesh.door("operator", tenant=TENANT, subject="mallory")
    status, answer = stranger.post("/v1/proof", proof)
    assert (status, answer["details"][0]["reason"]) == (404, "PREDICTION_UNKNOWN")

    def held(subject: str) -> dict[str, str]:
        balances = owner.call("GET", "/v1/economy/balances", params={"owner": subject})["balances"]
        return {balance["token"]: balance["balance_u"] for balance in balances}

    first = owner.call("POST", "/v1/proof", proof)
    deadline = time.monotonic() + 60
    while first["pft_minted"] and not held("owner-of-proof") and time.monotonic() < deadline:
        time.sleep(0.2)
    paid = held("owner-of-proof")
    assert int(paid["PFT"]) == round(first["pft_minted"] * 1e6) > 0
    colleague = mesh.door("operator", tenant="demo", subject="thief-of-proof")
    for door in (owner, colleague, owner):
        again = door.post("/v1/proof", proof)[1]
        assert again.get("pft_minted", first["pft_minted"]) == first["pft_minted"], "the stored verdict, or a refusal"
    assert held("owner-of-proof") == paid
    assert held("thief-of-proof") == {}


def test_nothing_but_the_door_can_be_reached_from_outside(mesh):
    ports = {}
    for name, pid in mesh.pids().items():
        for connection in psutil.Process(pid).net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                ports.setdefault(connection.laddr.port, set()).add((name, connection.laddr.ip))
    assert {address for found in ports.values() for _, address in found} == {"127.0.0.1"}
    assert mesh.state.stat().st_mode & 0o077 == 0, "sockets and keys lie in a folder that nobody else may enter"
    assert (mesh.state / "gateway-admin.sock").stat().st_mode & 0o077 == 0
    for path in [*(mesh.state / "keys").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    pages = set(mesh.endpoint.metrics.values())
    with httpx.Client() as client:
        for page in pages:
            assert client.get(page).status_code == 200
            base = page.partition("/metrics")[0].partition("/stats")[0]
            for path in ("/quitquitquit", "/config_dump", "/logging", "/runtime_modify?x=y"):
                answer = client.post(f"{base}{path}")
                assert answer.status_code in (404, 405) or "eil_" in answer.text, "figures, and nothing that acts"


def test_the_door_speaks_nothing_but_tls(mesh, attacker):
    with pytest.raises(httpx.TransportError):
        httpx.get(mesh.endpoint.url.replace("https:", "http:") + "/v1/health")
    old = attacker.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{mesh.endpoint.url}/v1/health", verify=old)


def test_two_lengths_smuggle_no_second_request(attacker, sample):
    smuggled = b"POST /v1/sense HTTP/1.1\r\nhost: localhost\r\nauthorization: " + attacker.bearer("agent").encode()
    smuggled += b"\r\ncontent-length: " + str(len(sample)).encode() + b"\r\n\r\n" + sample
    for lengths in (
        b"content-length: 0\r\ncontent-length: 5",
        b"content-length: 4\r\ntransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity",
        b"transfer-encoding: xchunked",
    ):
        with attacker.connection() as secure:
            secure.sendall(
                b"POST /v1/health HTTP/1.1\r\nhost: localhost\r\n" + lengths + b"\r\n\r\n0\r\n\r\n" + smuggled
            )
            answer = read(secure)
        assert 400 <= answer.status < 600, answer
        assert answer.body.count(b"HTTP/1.1") == 0, "one answer, and the connection ends"
