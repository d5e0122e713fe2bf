"""The small profile of compose.yaml, from images of this checkout: the loop closes through Envoy, and state outlives its containers.
The images are what their commit makes of them, and nothing else.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eil_cli.door import Door
from eil_cli.endpoint import Endpoint
from eil_mesh.services import SERVICES
from support.plant import Plant

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yaml"
PROJECT = "eil-test"
UP_S = 180.0
pytestmark = pytest.mark.skipif(
    os.environ.get("EIL_TEST_COMPOSE") != "1", reason="builds and starts containers: run it by `make compose-test`"
)


@dataclass(frozen=True)
class Stack:
    """Running containers."""

    command: tuple[str, ...]
    environ: dict[str, str]
    port: int

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, env=self.environ, check=False
        )
        if check:
            assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done

    def said(self, *arguments: str) -> str:
        """The last line of what a command printed."""
        return self.run(*arguments).stdout.strip().splitlines()[-1]


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def look_after(stop: threading.Event) -> None:
    """Podman runs health checks by systemd's timers; where there is no systemd this does."""
    while shutil.which("podman") and not stop.wait(2.0):
        names = ["podman", "ps", "--filter", f"label=io.podman.compose.project={PROJECT}", "--format", "{{.Names}}"]
        for name in subprocess.run(names, capture_output=True, text=True, check=False).stdout.split():
            subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    port = free_port()
    tool = ("podman-compose",) if shutil.which("podman-compose") else ("docker", "compose")
    running = Stack(
        (*tool, "-p", PROJECT, "-f", str(FILE), "--profile", "tools"),
        {**os.environ, "EIL_PORT": str(port), "BUILDAH_ISOLATION": "chroot"},
        port,
    )
    running.run("down", "-v", check=False)
    stop = threading.Event()
    nurse = threading.Thread(target=look_after, args=(stop,), daemon=True)
    nurse.start()
    try:
        running.run("up", "-d", "--no-build", "gateway")
        yield running
    finally:
        stop.set()
        nurse.join()
        if os.environ.get("EIL_TEST_KEEP") != "1":
            running.run("down", "-v", check=False)


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    token = stack.said(
        "run", "--rm", "--no-deps", "token", "--role", "operator", "--role", "viewer", "--tenant", "demo"
    )
    ca = tmp_path_factory.mktemp("ca") / "ca.crt"
    ca.write_text(stack.run("run", "--rm", "--no-deps", "token", "--ca").stdout)
    endpoint = Endpoint(f"https://localhost:{stack.port}", f"localhost:{stack.port}", str(ca), token, {}, 0)
    opened = Door(endpoint)
    deadline = time.monotonic() + UP_S
    while True:
        try:
            status, health = opened.get("/v1/health")
        except Exception as error:
            status, health = 0, repr(error)
        if status == 200 and isinstance(health, dict) and health.get("status") == "SERVING":
            break
        assert time.monotonic() < deadline, f"not healthy: {status} {json.dumps(health)[:2000]}"
        time.sleep(1)
    yield opened
    opened.close()


def test_the_loop_closes_through_the_door_and_outlives_its_containers(
    stack: Stack, door: Door, stamp: Callable[[float], str]
):
    plant = Plant(door, stamp)
    door.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
    plant.sense(60)
    decision = plant.act()
    plant.sense(6)
    verdict = door.call("POST", "/v1/proof", plant.proof_of(decision))
    assert verdict["valid"]
    assert verdict["pft_minted"] > 0
    stack.run("restart", "proof", "economy")
    deadline = time.monotonic() + UP_S
    while door.post("/v1/proof", plant.proof_of(decision))[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(1)
    again = door.call("POST", "/v1/proof", plant.proof_of(decision))
    assert again["already_proven"]
    assert again["pft_minted"] == verdict["pft_minted"]


@pytest.mark.parametrize("name", [*SERVICES, "gateway"])
def test_a_container_may_write_nothing_but_its_state(stack: Stack, door: Door, name: str):
    script = "import os; print(os.getuid(), os.access('/opt/eil', os.W_OK), os.access('/tls', os.W_OK), os.access('/state', os.W_OK))"
    asked = ("run", "--rm", "--no-deps", "--entrypoint", "/opt/eil/bin/python", name, "-c", script)
    assert stack.said(*asked) == "65532 False False True"


@pytest.mark.skipif(not shutil.which("podman"), reason="podman alone sets the times of files in layers")
@pytest.mark.parametrize("name", ["regime", "gateway"])
def test_the_same_commit_makes_the_same_layers_and_settings(name: str):
    def made(registry: str) -> str:
        form = "{{.RootFS.Layers}} {{json .Config}}"  # its history tells what came out of the cache
        command = ["podman", "image", "inspect", "--format", form, f"{registry}/eil-{name}:dev"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    again = "localhost/again"
    subprocess.run(
        [ROOT / "scripts/images", "--no-cache", name],
        env={**os.environ, "EIL_REGISTRY": again, "ENGINE": "podman"},
        check=True,
    )
    assert made(again) == made("localhost")
