"""`kill -9` of each service in turn under load, then restart: every acknowledged sample, decision, proof and entry is there, once."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from eil_cli.door import Door, DoorError
from eil_mesh.services import SERVICES
from support.mesh import eil
from support.plant import Plant

RETRIED = {0, 429, 500, 502, 503, 504}
"""HTTP statuses after which a client tries again; 0 is no answer at all."""


class Patient(Door):
    """A door that tries again until it is answered, as any client of a service that restarts does."""

    def call(self, method: str, path: str, body: Any = None, *, params: Any = None) -> Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                return super().call(method, path, body, params=params)
            except DoorError as error:
                if error.status not in RETRIED or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class Load:
    """One plant's loop, running until told to stop; remembers what was acknowledged."""

    def __init__(self, door: Door, stamp: Callable[[float], str], name: str) -> None:
        self.plant = Plant(door, stamp, source=name, begin_s=-86400.0)
        self.samples, self.decisions, self.verdicts = 0, [], []
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive()
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            self._sense(30)
            while not self._stop.is_set():
                request_id = f"{self.plant.source}-{len(self.decisions)}"
                decision = self.plant.act(horizon_s=30.0, request_id=request_id)
                self.decisions.append(decision)
                self._sense(3)
                body = self.plant.proof_of(decision)
                self.verdicts.append(self.plant.door.call("POST", "/v1/proof", body))
        except BaseException as error:
            self.failure = error

    def _sense(self, steps: int) -> None:
        for _ in range(steps):
            self.plant.sense()
            self.samples += 1


def pids(state: Any) -> dict[str, int]:
    status = json.loads(eil("status", "--json", "--state", str(state), check=False).stdout)
    return {row["name"]: row["pid"] for row in status["processes"]}


@pytest.fixture
def load(mesh, stamp):
    door = Patient(mesh.endpoint, mesh.token("operator", tenant="demo", subject="sufferer"))
    running = Load(door, stamp, f"sufferer-{os.getpid()}")
    door.call("PUT", f"/v1/sources/{running.plant.source}", {"kind": "simulated"})
    yield running
    door.close()


def test_nothing_acknowledged_is_lost_or_counted_twice(mesh, load):
    load.start()
    for name in SERVICES:
        time.sleep(1.0)
        victim = pids(mesh.state)[name]
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while (again := pids(mesh.state).get(name)) in (None, victim) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert again not in (None, victim), f"{name} was not started anew"
    load.stop()
    assert len(load.verdicts) >= len(SERVICES), "there was load all the time"

    door, source = load.plant.door, load.plant.source
    status = door.call("GET", "/v1/regime/status", params={"source": source})["sources"][0]
    assert int(status["samples"]) == load.samples
    decisions = {d["response"]["prediction_id"]: d for d in everything(door, "/v1/decisions", "decisions", source)}
    assert len(decisions) == len(load.decisions), "an act repeated under its request id is one decision"
    for decision in load.decisions:
        assert decisions[decision["prediction_id"]]["response"]["predicted_state"] == decision["predicted_state"]
    proofs = {p["response"]["prediction_id"]: p["response"] for p in everything(door, "/v1/proofs", "verdicts", source)}
    for verdict in load.verdicts:
        assert proofs[verdict["prediction_id"]]["pft_minted"] == verdict["pft_minted"]

    minted_u = sum(round(verdict["pft_minted"] * 1e6) for verdict in load.verdicts)
    assert minted_u > 0
    assert booked(door, minted_u), "what was promised is in the ledger, once"
    entries = everything(door, "/v1/economy/transfers", "transfers", "", owner="sufferer", token="PFT")
    ids = [entry["id"] for entry in entries]
    assert len(ids) == len(set(ids))
    audit = eil("audit", "verify", "--state", str(mesh.state), check=False)
    assert audit.returncode == 0, audit.stdout + audit.stderr


def booked(door: Door, minted_u: int) -> bool:
    """Rewards owed while the ledger was away are booked within seconds."""
    deadline = time.monotonic() + 20
    while True:
        balances = door.call("GET", "/v1/economy/balances", params={"owner": "sufferer"})["balances"]
        held = sum(int(balance["balance_u"]) for balance in balances if balance["token"] == "PFT")
        if held == minted_u or time.monotonic() > deadline:
            return held == minted_u
        time.sleep(0.5)


def everything(door: Door, path: str, field: str, source: str, **params: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        asked = {**params, "page_size": 200, "page_token": token, **({"source": source} if source else {})}
        page = door.call("GET", path, params=asked)
        found += page[field]
        token = page["next_page_token"]
        if not token:
            return found
