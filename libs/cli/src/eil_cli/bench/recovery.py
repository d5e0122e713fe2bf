"""How soon a service that is killed serves again, and whether anything acknowledged was lost meanwhile, or counted twice."""

import os
import signal
import threading
import time
from pathlib import Path

from eil_mesh.services import SERVICES
from rich.progress import Progress

from eil_cli.bench.mesh import measured_mesh
from eil_cli.bench.report import Measure
from eil_cli.board import Board
from eil_cli.door import Door, DoorError
from eil_cli.endpoint import Endpoint
from eil_cli.feeds.times import rfc3339
from eil_cli.terminal import Failure, err

GATE_S, GOAL_S = 10.0, 3.0
LIMIT_S = 60.0
"""Longest wait for a service to serve again [s]."""
SOURCE = "recovery"
PAUSE_S = 1.0
"""Between two kills: each life is a little longer than that [s]."""


class _Sender:
    """Sends a sample every 20 ms, again until it is answered, and counts the answers."""

    def __init__(self, state: Path) -> None:
        self.acknowledged = 0
        self._endpoint, self._stop = Endpoint.load(state), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Sender":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT_S)

    def _run(self) -> None:
        with Door(self._endpoint) as door:
            while not self._stop.is_set():
                sample = {"source": SOURCE, "timestamp": rfc3339(time.time()), "telemetry": {"power_draw": 100.0}}
                while not self._answered(door, sample):
                    time.sleep(0.05)
                self.acknowledged += 1
                time.sleep(0.02)

    def _answered(self, door: Door, sample: dict[str, object]) -> bool:
        try:
            return door.post("/v1/sense", sample)[0] == 200
        except DoorError:
            return False

    def held(self) -> int:
        """Samples that the mesh has."""
        with Door(self._endpoint) as door:
            status = door.call("GET", "/v1/regime/status", params={"source": SOURCE})
        return int(status["sources"][0]["samples"])


def measure_recovery() -> dict[str, Measure]:
    """Kill every service of a mesh under load, one after the other, and time each until it is healthy again.

    Raises:
        Failure: one did not come back.
    """
    measures: dict[str, Measure] = {}
    with measured_mesh(None) as mesh, _Sender(mesh.state) as sender, Progress(console=err, transient=True) as progress:
        for name in progress.track(SERVICES, description="killing services"):
            time.sleep(PAUSE_S)
            measures[f"recovery of {name}"] = Measure(_recovery_s(mesh.state, name), "s", GATE_S, GOAL_S)
        time.sleep(PAUSE_S)
        sender.__exit__()
        held = sender.held()
    measures["samples lost or counted twice"] = Measure(abs(held - sender.acknowledged), "samples", 0.0, 0.0)
    return measures


def _recovery_s(state: Path, name: str) -> float:
    victim = _child(state, name)[0]
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    while True:
        pid, healthy = _child(state, name)
        if pid not in (0, victim) and healthy:
            return time.monotonic() - began
        if time.monotonic() > began + LIMIT_S:
            raise Failure(f"{name} was not healthy again within {LIMIT_S:.0f} s; see {state / 'logs' / f'{name}.log'}")
        time.sleep(0.02)


def _child(state: Path, name: str) -> tuple[int, bool]:
    """Process of a service (0: none) and whether it serves."""
    board = Board.load(state)
    child = board.children[name] if board else None
    return (child.pid or 0, child.healthy) if child else (0, False)
