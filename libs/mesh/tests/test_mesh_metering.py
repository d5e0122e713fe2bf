"""Metering against a real ledger: every charge is paid exactly once, by whom it should be, and normally costs no call."""

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from typing import ClassVar

import grpc
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_economy.domain.audit import audit
from eil_economy.main import build
from eil_economy.service import EconomyService
from eil_economy.settings import EconomySettings
from eil_mesh import metering, metrics
from eil_mesh.call import Call, serving
from eil_mesh.clock import ManualClock
from eil_mesh.costs import STEP_U, samples_u
from eil_mesh.errors import PermissionDenied, ResourceExhausted, Unavailable
from eil_mesh.identity import Principal
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.status import BUDGET_KEY
from eil_mesh.testing import metadata, running, token

CEU = 10**6
GRANT_U = 1000 * CEU


class NvpSettings(MeshSettings):
    service: ClassVar[str] = "nvp"


@asynccontextmanager
async def ledger(tmp_path):
    async with (
        running(tmp_path, EconomySettings, build, sweep_every_s=0.02),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel,
    ):
        yield economy_pb2_grpc.EconomyServiceStub(channel)
    with closing(sqlite3.connect(tmp_path / "economy.db")) as conn:
        assert audit(conn).mismatches == ()


async def nothing(mesh: Mesh) -> None:
    """A service without methods."""


class Nvp:
    """The meter of a service, charged as its methods charge: on behalf of a token's subject, or of a service in its own name."""

    def __init__(self, meter):
        self.meter = meter

    async def charge(self, tenant="acme", subject="", service=None, **units):
        principal = Principal(
            subject or "decision", tenant, service=service if subject else "decision", token=bool(subject)
        )
        with serving(Call("/eil.nvp.v1.NvpService/Predict", "r1", principal)):
            await self.meter.charge(**units)


@asynccontextmanager
async def metered(tmp_path, clock=None, **settings):
    """A service that meters, and settles at its drain as services do."""
    async with running(tmp_path, NvpSettings, nothing, clock=clock, budgets=True, **settings) as mesh:
        yield Nvp(mesh.meter)


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
        rows = conn.execute(
            "SELECT payload FROM journal WHERE tenant = ? AND topic = 'eil.economy.entries'", (tenant,)
        ).fetchall()
    return [r for (payload,) in rows if (r := economy_pb2.TransferRecord.FromString(payload)).kind == kind]


async def limit(ledger, tmp_path, principal, capacity_u, refill_u_per_h=0):
    """Give a principal a policy."""
    request = economy_pb2.PutBudgetRequest(principal=principal, capacity_u=capacity_u, refill_u_per_h=refill_u_per_h)
    await ledger.PutBudget(request, metadata=metadata(token(tmp_path, tenant="acme")))


def at_once(charge):
    """It ends without waiting for anything."""
    with pytest.raises(StopIteration):
        charge.send(None)


