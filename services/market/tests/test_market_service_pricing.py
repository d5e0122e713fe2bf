"""Posted prices over gRPC: every factor live, explained and multiplied out, or no price at all."""

import math
from contextlib import asynccontextmanager
from typing import ClassVar

import grpc
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.market.v1 import market_pb2, market_pb2_grpc
from eil.proof.v1 import proof_pb2, proof_pb2_grpc
from eil_economy.main import build as build_economy
from eil_economy.settings import EconomySettings
from eil_market import oracle
from eil_market.main import build as build_market
from eil_market.settings import MarketSettings
from eil_mesh.call import caller
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import metadata, running, token

pytestmark = pytest.mark.usefixtures("either_database")
TOKEN = 10**6


class ProofSettings(MeshSettings):
    service: ClassVar[str] = "proof"


class Record(proof_pb2_grpc.ProofServiceServicer):
    """A proof service that knows the counts of tenant acme."""

    async def GetRecord(self, request, context):
        if caller().tenant != "acme":
            return proof_pb2.GetRecordResponse()
        return proof_pb2.GetRecordResponse(measured=100, valid=95, minted_u=800 * TOKEN, valid_savings_j=4e6)


async def build_record(mesh):
    mesh.add("eil.proof.v1.ProofService", proof_pb2_grpc.add_ProofServiceServicer_to_server, Record())  # pyright: ignore[reportAbstractUsage]


class Buyer:
    def __init__(self, tmp_path, economy: grpc.aio.Channel, market: grpc.aio.Channel):
        self.tmp_path = tmp_path
        self.ledger = economy_pb2_grpc.EconomyServiceStub(economy)
        self.market = market_pb2_grpc.MarketServiceStub(market)

    async def prices(self, tenant="acme", quantity=0.0):
        auth = metadata(token(self.tmp_path, roles=["viewer"], tenant=tenant))
        answer = await self.market.GetPricing(market_pb2.GetPricingRequest(quantity=quantity), metadata=auth)
        for price in answer.prices:
            assert price.amount == math.prod(factor.value for factor in price.factors)
            assert all(factor.meaning and factor.unit for factor in price.factors)
        return {price.token: price for price in answer.prices}

    async def lease(self, key, ceu, used_ceu=None):
        nvp = (("x-eil-service", "nvp"), ("x-eil-tenant", "acme"))
        draw = economy_pb2.DrawLeaseRequest(id=key, amount_u=ceu * TOKEN, ttl_s=3000)
        await self.ledger.DrawLease(draw, metadata=nvp)
        if used_ceu is not None:
            settle = economy_pb2.SettleLeaseRequest(id=key, used_u=used_ceu * TOKEN)
            await self.ledger.SettleLease(settle, metadata=nvp)


def factor(price, name):
    return next(factor for factor in price.factors if factor.name == name)


@asynccontextmanager
async def posting(tmp_path, clock):
    async with (
        running(tmp_path, MarketSettings, build_market, clock=clock, energy_price_per_kwh=0.36),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as economy,
        grpc.aio.insecure_channel(f"unix:{tmp_path}/market.sock") as market,
    ):
        yield Buyer(tmp_path, economy, market)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def buyer(tmp_path, clock):
    async with (
        running(tmp_path, EconomySettings, build_economy, clock=clock),
        running(tmp_path, ProofSettings, build_record),
        posting(tmp_path, clock) as found,
    ):
        yield found


async def test_prices_by_hand(buyer, clock):
    prices = await buyer.prices()
    assert [price.unit for price in prices.values()] == ["EUR/CEU", "EUR/PFT", "EUR/MUNT"]
    # 0.36 EUR/kWh is 1e-7 EUR/J, 4 MJ over 800 PFT are 5 kJ/PFT, 95 of 100 proofs were valid
    assert prices["PFT"].amount == pytest.approx(5000 * 1e-7 * 95.5 / 101)
    assert "savings" in factor(prices["PFT"], "proven_per_pft").meaning
    ceu = prices["CEU"]
    assert ceu.amount == pytest.approx(20 * 1e-7 * factor(ceu, "reputation").value)
    assert 0.9 < factor(ceu, "reputation").value < 1
    # 800 of the 2000 PFT that 100 perfect proofs earn
    assert prices["MUNT"].amount == pytest.approx(1000 * ceu.amount * 1.4)


