"""Pools over gRPC with a real ledger: what a swap moves, what it refuses, that it counts once, that k never falls."""

import asyncio
import random
from contextlib import asynccontextmanager

import grpc
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.market.v1 import market_pb2, market_pb2_grpc
from eil_economy.domain.audit import audit
from eil_economy.main import build as build_economy
from eil_economy.settings import EconomySettings
from eil_market import exchange, tables
from eil_market.exchange import Exchange
from eil_market.main import build as build_market
from eil_market.settings import MarketSettings
from eil_mesh.call import acting_for
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.errors import Unavailable
from eil_mesh.status import reason_of
from eil_mesh.testing import look, metadata, open_store, running, token

pytestmark = pytest.mark.usefixtures("either_database")
TOKEN = 10**6
PAIR, POOL = "CEU-PFT", "@pool/CEU-PFT"


class Trader:
    """One person of one tenant, with the ledger beside."""

    def __init__(
        self,
        tmp_path,
        economy: grpc.aio.Channel,
        market: grpc.aio.Channel,
        subject="alice",
        tenant="acme",
        role="operator",
    ):
        self.tmp_path, self.channels, self.subject, self.tenant = tmp_path, (economy, market), subject, tenant
        self.ledger = economy_pb2_grpc.EconomyServiceStub(economy)
        self.market = market_pb2_grpc.MarketServiceStub(market)
        self.auth = metadata(token(tmp_path, roles=[role], tenant=tenant, subject=subject))

    def other(self, **changes):
        who = {"subject": self.subject, "tenant": self.tenant} | changes
        return Trader(self.tmp_path, *self.channels, **who)

    async def fund(self, ceu_u=100 * TOKEN, pft_u=100 * TOKEN):
        """Credits from the treasury, and a reward."""
        if ceu_u:
            grant = economy_pb2.TransferRequest(
                id=f"fund {self.subject}",
                debit_owner="@treasury",
                credit_owner=self.subject,
                token="CEU",
                amount_u=ceu_u,
            )
            await self.ledger.Transfer(grant, metadata=self.auth)
        mint = economy_pb2.MintRequest(id=f"proof:{self.subject}", owner=self.subject, token="PFT", amount_u=pft_u)
        await self.ledger.Mint(mint, metadata=(("x-eil-service", "proof"), ("x-eil-tenant", self.tenant)))

    async def add(self, key="a1", amount0_u=50 * TOKEN, amount1_u=20 * TOKEN, pair=PAIR, **limits):
        request = market_pb2.AddLiquidityRequest(
            request_id=key, pair=pair, amount0_u=amount0_u, amount1_u=amount1_u, **limits
        )
        return await self.market.AddLiquidity(request, metadata=self.auth)

    async def swap(self, key="s1", given="PFT", wanted="CEU", amount_in_u=100_000, timeout=10.0, auth=None, **limits):
        request = market_pb2.SwapRequest(
            request_id=key, token_in=given, token_out=wanted, amount_in_u=amount_in_u, **limits
        )
        return await self.market.Swap(request, metadata=auth or self.auth, timeout=timeout)

    async def remove(self, key="r1", shares=1000, pair=PAIR, **limits):
        request = market_pb2.RemoveLiquidityRequest(request_id=key, pair=pair, shares=shares, **limits)
        return await self.market.RemoveLiquidity(request, metadata=self.auth)

    async def history(self, **asked):
        return await self.market.ListTrades(market_pb2.ListTradesRequest(**asked), metadata=self.auth)

    async def quote(self, given="PFT", wanted="CEU", amount_in_u=100_000):
        request = market_pb2.QuoteRequest(token_in=given, token_out=wanted, amount_in_u=amount_in_u)
        return await self.market.Quote(request, metadata=self.auth)

    async def pool(self, pair=PAIR):
        return (await self.look(pair)).pool

    async def look(self, pair=PAIR, window_s=0.0):
        request = market_pb2.GetPoolRequest(pair=pair, window_s=window_s)
        return await self.market.GetPool(request, metadata=self.auth)

    async def held(self, owner=None):
        request = economy_pb2.GetBalancesRequest(owner=owner or self.subject)
        answer = await self.ledger.GetBalances(request, metadata=self.auth)
        return {b.token: b.balance_u for b in answer.balances}


