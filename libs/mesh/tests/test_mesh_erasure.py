"""Erased payloads: gone with their salt, while the chain holds and others' entries stand."""

import asyncio

import pytest
from eil.economy.v1 import economy_pb2
from eil.events.v1 import event_log_pb2
from eil_mesh import erasure
from eil_mesh.clock import ManualClock
from eil_mesh.journal import entries, verify

SCHEMA = "CREATE TABLE IF NOT EXISTS facts (tenant TEXT NOT NULL, source TEXT NOT NULL, what TEXT NOT NULL);"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(open_either, clock):
    opened = open_either(SCHEMA, clock)
    yield opened
    opened.close()


async def say(store, tenant, source, what):
    def write(tx):
        tx.conn.execute("INSERT INTO facts VALUES (?, ?, ?)", (tenant, source, what))
        tx.journal.append(tx.now_us, tenant, "topic", source, economy_pb2.TransferRecord(id=what))

    await store.write(write)


async def erased(store):
    """Run the background work until nothing is marked any more."""
    work = asyncio.create_task(erasure.erase_payloads(store))
    try:
        while await store.read(lambda conn: conn.execute("SELECT count(*) FROM erasures").fetchone()[0]):
            await asyncio.sleep(0.01)
    finally:
        work.cancel()


def event_about(tenant, source):
    return event_log_pb2.Event(tenant=tenant, key=source, topic=erasure.TOPIC)


async def facts(store):
    rows = await store.read(lambda conn: conn.execute("SELECT tenant, source, what FROM facts").fetchall())
    return sorted(tuple(row) for row in rows)


async def test_rows_and_payloads_of_one_source_go_and_nothing_else(store, monkeypatch):
    monkeypatch.setattr(erasure, "ENTRIES", 3)  # several stretches
    for n in range(4):
        for tenant, source in (("a", "plant"), ("a", "other"), ("b", "plant")):
            await say(store, tenant, source, f"{tenant}/{source}/{n}")
    await store.write(lambda tx: erasure.erasing("facts")(tx, event_about("a", "plant")))
    await say(store, "a", "plant", "said afterwards")
    await erased(store)

    assert await facts(store) == sorted(
        [("a", "other", f"a/other/{n}") for n in range(4)]
        + [("b", "plant", f"b/plant/{n}") for n in range(4)]
        + [("a", "plant", "said afterwards")]
    )
    found = await store.read(lambda conn: entries(conn, 1))
    blanked = [entry for entry in found if entry.payload is None]
    assert [(entry.tenant, entry.key) for entry in blanked] == [("a", "plant")] * 4
    assert {entry.salt for entry in blanked} == {b""}
    assert not [problem for problem in await store.read(lambda conn: list(verify(conn)))]


async def test_the_same_erasure_again_changes_nothing(store):
    await say(store, "a", "plant", "once")
    for _ in range(2):
        await store.write(lambda tx: erasure.erasing("facts")(tx, event_about("a", "plant")))
    await erased(store)
    assert await facts(store) == []
    assert [entry.payload for entry in await store.read(lambda conn: entries(conn, 1))] == [None]


async def test_bulk_is_retired_by_age_and_evidence_is_not(store, clock, monkeypatch):
    monkeypatch.setattr(erasure, "ENTRIES", 3)
    for hour in range(10):
        for topic in ("bulk", "evidence"):
            await store.write(
                lambda tx, topic=topic, hour=hour: tx.journal.append(
                    tx.now_us, "a", topic, "plant", economy_pb2.TransferRecord(id=str(hour))
                )
            )
        clock.advance(3600)

    async def standing():
        found = await store.read(lambda conn: entries(conn, 1))
        return [(e.topic, economy_pb2.TransferRecord.FromString(e.payload).id) for e in found if e.payload is not None]

    work = asyncio.create_task(erasure.retire_payloads(store, clock, "bulk", 4.5 * 3600))
    wanted = [("bulk", str(hour)) for hour in range(6, 10)]
    async with asyncio.timeout(20):
        while sorted(await standing()) != wanted + [("evidence", str(hour)) for hour in range(10)]:
            await asyncio.sleep(0.01)
    work.cancel()
    assert not [problem for problem in await store.read(lambda conn: list(verify(conn)))]
