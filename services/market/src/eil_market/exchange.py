"""Operations on pools, each carried out exactly once across two services.

The ledger's balances of `@pool/CEU-PFT` are the pool's reserves; shares and price sums stand in this service's store. An operation is
written down as an intent, then the ledger moves the tokens in one linked chain whose ids follow from the request id, then the intent is
done. Whatever happens in between, the intent is carried out before anything else happens to its pool, at the latest a second after a
restart. One process serves a pool: a lock for each (tenant, pair) keeps its operations in order.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import grpc
import structlog
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.market.v1 import market_pb2
from eil_mesh.call import acting_for
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import EilError
from eil_mesh.requests import replayed
from eil_mesh.store import Connection, Store

from eil_market import tables
from eil_market.domain.errors import WindowTooShort
from eil_market.domain.pool import Pool, observe, time_weighted_price
from eil_market.peers import DEADLINE_S, answer, refused_by_ledger

log = structlog.get_logger("eil.market")
Answer = TypeVar("Answer", market_pb2.SwapResponse, market_pb2.AddLiquidityResponse, market_pb2.RemoveLiquidityResponse)
Request = market_pb2.SwapRequest | market_pb2.AddLiquidityRequest | market_pb2.RemoveLiquidityRequest
Amounts = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Position:
    """A pool as one owner sees it."""

    pool: Pool
    own_shares: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation does: (token, 10⁻⁶ token) that the owner pays and gets, shares that the owner wins or loses."""

    after: Pool
    pays: Amounts = ()
    gets: Amounts = ()
    own_change: int = 0


class Exchange:
    """Keeps the pools of all tenants."""

    def __init__(self, store: Store, economy: economy_pb2_grpc.EconomyServiceAsyncStub, clock: Clock) -> None:
        self._store, self._economy, self._clock = store, economy, clock
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def position(self, tenant: str, pair: str, owner: str) -> Position:
        """The pool as it stands.

        Raises:
            Unavailable: the ledger does not answer.
        """
        async with self._settled(tenant, pair):
            return await self._position(tenant, pair, owner)

    async def averaged(self, tenant: str, pair: str, pool: Pool, window_s: float) -> tuple[float, float]:
        """(price of the first token in the second averaged over the time before, time that it is averaged over [s]); 0 where none stood."""
        now_us = self._clock.now_us()
        begin_us = now_us - round(window_s * MICROSECONDS)
        begun = await self._store.read(lambda conn: tables.observed(conn, tenant, pair, begin_us))
        if begun is None:
            return 0.0, 0.0
        earlier = observe(begun, max(begin_us, begun.updated_us))
        try:
            price, _ = time_weighted_price(earlier, observe(pool, now_us))
        except WindowTooShort:
            return 0.0, 0.0
        return price, (now_us - earlier.updated_us) / MICROSECONDS

    async def history(self, tenant: str, pair: str, before: str, limit: int) -> list[tables.Intent]:
        """Operations that were carried out, newest first."""
        return await self._store.read(lambda conn: tables.newest(conn, tenant, pair, before, limit))

    async def operate(
        self,
        kind: str,
        request: Request,
        response: Answer,
        place: tuple[str, str, str],
        plan: Callable[[Position, Answer], Plan],
    ) -> Answer:
        """Carry out an operation once; the same request again gets the stored answer.

        Args:
            kind: swap, add or remove.
            request: the request, with its id.
            response: an empty answer, which `plan` fills but for the pool.
            place: tenant, pair and owner.
            plan: works the operation out on the pool as it stands; what it raises changes nothing.

        Raises:
            AlreadyExists: the id was used with another body.
            grpc.aio.AioRpcError: the ledger refused, as it said it; nothing moved.
            Unavailable: the ledger does not answer; the operation is carried out later, or asked for again with the same id.
        """
        tenant, pair, owner = place
        async with self._settled(tenant, pair):
            known = await self._store.read(lambda conn: replayed(conn, tenant, request, type(response)))
            if known is not None:
                return known
            before = await self._position(tenant, pair, owner)
            planned = plan(before, response)
            response.pool.CopyFrom(shown(pair, Position(planned.after, before.own_shares + planned.own_change)))
            intent = _intent(kind, request, response, place, planned)
            await self._store.write(lambda tx: tables.propose(tx, intent))
            await self._carry_out(intent)
            return response

    async def run(self, every_s: float) -> None:
        """Carry out what was begun and not finished, for ever."""
        while True:
            for tenant, pair in await self._store.read(tables.unfinished_pools):
                try:
                    async with self._settled(tenant, pair):
                        log.info("resumed", tenant=tenant, pair=pair)
                except (grpc.aio.AioRpcError, EilError) as error:
                    log.warning("not resumed yet", tenant=tenant, pair=pair, error=str(error))
            await asyncio.sleep(every_s)

    @asynccontextmanager
    async def _settled(self, tenant: str, pair: str) -> AsyncIterator[None]:
        """The pool to oneself, nothing begun left open."""
        async with self._locks[tenant, pair]:
            # Asked through the writer: an intent whose caller gave up while it waited to be written is ahead in that queue.
            for intent in await self._store.write(lambda tx: tables.unfinished(tx.conn, tenant, pair)):
                try:
                    await self._carry_out(intent)
                except grpc.aio.AioRpcError as error:
                    if not refused_by_ledger(error):
                        raise
                    log.info("the ledger refused an intent", tenant=tenant, pair=pair, detail=error.details())
            yield

    async def _carry_out(self, intent: tables.Intent) -> None:
        transfers = economy_pb2.TransferLinkedRequest.FromString(intent.transfers)
        with acting_for("market", intent.tenant):
            try:
                await answer("economy", self._economy.TransferLinked(transfers, timeout=DEADLINE_S))
            except grpc.aio.AioRpcError as error:
                if refused_by_ledger(error):
                    await self._store.write(lambda tx: tables.drop(tx, intent))
                raise
            await self._store.write(lambda tx: tables.finish(tx, intent))

    async def _position(self, tenant: str, pair: str, owner: str) -> Position:
        with acting_for("market", tenant):
            request = economy_pb2.GetBalancesRequest(owner=account_of(pair))
            held = await answer("economy", self._economy.GetBalances(request, timeout=DEADLINE_S))
        reserves_u = {balance.token: balance.balance_u for balance in held.balances}

        def look(conn: Connection) -> Position:
            bare = tables.load(conn, tenant, pair, self._clock.now_us())
            x_u, y_u = reserves_u.get(bare.token_x, 0), reserves_u.get(bare.token_y, 0)
            pool = replace(bare, reserve_x_u=x_u, reserve_y_u=y_u)
            return Position(pool, tables.own_shares(conn, tenant, pair, owner))

        return await self._store.read(look)


