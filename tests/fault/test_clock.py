"""The machine's clock jumps, forwards and back: what was stored stays, order stays, and the loop goes on."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from eil_cli.door import DoorError
from support.load import audited
from support.mesh import running_mesh
from support.plant import Plant

HOUR_S = 3600.0


@pytest.fixture
def jumping(tmp_path, monkeypatch):
    """A mesh, and the file that sets its clock ahead."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("EIL_TEST_CLOCK", str(clock))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support/clock"))
    with running_mesh(tmp_path / "state") as mesh:
        monkeypatch.delenv("PYTHONPATH")
        yield mesh, clock


def jump(clock: Path, ahead_s: float) -> None:
    draft = clock.with_suffix(".new")
    draft.write_text(str(ahead_s))
    os.replace(draft, clock)


def stamped(ahead_s: float):
    now = datetime.now(UTC) + timedelta(seconds=ahead_s)
    return lambda seconds: (now + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def test_the_loop_goes_on_after_the_clock_jumped(jumping):
    mesh, clock = jumping
    door = mesh.door("operator", tenant="demo", subject="jumper", ttl_s=3 * HOUR_S)
    door.call("PUT", "/v1/sources/jumper", {"kind": "simulated"})
    verdicts = []
    for ahead_s in (0.0, HOUR_S):
        jump(clock, ahead_s)
        plant = Plant(door, stamped(ahead_s), source="jumper", begin_s=-HOUR_S)
        plant.sense(60)
        decision = plant.act(horizon_s=60.0)
        plant.sense(6)
        verdicts.append(door.call("POST", "/v1/proof", plant.proof_of(decision)))
    jump(clock, 0.0)
    with pytest.raises(DoorError) as refused:
        door.call(
            "POST", "/v1/sense", {"source": "jumper", "timestamp": stamped(HOUR_S)(0), "telemetry": {"power_draw": 1.0}}
        )
    assert refused.value.reason == "TIMESTAMP_IN_FUTURE"
    status = door.call("GET", "/v1/regime/status", params={"source": "jumper"})["sources"][0]
    assert int(status["samples"]) == 2 * 66
    assert [verdict["valid"] for verdict in verdicts] == [True, True]
    time.sleep(1.0)
    kept = {
        p["response"]["prediction_id"] for p in door.call("GET", "/v1/proofs", params={"source": "jumper"})["verdicts"]
    }
    assert {verdict["prediction_id"] for verdict in verdicts} <= kept
    audited(mesh)
