"""Transfers that post at once: what moves, what is refused, and that history cannot be rewritten."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from eil_economy.domain.book import find_transfer
from eil_economy.domain.errors import DifferentTransfer, InvalidLink, LedgerError, Overdraft
from eil_economy.domain.ledger import burn, mint, transfer, transfer_linked
from eil_economy.domain.records import Instruction
from eil_economy.domain.reports import balances, supply
from eil_economy.domain.schema import REPLACE_GUARD, SCHEMA
from eil_economy.domain.tokens import ISSUANCE, MAX_AMOUNT_U, format_amount

PAY = Instruction("t1", "alice", "bob", "CEU", 300, "rent", "invoice 7")


def balance_u(conn: sqlite3.Connection, owner: str, token: str = "CEU") -> int:
    return {(b.owner, b.token): b.balance_u for b in balances(conn, "acme")}.get((owner, token), 0)


def test_transfer_moves_exactly_the_amount_and_records_why(conn: sqlite3.Connection) -> None:
    done = transfer(conn, "acme", PAY, 2)
    assert (balance_u(conn, "alice"), balance_u(conn, "bob")) == (700, 300)
    assert (done.source_after_u, done.destination_after_u, done.created_us) == (700, 300, 2)
    assert find_transfer(conn, "acme", "t1") == done
    assert (done.reason, done.reference, done.replayed) == ("rent", "invoice 7", False)


def test_mint_and_burn_keep_supply_equal_to_balances(conn: sqlite3.Connection) -> None:
    mint(conn, "acme", "m2", "bob", "CEU", 500, "proof", 2, reference="pred_1")
    burn(conn, "acme", "b1", "alice", "CEU", 400, "retired", 3)
    issue = supply(conn, "acme", "CEU")
    assert (issue.minted_u, issue.burned_u, issue.circulating_u) == (1500, 400, 1100)
    assert balance_u(conn, ISSUANCE) == -1100
    minted = find_transfer(conn, "acme", "m2")
    assert minted is not None
    assert (minted.purpose, minted.reason, minted.reference) == ("mint", "proof", "pred_1")


def test_replay_returns_the_original_even_when_it_could_no_longer_be_paid(conn: sqlite3.Connection) -> None:
    first = transfer(conn, "acme", PAY, 2)
    transfer(conn, "acme", Instruction("t2", "alice", "bob", "CEU", 700, "all"), 3)
    assert transfer(conn, "acme", PAY, 99) == replace(first, replayed=True)
    assert balance_u(conn, "bob") == 1000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"token": "PFT"}, "token"),
        ({"source": "carol"}, "source"),
        ({"destination": "carol"}, "destination"),
        ({"amount_u": 301}, "amount_u"),
        ({"reason": "gift"}, "reason"),
        ({"reference": "invoice 8"}, "reference"),
        ({"amount_u": 1, "reason": "gift"}, "amount_u"),
    ],
)
def test_same_id_with_another_field_is_refused_by_name(
    conn: sqlite3.Connection, change: dict[str, str], field: str
) -> None:
    transfer(conn, "acme", PAY, 2)
    with pytest.raises(DifferentTransfer) as caught:
        transfer(conn, "acme", replace(PAY, **change), 3)
    assert (caught.value.field, caught.value.kind) == (field, "conflict")


BAD = [
    (replace(PAY, amount_u=0), "invalid", "AMOUNT_NOT_POSITIVE"),
    (replace(PAY, amount_u=-5), "invalid", "AMOUNT_NOT_POSITIVE"),
    (replace(PAY, amount_u=MAX_AMOUNT_U + 1), "invalid", "AMOUNT_TOO_LARGE"),
    (replace(PAY, amount_u=1.0), "invalid", "INVALID_AMOUNT"),  # pyright: ignore[reportArgumentType]
    (replace(PAY, amount_u=True), "invalid", "INVALID_AMOUNT"),
    (replace(PAY, token="EUR"), "invalid", "UNKNOWN_TOKEN"),
    (replace(PAY, destination="alice"), "invalid", "SELF_TRANSFER"),
    (replace(PAY, source=ISSUANCE), "invalid", "ISSUANCE_RESERVED"),
    (replace(PAY, destination=ISSUANCE), "invalid", "ISSUANCE_RESERVED"),
    (replace(PAY, purpose="mint"), "invalid", "ISSUANCE_RESERVED"),
    (replace(PAY, transfer_id="@policy/x"), "invalid", "INVALID_NAME"),
    (replace(PAY, transfer_id=""), "invalid", "INVALID_NAME"),
    (replace(PAY, destination="@bank"), "invalid", "INVALID_NAME"),
    (replace(PAY, reason=""), "invalid", "INVALID_NAME"),
    (replace(PAY, source="carol"), "not_found", "ACCOUNT_NOT_FOUND"),
    (replace(PAY, token="PFT"), "not_found", "ACCOUNT_NOT_FOUND"),
    (replace(PAY, amount_u=1001), "exhausted", "INSUFFICIENT_BALANCE"),
    (Instruction.minting("m9", "bob", "CEU", MAX_AMOUNT_U, "flood"), "exhausted", "SUPPLY_EXHAUSTED"),
    (Instruction.burning("b9", "bob", "CEU", 1, "none held"), "not_found", "ACCOUNT_NOT_FOUND"),
]


@pytest.mark.parametrize(("order", "kind", "reason"), BAD)
def test_refusals_are_typed_and_change_nothing(
    conn: sqlite3.Connection, order: Instruction, kind: str, reason: str
) -> None:
    before = list(conn.iterdump())
    with pytest.raises(LedgerError) as caught:
        transfer(conn, "acme", order, 2)
    assert (caught.value.kind, caught.value.reason) == (kind, reason)
    assert list(conn.iterdump()) == before


def test_every_leaf_error_has_a_stable_reason_of_its_own() -> None:
    def tree(parent: type[LedgerError]) -> Iterator[type[LedgerError]]:
        for child in parent.__subclasses__():
            yield child
            yield from tree(child)

    reasons = [error.reason for error in tree(LedgerError)]
    assert len(reasons) == len(set(reasons))
    assert all(reason == reason.upper() for reason in reasons)
    assert {error.kind for error in tree(LedgerError)} == {
        "invalid",
        "not_found",
        "conflict",
        "exhausted",
        "precondition",
    }


def test_lifetime_issue_is_bounded_so_that_no_sum_overflows(conn: sqlite3.Connection) -> None:
    mint(conn, "acme", "m2", "bob", "CEU", MAX_AMOUNT_U - 1000, "up to the limit", 2)
    transfer(conn, "acme", Instruction("t1", "alice", "bob", "CEU", 1000, "sweep"), 3)
    assert balance_u(conn, "bob") == MAX_AMOUNT_U
    with pytest.raises(LedgerError, match="limit"):
        mint(conn, "acme", "m3", "bob", "CEU", 1, "one more", 4)


def swap(fee_u: int = 1) -> list[Instruction]:
    return [
        Instruction("s1", "alice", "pool", "CEU", 100, "swap"),
        Instruction("s2", "pool", "alice", "PFT", 40, "swap"),
        Instruction("s3", "alice", "fees", "CEU", fee_u, "fee"),
    ]


def test_linked_transfers_all_post_and_replay_as_one(conn: sqlite3.Connection) -> None:
    mint(conn, "acme", "m2", "pool", "PFT", 50, "liquidity", 2)
    done = transfer_linked(conn, "acme", swap(), 3)
    assert [line.link_id for line in done] == ["s1"] * 3
    assert (balance_u(conn, "alice"), balance_u(conn, "alice", "PFT"), balance_u(conn, "pool")) == (899, 40, 100)
    assert transfer_linked(conn, "acme", swap(), 9) == tuple(replace(line, replayed=True) for line in done)


def test_linked_transfers_none_post_when_one_fails(conn: sqlite3.Connection) -> None:
    mint(conn, "acme", "m2", "pool", "PFT", 50, "liquidity", 2)
    before = list(conn.iterdump())
    with pytest.raises(Overdraft):
        transfer_linked(conn, "acme", swap(fee_u=10_000), 3)
    assert list(conn.iterdump()) == before


def test_a_chain_is_replayed_whole_or_not_at_all(conn: sqlite3.Connection) -> None:
    mint(conn, "acme", "m2", "pool", "PFT", 50, "liquidity", 2)
    transfer_linked(conn, "acme", swap(), 3)
    before = list(conn.iterdump())
    longer = [*swap(), Instruction("s4", "alice", "bob", "CEU", 1, "smuggled")]
    for other in (swap()[:2], swap()[1:], longer, swap(fee_u=2)):
        with pytest.raises(DifferentTransfer):
            transfer_linked(conn, "acme", other, 4)
    with pytest.raises(DifferentTransfer):
        transfer(conn, "acme", swap()[0], 4)
    for malformed in ([], [PAY, PAY]):
        with pytest.raises(InvalidLink):
            transfer_linked(conn, "acme", malformed, 4)
    assert list(conn.iterdump()) == before


def test_tenants_share_neither_balances_nor_ids(conn: sqlite3.Connection) -> None:
    mint(conn, "zeta", "m1", "alice", "CEU", 5, "same id, other tenant", 2)
    with pytest.raises(Overdraft):
        transfer(conn, "zeta", PAY, 3)
    assert balance_u(conn, "alice") == 1000
    assert supply(conn, "zeta", "CEU").minted_u == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfer SET moved_u = 1",
        "DELETE FROM transfer",
        "INSERT INTO transfer SELECT * FROM transfer",
        "INSERT OR REPLACE INTO transfer SELECT * FROM transfer",
        "REPLACE INTO transfer SELECT 77, tenant, transfer_id, phase, purpose, token, source, destination, 9, 0,"
        " reason, reference, pending_id, timeout_us, link_id, created_us, 0, 0 FROM transfer",
        "DELETE FROM account",
        "UPDATE account SET owner = 'mallory'",
        "DELETE FROM supply",
        "UPDATE account SET balance_u = -1 WHERE kind = 'ordinary'",
        "UPDATE account SET balance_u = 0.5",
        "UPDATE supply SET burned_u = minted_u + 1",
        "TRUNCATE transfer CASCADE",
    ],
)
def test_history_cannot_be_rewritten_in_sql(conn, statement: str) -> None:
    if isinstance(conn, sqlite3.Connection) and "TRUNCATE" in statement:
        pytest.skip("SQLite has no such statement")
    if not isinstance(conn, sqlite3.Connection) and ("REPLACE" in statement or "0.5" in statement):
        pytest.skip("PostgreSQL has no such statement, or rounds what is written to a whole number")
    transfer(conn, "acme", PAY, 2)
    before = list(conn.iterdump())
    conn.execute("SAVEPOINT attempt")
    with pytest.raises((sqlite3.IntegrityError, psycopg.Error)):
        conn.execute(statement).fetchall()
    if isinstance(conn, sqlite3.Connection):
        conn.execute("ROLLBACK TO attempt")
    else:
        conn.recover("attempt")
    assert list(conn.iterdump()) == before


def test_writing_outside_a_transaction_is_refused() -> None:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(SCHEMA + REPLACE_GUARD)
    with pytest.raises(RuntimeError, match="BEGIN IMMEDIATE"):
        mint(conn, "acme", "m1", "alice", "CEU", 1, "top-up", 1)
    assert balances(conn, "acme") == ()
    conn.close()


def test_amounts_are_printed_exactly() -> None:
    assert format_amount(MAX_AMOUNT_U, "PFT") == "4611686018427.387904 PFT"
    assert format_amount(-1, "CEU") == "-0.000001 CEU"
