"""A ledger in memory, in an open transaction; at the end every balance must follow from the transfers."""

import sqlite3
from collections.abc import Iterator

import pytest
from eil_economy.domain.audit import audit
from eil_economy.domain.ledger import mint
from eil_economy.domain.schema import SCHEMA


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("PRAGMA foreign_keys = ON")
    conn.executescript(SCHEMA)
    conn.execute("BEGIN IMMEDIATE")
    mint(conn, "acme", "m1", "alice", "CEU", 1000, "top-up", 1)
    yield conn
    conn.execute("COMMIT")
    assert audit(conn).mismatches == ()
    conn.close()