def account_of(pair: str) -> str:
    """The ledger's name of a pool's accounts."""
    return f"@pool/{pair}"


def shown(pair: str, position: Position) -> market_pb2.Pool:
    """A pool as the contract shows it."""
    pool = position.pool
    return market_pb2.Pool(
        pair=pair,
        reserve0_u=pool.reserve_x_u,
        reserve1_u=pool.reserve_y_u,
        shares=pool.shares,
        own_shares=position.own_shares,
        spot_price=pool.reserve_y_u / pool.reserve_x_u if pool.reserve_x_u else 0.0,
    )


def _intent(kind: str, request: Request, response: Answer, place: tuple[str, str, str], planned: Plan) -> tables.Intent:
    tenant, pair, owner = place
    # Request ids may be longer than what the ledger leaves for ids.
    chain = f"{kind}:{hashlib.sha256(request.request_id.encode()).hexdigest()[:40]}"
    moves = [(owner, account_of(pair), *move) for move in planned.pays]
    moves += [(account_of(pair), owner, *move) for move in planned.gets]
    transfers = economy_pb2.TransferLinkedRequest(
        transfers=[
            economy_pb2.TransferRequest(
                id=f"{chain}:{n}",
                debit_owner=debit,
                credit_owner=credit,
                token=token,
                amount_u=amount_u,
                reason=f"{kind} {pair} {request.request_id}",
            )
            for n, (debit, credit, token, amount_u) in enumerate(moves)
        ]
    )
    return tables.Intent(
        tenant=tenant,
        kind=kind,
        request_id=request.request_id,
        pair=pair,
        owner=owner,
        request=request.SerializeToString(deterministic=True),
        response=response.SerializeToString(),
        transfers=transfers.SerializeToString(),
        shares=planned.after.shares,
        own_change=planned.own_change,
        x_price_sum=str(planned.after.x_price_sum_q64us),
        y_price_sum=str(planned.after.y_price_sum_q64us),
        updated_us=planned.after.updated_us,
    )
