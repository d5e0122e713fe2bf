"""Real servers that a test may stop and start: Kafka, Neo4j, S3, PostgreSQL.

`EIL_TEST_TOOLS` names a folder with a script for each (`kafka.sh`, `neo4j.sh`, `s3.sh`, `postgres.sh`): `start PORT DIR` starts the server,
waits until it serves, `WAIT_S` seconds at most, and prints its address; `stop DIR` stops it and leaves its data.
"""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("kafka", "neo4j", "postgres", "s3")
READY_S = 400
"""What a server may take until it serves: minutes, where cores are slow and a mesh under load wants them too."""


def tools() -> Path:
    """The folder of scripts; skips the test where there is none."""
    folder = os.environ.get("EIL_TEST_TOOLS", "")
    if not folder:
        pytest.skip("no servers to stop and start: set EIL_TEST_TOOLS (see tests/support/servers.py)")
    return Path(folder)


class Server:
    """One server with a data folder of its own, always on the same port."""

    def __init__(self, name: str, data: Path) -> None:
        self.name, self._data, self._port = name, data, free_port()
        data.mkdir(mode=0o755)
        self.address = ""

    def start(self) -> str:
        """Start it and wait until it serves; returns its address."""
        self.address = self._tool("start", str(self._port), str(self._data)).strip()
        self._answers()  # a script may have taken the last run's log for this one's
        return self.address

    def _answers(self) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, f"{self.name} does not answer on port {self._port}"
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop it; its data stays."""
        self._tool("stop", str(self._data))

    def _tool(self, *arguments: str) -> str:
        command = [str(tools() / f"{self.name}.sh"), *arguments]
        environment = os.environ | {"WAIT_S": str(READY_S)}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=READY_S + 60, check=False, env=environment
        )
        assert done.returncode == 0, f"{self.name} {arguments[0]}: {done.stderr}"
        return done.stdout


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
