"""`eil audit ledger` and `eil bench economy`: what they read, what they say, how they end."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from eil_cli.bench.economy import bench_economy
from eil_cli.main import build
from eil_economy.domain import schema
from eil_economy.domain.ledger import mint, transfer
from eil_economy.domain.records import Instruction
from eil_mesh.pipeline import Session
from eil_mesh.postgres import statements
from eil_mesh.testing import postgres_database, postgres_url
from typer.testing import CliRunner

SMALL = 300
"""Operations of the simulated ledger."""


def fill(conn) -> None:
    mint(conn, "acme", "m", "alice", "CEU", 1000, "funds", 1)
    transfer(conn, "acme", Instruction("t", "alice", "bob", "CEU", 300, "rent"), 2)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "economy.db", isolation_level=None)) as conn:
        conn.executescript(schema.SCHEMA)
        conn.execute("BEGIN")
        fill(conn)
        conn.execute("COMMIT")
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(build(), ["audit", "ledger", *arguments])


def test_an_honest_ledger_holds(state: Path) -> None:
    ran = run("--state", str(state), "--json")
    assert ran.exit_code == 0
    assert json.loads(ran.output) == {"holds": True, "transfers": 2, "accounts": 3, "mismatches": []}
    assert "2 transfers, 3 accounts: holds" in run("--state", str(state)).output


def test_a_ledger_that_was_tampered_with_is_told_and_ends_with_1(state: Path) -> None:
    with closing(sqlite3.connect(state / "economy.db")) as conn:
        conn.execute("UPDATE account SET balance_u = balance_u + 1 WHERE owner = 'bob'")
        conn.commit()
    ran = run("--state", str(state))
    assert ran.exit_code == 1
    assert "CEU of acme sums to 1" in ran.output


def test_where_there_is_no_ledger_it_says_so(tmp_path: Path) -> None:
    ran = run("--state", str(tmp_path))
    assert ran.exit_code != 0
    assert run("--postgres", "postgresql://eil@127.0.0.1:1/eil").exit_code != 0


@pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL server: set EIL_TEST_POSTGRES")
def test_the_ledger_of_a_server_is_counted_too() -> None:
    with postgres_database() as url:
        with psycopg.connect(url, autocommit=True, options="-c search_path=economy") as raw:
            raw.execute("CREATE SCHEMA economy")
            raw.execute(statements(schema.SCHEMA).encode())
            session = Session(raw)
            session.begin()
            fill(session)
            session.end("COMMIT")
        assert "2 transfers, 3 accounts: holds" in run("--postgres", url).output


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_the_benchmark_measures_and_compares(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    if database == "postgres" and not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    monkeypatch.setattr("eil_cli.bench.economy.QUICK_SEQUENCES", 200)
    monkeypatch.setattr("eil_cli.bench.economy.WARM_S", 0.1)
    report = bench_economy(postgres_url() if database == "postgres" else "", quick=True, operations=SMALL)
    found = report.measures
    assert found["simulated_operations"].value == SMALL
    for name in ("simulated_violations", "profitable_round_trips", "falls_of_k", f"{database}_audit_mismatches"):
        assert found[name].value == 0
    assert found[f"{database}_transfers"].value > 0
    assert found[f"{database}_transfers"].gate == {"sqlite": 2000, "postgres": 1500}[database]
    assert ("postgres_p99" in found) == (database == "postgres")
