"""Budgets of principals: what is left, how it is refilled, and that no interleaving spends more than there is."""

import asyncio
import sqlite3
from fractions import Fraction

import grpc
import pytest
from eil.economy.v1 import economy_pb2
from eil_economy.domain.audit import audit
from eil_economy.domain.budgets import DEFAULT, HOUR_US, BudgetPolicy, budget_of, budgets, draw_from_budget, put_policy
from eil_economy.domain.errors import BudgetExhausted, InvalidName, LedgerError, UnknownToken
from eil_economy.domain.holds import expire
from eil_economy.domain.leases import draw_lease, settle_lease
from eil_economy.domain.ledger import mint, transfer
from eil_economy.domain.records import Instruction
from eil_economy.domain.reports import balances
from eil_economy.domain.schema import REPLACE_GUARD, SCHEMA
from eil_economy.domain.tokens import TREASURY
from eil_mesh.status import BUDGET_KEY, RETRY_KEY, reason_of, trailing_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

GRANT_U = 1000 * 10**6
START_US = 1_800_000_000 * 10**6
HOUR_S = 3600


def draw(conn, lease_id, amount_u, now_us=START_US, principal="ada", ttl_us=60 * 10**6):
    return draw_from_budget(conn, "acme", lease_id, principal, "regime", amount_u, ttl_us, now_us)


def held(conn, owner):
    return next(((b.balance_u, b.reserved_u) for b in balances(conn, "acme", owner) if b.token == "CEU"), (0, 0))


@pytest.fixture
def book(empty):
    """A book in which ada's budget is filled up to 100 u by 3600 u an hour: one each second."""
    put_policy(empty, "acme", "ada", BudgetPolicy(100, 3600), START_US)
    yield empty
    assert audit(empty).mismatches == ()


def test_whoever_never_spent_has_the_default_in_full_and_nothing_is_bound_by_it(empty):
    found = budget_of(empty, "acme", "ada", START_US)
    assert (found.policy, found.own_policy, found.left_u) == (DEFAULT, False, GRANT_U)
    draw(empty, "l1", 40)
    assert held(empty, "@budget/ada") == (40, 40)
    assert held(empty, TREASURY) == (GRANT_U - 40, 0)
    others = budget_of(empty, "acme", "ben", START_US)
    assert others.left_u == GRANT_U - 40


def test_a_lease_takes_what_it_needs_out_of_the_treasury_and_settles_as_any_other(book):
    line, left_u = draw(book, "l1", 60)
    assert (line.source, line.destination, line.reference, left_u) == ("@budget/ada", "@metering", "regime", 40)
    settle_lease(book, "acme", "l1", 45, START_US + 1)
    assert held(book, "@metering") == (45, 0)
    assert held(book, "@budget/ada") == (15, 0)
    line, left_u = draw(book, "l2", 55, START_US + 1)
    assert left_u == 0
    assert held(book, TREASURY) == (GRANT_U - 100, 0)


def test_the_same_draw_again_moves_nothing(book):
    first, _ = draw(book, "l1", 60)
    before = list(book.iterdump())
    again, left_u = draw(book, "l1", 60, START_US)
    assert (again.seq, again.replayed, left_u) == (first.seq, True, 40)
    assert list(book.iterdump()) == before


def test_a_refusal_records_nothing_and_says_what_is_left_and_when_it_will_do(book):
    draw(book, "l1", 70)
    settle_lease(book, "acme", "l1", 70, START_US)
    before = list(book.iterdump())
    with pytest.raises(BudgetExhausted, match=r"0.000031 CEU were asked .* 0.000030 CEU left .* in 1 s") as refused:
        draw(book, "l2", 31)
    assert (refused.value.left_u, refused.value.wait_us) == (30, 10**6)
    assert list(book.iterdump()) == before
    with pytest.raises(BudgetExhausted):
        draw(book, "l2", 31, START_US + 10**6 - 1)
    draw(book, "l2", 31, START_US + 10**6)


