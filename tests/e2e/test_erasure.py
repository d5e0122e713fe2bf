"""A source that is deleted is gone from every service, others stand, and the evidence still holds."""

import json
import sqlite3
import time
from contextlib import closing

import pytest
from eil_cli.door import DoorError
from support.mesh import eil
from support.plant import Plant


@pytest.fixture
def door(mesh):
    return mesh.door("admin", tenant="eraser", subject="owner")


def lived(door, stamp, name):
    """A plant with samples, a decision and a verdict."""
    plant = Plant(door, stamp, source=name)
    plant.sense(30)
    decision = plant.act()
    plant.sense(6)
    door.call("POST", "/v1/proof", plant.proof_of(decision))
    return plant


def known(door, name):
    """How much each service tells of a source."""
    told = {}
    for what, path, field in (
        ("decisions", "/v1/decisions", "decisions"),
        ("verdicts", "/v1/proofs", "verdicts"),
        ("states", "/v1/atlas/states", "states"),
        ("shifts", "/v1/atlas/shifts", "shifts"),
    ):
        told[what] = len(door.call("GET", path, params={"source": name})[field])
    return told


def payloads(mesh, name):
    """Journal entries about a source that still say something, by service."""
    found = {}
    for service in ("regime", "decision", "proof"):
        with closing(sqlite3.connect(mesh.state / f"{service}.db")) as conn:
            found[service] = conn.execute(
                "SELECT count(*) FROM journal WHERE tenant = 'eraser' AND key = ? AND payload IS NOT NULL"
                " AND topic <> 'eil.regime.erasures'",
                (name,),
            ).fetchone()[0]
    return found


def wait_until_followed(door):
    """Both sources sent the same: once the Atlas tells as much of each, and no more a second later, it has followed them to the end."""
    deadline, before = time.monotonic() + 30, None
    while time.monotonic() < deadline:
        told = known(door, "doomed")["states"], known(door, "spared")["states"]
        if told == before and told[0] == told[1] > 0:
            return
        before = told
        time.sleep(1.0)


def test_a_deleted_source_is_gone_everywhere(mesh, door, stamp):
    lived(door, stamp, "doomed")
    lived(door, stamp, "spared")
    wait_until_followed(door)
    assert known(door, "doomed")["decisions"] == known(door, "doomed")["verdicts"] == 1
    before = known(door, "spared"), payloads(mesh, "spared")

    eil(
        "source",
        "delete",
        "doomed",
        "--yes",
        "--state",
        str(mesh.state),
        "--token",
        mesh.token("admin", tenant="eraser"),
    )
    deadline = time.monotonic() + 60
    while (
        any(known(door, "doomed").values()) or any(payloads(mesh, "doomed").values())
    ) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(known(door, "doomed").values()), known(door, "doomed")
    assert not any(payloads(mesh, "doomed").values()), payloads(mesh, "doomed")
    with pytest.raises(DoorError, match="deleted"):
        door.call("POST", "/v1/sense", {"source": "doomed", "timestamp": stamp(0), "telemetry": {"power_draw": 1.0}})

    assert (known(door, "spared"), payloads(mesh, "spared")) == before
    audit = json.loads(eil("audit", "verify", "--state", str(mesh.state), "--json").stdout)
    assert audit["holds"]