@asynccontextmanager
async def ledger(tmp_path):
    async with running(tmp_path, EconomySettings, build_economy):
        yield
    with look(tmp_path, "economy") as conn:
        assert audit(conn).mismatches == ()


@asynccontextmanager
async def trading(tmp_path, clock=None, resume_every_s=60.0):
    async with (
        running(tmp_path, MarketSettings, build_market, clock=clock, resume_every_s=resume_every_s),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as economy,
        grpc.aio.insecure_channel(f"unix:{tmp_path}/market.sock") as market,
    ):
        yield Trader(tmp_path, economy, market)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def alice(tmp_path, clock):
    async with ledger(tmp_path), trading(tmp_path, clock) as trader:
        await trader.fund()
        yield trader
    with look(tmp_path, "market") as conn:
        for tenant, pair, shares in conn.execute("SELECT tenant, pair, shares FROM pools"):
            held = conn.execute("SELECT sum(shares) FROM holdings WHERE (tenant, pair) = (?, ?)", (tenant, pair))
            assert held.fetchone()[0] + 1000 == shares
        assert conn.execute("SELECT count(*) FROM intents WHERE done = 0").fetchone()[0] == 0


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code().name, reason_of(error.value)


def swaps_in_ledger(tmp_path):
    with look(tmp_path, "economy") as conn:
        return conn.execute("SELECT count(*) FROM transfer WHERE transfer_id LIKE 'swap:%'").fetchone()[0]


async def test_liquidity_becomes_a_pool_whose_reserves_are_the_ledgers(alice):
    assert await refused(alice.pool()) == ("NOT_FOUND", "POOL_UNKNOWN")
    added = await alice.add()
    assert (added.pool.reserve0_u, added.pool.reserve1_u) == (50 * TOKEN, 20 * TOKEN)
    assert added.shares == added.pool.own_shares == added.pool.shares - 1000
    assert await alice.held(POOL) == {"CEU": 50 * TOKEN, "PFT": 20 * TOKEN}
    assert await alice.held() == {"CEU": 50 * TOKEN, "PFT": 80 * TOKEN}
    assert await alice.pool() == added.pool
    assert (await alice.other(subject="bob").pool()).own_shares == 0
    taken = await alice.remove(shares=added.shares)
    assert taken.pool.own_shares == 0
    assert 0 < taken.pool.reserve0_u < 2000
    assert (await alice.held())["CEU"] == 100 * TOKEN - taken.pool.reserve0_u


async def test_a_swap_gives_what_the_quote_said(alice):
    await alice.add()
    quote = await alice.quote()
    done = await alice.swap(min_out_u=quote.amount_out_u)
    # 997/1000 of what is paid buys along x·y = k
    assert done.amount_out_u == 99_700 * 50 * TOKEN // (20 * TOKEN + 99_700) == quote.amount_out_u
    assert 0.003 < quote.price_impact < 0.01
    assert await alice.held() == {"CEU": 50 * TOKEN + done.amount_out_u, "PFT": 80 * TOKEN - 100_000}
    assert await alice.held(POOL) == {"CEU": done.pool.reserve0_u, "PFT": done.pool.reserve1_u}
    assert await alice.pool() == done.pool


async def test_the_same_request_counts_once_and_the_same_id_never_means_two_things(alice):
    await alice.add()
    first = await alice.swap()
    assert await alice.swap() == first
    assert await refused(alice.swap(amount_in_u=5)) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert await alice.add() == await alice.add()
    removed = await alice.remove()
    assert await alice.remove() == removed
    assert await refused(alice.remove(shares=5)) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert swaps_in_ledger(alice.tmp_path) == 2
    assert (await alice.pool()).own_shares == removed.pool.own_shares


async def test_an_id_whose_answer_is_forgotten_is_still_not_used_twice(alice, clock):
    await alice.add()
    await alice.swap("long ago")
    clock.advance(8 * 86_400)
    await alice.swap("now")
    assert await refused(alice.swap("long ago")) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert swaps_in_ledger(alice.tmp_path) == 4


