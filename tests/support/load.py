"""Load that remembers what was acknowledged, and the check that all of it is there, once."""

import threading
import time
from collections.abc import Callable
from typing import Any

from eil_cli.door import Door, DoorError
from support.mesh import RunningMesh, eil
from support.plant import Plant

PASSING = {0, 429, 500, 502, 503, 504}
"""HTTP statuses after which a client tries again; 0 is no answer at all."""


class Patient(Door):
    """A door that tries again until it is answered, as any client of a service that restarts does."""

    patience_s = 60.0

    def call(self, method: str, path: str, body: Any = None, *, params: Any = None) -> Any:
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                return super().call(method, path, body, params=params)
            except DoorError as error:
                if error.status not in PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class Load:
    """One plant's loop in tenant `demo`, running until told to stop; remembers what was acknowledged."""

    def __init__(self, mesh: RunningMesh, stamp: Callable[[float], str], name: str, patience_s: float = 60.0) -> None:
        self.owner = f"owner-of-{name}"
        self.door = Patient(mesh.endpoint, mesh.token("operator", tenant="demo", subject=self.owner))
        self.door.patience_s = patience_s
        self.door.call("PUT", f"/v1/sources/{name}", {"kind": "simulated"})
        self.plant = Plant(
            self.door, stamp, source=name, begin_s=-7 * 86400.0
        )  # an hour of load takes days of its clock
        self.samples, self.decisions, self.verdicts = 0, [], []
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(self.door.patience_s + 30)
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
                self.verdicts.append(self.door.call("POST", "/v1/proof", self.plant.proof_of(decision)))
        except BaseException as error:
            self.failure = error

    def _sense(self, steps: int) -> None:
        for _ in range(steps):
            self.plant.sense()
            self.samples += 1

    def check(self) -> None:
        """Every acknowledged sample, decision, proof and entry is there, once."""
        source = self.plant.source
        status = self.door.call("GET", "/v1/regime/status", params={"source": source})["sources"][0]
        assert int(status["samples"]) == self.samples
        kept = {d["response"]["prediction_id"]: d for d in self.everything("/v1/decisions", "decisions", source=source)}
        assert len(kept) == len(self.decisions), "an act repeated under its request id is one decision"
        for decision in self.decisions:
            assert kept[decision["prediction_id"]]["response"]["predicted_state"] == decision["predicted_state"]
        proofs = {
            p["response"]["prediction_id"]: p["response"]
            for p in self.everything("/v1/proofs", "verdicts", source=source)
        }
        for verdict in self.verdicts:
            assert proofs[verdict["prediction_id"]]["pft_minted"] == verdict["pft_minted"]
        minted_u = sum(round(verdict["pft_minted"] * 1e6) for verdict in self.verdicts)
        assert minted_u > 0
        assert self._booked(minted_u), "what was promised is in the ledger, once"
        entries = self.everything("/v1/economy/transfers", "transfers", owner=self.owner, token="PFT")
        ids = [entry["id"] for entry in entries]
        assert len(ids) == len(set(ids))

    def _booked(self, minted_u: int) -> bool:
        """Rewards owed while the ledger was away are booked within seconds."""
        deadline = time.monotonic() + 60
        while True:
            balances = self.door.call("GET", "/v1/economy/balances", params={"owner": self.owner})["balances"]
            held = sum(int(balance["balance_u"]) for balance in balances if balance["token"] == "PFT")
            if held == minted_u or time.monotonic() > deadline:
                return held == minted_u
            time.sleep(0.5)

    def everything(self, path: str, field: str, **params: Any) -> list[dict[str, Any]]:
        """All pages of a list, as the load's own user sees it."""
        return everything(self.door, path, field, **params)


def everything(door: Door, path: str, field: str, **params: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = door.call("GET", path, params={**params, "page_size": 200, "page_token": token})
        found += page[field]
        token = page["next_page_token"]
        if not token:
            return found


def audited(mesh: RunningMesh) -> None:
    """Every journal holds, and fits its anchored heads."""
    audit = eil("audit", "verify", "--state", str(mesh.state), check=False)
    assert audit.returncode == 0, audit.stdout + audit.stderr
