"""Metering against a real ledger: every step is paid exactly once, and a charge normally costs no call."""

import asyncio
import random
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import ClassVar

import grpc
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_economy.domain.audit import audit
from eil_economy.main import build
from eil_economy.service import EconomyService
from eil_economy.settings import EconomySettings
from eil_mesh import metering, metrics
from eil_mesh.clock import SystemClock
from eil_mesh.errors import ResourceExhausted, Unavailable
from eil_mesh.metering import STEP_U, CeuMeter
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import metadata, running, token

CEU = 10**6
GRANT_U = 1000 * CEU


class NvpSettings(MeshSettings):
    service: ClassVar[str] = "nvp"


@asynccontextmanager
async def ledger(tmp_path):
    async with running(tmp_path, EconomySettings, build, sweep_every_s=0.02):
        yield
    with closing(sqlite3.connect(tmp_path / "economy.db")) as conn:
        assert audit(conn).mismatches == ()


@asynccontextmanager
async def metered(tmp_path, lease_u=10 * CEU, ttl_s=60.0):
    """A service that meters, and settles at its drain as services do."""
    meters = []

    async def start(mesh: Mesh) -> None:
        meters.append(CeuMeter(mesh.peers, "nvp", lease_u, ttl_s, SystemClock()))
        mesh.on_drain(meters[0].close)

    async with running(tmp_path, NvpSettings, start):
        yield meters[0]


async def account(tmp_path, owner, tenant="acme"):
    """(balance, reserved) of an owner's CEU."""
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel:
        answer = await economy_pb2_grpc.EconomyServiceStub(channel).GetBalances(
            economy_pb2.GetBalancesRequest(owner=owner), metadata=metadata(token(tmp_path, tenant=tenant))
        )
    return (answer.balances[0].balance_u, answer.balances[0].reserved_u) if answer.balances else (0, 0)


def recorded(tmp_path, kind, tenant="acme"):
    """Entries of a kind in the ledger's journal."""
    with closing(sqlite3.connect(tmp_path / "economy.db")) as conn:
        rows = conn.execute("SELECT payload FROM journal WHERE tenant = ?", (tenant,)).fetchall()
    return [r for (payload,) in rows if (r := economy_pb2.TransferRecord.FromString(payload)).kind == kind]


def at_once(charge):
    """It ends without waiting for anything."""
    with pytest.raises(StopIteration):
        charge.send(None)


async def until(holds):
    async with asyncio.timeout(8):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_many_charges_draw_one_lease_and_are_settled_at_the_drain(tmp_path):
    before = metrics.INFERENCE_STEPS.labels("nvp")._value.get()
    async with ledger(tmp_path):
        async with metered(tmp_path) as meter:
            for _ in range(100):
                await meter.charge("acme", 60)
            assert await account(tmp_path, "@treasury") == (GRANT_U, 10 * CEU)
            assert await account(tmp_path, "@metering") == (0, 0)
            assert len(recorded(tmp_path, "reserve")) == 1
        assert await account(tmp_path, "@metering") == (6 * CEU, 0)
        assert await account(tmp_path, "@treasury") == (GRANT_U - 6 * CEU, 0)
    assert metrics.INFERENCE_STEPS.labels("nvp")._value.get() == before + 6000


