"""A door by itself, as it runs in its image, on keys that were provisioned."""

import base64
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml
from eil_gateway import probe
from eil_gateway.keys import place
from eil_gateway.provision import manifests, provision
from eil_gateway.rotation import rotate_keys
from eil_mesh.services import SERVICES
from gateway_door import await_port, free_port
from gateway_replicas import Replica, serving


@contextmanager
def standing(folder: Path, upstream: str, port: int, figures_port: int) -> Iterator[subprocess.Popen[bytes]]:
    state = folder / "state"
    state.mkdir()
    (state / "keys").symlink_to(folder / "keys" / "door")
    variables = {
        "STATE": str(state),
        "TLS_DIR": str(folder / "keys" / "gateway"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "FIGURES_HOST": "127.0.0.1",
        "FIGURES_PORT": str(figures_port),
        "UPSTREAM": upstream,
        "DRAIN_S": "0.1",
    }
    environ = {**os.environ, **{f"EIL_GATEWAY_{name}": value for name, value in variables.items()}}
    with (folder / "door.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "eil_gateway"], env=environ, stderr=log)
        try:
            await_port(port, process)
            yield process
        finally:
            process.kill()
            process.wait()


def token(folder: Path) -> str:
    command = [sys.executable, "-m", "eil_gateway.token", str(folder), "--role", "viewer"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def status_of(folder: Path, port: int, bearer: str) -> int:
    url = f"https://localhost:{port}/v1/regime/status"
    tls = ssl.create_default_context(cafile=str(folder / "keys" / "ca.crt"))
    return httpx.get(url, headers={"authorization": f"Bearer {bearer}"}, verify=tls, timeout=10).status_code


def test_it_serves_takes_new_keys_and_ends_in_order(tmp_path, monkeypatch):
    provision(tmp_path, [])
    replica = Replica()  # pyright: ignore[reportAbstractUsage] - what is not here is UNIMPLEMENTED
    port, figures_port = free_port(), free_port()
    with (
        serving(tmp_path / "keys" / "regime", [replica]) as (upstream,),
        standing(tmp_path, f"localhost:{upstream}", port, figures_port) as door,
    ):
        deadline = time.monotonic() + 60
        while status_of(tmp_path, port, token(tmp_path)) != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert replica.peers == {"gateway"}

        monkeypatch.setenv("EIL_GATEWAY_FIGURES_PORT", str(figures_port))
        monkeypatch.setattr(sys, "argv", ["probe"])
        assert probe.main() == 0
        monkeypatch.setattr(sys, "argv", ["probe", f"https://localhost:{port}/v1/nothing"])
        assert probe.main() == 1

        before = token(tmp_path)
        rotate_keys(tmp_path, wait=lambda _: None)
        place(tmp_path / "keys" / "door" / "jwks.json", (tmp_path / "keys" / "jwks.json").read_bytes(), replace=True)
        deadline = time.monotonic() + 60
        while status_of(tmp_path, port, token(tmp_path)) != 200:
            assert time.monotonic() < deadline, "a replaced key set is read"
            time.sleep(0.2)
        assert status_of(tmp_path, port, before) == 200

        door.send_signal(signal.SIGTERM)
        assert door.wait(15) == 0


def test_provisioning_again_changes_nothing_but_what_is_due(tmp_path):
    provision(tmp_path, ["eil.example"])
    files = [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    provision(tmp_path, ["eil.example"])
    assert {path: path.read_bytes() for path in files} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in files if path.suffix in (".key", ".pem", ".ed25519"))


def test_a_service_gets_its_own_alone(tmp_path):
    keys = provision(tmp_path, [])
    found = {one["metadata"]["name"]: one["data"] for one in yaml.safe_load_all(manifests(keys, "eil"))}
    assert set(found) == {f"eil-{name}" for name in (*SERVICES, "gateway", "door")}
    own = {"ca.crt", "tls.crt", "tls.key", "jwks.json", "head.ed25519"}
    for name in SERVICES:
        assert set(found[f"eil-{name}"]) == (own | {"signing.pem"} if name == "bridge" else own)
    private = {name: data["tls.key"] for name, data in found.items()}
    assert len(set(private.values())) == len(private)
    assert base64.b64decode(found["eil-door"]["jwks.json"]) == keys.jwks.read_bytes()
    assert not any("ca.key" in data for data in found.values())


def test_what_it_needs_is_said(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "eil_gateway"],
        env={**os.environ, "EIL_GATEWAY_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "EIL_GATEWAY_TLS_DIR" in done.stderr
