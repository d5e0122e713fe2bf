"""The drill: a mesh under load is backed up every second, its whole state is destroyed, and what comes back holds everything up to the
newest backup, and goes on."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from eil_cli.feeds.times import unix_s
from support.load import everything
from support.mesh import EIL, RunningMesh, eil
from support.plant import Plant


@pytest.fixture
def places(tmp_path_factory):
    base = tmp_path_factory.mktemp("drill")
    yield base / "first", base / "vault", base / "second"
    for state in (base / "first", base / "second"):
        eil("down", "--state", str(state), check=False)


def test_a_state_that_burnt_comes_back_from_its_backups(places, stamp):
    first, vault, second = places
    eil("up", "--detach", "--state", str(first))
    mesh = RunningMesh(first)
    door = mesh.door("operator", tenant="demo", subject="drill")
    plant = Plant(door, stamp, source="drill-plant", begin_s=-86400.0)
    door.call("PUT", "/v1/sources/drill-plant", {"kind": "simulated"})
    keeper = subprocess.Popen(
        [EIL, "backup", str(vault), "--every", "1", "--state", str(first)], stdout=subprocess.DEVNULL
    )
    acknowledged: list[tuple[float, int, int]] = []
    """(moment, samples, decisions) acknowledged up to then."""
    samples = decisions = 0
    began = time.monotonic()
    try:
        while time.monotonic() < began + 12:
            plant.sense(10)
            samples += 10
            plant.act(horizon_s=30.0)
            decisions += 1
            acknowledged.append((time.time(), samples, decisions))
    finally:
        keeper.send_signal(signal.SIGINT)
        keeper.wait(30)
    mesh.close()
    destroy(first)

    taken = unix_s(json.loads(eil("restore", str(vault), "--state", str(second), "--json").stdout)["time"])
    assert time.time() - taken < 60
    _, samples, decisions = max(one for one in acknowledged if one[0] <= taken)
    assert decisions > 1, "there was load before the newest backup"
    assert eil("audit", "verify", "--state", str(second), check=False).returncode == 0
    eil("up", "--detach", "--state", str(second))
    again = RunningMesh(second)
    door = again.door("operator", tenant="demo", subject="drill")
    status = door.call("GET", "/v1/regime/status", params={"source": "drill-plant"})["sources"][0]
    assert int(status["samples"]) >= samples
    kept = everything(door, "/v1/decisions", "decisions", source="drill-plant")
    assert len(kept) >= decisions
    plant.door = door
    plant.sense(10)
    assert plant.act(horizon_s=30.0)["prediction_id"] not in {one["response"]["prediction_id"] for one in kept}
    states = door.call("GET", "/v1/atlas/states", params={"source": "drill-plant"})["states"]
    assert states, "the Atlas goes on where the restored journal does"
    again.close()


def destroy(state) -> None:
    """Kill every process of the mesh at once and remove its folder."""
    status = json.loads(eil("status", "--json", "--state", str(state)).stdout)
    for row in sorted(status["processes"], key=lambda row: row["name"] != "supervisor"):
        os.kill(row["pid"], signal.SIGKILL)
    time.sleep(0.5)
    shutil.rmtree(state)
