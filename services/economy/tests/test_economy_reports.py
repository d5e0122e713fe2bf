"""Statements page without loss, and the audit finds every kind of tampering."""

import random
import sqlite3
from collections.abc import Iterator

import pytest
from eil_economy.domain.audit import audit
from eil_economy.domain.errors import AccountNotFound, InvalidPage, UnknownToken
from eil_economy.domain.holds import post, reserve
from eil_economy.domain.ledger import mint, transfer
from eil_economy.domain.records import Instruction, Line
from eil_economy.domain.reports import statement, supply
from eil_economy.domain.schema import REPLACE_GUARD, SCHEMA

OWNERS = ("alice", "bob", "carol")


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(SCHEMA + REPLACE_GUARD)
    conn.execute("BEGIN IMMEDIATE")
    rng = random.Random(7)
    for owner in OWNERS:
        mint(conn, "acme", f"m-{owner}", owner, "CEU", 10_000, "top-up", 0)
    for i in range(60):
        source, destination = rng.sample(OWNERS, 2)
        order = Instruction(f"t{i}", source, destination, "CEU", rng.randint(1, 90), "trade")
        if i % 3:
            transfer(conn, "acme", order, i)
        else:
            reserve(conn, "acme", order, 10**6, i)
            if i % 2:
                post(conn, "acme", f"p{i}", f"t{i}", i, amount_u=1)
    conn.execute("COMMIT")
    yield conn
    conn.close()


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_join_to_the_whole_history_newest_first(conn: sqlite3.Connection, limit: int) -> None:
    lines: list[Line] = []
    before_seq = None
    while True:
        page = statement(conn, "acme", "alice", "CEU", before_seq, limit)
        assert len(page.lines) <= limit
        lines += page.lines
        before_seq = page.next_before_seq
        if before_seq is None:
            break
    seqs = [line.transfer.seq for line in lines]
    touching = conn.execute(
        "SELECT seq FROM transfer WHERE 'alice' IN (source, destination) ORDER BY seq DESC"
    ).fetchall()
    assert seqs == [seq for (seq,) in touching]
    running_u = reserved_u = incoming_u = 0
    for line in reversed(lines):
        running_u += line.change_u
        reserved_u += line.reserved_change_u
        incoming_u += line.incoming_change_u
        assert line.balance_after_u == running_u
        assert line.counterparty != "alice"
    stored = conn.execute("SELECT balance_u, reserved_u, incoming_u FROM account WHERE owner = 'alice'").fetchone()
    assert stored == (running_u, reserved_u, incoming_u)


def test_reports_refuse_what_they_do_not_know(conn: sqlite3.Connection) -> None:
    for tenant, owner, token in (("zeta", "alice", "CEU"), ("acme", "dora", "CEU"), ("acme", "alice", "PFT")):
        with pytest.raises(AccountNotFound):
            statement(conn, tenant, owner, token)
    with pytest.raises(InvalidPage):
        statement(conn, "acme", "alice", "CEU", limit=0)
    with pytest.raises(UnknownToken):
        supply(conn, "acme", "EUR")
    assert supply(conn, "zeta", "PFT").circulating_u == 0


def test_audit_accepts_an_honest_book(conn: sqlite3.Connection) -> None:
    report = audit(conn)
    assert report.ok
    assert (report.transfers, report.accounts) == (73, 4)


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE account SET balance_u = balance_u + 1 WHERE owner = 'bob'", "sums to 1"),
        ("UPDATE account SET incoming_u = incoming_u + 1 WHERE owner = 'bob'", "incoming"),
        ("UPDATE supply SET minted_u = minted_u + 1", "supply"),
        ("DELETE FROM hold WHERE transfer_id = (SELECT min(transfer_id) FROM hold)", "expire at None"),
        ("UPDATE hold SET expires_us = expires_us + 1", "is stored to expire"),
        ("INSERT INTO account (tenant, owner, token, kind, balance_u) VALUES ('acme', 'x', 'PFT', 'ordinary', 5)", "x"),
        ("DROP TRIGGER transfer_not_updated; UPDATE transfer SET moved_u = moved_u + 1 WHERE seq = 5", "transfer 5"),
        ("DROP TRIGGER transfer_not_deleted; DELETE FROM transfer WHERE seq = 5", "recount"),
        ("DROP TRIGGER account_not_deleted; DELETE FROM account WHERE owner = 'bob'", "is missing"),
        (
            "DROP TRIGGER transfer_not_updated; UPDATE transfer SET moved_u = 1000000 WHERE transfer_id = 't1'",
            "overdraws",
        ),
        (
            "DROP TRIGGER transfer_not_updated; UPDATE transfer SET held_u = held_u - 1 WHERE phase = 'post'",
            "releases other",
        ),
        (
            "DROP TRIGGER transfer_not_updated; UPDATE transfer SET pending_id = 't1' WHERE seq = "
            "(SELECT min(seq) FROM transfer WHERE phase = 'post')",
            "was not open",
        ),
    ],
)
def test_audit_names_what_was_tampered_with(conn: sqlite3.Connection, tampering: str, finding: str) -> None:
    conn.executescript(tampering)
    report = audit(conn)
    assert not report.ok
    assert any(finding in mismatch for mismatch in report.mismatches), report.mismatches