@pytest.mark.parametrize(
    ("policy", "asked_u", "wait_us"),
    [
        (BudgetPolicy(100, 3600), 101, None),  # more than it is ever filled up to
        (BudgetPolicy(100, 0), 51, None),  # nothing flows
        (BudgetPolicy(100, 7), 51, -(-HOUR_US // 7)),
        (BudgetPolicy(100, 3600), 100, 50 * 10**6),
    ],
)
def test_when_refill_will_cover_it(empty, policy, asked_u, wait_us):
    put_policy(empty, "acme", "ada", policy, START_US)
    draw(empty, "l1", 50)
    settle_lease(empty, "acme", "l1", 50, START_US)
    with pytest.raises(BudgetExhausted) as refused:
        draw(empty, "l2", asked_u)
    assert refused.value.wait_us == wait_us
    if wait_us is None:
        assert "@budget/ada" in str(refused.value)
        return
    with pytest.raises(BudgetExhausted):
        draw(empty, "l2", asked_u, START_US + wait_us - 1)
    draw(empty, "l2", asked_u, START_US + wait_us)


def test_what_leases_hold_may_return_so_waiting_helps(book):
    draw(book, "l1", 80)
    with pytest.raises(BudgetExhausted) as refused:
        draw(book, "l2", 50)
    assert refused.value.wait_us == 30 * 10**6
    assert "0.000080 CEU in leases" in str(refused.value)


def test_refill_is_exact_however_often_somebody_looks(empty):
    put_policy(empty, "acme", "ada", BudgetPolicy(10**6, 7), START_US)
    draw(empty, "l0", 10**6)
    settle_lease(empty, "acme", "l0", 10**6, START_US)
    now_us, spent_u = START_US, 0
    for step in range(400):
        now_us += 97_000_003 * (1 + step % 5)
        left_u = budget_of(empty, "acme", "ada", now_us).left_u
        if left_u and step % 3 == 0:  # a draw keeps what was counted so far
            draw(empty, f"l{step + 1}", left_u, now_us)
            settle_lease(empty, "acme", f"l{step + 1}", left_u, now_us)
            spent_u += left_u
        assert spent_u + budget_of(empty, "acme", "ada", now_us).left_u == 7 * (now_us - START_US) // HOUR_US


def test_it_is_filled_up_to_the_capacity_and_no_further(book):
    draw(book, "l1", 30)
    assert budget_of(book, "acme", "ada", START_US + 10**12).left_u == 70  # the 30 in the lease count
    settle_lease(book, "acme", "l1", 10, START_US)
    filling = [budget_of(book, "acme", "ada", START_US + second * 10**6).left_u for second in (9, 10, 11, 14, 16)]
    assert filling == [99, 100, 100, 100, 100]
    assert budget_of(book, "acme", "ada", START_US + 10**12).left_u == 100
    assert budget_of(book, "acme", "ada", START_US - 10**12).left_u == 90  # a clock that was set back gives nothing


def test_what_is_paid_in_comes_on_top(book):
    mint(book, "acme", "t1", "@budget/ada", "CEU", 500, "top-up", START_US)
    assert budget_of(book, "acme", "ada", START_US).left_u == 600
    draw(book, "l1", 600)
    settle_lease(book, "acme", "l1", 600, START_US)
    assert budget_of(book, "acme", "ada", START_US + 10**6).left_u == 1


def test_a_treasury_that_is_short_refills_what_there_is(empty):
    put_policy(empty, "acme", "ada", BudgetPolicy(100, 3600), START_US)
    draw_lease(empty, "acme", "n1", "nvp", GRANT_U - 30, 60 * 10**6, START_US)
    assert budget_of(empty, "acme", "ada", START_US).left_u == 30
    draw(empty, "l1", 20)
    with pytest.raises(BudgetExhausted, match="treasury of the tenant is short") as refused:
        draw(empty, "l2", 20)
    assert (refused.value.left_u, refused.value.wait_us) == (10, None)
    settle_lease(empty, "acme", "n1", 1, START_US)
    draw(empty, "l2", 80)


def test_the_default_holds_for_those_without_a_policy_of_their_own(empty):
    draw(empty, "l1", 10)
    put_policy(empty, "acme", "ben", BudgetPolicy(7, 0), START_US)
    put_policy(empty, "acme", "*", BudgetPolicy(50, 3600), START_US)
    assert [
        (found.principal, found.policy.capacity_u, found.own_policy, found.left_u)
        for found in budgets(empty, "acme", "", 10, START_US)
    ] == [("*", 50, True, 0), ("ada", 50, False, 50), ("ben", 7, True, 7)]
    assert budget_of(empty, "acme", "eve", START_US).left_u == 50
    assert budget_of(empty, "zeta", "ada", START_US).policy == DEFAULT


def test_another_policy_counts_from_now_on_and_what_flowed_before_stays(empty):
    put_policy(empty, "acme", "*", BudgetPolicy(100, 3600), START_US)
    draw(empty, "l1", 100)
    settle_lease(empty, "acme", "l1", 100, START_US)
    put_policy(empty, "acme", "*", BudgetPolicy(100, 36_000), START_US + 5 * 10**6)
    assert budget_of(empty, "acme", "ada", START_US + 7 * 10**6).left_u == 5 + 20
    put_policy(empty, "acme", "ada", BudgetPolicy(3, 3600), START_US + 7 * 10**6)
    assert budget_of(empty, "acme", "ada", START_US + 7 * 10**6).left_u == 3


def test_names_and_tokens_that_no_budget_has_are_refused(book):
    before = list(book.iterdump())
    for principal in ("*", "", "x" * 101, "a\0b"):
        with pytest.raises(InvalidName):
            draw(book, "l1", 1, principal=principal)
        with pytest.raises(InvalidName):
            transfer(book, "acme", Instruction("t", TREASURY, f"@budget/{principal}", "CEU", 1, "gift"), START_US)
    with pytest.raises(UnknownToken):
        mint(book, "acme", "m", "@budget/ada", "PFT", 1, "gift", START_US)
    assert list(book.iterdump()) == before


def test_lists_are_paged_by_principal_and_know_those_that_only_were_paid_into(empty):
    for number, principal in enumerate(("carl", "ada", "ben")):
        mint(empty, "acme", f"m{number}", f"@budget/{principal}", "CEU", 5, "gift", START_US)
    mint(empty, "zeta", "m", "@budget/zoe", "CEU", 5, "gift", START_US)
    draw(empty, "l1", 3, principal="ada")
    assert [found.principal for found in budgets(empty, "acme", "", 2, START_US)] == ["ada", "ben"]
    assert [found.principal for found in budgets(empty, "acme", "ben", 2, START_US)] == ["carl"]


class BudgetMachine(RuleBasedStateMachine):
    """Many replicas draw, settle, die and are topped up in any order; a bucket in fractions says what may be spent at most."""

    @initialize(capacity_u=st.integers(0, 200), rate=st.integers(0, 50_000))
    def open_book(self, capacity_u: int, rate: int) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.execute("PRAGMA foreign_keys = ON")
        self.conn.executescript(SCHEMA + REPLACE_GUARD)
        self.conn.execute("BEGIN IMMEDIATE")
        self.now_us, self.number = START_US, 0
        self.policy = BudgetPolicy(capacity_u, rate)
        put_policy(self.conn, "acme", "ada", self.policy, self.now_us)
        self.open: dict[str, int] = {}
        self.charged_u = 0
        self.most_u = Fraction(capacity_u)  # what policies and gifts have granted so far

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            assert audit(self.conn).mismatches == ()
            self.conn.close()

    @rule(amount_u=st.integers(1, 80))
    def draws(self, amount_u: int) -> None:
        self.number += 1
        lease_id = f"lease:{self.number % 3}:{self.number}"
        left_u = budget_of(self.conn, "acme", "ada", self.now_us).left_u
        if amount_u > left_u:
            with pytest.raises(BudgetExhausted) as refused:
                draw(self.conn, lease_id, amount_u, self.now_us)
            assert refused.value.left_u == left_u
            return
        _, beside_u = draw(self.conn, lease_id, amount_u, self.now_us)
        assert beside_u == left_u - amount_u
        self.open[lease_id] = amount_u

    @rule(data=st.data(), share=st.integers(0, 4))
    def settles(self, data: st.DataObject, share: int) -> None:
        if self.open:
            lease_id = data.draw(st.sampled_from(sorted(self.open)))
            used_u = self.open.pop(lease_id) * share // 4
            try:
                settle_lease(self.conn, "acme", lease_id, used_u, self.now_us)
            except LedgerError:
                return  # lapsed: what it used was free
            self.charged_u += used_u

    @rule(step_us=st.sampled_from((1, 333_333, 7_000_000, 61_000_000)))
    def time_passes(self, step_us: int) -> None:
        self.now_us += step_us
        self.most_u += Fraction(self.policy.refill_u_per_h * step_us, HOUR_US)
        expire(self.conn, self.now_us)

    @rule(amount_u=st.integers(1, 50))
    def is_topped_up(self, amount_u: int) -> None:
        self.number += 1
        mint(self.conn, "acme", f"gift:{self.number}", "@budget/ada", "CEU", amount_u, "gift", self.now_us)
        self.most_u += amount_u

    @rule(capacity_u=st.integers(0, 200), rate=st.integers(0, 50_000))
    def gets_another_policy(self, capacity_u: int, rate: int) -> None:
        self.policy = BudgetPolicy(capacity_u, rate)
        put_policy(self.conn, "acme", "ada", self.policy, self.now_us)

    @invariant()
    def nobody_spends_more_than_was_granted(self) -> None:
        found = budget_of(self.conn, "acme", "ada", self.now_us)
        assert found.left_u >= 0
        assert found.due_u <= found.policy.capacity_u
        assert self.charged_u + found.balance_u + found.due_u <= self.most_u
        balance_u, reserved_u = held(self.conn, "@budget/ada")
        assert 0 <= reserved_u <= balance_u
        assert held(self.conn, "@metering")[0] == self.charged_u


BudgetMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
TestBudgets = BudgetMachine.TestCase


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


class TestTheService:
    async def test_a_budget_is_set_shown_spent_from_and_topped_up(self, economy):
        put = await economy("PutBudget", principal="ada", capacity_u=100, refill_u_per_h=3600)
        wanted = {
            "principal": "ada",
            "account": "@budget/ada",
            "left_u": 100,
            "capacity_u": 100,
            "refill_u_per_h": 3600,
        }
        assert put.budget == economy_pb2.Budget(**wanted, own_policy=True)
        lease = {"principal": "ada", "ttl_s": 60.0}
        drawn = await economy("DrawLease", service="regime", id="lease:regime:1", amount_u=60, **lease)
        assert drawn.left_u == 40
        found = (await economy("GetBudget", principal="ada")).budget
        assert (found.left_u, found.leased_u) == (40, 60)
        error = await refusal(economy("DrawLease", service="nvp", id="lease:nvp:1", amount_u=41, **lease))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        told = trailing_of(error)
        assert (told[BUDGET_KEY], told[RETRY_KEY]) == ("0.000040", "1")
        await economy("Transfer", id="t1", debit_owner=TREASURY, credit_owner="@budget/ada", token="CEU", amount_u=1)
        await economy("DrawLease", service="nvp", id="lease:nvp:2", amount_u=41, **lease)
        await economy("SettleLease", service="regime", id="lease:regime:1", used_u=10)
        assert await economy.held("@budget/ada", "CEU") == (101 - 10, 41)

    async def test_the_callers_own_is_shown_where_none_is_named(self, economy):
        assert (await economy("GetBudget", role="viewer")).budget.principal == "tester"
        default = (await economy("GetBudget", principal="*")).budget
        assert (default.account, default.left_u, default.capacity_u, default.own_policy) == ("", 0, GRANT_U, False)
        assert await economy.refused("GetBudget", service="bridge") == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
        assert await economy.refused("GetBudget", principal="a\0b") == ("INVALID_ARGUMENT", "INVALID_NAME")

    async def test_lists_come_in_pages(self, economy):
        for principal in ("ada", "ben", "*"):
            await economy("PutBudget", principal=principal, capacity_u=1)
        first = await economy("ListBudgets", page_size=2)
        rest = await economy("ListBudgets", page_size=2, page_token=first.next_page_token)
        assert [b.principal for b in (*first.budgets, *rest.budgets)] == ["*", "ada", "ben"]
        assert rest.next_page_token == ""
        assert list((await economy("ListBudgets", tenant="zeta")).budgets) == []

    async def test_people_and_the_market_pay_in_and_take_nothing_out(self, economy):
        await economy("PutBudget", principal="ada", capacity_u=10)
        pay = {"id": "t1", "token": "CEU", "amount_u": 1}
        await economy("Transfer", debit_owner=TREASURY, credit_owner="ann", **pay)
        await economy("Transfer", **{**pay, "id": "t2"}, debit_owner="ann", credit_owner="@budget/ada")
        back = {**pay, "id": "t3", "debit_owner": "@budget/ada", "credit_owner": "ann"}
        refused = ("PERMISSION_DENIED", "ACCOUNT_RESERVED")
        assert await economy.refused("Transfer", **back) == refused
        assert await economy.refused("Burn", id="b", owner="@budget/ada", token="CEU", amount_u=1) == refused
        chain = [economy_pb2.TransferRequest(**back)]
        assert await economy.refused("TransferLinked", service="market", transfers=chain) == refused
        await economy("Transfer", **{**pay, "id": "t4"}, debit_owner=TREASURY, credit_owner="ann")
        into = economy_pb2.TransferRequest(**{**back, "debit_owner": "ann", "credit_owner": "@budget/ada"})
        await economy("TransferLinked", service="market", transfers=[into])
        wrong = {"debit_owner": "alice", "credit_owner": "@budget/ada", "token": "PFT", "amount_u": 1}
        assert await economy.refused("Transfer", id="t5", **wrong) == ("INVALID_ARGUMENT", "UNKNOWN_TOKEN")
        assert (await economy("GetBudget", principal="ada")).budget.left_u == 12

    async def test_a_hundred_replicas_at_once_never_overspend(self, economy):
        await economy("PutBudget", principal="ada", capacity_u=1000)

        draws = (
            economy("DrawLease", service="regime", id=f"lease:{number}", amount_u=7, ttl_s=60, principal="ada")
            for number in range(400)
        )
        answers = await asyncio.gather(*draws, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(answers) - len(refused) == 1000 // 7
        assert {reason_of(error) for error in refused if isinstance(error, grpc.RpcError)} == {"BUDGET_EXHAUSTED"}
        assert await economy.held("@budget/ada", "CEU") == (1000 // 7 * 7, 1000 // 7 * 7)

    async def test_a_lease_that_a_dead_service_held_returns(self, economy):
        await economy("PutBudget", principal="ada", capacity_u=100)
        await economy("DrawLease", service="regime", id="lease:1", amount_u=100, ttl_s=60, principal="ada")
        economy.clock.advance(60)

        async def returned():
            return (await economy("GetBudget", principal="ada")).budget.left_u == 100

        await economy.until(returned)