async def test_refusals_are_precise_and_change_nothing(alice, clock):
    assert await refused(alice.swap()) == ("NOT_FOUND", "POOL_UNKNOWN")
    assert await refused(alice.quote()) == ("NOT_FOUND", "POOL_UNKNOWN")
    assert await refused(alice.remove()) == ("NOT_FOUND", "POOL_UNKNOWN")
    await alice.add()
    before = await alice.pool()
    quote = await alice.quote()
    assert await refused(alice.swap(min_out_u=quote.amount_out_u + 1)) == ("FAILED_PRECONDITION", "SLIPPAGE")
    past = from_us(clock.now_us() - 1)
    assert await refused(alice.swap(deadline=past)) == ("FAILED_PRECONDITION", "DEADLINE_PASSED")
    assert await refused(alice.swap(amount_in_u=400_001)) == ("FAILED_PRECONDITION", "TRADE_TOO_LARGE")
    assert await refused(alice.quote(amount_in_u=400_001)) == ("FAILED_PRECONDITION", "TRADE_TOO_LARGE")
    assert (await refused(alice.swap(given="CEU")))[0] == "INVALID_ARGUMENT"
    assert (await refused(alice.swap(given="EUR")))[0] == "INVALID_ARGUMENT"
    assert await refused(alice.add(amount0_u=1, amount1_u=1)) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert await refused(alice.add("a2", 1, 1)) == ("FAILED_PRECONDITION", "INSUFFICIENT_LIQUIDITY")
    bob = alice.other(subject="bob")
    assert await refused(bob.remove()) == ("FAILED_PRECONDITION", "INSUFFICIENT_SHARES")
    assert await alice.pool() == before
    assert (await alice.swap(deadline=from_us(clock.now_us()))).amount_out_u == quote.amount_out_u


async def test_who_cannot_pay_gets_nothing_and_may_ask_again_with_the_same_id(alice):
    await alice.add()
    before = await alice.pool()
    bob = alice.other(subject="bob")
    assert await refused(bob.swap("b1")) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    await bob.fund(ceu_u=0, pft_u=99_999)
    assert await refused(bob.swap("b1")) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")
    half = bob.add("b2", 10_000, 10_000)
    assert (await refused(half))[0] == "NOT_FOUND"
    assert await alice.pool() == before
    assert await bob.held() == {"PFT": 99_999}
    gift = economy_pb2.TransferRequest(id="g", debit_owner="alice", credit_owner="bob", token="PFT", amount_u=1)
    await alice.ledger.Transfer(gift, metadata=alice.auth)
    assert (await bob.swap("b1")).amount_out_u > 0


async def test_only_operators_trade_and_no_account_of_the_mesh_does(alice):
    await alice.add()
    for role in ("viewer", "agent"):
        person = alice.other(role=role)
        assert await refused(person.swap()) == ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")
        assert (await person.quote()).amount_out_u > 0
    for subject in ("@pool/CEU-PFT", "@treasury", "@metering"):
        thief = alice.other(subject=subject)
        assert await refused(thief.swap()) == ("PERMISSION_DENIED", "ACCOUNT_RESERVED")
        assert await refused(thief.add()) == ("PERMISSION_DENIED", "ACCOUNT_RESERVED")
        assert await refused(thief.remove()) == ("PERMISSION_DENIED", "ACCOUNT_RESERVED")


async def test_tenants_have_pools_of_their_own(alice):
    await alice.add()
    zeta = alice.other(tenant="zeta")
    assert await refused(zeta.pool()) == ("NOT_FOUND", "POOL_UNKNOWN")
    assert await refused(zeta.swap()) == ("NOT_FOUND", "POOL_UNKNOWN")
    await zeta.fund()
    assert (await zeta.add(amount0_u=5 * TOKEN, amount1_u=5 * TOKEN)).pool.reserve0_u == 5 * TOKEN
    assert (await zeta.swap(amount_in_u=1000)).amount_out_u < 1000
    assert (await alice.pool()).reserve1_u == 20 * TOKEN


