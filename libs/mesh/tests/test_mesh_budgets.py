"""Who calls from outside pays for it, before anything is done; against a real ledger."""

from contextlib import asynccontextmanager

import grpc
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.regime.v1 import regime_pb2
from eil_economy.main import build
from eil_economy.settings import EconomySettings
from eil_mesh.status import BUDGET_KEY, RETRY_KEY, trailing_of
from eil_mesh.testing import running
from google.rpc import error_details_pb2

ASK = regime_pb2.GetStatusRequest()
BATCH = regime_pb2.IngestRequest(source="dc", columns=[{"name": "power", "values": [1.0] * 150}])
for second in range(150):
    BATCH.timestamps.add(seconds=1_800_000_000 + second)


@pytest.fixture
async def economy(tmp_path, auth):
    """`await economy("ada", 5)`: gives ada's budget a capacity; `await economy("ada")`: what was spent of the budget, leases included."""
    async with (
        running(tmp_path, EconomySettings, build),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel,
    ):
        stub = economy_pb2_grpc.EconomyServiceStub(channel)

        async def ask(principal, capacity_u=None, rate=0):
            if capacity_u is not None:
                put = economy_pb2.PutBudgetRequest(principal=principal, capacity_u=capacity_u, refill_u_per_h=rate)
                return (await stub.PutBudget(put, metadata=auth("operator"))).budget
            request = economy_pb2.GetBudgetRequest(principal=principal)
            return (await stub.GetBudget(request, metadata=auth("viewer"))).budget

        yield ask


@pytest.fixture
def regime(serve):
    """A regime service of two methods that charges; `done` is what it was asked to do."""
    done = []

    async def status(request, context):
        done.append(request)
        return regime_pb2.GetStatusResponse()

    async def ingest(request, context):
        done.append(request)
        return regime_pb2.IngestResponse()

    @asynccontextmanager
    async def start():
        async with serve("regime", GetStatus=status, Ingest=ingest, settings={"budgets": True}) as served:
            served.done = done
            yield served

    return start


async def test_calls_and_samples_are_paid_by_the_budget_of_the_tokens_subject(economy, regime, auth):
    await economy("ada", 1000)
    async with regime() as served:
        for _ in range(5):
            await served.stub.GetStatus(ASK, metadata=auth("viewer", subject="ada"))
        await served.stub.Ingest(BATCH, metadata=auth("agent", subject="ada"))
        await served.stub.GetStatus(ASK, metadata=auth("viewer", subject="ben"))
    assert (await economy("ada")).left_u == 1000 - 5 - (1 + 2)
    assert (
        await economy("ben")
    ).left_u == 10**9 - 1000 - 1  # ada's share left the treasury, which has no more than the grant


async def test_an_administrator_pays_too_and_a_service_does_not(economy, regime, auth):
    await economy("root", 2)
    async with regime() as served:
        sent = auth("admin", subject="root")
        await served.stub.GetStatus(ASK, metadata=sent)
        for _ in range(5):  # on the user's behalf: it was charged where it came in
            await served.stub.GetStatus(ASK, metadata=(*sent, ("x-eil-service", "decision")))
            await served.stub.GetStatus(ASK, metadata=(("x-eil-service", "decision"), ("x-eil-tenant", "default")))
        await served.stub.GetStatus(ASK, metadata=(*sent, ("x-eil-service", "bridge")))  # the door of agents
        with pytest.raises(grpc.aio.AioRpcError):
            await served.stub.GetStatus(ASK, metadata=sent)
    assert (await economy("root")).left_u == 0


async def test_without_budget_it_is_refused_before_anything_is_done(economy, regime, auth, refusal):
    await economy("ada", 3, 3600)
    async with regime() as served:
        await served.stub.GetStatus(ASK, metadata=auth("viewer", subject="ada"))
        done = len(served.done)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await served.stub.Ingest(BATCH, metadata=auth("agent", subject="ada"))
        assert len(served.done) == done
        told = await refusal(served.stub.Ingest(BATCH, metadata=auth("agent", subject="ada")))
        await served.stub.GetStatus(ASK, metadata=auth("viewer", subject="ada"))
    assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXHAUSTED")
    assert "nothing was done" in told.message
    assert "@budget/ada" in told.message
    trailing = trailing_of(error.value)
    assert float(trailing[BUDGET_KEY]) <= 2e-6
    assert int(trailing[RETRY_KEY]) >= 1
    assert told.detail(error_details_pb2.RetryInfo).retry_delay.seconds >= 1


async def test_what_is_refused_for_another_reason_costs_nothing(economy, regime, auth, refusal):
    await economy("ada", 1)
    async with regime() as served:
        await refusal(
            served.stub.GetStatus(regime_pb2.GetStatusRequest(page_size=-1), metadata=auth("viewer", subject="ada"))
        )
        await refusal(served.stub.Ingest(BATCH, metadata=auth("viewer", subject="ada")))
        await served.stub.GetStatus(ASK, metadata=auth("viewer", subject="ada"))


async def test_without_an_economy_it_is_unavailable(serve, auth, refusal, monkeypatch):
    monkeypatch.setattr("eil_mesh.metering.DRAW_S", 0.2)
    async with serve("regime", settings={"budgets": True}) as served:
        told = await refusal(served.stub.GetStatus(ASK, metadata=auth("viewer")))
    assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    assert "ledger cannot be reached" in told.message