async def until(holds):
    async with asyncio.timeout(60):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_a_charge_normally_costs_no_call_and_is_settled_at_the_drain(tmp_path):
    before = metrics.INFERENCE_STEPS.labels("nvp")._value.get()
    async with ledger(tmp_path):
        async with metered(tmp_path) as nvp:
            for _ in range(1000):
                await nvp.charge(steps=6)
            leases = recorded(tmp_path, "reserve")
            assert len(leases) < 16
            assert [lease.amount_u for lease in leases[-3:-1]] == [lease.amount_u // 2 for lease in leases[-2:]]
            await nvp.charge(steps=1)
            at_once(nvp.charge(steps=1))
        assert await account(tmp_path, "@metering") == (6002 * STEP_U, 0)
        assert await account(tmp_path, "@treasury") == (GRANT_U - 6002 * STEP_U, 0)
    assert metrics.INFERENCE_STEPS.labels("nvp")._value.get() == before + 6002


async def test_the_next_lease_is_there_before_the_first_is_used_up(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as nvp:
        await nvp.meter.pay("acme", "ada", 1)
        assert nvp.meter.spend("acme", "ada", 600)
        await asyncio.sleep(0.05)
        assert len(recorded(tmp_path, "reserve")) == 1
        assert nvp.meter.spend("acme", "ada", 70)

        async def ahead():
            return len(recorded(tmp_path, "reserve")) == 2

        await until(ahead)
        await asyncio.sleep(0.05)
        assert nvp.meter.spend("acme", "ada", 329)
        assert not nvp.meter.spend("acme", "ada", 1)
        at_once(nvp.charge(subject="ada", samples=1))


async def test_leases_begin_small_double_while_used_up_quickly_and_end_at_the_most_that_is_set(tmp_path):
    clock = ManualClock()
    async with ledger(tmp_path), metered(tmp_path, clock, lease_u=5000) as nvp:

        async def drawn(pause_s):
            clock.advance(pause_s)
            wallet = nvp.meter._wallet("acme", "ada")
            for lease in (wallet.following, wallet.lease):
                if lease:
                    nvp.meter._retire(lease)
            await nvp.meter.pay("acme", "ada", 1)
            assert wallet.lease
            return wallet.lease.amount_u

        assert [await drawn(pause_s) for pause_s in (1, 1, 1, 1, 60, 1, 301, 1)] == [
            *(1000, 2000, 4000, 5000),
            *(5000, 5000),  # a pause of a minute neither doubles nor begins anew
            *(1000, 2000),
        ]


@pytest.mark.parametrize("seed", range(3))
async def test_every_step_of_concurrent_callers_is_paid_exactly_once(tmp_path, seed):
    rng = random.Random(seed)
    charges = [rng.choice((0, 1, 7, 300, 2500, 12_000)) for _ in range(60)]
    async with ledger(tmp_path):
        async with metered(tmp_path) as nvp:
            await asyncio.gather(*(nvp.charge(steps=steps) for steps in charges))
        assert await account(tmp_path, "@metering") == (sum(charges) * STEP_U, 0)
        assert (await account(tmp_path, "@treasury"))[1] == 0


async def test_a_crowd_at_the_start_waits_for_one_lease_that_covers_it(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as nvp:
        await asyncio.gather(*(nvp.charge(steps=10) for _ in range(50)))
        assert [lease.amount_u for lease in recorded(tmp_path, "reserve")][:2] == [10 * STEP_U, 490 * STEP_U]


async def test_a_token_pays_from_its_subjects_budget_wherever_it_came_from_and_without_one_the_treasury(tmp_path):
    async with ledger(tmp_path):
        async with metered(tmp_path) as nvp:
            await nvp.charge(subject="ada", steps=1)
            await nvp.charge(subject="ada", service="decision", steps=2)
            await nvp.charge(subject="ben", samples=101)
            await nvp.charge(subject="ben", service="decision", samples=10_000)  # charged where it came in
            await nvp.charge(samples=10_000)
            await nvp.charge(steps=4)
            await nvp.charge(subject="x" * 200, steps=1)
        entries = recorded(tmp_path, "post")
    paid = Counter()
    for entry in entries:
        paid[entry.debit_owner] += entry.amount_u
    digest = sha256(b"x" * 200).hexdigest()
    assert paid == {
        "@budget/ada": 3 * STEP_U,
        "@budget/ben": 2,
        "@treasury": 4 * STEP_U,
        f"@budget/sha256:{digest}": STEP_U,
    }


async def test_the_last_credit_can_be_used_and_then_the_reason_is_told(tmp_path):
    before = metrics.BUDGET_REFUSALS.labels("BUDGET_EXHAUSTED")._value.get()
    async with ledger(tmp_path) as economy:
        await limit(economy, tmp_path, "ada", 1_234_567)
        async with metered(tmp_path) as nvp:
            for steps in (600, 600, 34):
                await nvp.charge(subject="ada", steps=steps)
            for _ in range(567):
                await nvp.charge(subject="ada", samples=1)
            for _ in range(3):
                with pytest.raises(ResourceExhausted, match=r"has 0\.000000 CEU left") as refused:
                    await nvp.charge(subject="ada", samples=1)
            assert (refused.value.reason, refused.value.retry_after_s) == ("BUDGET_EXHAUSTED", None)
            assert refused.value.headers == {BUDGET_KEY: "0.000000"}
            assert "@budget/ada" in refused.value.message
            await nvp.charge(subject="ben", samples=1)
        assert await account(tmp_path, "@budget/ada") == (0, 0)
        assert len(recorded(tmp_path, "reserve")) < 40
    assert metrics.BUDGET_REFUSALS.labels("BUDGET_EXHAUSTED")._value.get() == before + 3


async def test_an_empty_treasury_keeps_its_own_reason(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as nvp:
        await nvp.charge(steps=1_000_000)
        with pytest.raises(ResourceExhausted) as refused:
            await nvp.charge(steps=1)
        assert (refused.value.reason, refused.value.headers) == ("INSUFFICIENT_BALANCE", {})


async def test_a_refusal_stands_for_a_moment_without_asking_and_smaller_charges_still_pass(tmp_path, monkeypatch):
    asked = []
    draw = EconomyService.DrawLease

    async def counted(self, request, context):
        asked.append(request.amount_u)
        return await draw(self, request, context)

    monkeypatch.setattr(EconomyService, "DrawLease", counted)
    clock = ManualClock()
    async with ledger(tmp_path) as economy, metered(tmp_path, clock) as nvp:
        await limit(economy, tmp_path, "ada", 5 * STEP_U)
        for _ in range(20):
            with pytest.raises(ResourceExhausted):
                await nvp.charge(subject="ada", steps=6)
        assert len(asked) == 1
        await nvp.charge(subject="ada", steps=4)
        await limit(economy, tmp_path, "ada", 50 * STEP_U)
        top_up = {"debit_owner": "@treasury", "credit_owner": "@budget/ada", "token": "CEU", "amount_u": 50 * STEP_U}
        await economy.Transfer(
            economy_pb2.TransferRequest(id="t1", **top_up), metadata=metadata(token(tmp_path, tenant="acme"))
        )
        clock.advance(1.0)
        await nvp.charge(subject="ada", steps=6)


@pytest.mark.parametrize("seed", range(3))
async def test_replicas_together_never_spend_more_than_the_budget(tmp_path, seed):
    rng = random.Random(seed)
    async with ledger(tmp_path) as economy:
        await limit(economy, tmp_path, "ada", 20_000)
        done = []

        async def replica(number):
            async with metered(tmp_path, listen=f"unix:replica{number}.sock") as nvp:

                async def call():
                    samples, steps = rng.choice(((1, 0), (3000, 0), (0, 1)))
                    try:
                        await nvp.charge(subject="ada", samples=samples, steps=steps)
                    except ResourceExhausted:
                        return
                    done.append(samples_u(samples) + steps * STEP_U)

                for _ in range(40):
                    await asyncio.gather(*(call() for _ in range(5)))

        await asyncio.gather(*(replica(number) for number in range(3)))
        paid_u, reserved_u = await account(tmp_path, "@metering")
        assert (paid_u, reserved_u) == (sum(done), 0)
        assert 20_000 - STEP_U < paid_u <= 20_000


async def test_what_is_left_of_the_last_lease_is_waited_for(tmp_path, monkeypatch):
    settle = EconomyService.SettleLease

    async def slowly(self, request, context):
        await asyncio.sleep(0.2)
        return await settle(self, request, context)

    monkeypatch.setattr(EconomyService, "SettleLease", slowly)
    async with ledger(tmp_path) as economy, metered(tmp_path) as nvp:
        await limit(economy, tmp_path, "ada", 1100)
        await nvp.charge(subject="ada", samples=100 * 100)
        await nvp.charge(subject="ada", samples=1000 * 100)
        assert [entry.amount_u for entry in recorded(tmp_path, "reserve")] == [1000, 1000]


async def test_what_is_left_of_the_last_lease_counts_though_it_returns_before_the_refusal_is_heard(
    tmp_path, monkeypatch
):
    draw, settle, settled = EconomyService.DrawLease, EconomyService.SettleLease, asyncio.Event()

    async def heard_late(self, request, context):
        try:
            return await draw(self, request, context)
        finally:
            if request.amount_u > metering.FIRST_U:
                await settled.wait()
                await asyncio.sleep(0.1)

    async def seen(self, request, context):
        await asyncio.sleep(0.1)
        answer = await settle(self, request, context)
        settled.set()
        return answer

    monkeypatch.setattr(EconomyService, "DrawLease", heard_late)
    monkeypatch.setattr(EconomyService, "SettleLease", seen)
    async with ledger(tmp_path) as economy, metered(tmp_path) as nvp:
        await limit(economy, tmp_path, "ada", 6_001)
        await nvp.meter.pay("acme", "ada", 1)
        await nvp.meter.pay("acme", "ada", 6_000)


async def test_without_the_ledger_the_lease_held_is_used_up_and_then_it_is_unavailable(tmp_path, monkeypatch):
    async with metered(tmp_path) as nvp:
        async with ledger(tmp_path):
            await nvp.charge(subject="ada", samples=400 * 100)
        monkeypatch.setattr(metering, "DRAW_S", 0.3)
        await nvp.charge(subject="ada", samples=600 * 100)
        asked = asyncio.get_running_loop().time()
        refused = await asyncio.gather(
            *(nvp.charge(subject="ada", samples=1) for _ in range(50)), return_exceptions=True
        )
        assert asyncio.get_running_loop().time() - asked < 10  # one asked, and the others heard its answer
        assert {type(error) for error in refused} == {Unavailable}
        assert "ledger cannot be reached" in str(refused[0])
        assert isinstance(refused[0], Unavailable)
        assert refused[0].retry_after_s
        async with ledger(tmp_path):

            async def settled():
                return await account(tmp_path, "@metering") == (1000, 0)

            await until(settled)

            async def served():
                try:
                    await nvp.charge(subject="ada", samples=1)
                except Unavailable:
                    return False
                return True

            await until(served)
            await nvp.meter.close()
            assert await account(tmp_path, "@metering") == (1001, 0)


async def test_while_the_economy_is_of_the_release_before_calls_are_served_and_not_charged(tmp_path, monkeypatch):
    asked = []
    draw = EconomyService.DrawLease

    async def refused_at_first(self, request, context):
        asked.append(request)
        if len(asked) > 1:
            return await draw(self, request, context)
        raise PermissionDenied("DrawLease may be called by no role: only the mesh itself", reason="ROLE_NOT_ALLOWED")

    monkeypatch.setattr(EconomyService, "DrawLease", refused_at_first)
    clock = ManualClock()
    async with ledger(tmp_path), metered(tmp_path, clock) as nvp:
        for _ in range(5):
            await nvp.charge(subject="ada", samples=1)
        assert len(asked) == 1
        clock.advance(metering.FREE_S)
        await nvp.charge(subject="ada", samples=1)
        assert [entry.amount_u for entry in recorded(tmp_path, "reserve")] == [2000]


async def test_a_lease_is_settled_before_it_lapses(tmp_path):
    async with ledger(tmp_path), metered(tmp_path, lease_s=0.6) as nvp:
        await nvp.charge(steps=123)

        async def settled():
            return await account(tmp_path, "@metering") == (123 * STEP_U, 0)

        await until(settled)
        assert recorded(tmp_path, "expire") == []
        await nvp.charge(steps=1)
        assert len(recorded(tmp_path, "reserve")) == 2


async def test_a_lease_that_nobody_uses_is_settled_early(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "IDLE_S", 0.1)
    async with ledger(tmp_path), metered(tmp_path) as nvp:
        await nvp.charge(subject="ada", samples=1)

        async def settled():
            return await account(tmp_path, "@metering") == (1, 0)

        await until(settled)
        assert await account(tmp_path, "@budget/ada") == (999, 0)


async def test_what_a_crash_leaves_unsettled_returns(tmp_path):
    async with ledger(tmp_path):
        async with metered(tmp_path, lease_s=0.5) as nvp:
            await nvp.charge(subject="ada", steps=5000)
            for lease in list(nvp.meter._open):  # what the process forgets when it dies
                assert lease.timer
                lease.timer.cancel()
            nvp.meter._open.clear()

        async def returned():
            return await account(tmp_path, "@budget/ada") == (5000 * STEP_U, 0)

        await until(returned)
        assert await account(tmp_path, "@metering") == (0, 0)


async def test_the_payer_idle_for_longest_gives_way(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "WALLETS", 2)
    async with ledger(tmp_path), metered(tmp_path) as nvp:
        for tenant in ("a", "b", "a", "c"):
            await nvp.charge(tenant, steps=10)

        async def settled():
            return await account(tmp_path, "@metering", "b") == (10 * STEP_U, 0)

        await until(settled)
        assert await account(tmp_path, "@treasury", "a") == (GRANT_U - 10 * STEP_U, 10 * STEP_U)


async def test_negative_charges_are_a_mistake_and_none_cost_nothing(tmp_path):
    async with ledger(tmp_path), metered(tmp_path) as nvp:
        await nvp.charge(steps=0)
        assert recorded(tmp_path, "reserve") == []
        for samples, steps in ((-1, 0), (0, -1)):
            with pytest.raises(ValueError, match="cannot be charged"):
                await nvp.charge(samples=samples, steps=steps)
        with pytest.raises(PermissionDenied):
            await nvp.meter.charge(steps=1)


async def test_where_budgets_are_off_nothing_is_charged_and_steps_are_counted(tmp_path):
    before = metrics.INFERENCE_STEPS.labels("nvp")._value.get()
    async with running(tmp_path, NvpSettings, nothing) as mesh:
        await Nvp(mesh.meter).charge(subject="ada", steps=7)
    assert metrics.INFERENCE_STEPS.labels("nvp")._value.get() == before + 7
