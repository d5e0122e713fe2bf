"""One whole mesh for the tests that cross services."""

from collections.abc import Callable, Iterator

import pytest
from support.mesh import RunningMesh, temporary_mesh
from support.plant import stamps


@pytest.fixture(scope="session")
def mesh() -> Iterator[RunningMesh]:
    with temporary_mesh() as running:
        yield running


@pytest.fixture
def stamp() -> Callable[[float], str]:
    """RFC 3339 of now plus some seconds; "now" stands still within a test."""
    return stamps()