@pytest.mark.parametrize("seed", range(2))
async def test_k_never_falls_and_a_share_never_loses_whoever_trades_at_once(alice, seed):
    rng = random.Random(seed)
    bob = alice.other(subject="bob")
    await bob.fund()
    await alice.add()
    before = await alice.pool()

    async def act(n):
        trader, kind = rng.choice((alice, bob)), rng.choice(("swap", "swap", "swap", "add", "remove"))
        try:
            if kind == "swap":
                given, wanted = rng.sample(("CEU", "PFT"), 2)
                answer = await trader.swap(f"{n}", given, wanted, rng.randint(1, 300_000))
            elif kind == "add":
                answer = await trader.add(f"{n}", rng.randint(1, TOKEN), rng.randint(1, TOKEN))
            else:
                answer = await trader.remove(f"{n}", rng.randint(1, 10_000))
        except grpc.aio.AioRpcError as error:
            return error.code()
        return answer.pool

    for round_ in range(8):
        pools = await asyncio.gather(*(act(f"{round_}.{n}") for n in range(5)))
        after = await alice.pool()
        assert after.reserve0_u * after.reserve1_u * before.shares**2 >= (
            before.reserve0_u * before.reserve1_u * after.shares**2
        )
        changed = [pool for pool in pools if isinstance(pool, market_pb2.Pool)]
        assert {pool for pool in pools if isinstance(pool, grpc.StatusCode)} <= {grpc.StatusCode.FAILED_PRECONDITION}
        if changed:
            assert any(
                (p.reserve0_u, p.reserve1_u, p.shares) == (after.reserve0_u, after.reserve1_u, after.shares)
                for p in changed
            )
        assert await alice.held(POOL) == {"CEU": after.reserve0_u, "PFT": after.reserve1_u}
        before = after


async def test_price_sums_grow_with_time_from_the_reserves_that_stood(alice, clock):
    await alice.add()
    clock.advance(10.0)
    await alice.swap()
    with look(alice.tmp_path, "market") as conn:
        x_sum, y_sum = conn.execute("SELECT x_price_sum, y_price_sum FROM pools").fetchone()
    assert int(x_sum) / 2**64 / 10**7 == pytest.approx(0.4)
    assert int(y_sum) / 2**64 / 10**7 == pytest.approx(2.5)


async def hang(self, intent):
    """The process stops before the ledger is asked."""
    await asyncio.Event().wait()


async def hang_after(self, intent):
    """The process stops once the ledger has moved the tokens."""
    with acting_for("market", intent.tenant):
        await self._economy.TransferLinked(economy_pb2.TransferLinkedRequest.FromString(intent.transfers))
    await asyncio.Event().wait()


@pytest.mark.parametrize(("crash", "moved"), [(hang, 0), (hang_after, 2)])
async def test_what_a_crash_interrupts_is_carried_out_exactly_once_after_the_restart(
    tmp_path, monkeypatch, crash, moved
):
    async with ledger(tmp_path):
        async with trading(tmp_path) as alice:
            await alice.fund()
            before = (await alice.add()).pool
            expected = (await alice.quote()).amount_out_u
            with monkeypatch.context() as dying:
                dying.setattr(Exchange, "_carry_out", crash)
                assert (await refused(alice.swap(timeout=0.5)))[0] == "DEADLINE_EXCEEDED"
                assert swaps_in_ledger(tmp_path) == moved
        async with trading(tmp_path) as alice:
            async with asyncio.timeout(60):
                while swaps_in_ledger(tmp_path) < 2 or (await alice.pool()).reserve1_u == before.reserve1_u:
                    await asyncio.sleep(0.02)
            answer = await alice.swap()
            assert answer.amount_out_u == expected
            assert swaps_in_ledger(tmp_path) == 2
            assert await alice.pool() == answer.pool
            assert await alice.held() == {"CEU": 50 * TOKEN + expected, "PFT": 80 * TOKEN - 100_000}
            assert (await alice.swap("s2")).amount_out_u < expected