async def test_congestion_follows_what_leases_hold_and_used_lately_and_passes(buyer, clock):
    async def congestion():
        return factor((await buyer.prices())["CEU"], "congestion").value

    assert await congestion() == 1.0
    await buyer.lease("l1", 250)
    assert await congestion() == pytest.approx(4 / 3)
    await buyer.lease("l2", 250, used_ceu=250)
    assert await congestion() == pytest.approx(2.0)
    clock.advance(301.0)
    # 250 of the 750 credits that are left are held
    assert await congestion() == pytest.approx(3 / 2)


async def test_more_at_once_is_cheaper_and_zero_means_one(buyer):
    one, many = await buyer.prices(), await buyer.prices(quantity=20_000)
    assert factor(one["CEU"], "bulk").value == 1.0
    assert factor(many["CEU"], "bulk").value == pytest.approx(1 - (9_000 * 0.02 + 10_000 * 0.05) / 20_000)


async def test_another_tenant_has_its_own_record_and_is_told_what_is_a_reference(buyer):
    prices = await buyer.prices("zeta")
    assert factor(prices["PFT"], "proven_per_pft").value == 100_000
    assert "no valid proof" in factor(prices["PFT"], "proven_per_pft").meaning
    assert factor(prices["CEU"], "reputation").value == 1.0
    assert factor(prices["MUNT"], "skill").value == 1.0


async def test_a_price_is_not_guessed_when_a_service_is_away(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(oracle, "DEADLINE_S", 0.2)
    async with running(tmp_path, EconomySettings, build_economy), posting(tmp_path, clock) as buyer:
        with pytest.raises(grpc.aio.AioRpcError, match="proof service does not answer") as error:
            await buyer.prices()
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE


async def declare(buyer, clock, *steps, until_s=3600.0, tenant="acme"):
    """(begin in s from now, price) of each step."""
    at = lambda after_s: from_us(clock.now_us() + round(after_s * 1e6))  # noqa: E731
    request = market_pb2.PutTariffRequest(source="day-ahead exchange", until=at(until_s))
    for begin_s, price in steps:
        request.steps.add(begin=at(begin_s), price_per_kwh=price)
    auth = metadata(token(buyer.tmp_path, roles=["operator"], tenant=tenant))
    return await buyer.market.PutTariff(request, metadata=auth)


async def test_prices_follow_the_tariff_hour_by_hour(buyer, clock):
    settled = factor((await buyer.prices())["CEU"], "energy_price")
    assert "settings" in settled.meaning
    answer = await declare(buyer, clock, (-60.0, 0.10), (600.0, 0.50))
    assert (answer.price_per_kwh, answer.source[:18]) == (0.10, "day-ahead exchange")
    cheap = await buyer.prices()
    assert factor(cheap["CEU"], "energy_price").value == pytest.approx(0.10 / 3.6e6)
    assert "day-ahead exchange" in factor(cheap["CEU"], "energy_price").meaning
    assert factor((await buyer.prices("zeta"))["CEU"], "energy_price").value == settled.value, "a tenant's own"
    clock.advance(700.0)
    assert factor((await buyer.prices())["PFT"], "energy_price").value == pytest.approx(0.50 / 3.6e6)
    clock.advance(3600.0)
    assert factor((await buyer.prices())["CEU"], "energy_price").value == settled.value, "a tariff ends"


@pytest.mark.parametrize(
    ("steps", "until_s", "field"),
    [
        (((0.0, 0.1), (0.0, 0.2)), 3600.0, "steps[1].begin"),
        (((0.0, 0.1),), 0.0, "until"),
        (((0.0, -0.1),), 3600.0, "steps[0].price_per_kwh"),
    ],
)
async def test_a_tariff_that_makes_no_sense_is_refused_and_changes_nothing(buyer, clock, steps, until_s, field):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await declare(buyer, clock, *steps, until_s=until_s)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(refused.value.details())
    assert "settings" in factor((await buyer.prices())["CEU"], "energy_price").meaning
