"""A whole mesh, started by the command that people use, and doors for whoever a test wants to be."""

import subprocess
import sys
import time
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

    def door(self, *roles: str, tenant: str = "default", subject: str = "tester") -> Door:
        opened = Door(self.endpoint, self.token(*roles, tenant=tenant, subject=subject))
        self._doors.append(opened)
        return opened

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
