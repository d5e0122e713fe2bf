"""Reservations: what they set aside, that they end once, and compute leases as their first use."""

import sqlite3
from dataclasses import replace

import pytest
from eil_economy.domain.book import find_resolution
from eil_economy.domain.errors import (
    AlreadyPosted,
    AlreadyVoided,
    DifferentTransfer,
    ExceedsPending,
    InvalidAmount,
    InvalidTimeout,
    LedgerError,
    NotPending,
    Overdraft,
    PendingExpired,
    PendingNotFound,
    SupplyExhausted,
)
from eil_economy.domain.holds import expire, post, reserve, void
from eil_economy.domain.leases import draw_lease, settle_lease
from eil_economy.domain.ledger import mint, transfer
from eil_economy.domain.policies import STARTING_GRANT
from eil_economy.domain.records import Balance, Instruction
from eil_economy.domain.reports import balances, supply
from eil_economy.domain.tokens import ISSUANCE, MAX_AMOUNT_U, METERING, TREASURY

HOUR_US = 3_600 * 10**6
HOLD = Instruction("r1", "alice", "bob", "CEU", 600, "deposit")
BONUS = Instruction.minting("bonus", "alice", "PFT", 900, "savings", "pred_1")


def account(conn: sqlite3.Connection, owner: str, token: str = "CEU", tenant: str = "acme") -> Balance:
    (found,) = [balance for balance in balances(conn, tenant, owner) if balance.token == token]
    return found


def test_a_reservation_binds_funds_without_moving_them(conn: sqlite3.Connection) -> None:
    line = reserve(conn, "acme", HOLD, HOUR_US, 5)
    alice, bob = account(conn, "alice"), account(conn, "bob")
    assert (alice.balance_u, alice.reserved_u, alice.available_u) == (1000, 600, 400)
    assert (bob.balance_u, bob.incoming_u, bob.available_u) == (0, 600, 0)
    assert line.expires_us == 5 + HOUR_US
    with pytest.raises(Overdraft):
        transfer(conn, "acme", Instruction("t1", "alice", "bob", "CEU", 401, "more"), 6)
    with pytest.raises(Overdraft):
        reserve(conn, "acme", replace(HOLD, transfer_id="r2"), HOUR_US, 6)


def test_partial_post_returns_the_rest(conn: sqlite3.Connection) -> None:
    reserve(conn, "acme", HOLD, HOUR_US, 0)
    done = post(conn, "acme", "p1", "r1", 1, amount_u=250, reason="used part")
    assert (done.amount_u, done.held_u, done.reason) == (250, -600, "used part")
    assert (account(conn, "alice").available_u, account(conn, "bob").available_u) == (750, 250)
    assert account(conn, "bob").incoming_u == 0


def test_a_reservation_resolves_once_and_replays_for_ever(conn: sqlite3.Connection) -> None:
    held = reserve(conn, "acme", HOLD, HOUR_US, 0)
    done = post(conn, "acme", "p1", "r1", 1)
    before = list(conn.iterdump())
    assert post(conn, "acme", "p1", "r1", 2 * HOUR_US) == replace(done, replayed=True)
    assert post(conn, "acme", "p1", "r1", 2 * HOUR_US, amount_u=600) == replace(done, replayed=True)
    assert reserve(conn, "acme", HOLD, HOUR_US, 7) == replace(held, replayed=True)
    for attempt in (post, void):
        with pytest.raises(AlreadyPosted):
            attempt(conn, "acme", "again", "r1", 2)
    with pytest.raises(DifferentTransfer) as caught:
        post(conn, "acme", "p1", "r1", 2, amount_u=599)
    assert caught.value.field == "amount_u"
    with pytest.raises(DifferentTransfer) as caught:
        void(conn, "acme", "p1", "r1", 2)
    assert caught.value.field == "phase"
    with pytest.raises(DifferentTransfer) as caught:
        reserve(conn, "acme", HOLD, HOUR_US + 1, 0)
    assert caught.value.field == "timeout_us"
    assert list(conn.iterdump()) == before


def test_void_returns_everything(conn: sqlite3.Connection) -> None:
    reserve(conn, "acme", HOLD, HOUR_US, 0)
    assert void(conn, "acme", "v1", "r1", 1, reason="not proven").reason == "not proven"
    assert account(conn, "alice").available_u == 1000
    with pytest.raises(AlreadyVoided):
        post(conn, "acme", "p1", "r1", 2)


def test_after_its_time_a_reservation_cannot_be_posted_swept_or_not(conn: sqlite3.Connection) -> None:
    reserve(conn, "acme", HOLD, HOUR_US, 0)
    assert expire(conn, HOUR_US - 1) == ()
    with pytest.raises(PendingExpired):
        post(conn, "acme", "p1", "r1", HOUR_US)
    (ended,) = expire(conn, HOUR_US)
    assert (ended.phase, ended.pending_id, ended.moved_u) == ("expire", "r1", 0)
    assert account(conn, "alice").available_u == 1000
    assert expire(conn, 2 * HOUR_US) == ()
    assert find_resolution(conn, "acme", "r1") == ended
    with pytest.raises(PendingExpired):
        void(conn, "acme", "v1", "r1", HOUR_US)


def test_sweeping_is_bounded_and_oldest_first(conn: sqlite3.Connection) -> None:
    for i in (3, 1, 2):
        reserve(conn, "acme", replace(HOLD, transfer_id=f"r{i}", amount_u=10), i * 100, 0)
    assert [line.pending_id for line in expire(conn, 1000, limit=2)] == ["r1", "r2"]
    assert [line.pending_id for line in expire(conn, 1000, limit=2)] == ["r3"]


