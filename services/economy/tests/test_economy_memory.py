"""A writer that remembers says what one says that looks: replays older than its memory, refusals, undone work, another writer between."""

import asyncio
from typing import Any

import pytest
from eil_economy.domain import holds, ledger, memory, schema
from eil_economy.domain.audit import audit
from eil_economy.domain.errors import LedgerError
from eil_economy.domain.records import Instruction
from eil_economy.domain.reports import balances
from eil_economy.simulation.model import Model
from eil_economy.simulation.simulator import TENANTS, Simulator, _send
from eil_mesh.clock import ManualClock
from eil_mesh.postgres import PostgresStore
from eil_mesh.testing import postgres_schema, postgres_url

NO_BACKEND: Any = None
"""The simulator makes requests here, and nothing else."""
pytestmark = pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL server: set EIL_TEST_POSTGRES")


@pytest.fixture
def name():
    with postgres_schema() as made:
        yield made


@pytest.fixture
async def store(name):
    opened = PostgresStore(postgres_url(), name, schema.SCHEMA, ManualClock())
    await opened.write(lambda tx: ledger.mint(tx.conn, "acme", "m", "alice", "CEU", 1000, "funds", tx.now_us))
    yield opened
    assert (await opened.read(audit)).mismatches == ()
    opened.close()


def pay(key, amount_u=1, source="alice"):
    order = Instruction(key, source, "bob", "CEU", amount_u, "pay")
    return lambda tx: ledger.transfer(tx.conn, "acme", order, tx.now_us)


async def held(store):
    return {b.owner: b.balance_u for b in await store.read(lambda conn: balances(conn, "acme")) if b.balance_u > 0}


async def test_a_replay_older_than_the_memory_is_a_replay(store, monkeypatch):
    monkeypatch.setattr(memory, "MOST", 5)
    first = await store.write(pay("t0"))
    for i in range(1, 20):
        await store.write(pay(f"t{i}"))
    mixed = await asyncio.gather(*(store.write(pay(key)) for key in ("t20", "t0", "t21", "t1", "t20")))
    assert [line.replayed for line in mixed] == [False, True, False, True, True]
    assert mixed[1].seq == first.seq
    with pytest.raises(LedgerError) as refused:
        await store.write(pay("t2", 5))
    assert refused.value.reason == "EXISTS_WITH_DIFFERENT_FIELD"
    assert await held(store) == {"alice": 978, "bob": 22}


async def test_a_replay_is_answered_though_it_could_not_be_paid_any_more(store, monkeypatch):
    monkeypatch.setattr(memory, "MOST", 2)
    for key, amount_u in (("t0", 400), ("t1", 300), ("t2", 200), ("t3", 100)):
        await store.write(pay(key, amount_u))
    assert (await store.write(pay("t0", 400))).replayed
    with pytest.raises(LedgerError) as refused:
        await store.write(pay("t4", 1))
    assert refused.value.reason == "INSUFFICIENT_BALANCE"


async def test_what_was_undone_is_not_remembered(store):
    def half(tx):
        pay("h1", 900)(tx)
        raise ValueError("no")

    def chain(tx):
        orders = [
            Instruction("c1", "alice", "bob", "CEU", 600, "pay"),
            Instruction("c2", "alice", "bob", "CEU", 600, "pay"),
        ]
        return ledger.transfer_linked(tx.conn, "acme", orders, tx.now_us)

    await store.write(pay("t0", 10))
    results = await asyncio.gather(
        *(store.write(work) for work in (pay("t1", 10), half, pay("t2", 10), chain, pay("t3", 971))),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == [
        *("Transfer", "ValueError", "Transfer", "Overdraft"),
        *("Overdraft",),
    ]
    assert await held(store) == {"alice": 970, "bob": 30}


async def test_another_writer_between_is_seen(store, name):
    await store.write(pay("t0", 10))
    store.close()
    other = PostgresStore(postgres_url(), name, schema.SCHEMA, ManualClock())
    await other.write(pay("t1", 900))
    with pytest.raises(LedgerError):
        await other.write(pay("t2", 900))
    assert await held(other) == {"alice": 90, "bob": 910}
    other.close()
    store.__init__(postgres_url(), name, schema.SCHEMA, ManualClock())
    with pytest.raises(LedgerError):
        await store.write(pay("t3", 91))
    assert (await store.write(pay("t1", 900))).replayed


@pytest.mark.parametrize("seed", range(3))
async def test_batches_of_random_requests_come_out_as_the_model_says(name, monkeypatch, seed):
    monkeypatch.setattr(memory, "MOST", 15)
    clock = ManualClock(1)
    opened = PostgresStore(postgres_url(), name, schema.SCHEMA, clock)
    requests, model = Simulator(seed, NO_BACKEND), Model()
    seen = set()
    for _ in range(60):
        batch = [requests._next() for _ in range(9)]
        sending = (opened.write(lambda tx, r=r: _send(tx.conn, r, tx.now_us)) for r in batch)
        for request, answer in zip(batch, await asyncio.gather(*sending, return_exceptions=True), strict=True):
            expected = model.apply(request, clock.now_us())
            if isinstance(answer, BaseException):
                assert isinstance(answer, LedgerError), answer
                got = answer.reason
            else:
                got = "REPLAY" if answer[0].replayed else "OK"
            assert got == expected, (seed, request)
            seen.add(got)
            if got == "OK":
                requests._sent.append(request)
        clock.advance(3e-6)
        swept = await opened.write(lambda tx: holds.expire(tx.conn, tx.now_us))
        assert len(swept) == model.sweep(clock.now_us())
    stored = {
        (tenant, b.owner, b.token): (b.balance_u, b.reserved_u)
        for tenant in TENANTS
        for b in await opened.read(lambda conn, tenant=tenant: balances(conn, tenant))
    }
    assert stored == {account: (held_u, model.reserved[account]) for account, held_u in model.balance.items()}
    assert (await opened.read(audit)).mismatches == ()
    assert {"OK", "REPLAY", "INSUFFICIENT_BALANCE", "EXISTS_WITH_DIFFERENT_FIELD"} <= seen
    opened.close()