async def test_an_intent_finished_twice_counts_once(tmp_path):
    request = market_pb2.AddLiquidityRequest(request_id="a1", pair=PAIR, amount0_u=9000, amount1_u=4000)
    empty = market_pb2.AddLiquidityResponse().SerializeToString()
    intent = tables.Intent(
        "acme", "add", "a1", PAIR, "alice", request.SerializeToString(), empty, b"", 6000, 5000, "0", "0", 1
    )
    store = open_store(tmp_path, "market", tables.SCHEMA, ManualClock())
    await store.write(lambda tx: tables.propose(tx, intent))
    for _ in range(2):
        await store.write(lambda tx: tables.finish(tx, intent))
        assert await store.read(lambda conn: tables.own_shares(conn, "acme", PAIR, "alice")) == 5000
    assert await store.read(tables.unfinished_pools) == []
    store.close()


@pytest.mark.parametrize("crash", [hang, hang_after])
async def test_liquidity_interrupted_is_settled_before_the_next_operation_of_the_pool(alice, monkeypatch, crash):
    await alice.add()
    before = await alice.pool()
    with monkeypatch.context() as dying:
        dying.setattr(Exchange, "_carry_out", crash)
        add = market_pb2.AddLiquidityRequest(request_id="a2", pair=PAIR, amount0_u=5 * TOKEN, amount1_u=2 * TOKEN)
        given_up = alice.market.AddLiquidity(add, metadata=(*alice.auth, ("idempotency-key", "a2")), timeout=0.3)
        assert (await refused(given_up))[0] == "DEADLINE_EXCEEDED"
    after = (await alice.swap("next", auth=(*alice.auth, ("idempotency-key", "next")))).pool
    assert after.shares == before.shares * 11 // 10
    assert after.reserve1_u == 22 * TOKEN + 100_000
    assert (await alice.add("a2", 5 * TOKEN, 2 * TOKEN)).pool.own_shares == after.own_shares


async def test_an_operation_that_the_ledger_did_not_answer_is_carried_out_without_being_asked_again(
    tmp_path, monkeypatch
):
    async def unanswered(self, intent):
        raise Unavailable("the economy service does not answer now")

    async with ledger(tmp_path), trading(tmp_path, resume_every_s=0.05) as alice:
        await alice.fund()
        await alice.add()
        with monkeypatch.context() as lost:
            lost.setattr(Exchange, "_carry_out", unanswered)
            assert (await refused(alice.swap()))[0] == "UNAVAILABLE"
            assert (await refused(alice.quote()))[0] == "UNAVAILABLE"
            assert swaps_in_ledger(tmp_path) == 0
        async with asyncio.timeout(60):
            while swaps_in_ledger(tmp_path) < 2:
                await asyncio.sleep(0.02)
        assert (await alice.swap()).pool.reserve1_u == 20 * TOKEN + 100_000
        assert swaps_in_ledger(tmp_path) == 2


async def test_without_the_ledger_it_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "DEADLINE_S", 0.2)
    async with trading(tmp_path) as alice:
        assert (await refused(alice.pool()))[0] == "UNAVAILABLE"
        assert (await refused(alice.swap()))[0] == "UNAVAILABLE"