def test_refusals_of_the_second_phase(conn: sqlite3.Connection) -> None:
    reserve(conn, "acme", HOLD, HOUR_US, 0)
    before = list(conn.iterdump())
    with pytest.raises(ExceedsPending):
        post(conn, "acme", "p1", "r1", 1, amount_u=601)
    with pytest.raises(InvalidAmount):
        post(conn, "acme", "p1", "r1", 1, amount_u=0)
    with pytest.raises(PendingNotFound):
        post(conn, "acme", "p1", "r9", 1)
    with pytest.raises(PendingNotFound):
        post(conn, "zeta", "p1", "r1", 1)
    with pytest.raises(NotPending):
        void(conn, "acme", "v1", "m1", 1)
    with pytest.raises(InvalidTimeout):
        reserve(conn, "acme", replace(HOLD, transfer_id="r2"), 0, 0)
    assert list(conn.iterdump()) == before


def test_a_pending_mint_counts_only_when_proven(conn: sqlite3.Connection) -> None:
    reserve(conn, "acme", BONUS, HOUR_US, 0)
    assert (supply(conn, "acme", "PFT").circulating_u, supply(conn, "acme", "PFT").pending_u) == (0, 900)
    assert account(conn, "alice", "PFT").available_u == 0
    post(conn, "acme", "proven", "bonus", 1, amount_u=700, reason="lower bound")
    issue = supply(conn, "acme", "PFT")
    assert (issue.minted_u, issue.circulating_u, issue.pending_u) == (700, 700, 0)
    assert account(conn, ISSUANCE, "PFT").balance_u == -700


def test_pending_mints_count_towards_the_limit_of_issue(conn: sqlite3.Connection) -> None:
    reserve(conn, "acme", replace(BONUS, amount_u=MAX_AMOUNT_U), HOUR_US, 0)
    with pytest.raises(SupplyExhausted):
        mint(conn, "acme", "m2", "alice", "PFT", 1, "one more", 1)
    void(conn, "acme", "v", "bonus", 2)
    mint(conn, "acme", "m2", "alice", "PFT", 1, "one more", 3)


def test_first_lease_brings_the_starting_grant_once(conn: sqlite3.Connection) -> None:
    draw_lease(conn, "new", "l1", "nvp", 100, HOUR_US, 0)
    treasury = account(conn, TREASURY, tenant="new")
    assert (treasury.balance_u, treasury.reserved_u) == (STARTING_GRANT.amount_u, 100)
    draw_lease(conn, "new", "l2", "nvp", 100, HOUR_US, 1)
    assert supply(conn, "new", "CEU").minted_u == STARTING_GRANT.amount_u
    mint_line = conn.execute("SELECT reason, reference FROM transfer WHERE tenant = 'new' AND purpose = 'mint'")
    assert mint_line.fetchall() == [("starting_grant", "policy starting_grant v1")]


def test_a_refused_lease_leaves_no_grant_behind(conn: sqlite3.Connection) -> None:
    before = list(conn.iterdump())
    with pytest.raises(Overdraft):
        draw_lease(conn, "new", "l1", "nvp", STARTING_GRANT.amount_u + 1, HOUR_US, 0)
    assert list(conn.iterdump()) == before


def test_a_later_version_of_the_policy_does_not_pay_twice(conn: sqlite3.Connection) -> None:
    draw_lease(conn, "new", "l1", "nvp", 1, HOUR_US, 0)
    richer = replace(STARTING_GRANT, version=2, parameters=(("grant_u", 10**12),), cap_u=10**12)
    draw_lease(conn, "new", "l2", "nvp", 1, HOUR_US, 1, policies=(richer,))
    assert supply(conn, "new", "CEU").minted_u == STARTING_GRANT.amount_u


@pytest.mark.parametrize("used_u", [0, 1, 99, 100])
def test_a_lease_pays_for_what_was_used(conn: sqlite3.Connection, used_u: int) -> None:
    draw_lease(conn, "new", "l1", "nvp", 100, HOUR_US, 0)
    done = settle_lease(conn, "new", "l1", used_u, 1)
    treasury = account(conn, TREASURY, tenant="new")
    assert (treasury.available_u, treasury.reserved_u) == (STARTING_GRANT.amount_u - used_u, 0)
    assert account(conn, METERING, tenant="new").balance_u == used_u
    assert settle_lease(conn, "new", "l1", used_u, 2) == replace(done, replayed=True)
    with pytest.raises(DifferentTransfer):
        settle_lease(conn, "new", "l1", 50, 2)


def test_what_a_lease_cannot_settle(conn: sqlite3.Connection) -> None:
    draw_lease(conn, "new", "l1", "nvp", 100, HOUR_US, 0)
    reserve(conn, "acme", BONUS, HOUR_US, 0)
    refused: list[tuple[str, str, int, int, type[LedgerError]]] = [
        ("new", "l1", 101, 1, ExceedsPending),
        ("new", "l1", -1, 1, InvalidAmount),
        ("new", "l1", 50, HOUR_US, PendingExpired),
        ("acme", "l1", 50, 1, PendingNotFound),
        ("acme", "bonus", 900, 1, PendingNotFound),
    ]
    for tenant, lease_id, used_u, now_us, error in refused:
        with pytest.raises(error):
            settle_lease(conn, tenant, lease_id, used_u, now_us)
    expire(conn, HOUR_US)
    assert account(conn, TREASURY, tenant="new").available_u == STARTING_GRANT.amount_u
