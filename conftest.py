"""What the whole run says at its end: which real servers were not there, and how to name them."""

import os

import pytest

SERVERS = {
    "EIL_TEST_POSTGRES": "a PostgreSQL, postgresql://USER@HOST:PORT/DATABASE",
    "EIL_TEST_KAFKA": "a Kafka broker, HOST:PORT",
    "EIL_TEST_NEO4J": "a Neo4j without a password, bolt://HOST:PORT",
    "EIL_TEST_S3": "an S3 server with the keys test and testtest, http://HOST:PORT",
    "EIL_TEST_TOOLS": "a folder of scripts that start and stop such servers (tests/support/servers.py), for the tests of faults",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = [name for name in SERVERS if not os.environ.get(name)]
    if not (missing and terminalreporter.stats.get("skipped")):
        return
    terminalreporter.section("what was skipped, and how to run it")
    for name in missing:
        terminalreporter.write_line(f"{name}: {SERVERS[name]}")
