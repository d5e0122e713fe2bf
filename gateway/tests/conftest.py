"""Doors that stand for a session of tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from eil_gateway.keys import ensure_keys
from gateway_door import Backends, Door, envoy, free_port


@pytest.fixture(scope="session")
def short_path() -> Iterator[Path]:
    """A folder with a short path: a Unix socket's has 108 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix="eil-door-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def door(short_path: Path) -> Iterator[Door]:
    """Started once for all tests."""
    keys, backends = ensure_keys(short_path), Backends(short_path)
    port, figures_port = free_port(), free_port()
    backends.start()
    assert backends.up.wait(10)
    try:
        with envoy(short_path, port=port, admin_port=figures_port, cors_origins=["https://portal.example"]):
            yield Door(short_path, port, figures_port, keys, backends)
    finally:
        backends.stop()


@pytest.fixture(scope="session")
def narrow_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door with nothing behind it, no allowed origins, and room for three requests a second."""
    state = tmp_path_factory.mktemp("narrow")
    keys, port = ensure_keys(state), free_port()
    with envoy(state, port=port, admin_port=None, requests_per_s=3):
        yield Door(state, port, 0, keys, Backends(state))


@pytest.fixture(scope="session")
def hasty_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door with nothing behind it that gives requests no time to arrive."""
    state = tmp_path_factory.mktemp("hasty")
    keys, port = ensure_keys(state), free_port()
    with envoy(state, port=port, admin_port=None, arrival_s=0.2):
        yield Door(state, port, 0, keys, Backends(state))
