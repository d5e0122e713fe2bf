"""A full disk: what cannot be stored is refused with 503, nothing that was acknowledged is lost, and room is all it takes to go on."""

import os
import subprocess
import time

import pytest
from eil_cli.door import DoorError
from support.load import audited
from support.mesh import running_mesh
from support.plant import Plant

SIZE = 24 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of its own can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_and_forgets_nothing(small_disk, stamp):
    with running_mesh(small_disk / "state") as mesh:
        door = mesh.door("operator", tenant="demo", subject="cramped")
        door.call("PUT", "/v1/sources/cramped", {"kind": "simulated"})
        plant = Plant(door, stamp, source="cramped", begin_s=-86400.0)
        plant.sense(30)
        plant.act()
        ballast = small_disk / "ballast"
        fill(ballast)
        stored, refused = 30, []
        for _ in range(60):
            try:
                stored += plant.sense()["status"] == "accepted"
            except DoorError as error:
                refused.append(error)
        assert refused, "the disk was full"
        assert {(error.status, error.reason) for error in refused} == {(503, "STORE_FAILED")}
        ballast.unlink()
        deadline = time.monotonic() + 60
        while True:
            try:
                stored += plant.sense()["status"] == "accepted"
                break
            except DoorError:
                assert time.monotonic() < deadline
                time.sleep(0.5)
        status = door.call("GET", "/v1/regime/status", params={"source": "cramped"})["sources"][0]
        assert int(status["samples"]) == stored
        plant.sense(5)
        assert plant.act()["prediction_id"]
        audited(mesh)


def fill(path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        block = os.urandom(64 * 1024)
        try:
            while True:
                file.write(block)
        except OSError:
            return
