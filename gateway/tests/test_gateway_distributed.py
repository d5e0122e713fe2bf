"""The door before services on other machines: mutual TLS in the name `gateway`, and a replica that fails gets no requests."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from eil_gateway.keys import ensure_keys, service_certificates
from eil_gateway.options import Upstreams
from eil_mesh.services import SERVICES
from gateway_door import Backends, Door, envoy, free_port
from gateway_replicas import Replica, serving


@contextmanager
def door_before(state: Path, replicas: list[Replica], certificate: str = "regime") -> Iterator[Door]:
    keys, port = ensure_keys(state), free_port()
    service_certificates(keys.folder, ["gateway", certificate])
    with serving(keys.folder / certificate, replicas) as ports:
        nowhere = {name: ("localhost:1",) for name in SERVICES}
        upstreams = Upstreams(
            tls=keys.folder / "gateway", grpc={**nowhere, "regime": [f"localhost:{port}" for port in ports]}
        )
        with envoy(state, port=port, admin_port=None, upstreams=upstreams):
            yield Door(state, port, 0, keys, Backends(state))


def test_a_replica_that_fails_gets_no_requests(tmp_path: Path) -> None:
    good, bad = Replica(), Replica()  # pyright: ignore[reportAbstractUsage] - what is not here is UNIMPLEMENTED
    with (
        door_before(tmp_path, [good, bad]) as door,
        door.client(headers=door.bearer("viewer"), timeout=20) as client,
    ):
        end = time.monotonic() + 60  # on a slow machine one passes its first health check long after the other
        while not (good.asked and bad.asked):
            assert client.get("/v1/regime/status").status_code == 200
            assert time.monotonic() < end, "both are asked"
        assert good.peers | bad.peers == {"gateway"}, "the door shows its own certificate"
        bad.fails, asked, end = True, bad.asked, time.monotonic() + 4
        answers = set[int]()
        while time.monotonic() < end:
            answers.add(client.get("/v1/regime/status").status_code)
        assert answers == {200}, "asking is idempotent: the door asks the other one"
        # Five failures put it aside for five seconds, though it passes its health check once a second; then it may be tried once more.
        assert 5 <= bad.asked - asked <= 12


@pytest.mark.parametrize("certificate", ["proof"])
def test_a_server_under_another_name_is_not_spoken_to(tmp_path: Path, certificate: str) -> None:
    impostor = Replica()  # pyright: ignore[reportAbstractUsage]
    with (
        door_before(tmp_path, [impostor], certificate) as door,
        door.client(headers=door.bearer("viewer"), timeout=20) as client,
    ):
        assert client.get("/v1/regime/status").status_code == 503
    assert not impostor.asked


def test_by_default_services_are_at_their_names() -> None:
    upstreams = Upstreams(tls=Path("keys/gateway"))
    assert upstreams.grpc["regime"] == ("eil-regime:7000",)
    assert set(upstreams.grpc) == set(SERVICES)
