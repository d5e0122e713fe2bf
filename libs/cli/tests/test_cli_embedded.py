"""What the embedded profile would run, without running it."""

import socket as socketlib
import stat
import sys
from pathlib import Path

import pytest
from eil_cli.embedded import GATEWAY, PROCESSES, Plan, StateUnsafe, health_socket, plan, private_folder
from eil_cli.health import service_serves
from eil_cli.ports import HeldPort, PortBusy
from eil_mesh.clock import SystemClock
from eil_mesh.identity import TokenVerifier
from eil_mesh.server import Mesh
from eil_mesh.services import FRONTS, SERVICES
from eil_mesh.settings import MeshSettings, load_settings


def release(planned: Plan) -> Plan:
    for spec in planned.specs:
        spec.before_start()
    return planned


def test_every_service_and_then_the_gateway(tmp_path: Path) -> None:
    planned = release(plan(tmp_path, None))

    assert [spec.name for spec in planned.specs] == [*SERVICES, *FRONTS, GATEWAY]
    assert [spec.after_others for spec in planned.specs] == [False] * len(PROCESSES) + [True]
    for spec in planned.specs[:-1]:
        service = FRONTS.get(spec.name, spec.name)
        module = [f"eil_{service}"] if service == spec.name else ["eil_mesh.front", service]
        assert spec.command == (sys.executable, "-P", "-m", *module)
        kind = type("Settings", (MeshSettings,), {"service": service})
        port = load_settings(kind, dict(spec.env)).metrics_port
        assert planned.endpoint.metrics[spec.name] == f"http://127.0.0.1:{port}/metrics"


def test_the_administrators_token_is_accepted(tmp_path: Path) -> None:
    endpoint = release(plan(tmp_path, None)).endpoint

    principal = TokenVerifier(tmp_path / "keys" / "jwks.json", "eil", "eil", now_s=lambda: 0.0).verify(
        endpoint.admin_token
    )

    assert (principal.tenant, principal.roles) == ("default", {"admin"})
    assert Path(endpoint.ca).read_text().startswith("-----BEGIN CERTIFICATE")


def test_ports_are_distinct_and_kept_where_they_are_free(tmp_path: Path) -> None:
    first = release(plan(tmp_path, None)).endpoint
    first.save(tmp_path)
    again = release(plan(tmp_path, None)).endpoint

    assert (again.url, again.grpc, again.metrics) == (first.url, first.grpc, first.metrics)
    assert (
        len({again.url.rpartition(":")[2], *(url.split(":")[2] for url in again.metrics.values())})
        == len(PROCESSES) + 2
    )

    with HeldPort(int(first.url.rpartition(":")[2])):
        assert release(plan(tmp_path, None)).endpoint.url != first.url


def test_a_port_asked_for_is_that_port_or_an_error(tmp_path: Path) -> None:
    with HeldPort() as held, pytest.raises(PortBusy, match="--port"):
        plan(tmp_path, held.port)
    assert release(plan(tmp_path, held.port)).endpoint.url == f"https://127.0.0.1:{held.port}"


def test_the_state_folder_is_private(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path / "deep" / "er"):
        private_folder(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    private_folder(empty)
    assert stat.S_IMODE(empty.stat().st_mode) == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(StateUnsafe, match="--state"):
        private_folder(tmp_path / "file")


async def test_health_is_asked_on_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Settings(MeshSettings):
        service = "regime"

    assert health_socket("bridge") == "bridge-health.sock"
    monkeypatch.chdir(tmp_path)
    socket = health_socket("regime")
    assert not await service_serves(socket)
    mesh = Mesh(Settings(), SystemClock())
    await mesh.start()
    assert await service_serves(socket)
    await mesh.drain()
    assert not await service_serves(socket)


async def test_a_socket_left_behind_by_a_killed_service_is_not_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socketlib.socket(socketlib.AF_UNIX) as abandoned:
        abandoned.bind("regime.sock")

    assert not await service_serves("regime.sock")
