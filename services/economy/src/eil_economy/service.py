"""gRPC ⇄ domain of the economy service."""

from collections.abc import Sequence

import grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS, from_us
from eil_mesh.paging import newest_page_of
from eil_mesh.store import Store, Tx

from eil_economy.clients import markets_order, mesh_id, persons_order
from eil_economy.domain import leases, ledger, reports
from eil_economy.domain.policies import apply_policies
from eil_economy.domain.records import Balance, Transfer
from eil_economy.domain.tokens import TOKENS, TREASURY, U_PER_TOKEN
from eil_economy.entries import FIELDS, book, entry, refusals


class EconomyService(economy_pb2_grpc.EconomyServiceServicer):
    """See the contract for what each method promises. An operator may move tokens between any accounts of the tenant's people and its
    treasury, where the starting grant lies; accounts of the mesh are closed to people (see `clients`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def GetBalances(
        self, request: economy_pb2.GetBalancesRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.GetBalancesResponse:
        tenant = caller().tenant
        found = await self._store.read(lambda conn: reports.balances(conn, tenant, request.owner or None))
        return economy_pb2.GetBalancesResponse(
            balances=[_balance(account) for account in found if account.kind != "issuance"]
        )

    async def ListTransfers(
        self, request: economy_pb2.ListTransfersRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ListTransfersResponse:
        tenant = caller().tenant
        size, before = newest_page_of(request)
        with refusals():
            found, following = await self._store.read(
                lambda conn: reports.history(conn, tenant, request.owner or None, request.token or None, before, size)
            )
        return economy_pb2.ListTransfersResponse(
            transfers=[entry(line) for line in found], next_page_token="" if following is None else str(following)
        )

    async def GetSupply(
        self, request: economy_pb2.GetSupplyRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.GetSupplyResponse:
        tenant = caller().tenant
        supplies = await self._store.read(lambda conn: [reports.supply(conn, tenant, token) for token in TOKENS])
        return economy_pb2.GetSupplyResponse(
            supplies=[
                economy_pb2.Supply(
                    token=supply.token,
                    minted_u=supply.minted_u,
                    burned_u=supply.burned_u,
                    circulating_u=supply.circulating_u,
                )
                for supply in supplies
            ]
        )

    async def Transfer(
        self, request: economy_pb2.TransferRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.TransferResponse:
        tenant, order = caller().tenant, persons_order(request)

        def move(tx: Tx) -> Transfer:
            if order.source == TREASURY:  # a grant that is due can be given away before any compute was used
                apply_policies(tx.conn, tenant, tx.now_us)
            return ledger.transfer(tx.conn, tenant, order, tx.now_us)

        line = await book(self._store, move)
        return economy_pb2.TransferResponse(transfer=entry(line), replayed=line.replayed)

    async def TransferLinked(
        self, request: economy_pb2.TransferLinkedRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.TransferLinkedResponse:
        tenant, orders = caller().tenant, [markets_order(transfer) for transfer in request.transfers]

        def move(tx: Tx) -> Sequence[Transfer]:
            return ledger.transfer_linked(tx.conn, tenant, orders, tx.now_us)

        lines = await book(self._store, move)
        return economy_pb2.TransferLinkedResponse(transfers=[entry(line) for line in lines], replayed=lines[0].replayed)

    async def Mint(
        self, request: economy_pb2.MintRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.MintResponse:
        tenant, mint_id = caller().tenant, mesh_id(request.id)

        def mint(tx: Tx) -> Transfer:
            reason = request.reason or "mint"
            return ledger.mint(
                tx.conn, tenant, mint_id, request.owner, request.token, request.amount_u, reason, tx.now_us
            )

        line = await book(self._store, mint, {**FIELDS, "destination": "owner"})
        return economy_pb2.MintResponse(transfer=entry(line), replayed=line.replayed)

    async def DrawLease(
        self, request: economy_pb2.DrawLeaseRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.DrawLeaseResponse:
        principal, lease_id = caller(), mesh_id(request.id)
        ttl_us = round(request.ttl_s * MICROSECONDS)

        def draw(tx: Tx) -> Transfer:
            holder = principal.service or principal.subject
            return leases.draw_lease(tx.conn, principal.tenant, lease_id, holder, request.amount_u, ttl_us, tx.now_us)

        line = await book(self._store, draw)
        return economy_pb2.DrawLeaseResponse(
            id=line.transfer_id, amount_u=line.amount_u, expires=from_us(line.expires_us or line.created_us)
        )

    async def SettleLease(
        self, request: economy_pb2.SettleLeaseRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.SettleLeaseResponse:
        tenant = caller().tenant

        def settle(tx: Tx) -> Transfer:
            return leases.settle_lease(tx.conn, tenant, request.id, request.used_u, tx.now_us)

        line = await book(self._store, settle)
        return economy_pb2.SettleLeaseResponse(charged_u=line.moved_u)


def _balance(account: Balance) -> economy_pb2.Balance:
    return economy_pb2.Balance(
        owner=account.owner,
        token=account.token,
        balance_u=account.balance_u,
        reserved_u=account.reserved_u,
        balance=account.balance_u / U_PER_TOKEN,
    )