class TestQuotes:
    async def test_a_quote_is_honoured_until_it_expires_and_never_undercut(self, alice, clock):
        await alice.add()
        quote = await alice.quote()
        assert (await alice.swap("q1", quote=quote.quote)).amount_out_u == quote.amount_out_u
        stale = await alice.quote()
        await alice.swap("mover")
        undercut = await refused(alice.swap("q2", quote=stale.quote))
        assert undercut == ("FAILED_PRECONDITION", "SLIPPAGE"), "the pool moved against it"
        late = await alice.quote()
        clock.advance(31.0)
        assert await refused(alice.swap("q3", quote=late.quote)) == ("FAILED_PRECONDITION", "QUOTE_EXPIRED")

    async def test_a_quote_is_good_for_its_swap_alone(self, alice):
        await alice.add()
        quote = await alice.quote()
        expires, amount, mac = quote.quote.split(".")
        longer = f"{int(expires) + 10**9}.{amount}.{mac}"
        for wrong in (longer, f"{expires}.1.{mac}", "nonsense", f"{expires}.{amount}.é"):
            assert await refused(alice.swap("q1", quote=wrong)) == ("FAILED_PRECONDITION", "QUOTE_FOREIGN")
        other = alice.swap("q2", amount_in_u=99_999, quote=quote.quote)
        assert await refused(other) == ("FAILED_PRECONDITION", "QUOTE_FOREIGN")
        zeta = alice.other(tenant="zeta", subject="zeta")
        await zeta.fund()
        await zeta.add("z1")
        assert await refused(zeta.swap("z2", quote=quote.quote)) == ("FAILED_PRECONDITION", "QUOTE_FOREIGN")

    async def test_liquidity_has_bounds_and_a_deadline_too(self, alice, clock):
        await alice.add()
        past = from_us(clock.now_us() - 1)
        assert await refused(alice.add("a2", min_shares=10**12)) == ("FAILED_PRECONDITION", "SLIPPAGE")
        assert await refused(alice.add("a3", deadline=past)) == ("FAILED_PRECONDITION", "DEADLINE_PASSED")
        assert await refused(alice.remove("r2", min_amount1_u=10**12)) == ("FAILED_PRECONDITION", "SLIPPAGE")
        assert await refused(alice.remove("r3", deadline=past)) == ("FAILED_PRECONDITION", "DEADLINE_PASSED")


class TestTimeWeightedPrice:
    async def test_it_is_the_mean_of_what_stood(self, alice, clock):
        await alice.add(amount0_u=50 * TOKEN, amount1_u=20 * TOKEN)
        first = await alice.look(window_s=100.0)
        assert (first.pool.spot_price, first.time_weighted_price, first.window_s) == (0.4, 0.0, 0.0), "none stood yet"
        clock.advance(60.0)
        await alice.swap(amount_in_u=400_000)
        moved = (await alice.pool()).spot_price
        clock.advance(40.0)
        seen = await alice.look(window_s=100.0)
        assert seen.window_s == 100.0
        assert seen.time_weighted_price == pytest.approx(0.6 * 0.4 + 0.4 * moved, rel=1e-9)
        short = await alice.look(window_s=20.0)
        assert short.time_weighted_price == pytest.approx(moved, rel=1e-9)
        long = await alice.look(window_s=1e6)
        assert (long.window_s, long.time_weighted_price) == (100.0, seen.time_weighted_price)

    async def test_a_trade_of_this_moment_does_not_move_it(self, alice, clock):
        await alice.add()
        clock.advance(1000.0)
        before = (await alice.look()).time_weighted_price
        await alice.swap(amount_in_u=400_000)
        after = await alice.look()
        assert after.pool.spot_price > before
        assert after.time_weighted_price == pytest.approx(before, rel=1e-12)


async def test_history_tells_every_operation_newest_first(alice, clock):
    given = await alice.add()
    clock.advance(1.0)
    swapped = await alice.swap(amount_in_u=100_000)
    clock.advance(1.0)
    back = await alice.remove(shares=1000)
    trades = (await alice.history()).trades
    assert [trade.kind for trade in trades] == ["remove", "swap", "add"]
    assert (trades[0].change0_u, trades[0].change1_u, trades[0].shares) == (-back.amount0_u, -back.amount1_u, -1000)
    assert (trades[1].change0_u, trades[1].change1_u, trades[1].shares) == (-swapped.amount_out_u, 100_000, 0)
    assert trades[1].price == pytest.approx(100_000 / swapped.amount_out_u)
    assert (trades[2].change0_u, trades[2].change1_u, trades[2].shares) == (50 * TOKEN, 20 * TOKEN, given.shares)
    page = await alice.history(page_size=2)
    rest = await alice.history(page_size=2, page_token=page.next_page_token)
    assert [*page.trades, *rest.trades] == list(trades)
    assert not rest.next_page_token
    assert not (await alice.history(pair="MUNT-PFT")).trades
    assert not (await alice.other(tenant="zeta").history()).trades
    assert (await refused(alice.history(page_token="x")))[0] == "INVALID_ARGUMENT"
