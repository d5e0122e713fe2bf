"""The journal as a stream: who sees what, from where on, and that a follower counts every event once."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import grpc
import pytest
from eil.economy.v1 import economy_pb2
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh import event_log
from eil_mesh.client import Peers
from eil_mesh.clock import ManualClock, SystemClock
from eil_mesh.feed import JournalFeed
from eil_mesh.follower import Follower
from eil_mesh.journal import GENESIS, chain_hash, entries
from eil_mesh.store import Store

SUBSCRIBE = event_log_pb2.SubscribeRequest
SERVICE = (("x-eil-service", "proof"),)


async def publish(store, *facts, topic="topic"):
    """Append facts `tenant/name`."""
    for fact in facts:
        tenant, _, name = fact.partition("/")
        await store.write(
            lambda tx, tenant=tenant, name=name: tx.journal.append(
                tx.now_us, tenant, topic, f"key of {name}", economy_pb2.TransferRecord(id=name)
            )
        )


def name_of(event):
    return economy_pb2.TransferRecord.FromString(event.payload).id


async def take(call, count):
    return [(await call.read()).event for _ in range(count)]


async def names(call, count):
    return [name_of(event) for event in await take(call, count)]


@pytest.fixture
async def log(serve):
    """A log of "regime", with its store."""
    async with serve("regime", store="", clock=ManualClock()) as regime:
        yield Log(regime)


class Log:
    def __init__(self, regime):
        self.store = regime.mesh._stores[0]
        self.subscribe: Any = event_log_pb2_grpc.EventLogServiceStub(regime.channel).Subscribe


class TestSubscribe:
    async def test_it_begins_at_the_offset_and_follows(self, log):
        await publish(log.store, "acme/one", "acme/two", "acme/three")
        call = log.subscribe(SUBSCRIBE(from_offset=2), metadata=SERVICE)
        assert await names(call, 2) == ["two", "three"]
        await publish(log.store, "acme/four")
        (event,) = await take(call, 1)
        assert (event.offset, event.tenant, event.topic, event.key) == (4, "acme", "topic", "key of four")
        assert event.time.seconds == ManualClock().now_us() // 1_000_000

    async def test_zero_is_only_what_comes(self, log, until):
        await publish(log.store, "acme/old")
        call = log.subscribe(SUBSCRIBE(), metadata=SERVICE)
        first = asyncio.create_task(names(call, 1))
        await until(lambda: bool(log.store._watchers))
        await asyncio.sleep(0.05)
        await publish(log.store, "acme/new")
        assert await first == ["new"]

    async def test_an_offset_that_is_not_there_yet_is_waited_for(self, log):
        call = log.subscribe(SUBSCRIBE(from_offset=3), metadata=SERVICE)
        await publish(log.store, "acme/one", "acme/two", "acme/three")
        assert await names(call, 1) == ["three"]

    async def test_more_than_a_page_comes_whole(self, log, monkeypatch):
        monkeypatch.setattr(event_log, "PAGE", 3)
        await publish(log.store, *[f"acme/{i}" for i in range(8)])
        call = log.subscribe(SUBSCRIBE(from_offset=1), metadata=SERVICE)
        assert [event.offset for event in await take(call, 8)] == list(range(1, 9))

    async def test_a_user_sees_the_own_tenant_and_a_service_sees_all(self, log, auth):
        await publish(log.store, "acme/1", "globex/2", "acme/3")
        ask = SUBSCRIBE(from_offset=1)
        for roles in (["viewer"], ["admin"]):
            call = log.subscribe(ask, metadata=auth(*roles, tenant="acme"))
            assert await names(call, 2) == ["1", "3"]
        assert await names(log.subscribe(ask, metadata=SERVICE), 3) == ["1", "2", "3"]
        for_tenant = (*SERVICE, ("x-eil-tenant", "globex"))
        assert await names(log.subscribe(ask, metadata=for_tenant), 1) == ["2"]
        on_behalf = (*SERVICE, *auth("viewer", tenant="acme"))
        assert await names(log.subscribe(ask, metadata=on_behalf), 2) == ["1", "3"]

    async def test_what_comes_later_is_filtered_too(self, log, auth):
        call = log.subscribe(SUBSCRIBE(from_offset=1), metadata=auth("viewer", tenant="acme"))
        await publish(log.store, "globex/1", "acme/2")
        assert await names(call, 1) == ["2"]

    async def test_topics_are_chosen(self, log):
        for topic in ("a", "b", "c"):
            await publish(log.store, f"acme/{topic}", topic=topic)
        call = log.subscribe(SUBSCRIBE(from_offset=1, topics=["a", "c"]), metadata=SERVICE)
        assert await names(call, 2) == ["a", "c"]

    async def test_a_quiet_subscriber_does_not_read_the_journal_again_and_again(self, log, auth, monkeypatch, until):
        asked = []

        def noted(conn, offset, **options):
            asked.append(offset)
            return entries(conn, offset, **options)

        monkeypatch.setattr(event_log, "entries", noted)
        call = log.subscribe(SUBSCRIBE(from_offset=1), metadata=auth("viewer", tenant="acme"))
        first = asyncio.create_task(names(call, 1))

        async def further():
            await publish(log.store, "globex/theirs")
            return len(asked) > 0 and asked[-1] > 10

        await until(further)
        await publish(log.store, "acme/mine")
        assert await first == ["mine"]

    async def test_a_stream_of_entries_is_read_together(self, log, auth, monkeypatch):
        reads = []

        def noted(conn, offset, **options):
            reads.append(offset)
            return entries(conn, offset, **options)

        monkeypatch.setattr(event_log, "entries", noted)
        monkeypatch.setattr(event_log, "GATHER_S", 0.5)
        call = log.subscribe(SUBSCRIBE(from_offset=1), metadata=auth("viewer", tenant="acme"))
        come = asyncio.create_task(names(call, 20))
        for number in range(20):
            await publish(log.store, f"acme/e{number}")
        assert await come == [f"e{number}" for number in range(20)]
        assert len(reads) < 20

    async def test_the_stream_carries_the_chain(self, log):
        await publish(log.store, "acme/one", "globex/two")
        events = await take(log.subscribe(SUBSCRIBE(from_offset=1), metadata=SERVICE), 2)
        rows = await log.store.read(lambda conn: entries(conn, 1))
        previous = GENESIS
        for event, row in zip(events, rows, strict=True):
            expected = chain_hash(previous, event.offset, row.time_us, event.tenant, event.topic, event.key, row.digest)
            assert event.hash == expected
            previous = event.hash

    async def test_strangers_are_refused(self, log, refusal):
        told = await refusal(log.subscribe(SUBSCRIBE(from_offset=1)).read())
        assert told.code == grpc.StatusCode.UNAUTHENTICATED

    @pytest.mark.parametrize("offset", [2**63, 2**64 - 1])
    async def test_an_offset_that_cannot_be_is_refused(self, log, refusal, offset):
        told = await refusal(log.subscribe(SUBSCRIBE(from_offset=offset), metadata=SERVICE).read())
        assert told.code == grpc.StatusCode.INVALID_ARGUMENT
        assert "from_offset" in told.fields

    async def test_who_leaves_is_forgotten(self, log, until):
        call = log.subscribe(SUBSCRIBE(from_offset=1), metadata=SERVICE)
        await until(lambda: bool(log.store._watchers))
        call.cancel()
        await until(lambda: not log.store._watchers)

    async def test_it_ends_at_the_drain_and_says_so(self, serve, refusal):
        async with AsyncExitStack() as stack:
            regime = await stack.enter_async_context(serve("regime", store="", settings={"grace_s": 20.0}))
            log = Log(regime)
            await publish(log.store, "acme/one")
            call = log.subscribe(SUBSCRIBE(from_offset=1), metadata=SERVICE)
            assert await names(call, 1) == ["one"]
            drain = asyncio.create_task(stack.aclose())
            told = await refusal(call.read())
            await asyncio.wait_for(drain, 10)  # the drain does not wait for subscribers
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert "subscribe again" in told.message


SCHEMA = "CREATE TABLE IF NOT EXISTS heard (offset INTEGER, name TEXT, tenant TEXT) STRICT;"


def hear(tx, event):
    tx.conn.execute("INSERT INTO heard VALUES (?, ?, ?)", (event.offset, name_of(event), event.tenant))


def heard(store):
    return store.read(
        lambda conn: [tuple(row) for row in conn.execute("SELECT offset, name FROM heard ORDER BY rowid")]
    )


@pytest.fixture
def following(serve):
    """`following()`: atlas follows regime's journal; gives atlas's store."""

    @asynccontextmanager
    async def start():
        def also(mesh):
            mesh.follow(mesh._stores[0], "regime", ("topic",), hear)

        async with serve("atlas", store=SCHEMA, also=also, settings={"grace_s": 0.0}) as atlas:
            yield atlas.mesh._stores[0]

    return start


class TestFollow:
    async def test_what_is_sent_again_counts_once(self, serve, following, until):
        """A log that sends some events twice, within a stream and after each reconnection."""
        asked = []

        class Twice(event_log_pb2_grpc.EventLogServiceServicer):
            async def Subscribe(self, request, context):
                asked.append(request.from_offset)
                for offset in (1, 2, 2, 1, 3, 3, 4):
                    payload = economy_pb2.TransferRecord(id=str(offset)).SerializeToString()
                    event = event_log_pb2.Event(offset=offset, tenant="acme", topic="topic", payload=payload)
                    yield event_log_pb2.SubscribeResponse(event=event)

        def also(mesh):
            log = Twice()  # type: ignore[abstract]
            mesh.add("eil.events.v1.EventLogService", event_log_pb2_grpc.add_EventLogServiceServicer_to_server, log)

        async with serve("regime", also=also), following() as store:
            await until(lambda: len(asked) >= 3)
            assert await heard(store) == [(1, "1"), (2, "2"), (3, "3"), (4, "4")]
        assert asked[:3] == [1, 5, 5]


PUBLISHER = """
import asyncio
from typing import ClassVar
from eil.economy.v1 import economy_pb2
from eil_mesh.server import serve
from eil_mesh.settings import MeshSettings

class RegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"

async def build(mesh):
    store = mesh.store("")

    def publish(tx):
        name = str(tx.journal.head.offset + 1)
        tx.journal.append(tx.now_us, "acme", "topic", "key", economy_pb2.TransferRecord(id=name))

    async def work():
        while True:
            await store.write(publish)
            await asyncio.sleep(0.002)

    mesh.background(work)

serve(RegimeSettings, build)
"""


async def test_a_publisher_killed_again_and_again_loses_and_doubles_nothing(tmp_path, following):
    def start():
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(PUBLISHER)], cwd=tmp_path)

    process = start()
    while not (tmp_path / "regime.sock").exists():
        assert process.poll() is None, "the publisher ended"
        await asyncio.sleep(0.01)
    async with following() as store:
        lived = 0
        for life in range(2):
            process = start() if life else process
            try:
                wanted = lived + 50
                while lived < wanted:
                    assert process.poll() is None, "the publisher ended"
                    lived = len(await heard(store))
                    await asyncio.sleep(0.01)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        got = await heard(store)
    journal = Store(tmp_path / "regime.db", "", SystemClock())
    written = await journal.read(
        lambda conn: [
            (entry.offset, economy_pb2.TransferRecord.FromString(entry.payload or b"").id)
            for entry in entries(conn, 1, limit=100_000)
        ]
    )
    journal.close()
    assert len(got) >= 100
    assert got == written[: len(got)]
    assert [offset for offset, _ in got] == list(range(1, len(got) + 1))


async def test_a_follower_ends_when_it_is_told_to_while_its_subscription_ends(tmp_path):
    # The cancellation comes in the very turn of the loop in which the follower waits for the end of its reader.
    class Ending:
        """Peers whose subscription ends at once."""

        def stub(self, _kind, _service):
            return self

        async def Subscribe(self, _request):
            await asyncio.sleep(0)
            return
            yield

    store = Store(tmp_path / "follower.db", event_log.SCHEMA, SystemClock())
    try:
        for turns in range(40):
            feed = JournalFeed(cast(Peers, Ending()), "proof", "regime", [])
            task = asyncio.create_task(Follower(store, "regime", feed, lambda tx, event: None).run())
            for _ in range(turns):
                await asyncio.sleep(0)
            while not task.done():
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=5)
                assert done, f"the follower missed that it was cancelled in turn {turns}"
    finally:
        store.close()
