"""The store: transactions, group commit, the journal and request ids."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from eil.economy.v1 import economy_pb2
from eil_mesh.call import Call, serving
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from eil_mesh.identity import Principal
from eil_mesh.journal import entries, verify
from eil_mesh.requests import KEEP_US, remember, replayed
from eil_mesh.store import Store

SCHEMA = "CREATE TABLE IF NOT EXISTS facts (id INTEGER PRIMARY KEY, what TEXT NOT NULL UNIQUE) STRICT;"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def in_file(tmp_path, clock):
    opened = Store(tmp_path / "facts.db", SCHEMA, clock)
    yield opened
    opened.close()


@pytest.fixture
def open_store(open_either, clock):
    """Opens the store, and opens it anew, on either database."""
    return lambda: open_either(SCHEMA, clock)


@pytest.fixture
def store(open_store):
    opened = open_store()
    yield opened
    opened.close()


def note(what, tenant="acme", key="k"):
    def work(tx):
        tx.conn.execute("INSERT INTO facts (what) VALUES (?)", (what,))
        return tx.journal.append(tx.now_us, tenant, "topic", key, economy_pb2.TransferRecord(id=what))

    return work


def facts(conn):
    return [row[0] for row in conn.execute("SELECT what FROM facts ORDER BY id")]


async def test_a_fact_and_its_journal_entry_stand_together(store):
    offsets = await asyncio.gather(*(store.write(note(f"fact {i}")) for i in range(50)))
    assert offsets == list(range(1, 51))
    assert len(await store.read(facts)) == 50
    journal = await store.read(lambda conn: entries(conn, 1))
    assert [economy_pb2.TransferRecord.FromString(e.payload).id for e in journal] == [f"fact {i}" for i in range(50)]
    assert await store.read(lambda conn: list(verify(conn))) == []


async def test_work_that_raises_undoes_itself_alone(store):
    def broken(tx):
        note("broken")(tx)
        raise InvalidArgument("no")

    results = await asyncio.gather(
        store.write(note("before")), store.write(broken), store.write(note("after")), return_exceptions=True
    )
    assert results[0] == 1
    assert isinstance(results[1], InvalidArgument)
    assert results[2] == 2
    assert await store.read(facts) == ["before", "after"]
    assert await store.read(lambda conn: list(verify(conn))) == []


async def test_what_the_database_refuses_fails_alone_and_its_neighbours_stand(store):
    await store.write(note("taken"))
    results = await asyncio.gather(
        *(store.write(note(what)) for what in ("one", "taken", "two", "taken", "three")), return_exceptions=True
    )
    assert [type(result) is int for result in results] == [True, False, True, False, True]
    assert not isinstance(results[1], Unavailable)
    assert await store.read(facts) == ["taken", "one", "two", "three"]
    assert await store.read(lambda conn: [entry.offset for entry in entries(conn, 1)]) == [1, 2, 3, 4]
    assert await store.read(lambda conn: list(verify(conn))) == []


async def test_two_never_have_it_open(open_store, store):
    with pytest.raises(FailedPrecondition) as refused:
        open_store()
    assert refused.value.reason == "STATE_IN_USE"
    await store.write(note("still here"))


async def test_nobody_writes_through_a_reading_connection(store):
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        await store.read(lambda conn: conn.execute("INSERT INTO facts (what) VALUES ('x')").fetchone())
    await store.write(note("still here"))
    assert await store.read(facts) == ["still here"]


async def test_the_chain_goes_on_after_reopening(open_store):
    for what in ("one", "two"):
        opened = open_store()
        await opened.write(note(what))
        opened.close()
    opened = open_store()
    assert await opened.read(lambda conn: [e.offset for e in entries(conn, 1)]) == [1, 2]
    assert await opened.read(lambda conn: list(verify(conn))) == []
    opened.close()


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE journal SET payload = x'00' WHERE offset = 2", "payload of entry 2 was altered"),
        ("UPDATE journal SET tenant = 'evil' WHERE offset = 2", "hash of entry 2 does not follow"),
        ("UPDATE journal SET time_us = 5 WHERE offset = 3", "hash of entry 3 does not follow"),
        ("DELETE FROM journal WHERE offset = 2", "entries 2 to 2 are missing"),
    ],
)
async def test_whoever_edits_the_file_is_found_out(in_file, tampering, finding):
    for i in range(4):
        await in_file.write(note(str(i)))
    conn = sqlite3.connect(in_file.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only") if "payload" not in tampering else no_error():
        conn.execute(tampering)
    conn.execute("DROP TRIGGER journal_stands")
    conn.execute("DROP TRIGGER journal_holds")
    conn.execute(tampering)
    conn.commit()
    assert any(finding in sentence for sentence in verify(conn))
    conn.close()


def no_error():
    import contextlib

    return contextlib.nullcontext()


async def test_an_erased_payload_keeps_the_chain_whole(store):
    await store.write(note("secret"))
    await store.write(note("other"))
    await store.write(lambda tx: tx.conn.execute('UPDATE journal SET payload = NULL WHERE "offset" = 1'))
    assert await store.read(lambda conn: list(verify(conn))) == []


async def test_entries_are_filtered_by_tenant_and_topic(store):
    for i, tenant in enumerate(("acme", "other", "acme")):
        await store.write(note(f"x{i}", tenant=tenant))
    own = await store.read(lambda conn: entries(conn, 1, tenant="acme", topics=["topic"]))
    assert [entry.offset for entry in own] == [1, 3]
    assert await store.read(lambda conn: entries(conn, 1, topics=["another"])) == []


async def test_a_full_queue_says_so(store, monkeypatch):
    monkeypatch.setattr(store, "_queue", type(store._queue)(1))
    store._queue.put(None)
    with pytest.raises(ResourceExhausted) as refused:
        await store.write(note("too much"))
    assert refused.value.retry_after_s


async def test_a_closed_store_refuses(open_store):
    opened = open_store()
    opened.close()
    with pytest.raises(Unavailable):
        await opened.write(note("late"))


async def test_watchers_hear_of_commits_that_wrote_to_the_journal(store):
    event = store.watch()
    await store.write(lambda tx: tx.conn.execute("INSERT INTO facts (what) VALUES ('quiet')"))
    assert not event.is_set()
    await store.write(note("loud"))
    await asyncio.sleep(0)
    assert event.is_set()


async def test_a_pause_ends_with_the_service_and_not_with_a_commit(store):
    await store.pause(0.01)
    pause = asyncio.create_task(store.pause(60.0))
    await store.write(note("fact"))
    await asyncio.sleep(0)
    assert not pause.done()
    store.release()
    await asyncio.wait_for(pause, 5.0)


async def test_what_was_acknowledged_survives_a_kill(tmp_path):
    script = textwrap.dedent(
        f"""
        import asyncio, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from pathlib import Path
        from eil_mesh.clock import SystemClock
        from eil_mesh.store import Store
        from test_mesh_store import SCHEMA, note

        async def main():
            store = Store(Path({str(tmp_path / "facts.db")!r}), SCHEMA, SystemClock())
            for i in range(10**6):
                await store.write(note(str(i)))
                print(i, flush=True)

        asyncio.run(main())
        """
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [int(child.stdout.readline()) for _ in range(60)][-1]
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait()
    acknowledged = max([acknowledged, *(int(line) for line in rest)])
    conn = sqlite3.connect(tmp_path / "facts.db")
    assert [int(what) for what in facts(conn)][: acknowledged + 1] == list(range(acknowledged + 1))
    assert list(verify(conn)) == []
    conn.close()


def calling(key=""):
    return serving(Call("m", "r", Principal("me", "acme"), idempotency_key=key))


async def ask(store, request, answer):
    def work(tx):
        if known := replayed(tx.conn, "acme", request, economy_pb2.TransferResponse):
            return known, True
        response = economy_pb2.TransferResponse(transfer=economy_pb2.TransferRecord(id=answer))
        remember(tx, "acme", request, response)
        return response, False

    return await store.write(work)


async def test_the_same_request_gets_the_stored_answer(store, clock):
    from eil.regime.v1 import regime_pb2

    request = regime_pb2.SenseRequest(source="a", request_id="id-1")
    with calling():
        first = await ask(store, request, "first")
        again = await ask(store, request, "second")
        assert first == (again[0], False)
        assert again[1]
        with pytest.raises(AlreadyExists) as refused:
            await ask(store, regime_pb2.SenseRequest(source="b", request_id="id-1"), "third")
        assert refused.value.reason == "REQUEST_ID_REUSED"
        clock.advance(KEEP_US / MICROSECONDS + 1)
        await ask(store, regime_pb2.SenseRequest(source="z", request_id="id-2"), "sweeps")
        assert (await ask(store, regime_pb2.SenseRequest(source="b", request_id="id-1"), "fourth"))[1] is False


async def test_the_header_counts_as_a_request_id(store):
    from eil.regime.v1 import regime_pb2

    request = regime_pb2.SenseRequest(source="a")
    with calling("header-id"):
        await ask(store, request, "first")
        assert (await ask(store, request, "second"))[1]
        with pytest.raises(InvalidArgument, match="differ"):
            await ask(store, regime_pb2.SenseRequest(source="a", request_id="another"), "third")
    with calling():
        assert (await ask(store, request, "fourth"))[1] is False, "without an id nothing is remembered"
