"""The exchange gives nothing away: k, tightness, round trips, shares, limits, and prices over time."""

from dataclasses import replace

import pytest
from eil_market.domain.curve import amount_in_u, amount_out_u, k_holds
from eil_market.domain.errors import MarketError
from eil_market.domain.pool import (
    MAX_AMOUNT_U,
    MINIMUM_LIQUIDITY,
    Pool,
    PoolLimits,
    add_liquidity,
    observe,
    remove_liquidity,
    swap_exact_in,
    swap_exact_out,
    time_weighted_price,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

NEVER_US = 2**62
FREE = PoolLimits(max_trade_ppm=10**6)
reserves = st.one_of(st.integers(1, 5_000), st.integers(1, 10**14))
amounts = st.one_of(st.integers(1, 5_000), st.integers(1, 10**14))
SEEDED = settings(deadline=None, derandomize=True, database=None)
MANY = settings(SEEDED, max_examples=400)


def pool(x_u: int, y_u: int) -> Pool:
    return Pool("CEU", "PFT", x_u, y_u, shares=10**6)


@given(x=reserves, y=reserves, a=amounts)
@MANY
def test_exact_in_keeps_k_and_is_tight(x: int, y: int, a: int) -> None:
    out = amount_out_u(a, x, y)
    assert 0 <= out < y
    assert k_holds(x, y, a, out)
    assert not k_holds(x, y, a, out + 1)
    assert (x + a) * (y - out) >= x * y


@given(x=reserves, y=reserves, b=amounts)
@MANY
def test_exact_out_is_paid_for(x: int, y: int, b: int) -> None:
    b %= y
    assume(b > 0)
    a = amount_in_u(b, x, y)
    assert k_holds(x, y, a, b)
    assert amount_out_u(a, x, y) >= b
    assert a <= 2 or not k_holds(x, y, a - 2, b)


@given(x=reserves, y=reserves, a=amounts)
@MANY
def test_asking_for_what_exact_in_gave_costs_no_more_than_it_did(x: int, y: int, a: int) -> None:
    out = amount_out_u(a, x, y)
    assume(out > 0)
    assert amount_in_u(out, x, y) <= a + 1


@given(x=reserves, y=reserves, a=amounts, split=st.integers(1, 99))
@MANY
def test_no_round_trip_and_no_splitting_profits(x: int, y: int, a: int, split: int) -> None:
    out = amount_out_u(a, x, y)
    if out:
        assert amount_out_u(out, y - out, x + a) < a
    first = a * split // 100
    there = amount_out_u(first, x, y)
    assert there + amount_out_u(a - first, x + first, y - there) <= out


def test_a_trade_that_keeps_k_exactly_is_allowed() -> None:
    assert amount_out_u(1000, 997, 2) == 1
    assert (1000 * 1997 - 3 * 1000) * 1000 * 1 == 1000**2 * 997 * 2
    assert k_holds(997, 2, 1000, 1)


@pytest.mark.parametrize(
    ("paid", "x", "y", "out"),
    [
        # Uniswap v2-core's own getInputPrice cases, in 10¹⁸.
        (1, 5, 10, 1662497915624478906),
        (1, 10, 5, 453305446940074565),
        (2, 5, 10, 2851015155847869602),
        (2, 10, 5, 831248957812239453),
        (1, 10, 10, 906610893880149131),
        (1, 100, 100, 987158034397061298),
        (1, 1000, 1000, 996006981039903216),
    ],
)
def test_agrees_with_the_reference_implementation(paid: int, x: int, y: int, out: int) -> None:
    one = 10**18
    assert amount_out_u(paid * one, x * one, y * one) == out


def test_a_swap_reports_what_moved_and_what_it_cost() -> None:
    before = pool(1_000_000, 4_000_000)
    after, done = swap_exact_in(before, FREE, "CEU", 10_000, 1, NEVER_US, 0)
    assert done.amount_out_u == 10_000 * 997 * 4_000_000 // (1_000_000 * 1000 + 10_000 * 997) == 39_486
    assert (after.reserve_x_u, after.reserve_y_u) == (1_010_000, 4_000_000 - 39_486)
    assert (done.token_out, done.fee_u, done.spot_price) == ("PFT", 30, 4)
    assert done.price < done.spot_price
    assert done.price_impact == pytest.approx(1 - 3.9486 / 4)
    back, other = swap_exact_out(before, FREE, "PFT", 5_000, 10**9, NEVER_US, 0)
    assert (other.token_out, other.amount_out_u) == ("CEU", 5_000)
    assert (back.reserve_x_u, back.reserve_y_u) == (995_000, 4_000_000 + other.amount_in_u)
    assert before == pool(1_000_000, 4_000_000)


def in_(
    changed: Pool, limits: PoolLimits = FREE, token: str = "CEU", a: int = 100, low: int = 1, due: int = 5
) -> object:
    return swap_exact_in(changed, limits, token, a, low, due, 5)


def out_(changed: Pool, limits: PoolLimits = FREE, token: str = "CEU", b: int = 100, top: int = 10**9) -> object:
    return swap_exact_out(changed, limits, token, b, top, 5, 5)


DEEP = pool(10**6, 10**6)


@pytest.mark.parametrize(
    ("attempt", "kind", "reason"),
    [
        (lambda: in_(DEEP, due=4), "precondition", "DEADLINE_PASSED"),
        (lambda: in_(DEEP, token="MUNT"), "invalid", "UNKNOWN_TOKEN"),
        (lambda: in_(DEEP, a=0), "invalid", "INVALID_AMOUNT"),
        (lambda: in_(DEEP, a=-1), "invalid", "INVALID_AMOUNT"),
        (lambda: in_(DEEP, a=True), "invalid", "INVALID_AMOUNT"),
        (lambda: out_(DEEP, b=0), "invalid", "INVALID_AMOUNT"),
        (lambda: in_(Pool("CEU", "PFT")), "precondition", "INSUFFICIENT_LIQUIDITY"),
        (lambda: in_(DEEP, a=1), "precondition", "INSUFFICIENT_LIQUIDITY"),
        (lambda: out_(DEEP, b=10**6), "precondition", "INSUFFICIENT_LIQUIDITY"),
        (lambda: in_(DEEP, PoolLimits(), a=20_001), "precondition", "TRADE_TOO_LARGE"),
        (lambda: out_(DEEP, PoolLimits(), b=20_000), "precondition", "TRADE_TOO_LARGE"),
        (lambda: in_(pool(MAX_AMOUNT_U, 10**6), a=10**15), "precondition", "TRADE_TOO_LARGE"),
        (lambda: in_(DEEP, low=100), "precondition", "SLIPPAGE"),
        (lambda: out_(DEEP, top=100), "precondition", "SLIPPAGE"),
        (lambda: add_liquidity(Pool("a", "b"), 1000, 1000, 0, 9, 0), "precondition", "INSUFFICIENT_LIQUIDITY"),
        (lambda: add_liquidity(Pool("a", "b"), 0, 1000, 0, 9, 0), "invalid", "INVALID_AMOUNT"),
        (lambda: add_liquidity(DEEP, 100, 50, 51, 9, 0), "precondition", "SLIPPAGE"),
        (lambda: add_liquidity(DEEP, 100, 50, 0, 9, 10), "precondition", "DEADLINE_PASSED"),
        (lambda: add_liquidity(DEEP, MAX_AMOUNT_U, MAX_AMOUNT_U, 0, 9, 0), "precondition", "TRADE_TOO_LARGE"),
        (lambda: remove_liquidity(DEEP, 10**6 - 999, 0, 0, 9, 0), "precondition", "INSUFFICIENT_LIQUIDITY"),
        (lambda: remove_liquidity(pool(10**6, 10), 9, 0, 0, 9, 0), "precondition", "INSUFFICIENT_LIQUIDITY"),
        (lambda: remove_liquidity(DEEP, 10, 11, 0, 9, 0), "precondition", "SLIPPAGE"),
        (lambda: remove_liquidity(DEEP, 10, 0, 11, 9, 0), "precondition", "SLIPPAGE"),
        (lambda: time_weighted_price(DEEP, DEEP), "precondition", "WINDOW_TOO_SHORT"),
    ],
)
def test_refusals_are_typed(attempt, kind: str, reason: str) -> None:
    with pytest.raises(MarketError) as caught:
        attempt()
    assert (caught.value.kind, caught.value.reason) == (kind, reason)


def test_limits_hold_exactly_at_their_edge() -> None:
    swap_exact_in(DEEP, PoolLimits(), "CEU", 20_000, 1, 5, 5)
    with pytest.raises(ValueError, match="max_trade_ppm"):
        PoolLimits(0)


def test_first_provider_locks_the_minimum_and_later_ones_pay_their_part() -> None:
    first, gave = add_liquidity(Pool("CEU", "PFT"), 40_000, 90_000, 0, 9, 0)
    assert (gave.shares, first.shares) == (60_000 - MINIMUM_LIQUIDITY, 60_000)
    second, added = add_liquidity(first, 401, 10_000, 0, 9, 0)
    assert (added.shares, added.x_u, added.y_u) == (601, 401, 902)
    last, got = remove_liquidity(second, added.shares, 0, 0, 9, 0)
    assert (got.x_u, got.y_u) == (400, 901)
    assert last.shares == first.shares


def test_time_weighted_price_weighs_by_time_not_by_trades() -> None:
    start = observe(pool(10**6, 2 * 10**6), 1_000)
    moved, _ = swap_exact_in(start, FREE, "CEU", 10**6, 1, NEVER_US, 4_000)
    manipulated = moved.reserve_y_u / moved.reserve_x_u
    end = observe(moved, 5_000)
    x_in_y, y_in_x = time_weighted_price(start, end)
    assert x_in_y == pytest.approx((3 * 2.0 + 1 * manipulated) / 4, rel=1e-12)
    assert y_in_x == pytest.approx((3 * 0.5 + 1 / manipulated) / 4, rel=1e-12)
    # A trade that is undone within the same microsecond leaves no trace.
    there, done = swap_exact_in(start, FREE, "CEU", 10**5, 1, NEVER_US, 2_000)
    back, _ = swap_exact_in(there, FREE, "PFT", done.amount_out_u, 1, NEVER_US, 2_000)
    assert time_weighted_price(start, back)[0] == pytest.approx(2.0, rel=1e-12)


def test_a_clock_that_steps_back_accumulates_nothing_twice() -> None:
    start = observe(DEEP, 1_000)
    stepped = observe(start, 400)
    assert stepped == start
    assert time_weighted_price(start, observe(stepped, 3_000)) == (1.0, 1.0)
    assert replace(observe(Pool("a", "b"), 10), updated_us=0) == Pool("a", "b")


def allow(refused: MarketError, *reasons: str) -> None:
    assert refused.reason in reasons


class PoolMachine(RuleBasedStateMachine):
    """Traders and providers act at will; nobody ever takes out more than went in at the pool's own prices."""

    @initialize(x=st.integers(2_000, 10**12), y=st.integers(2_000, 10**12))
    def open_pool(self, x: int, y: int) -> None:
        self.pool, gave = add_liquidity(Pool("CEU", "PFT"), x, y, 0, NEVER_US, 0)
        self.wallet = {"CEU": -gave.x_u, "PFT": -gave.y_u}
        self.shares = gave.shares
        self.now_us = 0
        self.worth = self.share_worth()

    def share_worth(self) -> tuple[int, int]:
        """k per squared share, as numerator and denominator."""
        return self.pool.reserve_x_u * self.pool.reserve_y_u, self.pool.shares**2

    def settle(self, token_in: str, in_u: int, out_u: int) -> None:
        self.wallet[token_in] -= in_u
        self.wallet["PFT" if token_in == "CEU" else "CEU"] += out_u

    @rule(token=st.sampled_from(("CEU", "PFT")), a=amounts)
    def sells(self, token: str, a: int) -> None:
        try:
            self.pool, done = swap_exact_in(self.pool, FREE, token, a, 1, NEVER_US, self.now_us)
        except MarketError as refused:
            allow(refused, "TRADE_TOO_LARGE", "INSUFFICIENT_LIQUIDITY")
            return
        self.settle(token, a, done.amount_out_u)

    @rule(token=st.sampled_from(("CEU", "PFT")), b=amounts)
    def buys(self, token: str, b: int) -> None:
        try:
            self.pool, done = swap_exact_out(self.pool, FREE, token, b, NEVER_US, NEVER_US, self.now_us)
        except MarketError as refused:
            allow(refused, "TRADE_TOO_LARGE", "INSUFFICIENT_LIQUIDITY")
            return
        self.settle(token, done.amount_in_u, b)

    @rule(x=amounts, y=amounts)
    def provides(self, x: int, y: int) -> None:
        try:
            self.pool, gave = add_liquidity(self.pool, x, y, 0, NEVER_US, self.now_us)
        except MarketError as refused:
            allow(refused, "INSUFFICIENT_LIQUIDITY")
            return
        assert gave.x_u <= x
        assert gave.y_u <= y
        self.shares += gave.shares
        self.wallet["CEU"] -= gave.x_u
        self.wallet["PFT"] -= gave.y_u

    @precondition(lambda self: self.shares)
    @rule(percent=st.integers(1, 100))
    def withdraws(self, percent: int) -> None:
        shares = max(1, self.shares * percent // 100)
        try:
            self.pool, got = remove_liquidity(self.pool, shares, 0, 0, NEVER_US, self.now_us)
        except MarketError as refused:
            allow(refused, "INSUFFICIENT_LIQUIDITY")
            return
        self.shares -= shares
        self.wallet["CEU"] += got.x_u
        self.wallet["PFT"] += got.y_u

    @rule(step_us=st.integers(1, 10**9))
    def time_passes(self, step_us: int) -> None:
        self.now_us += step_us

    @invariant()
    def tokens_are_conserved(self) -> None:
        assert self.wallet["CEU"] == -self.pool.reserve_x_u
        assert self.wallet["PFT"] == -self.pool.reserve_y_u
        assert self.pool.shares == self.shares + MINIMUM_LIQUIDITY
        assert min(self.pool.reserve_x_u, self.pool.reserve_y_u) > 0

    @invariant()
    def a_share_never_loses_worth(self) -> None:
        k, squared = self.share_worth()
        assert k * self.worth[1] >= self.worth[0] * squared
        self.worth = (k, squared)


PoolMachine.TestCase.settings = settings(SEEDED, max_examples=50, stateful_step_count=40)
TestPool = PoolMachine.TestCase
