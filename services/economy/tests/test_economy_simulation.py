"""The ledger under simulation: it must agree with the model after every step, and the simulation must notice when it does not."""

import sqlite3

import pytest
from eil_economy.simulation.backends import PostgresBackend, SqliteBackend
from eil_economy.simulation.simulator import Simulator
from eil_mesh.testing import postgres_schema, postgres_url


@pytest.mark.parametrize("seed", range(4))
def test_every_invariant_holds_after_every_step(tmp_path, seed):
    simulator = Simulator(seed, SqliteBackend(tmp_path / "book.db"))
    outcome = simulator.run(3000)
    assert not outcome.violations, outcome.told
    reached = {"OK", "REPLAY", "CRASH", "EXPIRED", "INSUFFICIENT_BALANCE", "EXISTS_WITH_DIFFERENT_FIELD"}
    reached |= {"ALREADY_POSTED", "ALREADY_VOIDED", "PENDING_EXPIRED", "EXCEEDS_PENDING", "NOT_PENDING"}
    assert reached <= set(outcome.seen)


def test_every_invariant_holds_on_postgresql(request):
    if not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    with postgres_schema() as name:
        outcome = Simulator(7, PostgresBackend(postgres_url(), name)).run(800)
    assert not outcome.violations, outcome.told
    assert outcome.seen["CRASH"]


def test_a_seed_says_everything(tmp_path):
    first, second = (Simulator(3, SqliteBackend(tmp_path / f"{i}.db")).run(500) for i in range(2))
    assert (first.seen, first.lines) == (second.seen, second.lines)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE account SET balance_u = balance_u + 1 WHERE owner = 'bob' AND token = 'CEU' AND tenant = 'acme'",
        "UPDATE supply SET minted_u = minted_u + 1",
        "DROP TRIGGER transfer_not_updated; UPDATE transfer SET reason = 'other' WHERE seq = 5",
        "DROP TRIGGER transfer_not_deleted; DELETE FROM transfer WHERE seq = (SELECT max(seq) FROM transfer)",
        "DELETE FROM hold",
    ],
)
def test_the_simulation_notices_a_book_that_is_wrong(tmp_path, tampering):
    simulator = Simulator(1, SqliteBackend(tmp_path / "book.db"))
    assert not simulator.run(300).violations
    conn = sqlite3.connect(tmp_path / "book.db")
    conn.executescript(tampering)
    conn.close()
    assert simulator.run(300).violations
    assert "seed 1, step" in simulator.outcome.told[0]
