"""One whole mesh for the tests that cross services."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.mesh import RunningMesh, eil
from support.plant import stamps


@pytest.fixture(scope="session")
def mesh() -> Iterator[RunningMesh]:
    with tempfile.TemporaryDirectory(prefix="eil-test-") as folder:
        state = Path(folder) / "state"
        eil("up", "--detach", "--state", str(state))
        running = RunningMesh(state)
        try:
            yield running
        finally:
            running.close()
            eil("down", "--state", str(state))


@pytest.fixture
def stamp() -> Callable[[float], str]:
    """RFC 3339 of now plus some seconds; "now" stands still within a test."""
    return stamps()
