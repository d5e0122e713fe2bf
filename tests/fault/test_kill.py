"""`kill -9` of each service in turn under load, then restart: every acknowledged sample, decision, proof and entry is there, once."""

import os
import time

import pytest
from eil_mesh.services import SERVICES
from support.load import Load, audited


@pytest.fixture
def load(mesh, stamp):
    running = Load(mesh, stamp, f"sufferer-{os.getpid()}")
    yield running
    running.door.close()


def test_nothing_acknowledged_is_lost_or_counted_twice(mesh, load):
    load.start()
    for name in SERVICES:
        time.sleep(1.0)
        mesh.kill(name)
    load.stop()
    assert len(load.verdicts) >= len(SERVICES), "there was load all the time"
    load.check()
    audited(mesh)
