"""gRPC ⇄ domain of the market service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from eil.market.v1 import market_pb2, market_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.clock import Clock, from_us, to_us
from eil_mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

from eil_market.domain.errors import MarketError
from eil_market.domain.pool import Pool, PoolLimits, add_liquidity, remove_liquidity, swap_exact_in
from eil_market.domain.pool import Swap as Trade
from eil_market.domain.pricing import Price
from eil_market.exchange import Exchange, Plan, Position, shown
from eil_market.oracle import Oracle

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

    def __init__(self, exchange: Exchange, oracle: Oracle, limits: PoolLimits, clock: Clock) -> None:
        self._exchange, self._oracle, self._limits, self._clock = exchange, oracle, limits, clock

    async def GetPricing(
        self, request: market_pb2.GetPricingRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.GetPricingResponse:
        caller()
        with refusals():
            prices = await self._oracle.prices(request.quantity or 1.0)
        return market_pb2.GetPricingResponse(
            prices=[_price(price) for price in prices], time=from_us(self._clock.now_us())
        )

    async def GetPool(
        self, request: market_pb2.GetPoolRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.GetPoolResponse:
        principal = caller()
        position = await self._exchange.position(principal.tenant, request.pair, principal.subject)
        _existing(position.pool, request.pair)
        return market_pb2.GetPoolResponse(pool=shown(request.pair, position))

    async def Quote(
        self, request: market_pb2.QuoteRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.QuoteResponse:
        principal, pair = caller(), _pair(request)
        position = await self._exchange.position(principal.tenant, pair, principal.subject)
        with refusals():
            _, swap = self._swap(position, pair, request, 0, None)
        return market_pb2.QuoteResponse(amount_out_u=swap.amount_out_u, price_impact=swap.price_impact)

    async def Swap(self, request: market_pb2.SwapRequest, context: grpc.aio.ServicerContext) -> market_pb2.SwapResponse:
        tenant, owner = _trader()
        pair, deadline_us = _pair(request), to_us(request.deadline) if request.HasField("deadline") else None

        def plan(position: Position, response: market_pb2.SwapResponse) -> Plan:
            after, swap = self._swap(position, pair, request, request.min_out_u, deadline_us)
            response.amount_out_u = swap.amount_out_u
            return Plan(after, [(swap.token_in, swap.amount_in_u)], [(swap.token_out, swap.amount_out_u)])

        with refusals():
            return await self._exchange.operate("swap", request, market_pb2.SwapResponse(), (tenant, pair, owner), plan)

    async def AddLiquidity(
        self, request: market_pb2.AddLiquidityRequest, context: grpc.aio.ServicerContext
    ) -> market_pb2.AddLiquidityResponse:
        tenant, owner = _trader()

        def plan(position: Position, response: market_pb2.AddLiquidityResponse) -> Plan:
            now_us = self._clock.now_us()
            after, given = add_liquidity(position.pool, request.amount0_u, request.amount1_u, 0, now_us, now_us)
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
            after, taken = remove_liquidity(position.pool, request.shares, 0, 0, now_us, now_us)
            response.amount0_u, response.amount1_u = taken.x_u, taken.y_u
            gets = [(after.token_x, taken.x_u), (after.token_y, taken.y_u)]
            return Plan(after, gets=gets, own_change=-taken.shares)

        with refusals():
            return await self._exchange.operate(
                "remove", request, market_pb2.RemoveLiquidityResponse(), (tenant, request.pair, owner), plan
            )

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
