"""Posted prices from live figures: compute credits from the ledger, verdicts from the proof service, the tariff as
the tenant declared it, else from the settings.

A service that cannot be reached makes the answer UNAVAILABLE: a price with a guessed factor would look like a price.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.proof.v1 import proof_pb2, proof_pb2_grpc
from eil_mesh.clock import MICROSECONDS, Clock, to_us
from eil_mesh.reward import FULL_REWARD_U, MICRO
from eil_mesh.store import Store

from eil_market import tables
from eil_market.domain.load import credit_load
from eil_market.domain.pricing import EnergyPrice, Price, price_ceu, price_munt, price_pft
from eil_market.domain.reputation import Reputation, jeffreys
from eil_market.peers import DEADLINE_S, answer
from eil_market.settings import MarketSettings
from eil_market.tariff import price_now

METERING = "@metering"
"""Where credits go that were used; what is on its way to it lies in leases."""
PAGE = 1000


class Oracle:
    """Posts prices for the tenant of the current call."""

    def __init__(
        self,
        economy: economy_pb2_grpc.EconomyServiceAsyncStub,
        proof: proof_pb2_grpc.ProofServiceAsyncStub,
        store: Store,
        settings: MarketSettings,
        clock: Clock,
    ) -> None:
        self._economy, self._proof, self._store = economy, proof, store
        self._settings, self._clock = settings, clock

    async def prices(self, tenant: str, quantity_ceu: float) -> Sequence[Price]:
        """Prices of CEU, PFT and MUNT for a tenant when `quantity_ceu` are bought at once.

        Raises:
            Unavailable: the economy or the proof service does not answer.
        """
        settings = self._settings
        supplies, metering, lately_u, record = await asyncio.gather(
            self._supplies(),
            self._credits(METERING),
            self._metered_lately_u(),
            self._record(),
        )
        load = credit_load(supplies["CEU"], metering.balance_u, metering.incoming_u, lately_u, settings.demand_window_s)
        per_kwh, tariff_source = await self.tariff(tenant)
        energy = EnergyPrice.per_kwh(per_kwh, settings.currency, tariff_source)
        verdicts = jeffreys(record.valid, record.measured)
        ceu = price_ceu(
            settings.energy_per_ceu_j,
            energy,
            load.demand_ceu_per_s,
            load.supply_ceu_per_s,
            quantity_ceu,
            verdicts,
            energy_source="energy of 1000 inference steps, as declared in this service's settings",
            load_source=load.source,
        )
        proven_j, source = self._proven(record)
        return (
            ceu,
            price_pft(proven_j, energy, verdicts, proven_source=source),
            price_munt(settings.licence_term_ceu, ceu, supplies["MUNT"] // MICRO, rewarded_skill(record)),
        )

    async def tariff(self, tenant: str) -> tuple[float, str]:
        """(price of energy now [currency/kWh], where it comes from)."""
        declared = await self._store.read(lambda conn: tables.tariff(conn, tenant))
        return price_now(declared, self._settings, self._clock.now_us())

    async def reputation(self) -> Reputation:
        """How far the tenant's measured proofs are trusted.

        Raises:
            Unavailable: the proof service does not answer.
        """
        record = await self._record()
        return jeffreys(record.valid, record.measured)

    def _proven(self, record: proof_pb2.GetRecordResponse) -> tuple[float, str]:
        if record.minted_u and record.valid_savings_j > 0:
            return (
                record.valid_savings_j / (record.minted_u / MICRO),
                "savings committed by valid measured proofs, over PFT minted",
            )
        return (
            self._settings.reference_proven_per_pft_j,
            "reference value of this service's settings: no valid proof has shown a saving yet",
        )

    async def _supplies(self) -> dict[str, int]:
        request = economy_pb2.GetSupplyRequest()
        response = await answer("economy", self._economy.GetSupply(request, timeout=DEADLINE_S))
        return {supply.token: supply.circulating_u for supply in response.supplies}

    async def _credits(self, owner: str) -> economy_pb2.Balance:
        request = economy_pb2.GetBalancesRequest(owner=owner)
        response = await answer("economy", self._economy.GetBalances(request, timeout=DEADLINE_S))
        return next((balance for balance in response.balances if balance.token == "CEU"), economy_pb2.Balance())

    async def _metered_lately_u(self) -> int:
        """Credits used up within the window, 10⁻⁶ CEU: settled leases, newest first, back to its beginning."""
        since_us = self._clock.now_us() - round(self._settings.demand_window_s * MICROSECONDS)
        request = economy_pb2.ListTransfersRequest(owner=METERING, token="CEU", page_size=PAGE)
        used_u = 0
        while True:
            page = await answer("economy", self._economy.ListTransfers(request, timeout=DEADLINE_S))
            for transfer in page.transfers:
                if to_us(transfer.time) < since_us:
                    return used_u
                used_u += transfer.amount_u if transfer.kind == "post" else 0
            if not page.next_page_token:
                return used_u
            request.page_token = page.next_page_token

    async def _record(self) -> proof_pb2.GetRecordResponse:
        return await answer("proof", self._proof.GetRecord(proof_pb2.GetRecordRequest(), timeout=DEADLINE_S))


def rewarded_skill(record: proof_pb2.GetRecordResponse) -> float:
    """Mean skill over persistence that measured proofs were paid for, in 0 … 1: rewards paid, over what perfect ones would earn."""
    return min(1.0, record.minted_u / (FULL_REWARD_U * record.measured)) if record.measured else 0.0
