"""A whole mesh, started by the command that people use, and doors for whoever a test wants to be."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eil_cli.door import Door
from eil_cli.endpoint import Endpoint
from eil_gateway.keys import issue_token

EIL = str(Path(sys.executable).parent / "eil")


class RunningMesh:
    """A mesh that serves, its state folder, and doors for whoever a test wants to be."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.endpoint = Endpoint.load(state)
        self._doors: list[Door] = []

    def token(self, *roles: str, tenant: str = "default", subject: str = "tester", ttl_s: float = 3600.0) -> str:
        return issue_token(
            self.state, subject=subject, roles=roles or ("operator",), tenant=tenant, ttl_s=ttl_s, now_s=time.time()
        )

    def door(self, *roles: str, tenant: str = "default", subject: str = "tester", ttl_s: float = 3600.0) -> Door:
        opened = Door(self.endpoint, self.token(*roles, tenant=tenant, subject=subject, ttl_s=ttl_s))
        self._doors.append(opened)
        return opened

    def pids(self) -> dict[str, int]:
        """Process of each service, of the gateway and of the supervisor; those that wait to be started are left out."""
        status = json.loads(eil("status", "--json", "--state", str(self.state), check=False).stdout)
        return {row["name"]: row["pid"] for row in status["processes"] if row["pid"]}

    def kill(self, name: str, within_s: float = 60.0) -> float:
        """Kill a service at once (SIGKILL) and wait until it was started anew; returns how long that took [s]."""
        victim, began = self.pids()[name], time.monotonic()
        os.kill(victim, signal.SIGKILL)
        while self.pids().get(name) in (None, victim):
            assert time.monotonic() < began + within_s, f"{name} was not started anew"
            time.sleep(0.2)
        return time.monotonic() - began

    def close(self) -> None:
        for door in self._doors:
            door.close()


def eil(*arguments: str, check: bool = True, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run the eil command."""
    done = subprocess.run(
        [EIL, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"eil {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def running_mesh(state: Path, *options: str) -> Iterator[RunningMesh]:
    """A mesh in a state folder, by `eil up` with these options; down at the end."""
    eil("up", "--detach", "--state", str(state), *options)
    mesh = RunningMesh(state)
    try:
        yield mesh
    finally:
        mesh.close()
        eil("down", "--state", str(state))


@contextmanager
def temporary_mesh(*options: str) -> Iterator[RunningMesh]:
    """The same, in a folder that goes with it; its path is short, as those of sockets must be."""
    with (
        tempfile.TemporaryDirectory(prefix="eil-test-") as folder,
        running_mesh(Path(folder) / "state", *options) as mesh,
    ):
        yield mesh