async def test_the_next_lease_is_there_before_the_first_is_used_up(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as meter:
        await meter.charge("acme", 6000)
        assert len(recorded(tmp_path, "reserve")) == 1
        await meter.charge("acme", 1000)

        async def ahead():
            return len(recorded(tmp_path, "reserve")) == 2

        await until(ahead)
        await asyncio.sleep(0.05)
        at_once(meter.charge("acme", 3000))
        at_once(meter.charge("acme", 2000))


@pytest.mark.parametrize("seed", range(3))
async def test_every_step_of_concurrent_callers_is_paid_exactly_once(tmp_path, seed):
    rng = random.Random(seed)
    charges = [rng.choice((0, 1, 7, 300, 2500, 12_000)) for _ in range(60)]
    async with ledger(tmp_path):
        async with metered(tmp_path, lease_u=5 * CEU) as meter:
            await asyncio.gather(*(meter.charge("acme", steps) for steps in charges))
        assert await account(tmp_path, "@metering") == (sum(charges) * STEP_U, 0)
        assert (await account(tmp_path, "@treasury"))[1] == 0


async def test_a_crowd_at_the_start_draws_one_lease(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as meter:
        await asyncio.gather(*(meter.charge("acme", 10) for _ in range(50)))
        assert len(recorded(tmp_path, "reserve")) == 1


async def test_the_last_credit_can_be_used_and_then_the_reason_is_told(tmp_path):
    async with ledger(tmp_path):
        async with metered(tmp_path, lease_u=300 * CEU) as meter:
            for _ in range(5):
                await meter.charge("acme", 199_999)
            await meter.charge("acme", 5)
            with pytest.raises(ResourceExhausted, match="credits do not suffice") as refused:
                await meter.charge("acme", 1)
            assert refused.value.reason == "INSUFFICIENT_BALANCE"
            await meter.charge("zeta", 1)
        assert await account(tmp_path, "@metering") == (GRANT_U, 0)


async def test_what_is_left_of_the_last_lease_is_waited_for(tmp_path, monkeypatch):
    settle = EconomyService.SettleLease

    async def slowly(self, request, context):
        await asyncio.sleep(0.2)
        return await settle(self, request, context)

    monkeypatch.setattr(EconomyService, "SettleLease", slowly)
    async with ledger(tmp_path), metered(tmp_path, lease_u=600 * CEU) as meter:
        await meter.charge("acme", 300_000)
        await meter.charge("acme", 700_000)
        assert [entry.amount_u for entry in recorded(tmp_path, "reserve")] == [600 * CEU, 700 * CEU]


async def test_without_the_ledger_the_lease_held_is_used_up_and_then_it_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "DRAW_S", 0.3)
    async with metered(tmp_path) as meter:
        async with ledger(tmp_path):
            await meter.charge("acme", 5000)
        await meter.charge("acme", 5000)
        with pytest.raises(Unavailable, match="ledger cannot be reached") as refused:
            await meter.charge("acme", 1)
        assert refused.value.retry_after_s
        async with ledger(tmp_path):

            async def settled():
                return await account(tmp_path, "@metering") == (10 * CEU, 0)

            await until(settled)
            await meter.charge("acme", 1)
            await meter.close()
            assert await account(tmp_path, "@metering") == (10 * CEU + STEP_U, 0)


async def test_a_lease_is_settled_before_it_lapses(tmp_path):
    async with ledger(tmp_path), metered(tmp_path, ttl_s=0.6) as meter:
        await meter.charge("acme", 123)

        async def settled():
            return await account(tmp_path, "@metering") == (123 * STEP_U, 0)

        await until(settled)
        assert recorded(tmp_path, "expire") == []
        await meter.charge("acme", 1)
        assert len(recorded(tmp_path, "reserve")) == 2


async def test_what_a_crash_leaves_unsettled_returns(tmp_path):
    async with ledger(tmp_path):
        async with metered(tmp_path, ttl_s=0.5) as meter:
            await meter.charge("acme", 5000)
            for lease in list(meter._open):  # what the process forgets when it dies
                lease.timer.cancel()
            meter._open.clear()

        async def returned():
            return await account(tmp_path, "@treasury") == (GRANT_U, 0)

        await until(returned)
        assert await account(tmp_path, "@metering") == (0, 0)


async def test_the_tenant_idle_for_longest_gives_way(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "TENANTS", 2)
    async with ledger(tmp_path), metered(tmp_path) as meter:
        for tenant in ("a", "b", "a", "c"):
            await meter.charge(tenant, 10)

        async def settled():
            return await account(tmp_path, "@metering", "b") == (10 * STEP_U, 0)

        await until(settled)
        assert await account(tmp_path, "@metering", "a") == (0, 0)


async def test_negative_steps_are_a_mistake_and_none_cost_nothing(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as meter:
        await meter.charge("acme", 0)
        assert recorded(tmp_path, "reserve") == []
        with pytest.raises(ValueError, match="cannot be charged"):
            await meter.charge("acme", -1)
