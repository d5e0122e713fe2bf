"""The loop with the services' state in PostgreSQL: it is proven, settled, audited, and found again after a restart."""

import json
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from eil_cli.databases import FILE
from eil_mesh.services import STATEFUL
from eil_mesh.testing import end_sessions, postgres_database, postgres_url
from psycopg.conninfo import make_conninfo
from support.mesh import RunningMesh, eil
from support.plant import Plant

pytestmark = pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL server: set EIL_TEST_POSTGRES")
SUBJECT = "fleet-owner"


@pytest.fixture(scope="module")
def server():
    with postgres_database() as url:
        yield url


@pytest.fixture(scope="module")
def state():
    with tempfile.TemporaryDirectory(prefix="eil-test-") as folder:
        yield Path(folder) / "state"


def up(state: Path, *options: str) -> RunningMesh:
    eil("up", "--detach", "--state", str(state), *options)
    return RunningMesh(state)


def down(mesh: RunningMesh) -> None:
    mesh.close()
    eil("down", "--state", str(mesh.state))


def until(holds, limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.1)


def audited(state: Path) -> dict[str, dict[str, object]]:
    found = json.loads(eil("audit", "verify", "--json", "--state", str(state), check=False).stdout)
    assert found["holds"], found
    return {report["journal"]: report for report in found["journals"]}


def test_the_loop_is_proven_settled_and_audited_and_outlives_its_processes_and_sessions(
    server, state, stamp, monkeypatch
):
    monkeypatch.setenv("EIL_PROOF_SETTLE_EVERY_S", "0.2")
    monkeypatch.setenv("EIL_REGIME_LATENESS_S", "30")
    for name in STATEFUL:
        monkeypatch.setenv(f"EIL_{name.upper()}_ANCHOR_S", "0.5")
    mesh = up(state, "--postgres", server)
    try:
        door = mesh.door("operator", tenant="demo", subject=SUBJECT)
        plant = Plant(door, stamp)
        door.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
        plant.sense(60)
        proven = plant.act()
        plant.sense(6)
        verdict = door.call("POST", "/v1/proof", plant.proof_of(proven))
        assert verdict["valid"], verdict["reason"]
        assert verdict["pft_minted"] > 0
        left = plant.act()
        plant.sense(12)

        def settled() -> bool:
            found = door.call("GET", "/v1/proofs", params={"source": plant.source})["verdicts"]
            return left["prediction_id"] in {one["response"]["prediction_id"] for one in found}

        until(settled)

        def balance() -> float:
            held = door.call("GET", "/v1/economy/balances", params={"owner": SUBJECT})["balances"]
            return sum(one["balance"] for one in held if one["token"] == "PFT")

        until(lambda: balance() >= verdict["pft_minted"])
        assert not [name for name in STATEFUL if (state / f"{name}.db").exists()], "nothing of theirs is kept in files"
        until(lambda: audited(state)["economy/0"]["not_anchored"] == 0)
        for journal in ("regime/0", "decision/0", "proof/0", "economy/0"):
            assert audited(state)[journal]["heads"] != 0, journal
        assert "holds" in eil("audit", "ledger", "--state", str(state)).stdout
        shown = json.loads(eil("status", "--json", "--state", str(state)).stdout)
        assert shown["postgres"].keys() == set(STATEFUL)

        end_sessions(server, "eil-%")  # as a failover does
        until(lambda: door.get("/v1/regime/status")[0] == 200)
        until(lambda: door.post("/v1/sense", _sample(plant, stamp))[0] == 200)
        rows = json.loads(eil("status", "--json", "--state", str(state)).stdout)["processes"]
        assert {row["name"]: row["restarts"] for row in rows if row["name"] in STATEFUL} == dict.fromkeys(STATEFUL, 0)
        minted = balance()
    finally:
        down(mesh)
    again = up(state)
    try:
        door = again.door("operator", tenant="demo", subject=SUBJECT)
        verdict = door.call("POST", "/v1/proof", plant.proof_of(proven))
        assert verdict["already_proven"]
        held = door.call("GET", "/v1/economy/balances", params={"owner": SUBJECT})["balances"]
        assert [one["balance"] for one in held if one["token"] == "PFT"] == [pytest.approx(minted)]
        audited(state)
    finally:
        down(again)
    with psycopg.connect(server, autocommit=True, options="-c search_path=proof") as admin:
        admin.execute("DROP TRIGGER journal_holds ON journal")
        admin.execute("UPDATE journal SET key = 'forged' WHERE \"offset\" = 1")
    told = eil("audit", "verify", "--state", str(state), check=False)
    assert told.returncode == 1
    assert "hash of entry 1 does not follow" in told.stdout


def _sample(plant: Plant, stamp) -> dict[str, object]:
    plant.now_s += 10.0
    return {"source": plant.source, "timestamp": stamp(plant.now_s), "telemetry": {"power_draw": 1000.0}}


def test_a_server_is_refused_that_cannot_keep_the_state_and_nothing_is_remembered(server, tmp_path):
    folder = tmp_path / "state"

    def refused(url: str) -> str:
        told = eil("up", "--detach", "--state", str(folder), "--postgres", url, check=False)
        assert told.returncode != 0
        assert not (folder / FILE).exists()
        return " ".join(told.stderr.split())

    assert "cannot be used" in refused("postgresql://eil@127.0.0.1:1/eil")
    secret = refused(make_conninfo(server, password="hunter2"))
    assert "passfile" in secret
    assert "hunter2" not in secret
    with closing(sqlite3.connect(folder / "regime.db")):
        os.chmod(folder, 0o700)
        (folder / "regime.db").touch()
        assert "in files already" in refused(server)
