"""Keys, certificates and issuers come and go while the door stands: nothing is restarted, and nobody is turned away meanwhile."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from eil_gateway.envoy import refresh
from eil_gateway.keys import ensure_keys
from eil_gateway.rotation import renew_certificate, retire_keys, rotate_keys
from eil_mesh import issuers
from eil_mesh.errors import FailedPrecondition, InvalidArgument
from eil_mesh.issuers import write_issuers
from gateway_door import Backends, Door, envoy, free_port
from support.provider import Provider
from test_gateway_rest import refusal

DAY_S = 86_400.0
SENSE = {"source": "a", "timestamp": "2025-01-20T12:00:00Z", "telemetry": {"power_draw": 1}}


@pytest.fixture
def own_door(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """A door for one test, which may change its keys."""
    monkeypatch.setattr(issuers, "RETRY_S", 0.1)
    monkeypatch.setattr("eil_gateway.policy.RETRY_S", 0.1)
    state = short_path / "own"
    keys, backends, port = ensure_keys(state), Backends(state), free_port()
    backends.start()
    assert backends.up.wait(10)
    try:
        with envoy(state, port=port, admin_port=None):
            yield Door(state, port, 0, keys, backends)
    finally:
        backends.stop()
        for path in sorted(state.rglob("*"), reverse=True):
            path.unlink() if not path.is_dir() else path.rmdir()


def soon(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def served(door: Door) -> int:
    """Serial number of the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", door.port), 5) as raw,
        door.tls().wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"").serial_number


def serial(door: Door) -> int:
    return x509.load_pem_x509_certificate(door.keys.certificate.read_bytes()).serial_number


def test_a_renewed_certificate_is_shown_to_new_connections(own_door: Door) -> None:
    before = serial(own_door)
    assert served(own_door) == before
    with own_door.client() as old:
        assert old.get("/v1/health").status_code == 200
        assert renew_certificate(own_door.state, ["eil.example"])
        assert serial(own_door) != before
        soon(lambda: served(own_door) == serial(own_door))
        assert old.get("/v1/health").status_code == 200, "the connection from before goes on"
    assert not renew_certificate(own_door.state, ["eil.example"]), "nothing is due"
    assert renew_certificate(own_door.state, now_s=time.time() + 336 * DAY_S), "it is before it expires"


def test_a_signing_key_is_replaced_and_the_old_one_withdrawn(own_door: Door) -> None:
    old = own_door.bearer("agent")

    def announced(_seconds: float) -> None:
        """Until the new key signs, the old one does, and its tokens pass."""
        assert own_door.token("agent").split(".")[0] == old["authorization"].split()[1].split(".")[0]
        assert client.post("/v1/sense", json=SENSE, headers=old).status_code == 200
        time.sleep(0.5)  # what the door takes to read its files

    with own_door.client() as client:
        rotate_keys(own_door.state, announced)
        new = own_door.bearer("agent")
        assert new["authorization"].split(".")[0] != old["authorization"].split(".")[0], "another key is named"
        for token in (new, old):
            assert client.post("/v1/sense", json=SENSE, headers=token).status_code == 200
        assert retire_keys(own_door.state) == 1
        soon(lambda: client.post("/v1/sense", json=SENSE, headers=old).status_code == 401)
        assert client.post("/v1/sense", json=SENSE, headers=new).status_code == 200
        assert retire_keys(own_door.state) == 0


def test_where_there_are_no_keys_none_are_replaced(tmp_path: Path) -> None:
    for change in (rotate_keys, retire_keys):
        with pytest.raises(FailedPrecondition, match="eil up"):
            change(tmp_path)
    assert not list(tmp_path.iterdir())


def enlist(door: Door, *listed: Any) -> None:
    (door.keys.folder / "issuers.json").write_text(write_issuers(listed))
    refresh(door.state)


def test_tokens_of_a_provider_pass_once_it_is_listed(own_door: Door) -> None:
    roles = {"meters": "agent", "readers": "viewer"}
    claims = {"org": "acme", "realm_access": {"roles": ["meters"]}}
    with Provider(own_door.keys.folder).serving() as provider, own_door.client() as client:
        provider.new_key("one")
        provider.new_key("curve", "EC")

        def status(token: str) -> int:
            return client.post("/v1/sense", json=SENSE, headers={"authorization": f"Bearer {token}"}).status_code

        good = provider.token("one", **claims)
        assert status(good) == 401
        enlist(own_door, provider.issuer(roles=roles))
        soon(lambda: status(good) == 200)
        soon(lambda: status(provider.token("curve", **claims)) == 200)
        assert status(own_door.token("agent")) == 200, "the mesh's own tokens pass as before"

        def answer(**changed: Any) -> Any:
            bearer = {"authorization": f"Bearer {provider.token('one', **{**claims, **changed})}"}
            return client.post("/v1/sense", json=SENSE, headers=bearer)

        refusal(answer(exp=time.time() - 60), 401, 16, "TOKEN_EXPIRED")
        refusal(answer(aud="shop"), 401, 16, "TOKEN_INVALID")
        refusal(answer(realm_access={"roles": ["readers"]}), 403, 7, "ROLE_NOT_ALLOWED")
        refusal(answer(realm_access={"roles": ["agent", "admin"]}), 403, 7, "ROLE_NOT_ALLOWED")
        refusal(answer(realm_access={"roles": []}, roles=["admin"]), 403, 7, "ROLE_NOT_ALLOWED")
        refusal(answer(org=None), 401, 16, "TOKEN_INVALID")
        refusal(answer(iss="eil", roles=["admin"]), 401, 16, "TOKEN_INVALID")
        other_claim = {"authorization": f"Bearer {provider.token('one', org='acme', roles=['viewer'])}"}
        refusal(
            client.post("/mcp", json={}, headers=other_claim), 403, 7, "ROLE_NOT_ALLOWED"
        )  # the bridge would take it
        with_query = f"/v1/stream?access_token={good}"
        assert client.get(with_query).status_code == 200, "on the stream it may stand in the query"
        provider.fails = True
        assert status(good) == 200
        enlist(own_door)
        soon(lambda: status(good) == 401)


def test_while_a_providers_keys_cannot_be_fetched_nobody_is_blamed(own_door: Door) -> None:
    with Provider(own_door.keys.folder).serving() as provider, own_door.client() as client:
        provider.new_key("one")
        provider.fails = True
        enlist(own_door, provider.issuer(tenant="acme"))
        bearer = {"authorization": f"Bearer {provider.token('one')}"}
        soon(lambda: client.post("/v1/sense", json=SENSE, headers=bearer).status_code == 503)
        refusal(client.post("/v1/sense", json=SENSE, headers=bearer), 503, 14, "ISSUER_UNREACHABLE")


def test_a_damaged_list_of_issuers_changes_nothing(own_door: Door) -> None:
    (own_door.keys.folder / "issuers.json").write_text("{")
    with pytest.raises(InvalidArgument, match="eil issuers"):
        refresh(own_door.state)
    with own_door.client(headers=own_door.bearer("agent")) as client:
        assert client.post("/v1/sense", json=SENSE).status_code == 200
