"""gRPC ⇄ domain of the market service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

import grpc
from eil.economy.v1 import economy_pb2
from eil.market.v1 import market_pb2, market_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS, Clock, from_us, to_us
from eil_mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from eil_mesh.paging import page_of
from eil_mesh.store import Store

from eil_market.domain.errors import MarketError
from eil_market.domain.pool import Pool, PoolLimits, add_liquidity, remove_liquidity, swap_exact_in
from eil_market.domain.pool import Swap as Trade
from eil_market.domain.pricing import Price
from eil_market.domain.quotes import Quote as Quoted
from eil_market.domain.quotes import Quotes
from eil_market.domain.reputation import reputation_discount
from eil_market.exchange import Exchange, Plan, Position, shown
from eil_market.oracle import Oracle
from eil_market.settings import MarketSettings
from eil_market.tables import Intent, place_of, put_tariff
from eil_market.tariff import require_order

FIELDS: Mapping[str, str] = {
    "deadline_us": "deadline",
    "max_x_u": "amount0_u",
    "max_y_u": "amount1_u",
    "quantity_ceu": "quantity",
}
"""The domain's names of request fields → the contract's, where they differ."""


class MarketService(market_pb2_grpc.MarketServiceServicer):
    """See the contract for what each method promises. Who swaps or provides does so with the account of its token's subject; rewards lie
    there already, credits of the starting grant come there by a Transfer from the economy's `@treasury`."""

    def __init__(
        self, store: Store, exchange: Exchange, oracle: Oracle, settings: MarketSettings, clock: Clock
    ) -> None:
        self._store, self._exchange, self._oracle = store, exchange, oracle
        self._settings, self._clock = settings, clock
        self._limits, self._quotes = PoolLimits(settings.max_trade_ppm), Quotes()

    async def GetPricing(
        self, request: market_pb2.GetPricingRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.GetPricingResponse:
        tenant = caller().tenant
        with refusals():
            prices = await self._oracle.prices(tenant, request.quantity or 1.0)
        for price in prices:
            metrics.MARKET_PRICE.labels(price.token, price.currency).set(price.amount)
        return market_pb2.GetPricingResponse(
            prices=[_price(price) for price in prices], time=from_us(self._clock.now_us())
        )

    async def PutTariff(
        self, request: market_pb2.PutTariffRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.PutTariffResponse:
        tenant = caller().tenant
        require_order(request)
        await self._store.write(lambda tx: put_tariff(tx, tenant, request))
        price, source = await self._oracle.tariff(tenant)
        return market_pb2.PutTariffResponse(price_per_kwh=price, source=source)

    async def GetPool(
        self, request: market_pb2.GetPoolRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.GetPoolResponse:
        principal = caller()
        tenant, pair = principal.tenant, request.pair
        position = await self._exchange.position(tenant, pair, principal.subject)
        pool = _existing(position.pool, pair)
        window_s = request.window_s or self._settings.price_window_s
        price, seen_s = await self._exchange.averaged(tenant, pair, pool, window_s)
        return market_pb2.GetPoolResponse(pool=shown(pair, position), time_weighted_price=price, window_s=seen_s)

    async def ListTrades(
        self, request: market_pb2.ListTradesRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.ListTradesResponse:
        size, before = page_of(request)
        found = await self._exchange.history(caller().tenant, request.pair, before, size)
        return market_pb2.ListTradesResponse(
            trades=[traded(intent) for intent in found],
            next_page_token=place_of(found[-1]) if len(found) == size else "",
        )

    async def GetReputation(
        self, request: market_pb2.GetReputationRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.GetReputationResponse:
        caller()
        with refusals():
            found = await self._oracle.reputation()
        return market_pb2.GetReputationResponse(**asdict(found), discount=reputation_discount(found))

    async def Quote(
        self, request: market_pb2.QuoteRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.QuoteResponse:
        principal, pair = caller(), _pair(request)
        position = await self._exchange.position(principal.tenant, pair, principal.subject)
        with refusals():
            _, swap = self._swap(position, pair, request, 0, None)
        expires_us = self._clock.now_us() + round(self._settings.quote_s * MICROSECONDS)
        quote = Quoted(principal.tenant, swap.token_in, swap.token_out, swap.amount_in_u, swap.amount_out_u, expires_us)
        return market_pb2.QuoteResponse(
            amount_out_u=swap.amount_out_u,
            price_impact=swap.price_impact,
            quote=self._quotes.seal(quote),
            expires=from_us(expires_us),
        )

    async def Swap(self, request: market_pb2.SwapRequest, context: grpc.aio.ServicerContext) -> market_pb2.SwapResponse:
        tenant, owner = _trader()
        pair = _pair(request)

        def plan(position: Position, response: market_pb2.SwapResponse) -> Plan:
            after, swap = self._swap(position, pair, request, *self._bounds(tenant, request))
            response.amount_out_u = swap.amount_out_u
            return Plan(after, [(swap.token_in, swap.amount_in_u)], [(swap.token_out, swap.amount_out_u)])

        with refusals():
            done = await self._exchange.operate("swap", request, market_pb2.SwapResponse(), (tenant, pair, owner), plan)
        metrics.MARKET_SWAPS.labels(request.token_in).inc()
        return done

    async def AddLiquidity(
        self, request: market_pb2.AddLiquidityRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.AddLiquidityResponse:
        tenant, owner = _trader()

        def plan(position: Position, response: market_pb2.AddLiquidityResponse) -> Plan:
            now_us = self._clock.now_us()
            deadline_us = _deadline(request) or now_us
            after, given = add_liquidity(
                position.pool, request.amount0_u, request.amount1_u, request.min_shares, deadline_us, now_us
            )
            response.shares = given.shares
            pays = [(after.token_x, given.x_u), (after.token_y, given.y_u)]
            return Plan(after, pays=pays, own_change=given.shares)

        with refusals():
            return await self._exchange.operate(
                "add", request, market_pb2.AddLiquidityResponse(), (tenant, request.pair, owner), plan
            )

    async def RemoveLiquidity(
        self, request: market_pb2.RemoveLiquidityRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.RemoveLiquidityResponse:
        tenant, owner = _trader()

        def plan(position: Position, response: market_pb2.RemoveLiquidityResponse) -> Plan:
            _existing(position.pool, request.pair)
            if request.shares > position.own_shares:
                raise FailedPrecondition(
                    f"{request.shares} shares are to be returned, {owner!r} has {position.own_shares}: return at most those",
                    reason="INSUFFICIENT_SHARES",
                    violations={"shares": f"must be at most {position.own_shares}"},
                )
            now_us = self._clock.now_us()
            least = request.min_amount0_u, request.min_amount1_u
            after, taken = remove_liquidity(position.pool, request.shares, *least, _deadline(request) or now_us, now_us)
            response.amount0_u, response.amount1_u = taken.x_u, taken.y_u
            gets = [(after.token_x, taken.x_u), (after.token_y, taken.y_u)]
            return Plan(after, gets=gets, own_change=-taken.shares)

        with refusals():
            return await self._exchange.operate(
                "remove", request, market_pb2.RemoveLiquidityResponse(), (tenant, request.pair, owner), plan
            )

    def _bounds(self, tenant: str, request: market_pb2.SwapRequest) -> tuple[int, int | None]:
        """Least that is accepted and the deadline, those of the quote included."""
        least_u, deadline_us = request.min_out_u, _deadline(request)
        if request.quote:
            asked = tenant, request.token_in, request.token_out, request.amount_in_u
            quote = self._quotes.opened(request.quote, *asked, self._clock.now_us())
            least_u = max(least_u, quote.amount_out_u)
        return least_u, deadline_us

    def _swap(
        self,
        position: Position,
        pair: str,
        request: market_pb2.QuoteRequest | market_pb2.SwapRequest,
        min_out_u: int,
        deadline_us: int | None,
    ) -> tuple[Pool, Trade]:
        now_us = self._clock.now_us()
        return swap_exact_in(
            _existing(position.pool, pair),
            self._limits,
            request.token_in,
            request.amount_in_u,
            min_out_u,
            now_us if deadline_us is None else deadline_us,
            now_us,
        )


@contextmanager
def refusals() -> Iterator[None]:
    """Turn the domain's refusals into the mesh's errors, with reason, message and field kept."""
    try:
        yield
    except MarketError as error:
        message = str(error)
        violations = {FIELDS.get(error.field, error.field): message} if error.field else None
        status = InvalidArgument if error.kind == "invalid" else FailedPrecondition
        raise status(message, reason=error.reason, violations=violations) from error


def traded(intent: Intent) -> market_pb2.Trade:
    """An operation as the contract shows it."""
    moved = economy_pb2.TransferLinkedRequest.FromString(intent.transfers).transfers
    change_u = dict.fromkeys(intent.pair.split("-"), 0)
    for transfer in moved:
        change_u[transfer.token] += transfer.amount_u if transfer.debit_owner == intent.owner else -transfer.amount_u
    first_u, second_u = change_u.values()
    return market_pb2.Trade(
        kind=intent.kind,
        request_id=intent.request_id,
        pair=intent.pair,
        owner=intent.owner,
        time=from_us(intent.updated_us),
        change0_u=first_u,
        change1_u=second_u,
        shares=intent.own_change,
        price=-second_u / first_u if intent.kind == "swap" else 0.0,
    )


def _deadline(
    request: market_pb2.SwapRequest | market_pb2.AddLiquidityRequest | market_pb2.RemoveLiquidityRequest,
) -> int | None:
    return to_us(request.deadline) if request.HasField("deadline") else None


def _trader() -> tuple[str, str]:
    """Tenant and account of who trades."""
    principal = caller()
    if principal.subject.startswith("@"):
        raise PermissionDenied(
            f"the token's subject {principal.subject!r} begins with '@', which marks accounts of the mesh; get a token "
            "with another subject",
            reason="ACCOUNT_RESERVED",
        )
    return principal.tenant, principal.subject


def _pair(request: market_pb2.QuoteRequest | market_pb2.SwapRequest) -> str:
    if request.token_in == request.token_out:
        raise InvalidArgument(
            f"token_in and token_out are both {request.token_in}; name two tokens",
            violations={"token_out": "must differ from token_in"},
        )
    return "-".join(sorted((request.token_in, request.token_out)))


def _existing(pool: Pool, pair: str) -> Pool:
    if pool.shares == 0:
        raise NotFound(
            f"nobody has put liquidity into {pair} yet; do so with POST /v1/market/liquidity", reason="POOL_UNKNOWN"
        )
    return pool


def _price(price: Price) -> market_pb2.Price:
    return market_pb2.Price(
        token=price.token,
        amount=price.amount,
        currency=price.currency,
        unit=price.unit,
        factors=[
            market_pb2.Factor(name=factor.name, value=factor.value, unit=factor.unit, meaning=factor.meaning)
            for factor in price.factors
        ],
    )
