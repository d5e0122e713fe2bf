"""Prometheus' own judge of rules and configurations."""

import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not here: it comes with Prometheus (Debian: apt-get install prometheus)")
    return found
