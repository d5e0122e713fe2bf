"""gRPC ⇄ domain of the economy service."""

from collections.abc import Sequence

import grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.clock import Clock, from_us, to_us
from eil_mesh.paging import NEWEST, newest_page_of, page_of
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Store, Tx

from eil_economy import messages
from eil_economy.clients import (
    markets_order,
    mesh_id,
    oldest_page_of,
    own_id,
    persons_burn,
    persons_order,
    proofs_id,
    us_of,
    whose_budget,
)
from eil_economy.domain import budgets, holds, leases, ledger, licences, minter, reports
from eil_economy.domain.audit import snapshot_audit
from eil_economy.domain.policies import POLICIES, apply_policies
from eil_economy.domain.records import Transfer
from eil_economy.domain.tokens import TOKENS, TREASURY
from eil_economy.entries import FIELDS, book, refusals
from eil_economy.messages import entry


class EconomyService(economy_pb2_grpc.EconomyServiceServicer):
    """See the contract for what each method promises. An operator may move tokens between any accounts of the tenant's people and its
    treasury, where the starting grant lies; accounts of the mesh are closed to people (see `clients`)."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def GetBalances(
        self, request: economy_pb2.GetBalancesRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.GetBalancesResponse:
        tenant = caller().tenant
        found = await self._store.read(lambda conn: reports.balances(conn, tenant, request.owner or None))
        return economy_pb2.GetBalancesResponse(
            balances=[messages.balance(account) for account in found if account.kind != "issuance"]
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
        return economy_pb2.GetSupplyResponse(supplies=[messages.supply(issue) for issue in supplies])

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
        tenant, mint_id = caller().tenant, proofs_id(request.id)

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
        ttl_us = us_of(request.ttl_s)

        def draw(tx: Tx) -> tuple[Transfer, int]:
            holder, tenant = principal.service or principal.subject, principal.tenant
            wanted = (holder, request.amount_u, ttl_us, tx.now_us)
            if request.principal:
                return budgets.draw_from_budget(tx.conn, tenant, lease_id, request.principal, *wanted)
            return leases.draw_lease(tx.conn, tenant, lease_id, *wanted), leases.treasury_left(tx.conn, tenant)

        line, left_u = await book(self._store, draw)
        return economy_pb2.DrawLeaseResponse(
            id=line.transfer_id,
            amount_u=line.amount_u,
            expires=from_us(line.expires_us or line.created_us),
            left_u=left_u,
        )

    async def SettleLease(
        self, request: economy_pb2.SettleLeaseRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.SettleLeaseResponse:
        tenant = caller().tenant

        def settle(tx: Tx) -> Transfer:
            return leases.settle_lease(tx.conn, tenant, request.id, request.used_u, tx.now_us)

        line = await book(self._store, settle)
        return economy_pb2.SettleLeaseResponse(charged_u=line.moved_u)

    async def GetBudget(
        self, request: economy_pb2.GetBudgetRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.GetBudgetResponse:
        tenant, principal, now_us = caller().tenant, whose_budget(request.principal), self._clock.now_us()
        with refusals():
            found = await self._store.read(lambda conn: budgets.budget_of(conn, tenant, principal, now_us))
        return economy_pb2.GetBudgetResponse(budget=messages.budget(found))

    async def ListBudgets(
        self, request: economy_pb2.ListBudgetsRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ListBudgetsResponse:
        tenant, now_us, (size, after) = caller().tenant, self._clock.now_us(), page_of(request)
        with refusals():
            found = await self._store.read(lambda conn: budgets.budgets(conn, tenant, after, size + 1, now_us))
        return economy_pb2.ListBudgetsResponse(
            budgets=[messages.budget(one) for one in found[:size]],
            next_page_token=found[size - 1].principal if len(found) > size else "",
        )

    async def PutBudget(
        self, request: economy_pb2.PutBudgetRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.PutBudgetResponse:
        tenant, policy = caller().tenant, budgets.BudgetPolicy(request.capacity_u, request.refill_u_per_h)

        def put(tx: Tx) -> budgets.Budget:
            return budgets.put_policy(tx.conn, tenant, request.principal, policy, tx.now_us)

        return economy_pb2.PutBudgetResponse(budget=messages.budget(await book(self._store, put)))

    async def Reserve(
        self, request: economy_pb2.ReserveRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ReserveResponse:
        tenant, order, ttl_us = caller().tenant, persons_order(request), us_of(request.ttl_s)

        def reserve(tx: Tx) -> Transfer:
            if order.source == TREASURY:
                apply_policies(tx.conn, tenant, tx.now_us)
            return holds.reserve(tx.conn, tenant, order, ttl_us, tx.now_us)

        line = await book(self._store, reserve)
        return economy_pb2.ReserveResponse(transfer=entry(line), replayed=line.replayed)

    async def PostReservation(
        self, request: economy_pb2.PostReservationRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.PostReservationResponse:
        line = await _resolved(self._store, "post", request.id, request.reason, request.amount_u or None)
        return economy_pb2.PostReservationResponse(transfer=entry(line), replayed=line.replayed)

    async def VoidReservation(
        self, request: economy_pb2.VoidReservationRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.VoidReservationResponse:
        line = await _resolved(self._store, "void", request.id, request.reason, None)
        return economy_pb2.VoidReservationResponse(transfer=entry(line), replayed=line.replayed)

    async def Burn(
        self, request: economy_pb2.BurnRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.BurnResponse:
        tenant, order = caller().tenant, persons_burn(request)
        line = await book(
            self._store, lambda tx: ledger.transfer(tx.conn, tenant, order, tx.now_us), {**FIELDS, "source": "owner"}
        )
        return economy_pb2.BurnResponse(transfer=entry(line), replayed=line.replayed)

    async def GetStatement(
        self, request: economy_pb2.GetStatementRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.GetStatementResponse:
        tenant, owner, token = caller().tenant, request.owner, request.token
        size, after = oldest_page_of(request)
        begin_us = to_us(request.start) if request.HasField("start") else 0
        end_us = to_us(request.end) if request.HasField("end") else NEWEST
        with refusals():
            found = await self._store.read(
                lambda conn: reports.period_statement(conn, tenant, owner, token, (begin_us, end_us), after, size)
            )
        return messages.statement(found)

    async def AuditLedger(
        self, request: economy_pb2.AuditLedgerRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.AuditLedgerResponse:
        tenant = caller().tenant
        return messages.audited(await self._store.read(lambda conn: snapshot_audit(conn, tenant)))

    async def ListPolicies(
        self, request: economy_pb2.ListPoliciesRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ListPoliciesResponse:
        in_force = sorted(POLICIES, key=lambda policy: policy.name)
        return economy_pb2.ListPoliciesResponse(policies=[messages.policy(policy) for policy in in_force])

    async def ListMints(
        self, request: economy_pb2.ListMintsRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ListMintsResponse:
        tenant = caller().tenant
        size, before = newest_page_of(request)
        found, following = await self._store.read(lambda conn: minter.claims(conn, tenant, before, size))
        return economy_pb2.ListMintsResponse(
            mints=[messages.claim(claim) for claim in found],
            next_page_token="" if following is None else str(following),
        )

    async def SubmitMint(
        self, request: economy_pb2.SubmitMintRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.SubmitMintResponse:
        tenant, policy, inputs = caller().tenant, (request.policy, request.version), dict(request.inputs)

        def submit(tx: Tx) -> tuple[minter.Claim, bool]:
            proof_id, evidence = request.proof_id, request.evidence
            found = minter.submit(tx.conn, tenant, proof_id, policy, request.owner, evidence, inputs, tx.now_us)
            return minter.decided(tx.conn, found[0], tx.now_us), found[1]

        claim, replayed = await book(self._store, submit)
        return economy_pb2.SubmitMintResponse(mint=messages.claim(claim), replayed=replayed)

    async def ReserveMint(
        self, request: economy_pb2.ReserveMintRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ReserveMintResponse:
        tenant, ttl_us = caller().tenant, us_of(request.ttl_s)

        def reserve(tx: Tx) -> Transfer:
            return minter.reserve_bonus(
                tx.conn, tenant, request.proof_id, request.owner, request.saving_j, ttl_us, tx.now_us
            )

        line = await book(self._store, reserve, {**FIELDS, "destination": "owner", "transfer_id": "proof_id"})
        return economy_pb2.ReserveMintResponse(transfer=entry(line), replayed=line.replayed)

    async def PostMint(
        self, request: economy_pb2.PostMintRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.PostMintResponse:
        tenant = caller().tenant

        def post(tx: Tx) -> Transfer:
            return minter.post_bonus(
                tx.conn, tenant, request.proof_id, request.saving_low_j, request.evidence, tx.now_us
            )

        line = await book(self._store, post, {**FIELDS, "pending_id": "proof_id"})
        return economy_pb2.PostMintResponse(transfer=entry(line), replayed=line.replayed)

    async def VoidMint(
        self, request: economy_pb2.VoidMintRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.VoidMintResponse:
        tenant = caller().tenant

        def void(tx: Tx) -> Transfer:
            return minter.void_bonus(tx.conn, tenant, request.proof_id, request.reason, tx.now_us)

        line = await book(self._store, void, {**FIELDS, "pending_id": "proof_id"})
        return economy_pb2.VoidMintResponse(transfer=entry(line), replayed=line.replayed)

    async def IssueLicence(
        self, request: economy_pb2.IssueLicenceRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.IssueLicenceResponse:
        tenant, licence_id = caller().tenant, own_id(request.id)
        terms = licences.Terms(
            *(request.model, request.holder, request.steps),
            *(us_of(request.period_s), us_of(request.life_s), request.price_u),
        )
        licence, replayed = await book(
            self._store,
            lambda tx: licences.issue(tx.conn, tenant, licence_id, terms, tx.now_us),
            {**FIELDS, "source": "holder", "amount_u": "price_u"},
        )
        return economy_pb2.IssueLicenceResponse(licence=messages.licence(licence), replayed=replayed)

    async def ListLicences(
        self, request: economy_pb2.ListLicencesRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.ListLicencesResponse:
        tenant, holder = caller().tenant, request.holder or None
        found = await self._store.read(lambda conn: licences.licences(conn, tenant, holder))
        return economy_pb2.ListLicencesResponse(licences=[messages.licence(licence) for licence in found])

    async def CheckLicence(
        self, request: economy_pb2.CheckLicenceRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.CheckLicenceResponse:
        tenant = caller().tenant

        def check(tx: Tx) -> economy_pb2.CheckLicenceResponse:
            known = replayed(tx.conn, tenant, request, economy_pb2.CheckLicenceResponse)
            if known is not None:
                return known
            licence, left = licences.check(tx.conn, tenant, request.model, request.holder, request.steps, tx.now_us)
            answer = economy_pb2.CheckLicenceResponse(licence=messages.licence(licence), left_steps=left)
            remember(tx, tenant, request, answer)
            return answer

        return await book(self._store, check)


async def _resolved(store: Store, outcome: holds.Outcome, sent: str, reason: str, amount_u: int | None) -> Transfer:
    tenant, pending_id = caller().tenant, own_id(sent)

    def resolve(tx: Tx) -> Transfer:
        key = f"@{outcome}/{pending_id}"
        return holds.resolve(tx.conn, tenant, key, pending_id, outcome, tx.now_us, amount_u, reason or None)

    return await book(store, resolve)
