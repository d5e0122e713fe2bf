"""One contract for both sides of a feed: a journal's subscription, and Kafka with a relay. What is followed counts once and in order, is
never lost, and what cannot be handled is put aside.

The side of Kafka needs a broker: EIL_TEST_KAFKA=127.0.0.1:9092 make test
"""

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from eil.economy.v1 import economy_pb2
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh import metrics
from eil_mesh.clock import SystemClock
from eil_mesh.journal import entries
from eil_mesh.store import Store
from eil_mesh.testing import kafka_prefix, kafka_servers

TOPIC, OTHER = "test.facts", "test.others"
HEARD = (
    "CREATE TABLE IF NOT EXISTS heard (id INTEGER PRIMARY KEY, tenant TEXT, topic TEXT, key TEXT, name TEXT) STRICT;"
)
SERVICE = (("x-eil-service", "cli"),)
PARTITIONS = 3
NO_BROKER = "needs a Kafka broker: EIL_TEST_KAFKA=127.0.0.1:9092 make test"


def fact(name):
    return economy_pb2.TransferRecord(id=name)


def hear(tx, event):
    name = economy_pb2.TransferRecord.FromString(event.payload).id
    tx.conn.execute(
        "INSERT INTO heard (tenant, topic, key, name) VALUES (?, ?, ?, ?)", (event.tenant, event.topic, event.key, name)
    )


@dataclass
class World:
    """regime tells, atlas follows; `kafka` are the settings of the side."""

    serve: Any
    until: Any
    kafka: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def telling(self, **settings):
        async with self.serve("regime", store="", settings={"grace_s": 0.0, **self.kafka, **settings}) as regime:
            yield regime.mesh._stores[0]

    @asynccontextmanager
    async def following(self, handle=hear, topics=(TOPIC,)):
        def also(mesh):
            mesh.follow(mesh._stores[0], "regime", topics, handle)

        async with self.serve("atlas", store=HEARD, also=also, settings={"grace_s": 0.0, **self.kafka}) as atlas:
            yield Following(atlas, self.until)


class Following:
    def __init__(self, atlas, until):
        self.store, self._until = atlas.mesh._stores[0], until
        self.log: Any = event_log_pb2_grpc.EventLogServiceStub(atlas.channel)

    async def heard(self):
        return await self.store.read(
            lambda conn: [tuple(row) for row in conn.execute("SELECT topic, key, name FROM heard ORDER BY id")]
        )

    async def names(self, key=None, topic=None):
        return [row[2] for row in await self.heard() if key in (None, row[1]) and topic in (None, row[0])]

    async def has(self, count):
        async def enough():
            return len(await self.heard()) >= count

        await self._until(enough, limit_s=60.0)

    async def letters(self, count):
        async def enough():
            return len(await listed()) >= count

        async def listed():
            answer = await self.log.ListDeadLetters(event_log_pb2.ListDeadLettersRequest(), metadata=SERVICE)
            return list(answer.dead_letters)

        await self._until(enough, limit_s=60.0)
        return await listed()


async def tell(store, *names, key="key", topic=TOPIC, tenant="acme"):
    for name in names:
        await store.write(lambda tx, name=name: tx.journal.append(tx.now_us, tenant, topic, key, fact(name)))


@pytest.fixture(params=["journal", "kafka"])
def side(request):
    if request.param == "kafka" and not kafka_servers():
        pytest.skip(NO_BROKER)
    return request.param


@pytest.fixture
def world(side, serve, until):
    if side == "journal":
        yield World(serve, until)
        return
    with kafka_prefix(kafka_servers()) as prefix:
        settings = {"kafka": kafka_servers(), "kafka_prefix": prefix, "kafka_partitions": PARTITIONS}
        yield World(serve, until, settings)


class TestOnceAndInOrder:
    async def test_every_tenant_and_the_topics_wanted(self, world):
        async with world.telling() as store, world.following() as atlas:
            await tell(store, "one")
            await tell(store, "not wanted", topic=OTHER)
            await tell(store, "two", tenant="globex")
            await tell(store, "last")
            await atlas.has(3)
            assert sorted(await atlas.names()) == ["last", "one", "two"]

    async def test_it_begins_with_what_was_told_before(self, world):
        async with world.telling() as store:
            await tell(store, *map(str, range(20)))
            async with world.following() as atlas:
                await atlas.has(20)
                assert await atlas.names() == [*map(str, range(20))]

    async def test_entries_of_a_key_keep_their_order(self, world):
        told: dict[str, list[str]] = {f"key {i}": [] for i in range(7)}
        async with world.telling() as store, world.following(topics=(TOPIC, OTHER)) as atlas:
            for number in range(210):
                key, topic = f"key {number % 7}", (TOPIC, OTHER)[number % 2]
                told[key].append(str(number))
                await tell(store, str(number), key=key, topic=topic)
            await atlas.has(210)
            for key, names in told.items():
                for topic in (TOPIC, OTHER):
                    assert await atlas.names(key, topic) == [
                        name for name in names if (TOPIC, OTHER)[int(name) % 2] == topic
                    ]

    async def test_a_follower_that_restarts_at_any_point_counts_each_once(self, world):
        chance = random.Random(5)
        async with world.telling() as store:

            async def publish():
                for number in range(300):
                    await tell(store, str(number), key=f"key {number % 5}")
                    await asyncio.sleep(0.002)

            telling = asyncio.create_task(publish())
            while not telling.done():
                async with world.following():
                    await asyncio.sleep(chance.uniform(0.0, 0.4))
            await telling
            async with world.following() as atlas:
                await atlas.has(300)
                await asyncio.sleep(0.3)
                assert sorted(map(int, await atlas.names())) == [*range(300)]
                for key in range(5):
                    names = [int(name) for name in await atlas.names(f"key {key}")]
                    assert names == sorted(names)

    async def test_an_erased_payload_says_nothing(self, world):
        async with world.telling() as store:
            await store.write(
                lambda tx: (
                    [tx.journal.append(tx.now_us, "acme", TOPIC, "key", fact(n)) for n in "abc"]
                    and tx.conn.execute("UPDATE journal SET payload = NULL WHERE offset = 2")
                )
            )
            async with world.following() as atlas:
                await atlas.has(2)
                await tell(store, "d")
                await atlas.has(3)
                assert await atlas.names() == ["a", "c", "d"]

    async def test_how_far_it_is(self, world, until):
        async with world.telling() as store, world.following() as atlas:
            await tell(store, *map(str, range(12)))
            await atlas.has(12)

            async def even():
                answer = await atlas.log.ListFollowed(event_log_pb2.ListFollowedRequest(), metadata=SERVICE)
                (row,) = answer.followed
                return (row.service, row.entries, row.problem) == ("regime", 0, "") and row.position == row.head >= 12

            await until(even)


PUBLISHER = """
import asyncio, sys
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
        tx.journal.append(tx.now_us, "acme", "test.facts", f"key {int(name) % 4}", economy_pb2.TransferRecord(id=name))

    async def work():
        while True:
            await store.write(publish)
            await asyncio.sleep(0.002)

    mesh.background(work)

serve(RegimeSettings, build)
"""


async def test_a_teller_killed_again_and_again_loses_and_doubles_nothing(tmp_path, world):
    """It dies at any moment: between Kafka's acknowledgement and its record, too."""
    environ = {f"EIL_REGIME_{name.upper()}": str(value) for name, value in world.kafka.items()}
    path = tmp_path / "regime.db"

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PUBLISHER)], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **environ}
        )

    async with world.following() as atlas:
        lived = 0
        for _ in range(4):
            process = start()
            try:
                await atlas.has(lived + 40)
                assert process.poll() is None, "the publisher ended"
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
            lived = len(await atlas.heard())
        process = start()  # what was committed before the last kill comes, too
        journal_ends = 0
        try:
            await atlas.has(lived + 40)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        got = [int(name) for name in await atlas.names()]
    store = Store(path, "", SystemClock())
    journal_ends = await store.read(lambda conn: len(entries(conn, 1, limit=100_000)))
    store.close()
    assert len(got) == len(set(got)) <= journal_ends
    assert set(range(1, lived + 1)) <= set(got)
    for key in range(4):
        mine = [number for number in got if number % 4 == key]
        assert mine == [number for number in range(1, max(mine) + 1) if number % 4 == key], "no gap, in order"


class TestDeadLetters:
    async def test_what_cannot_be_handled_is_put_aside_and_the_rest_goes_on(self, world):
        tried = []

        def picky(tx, event):
            hear(tx, event)
            if economy_pb2.TransferRecord.FromString(event.payload).id == "bad":
                tried.append(event.offset)
                raise RuntimeError("a bug in the handler")

        async with world.telling() as store, world.following(picky) as atlas:
            await tell(store, "one", "bad", "two")
            await atlas.has(2)
            (stored,) = await atlas.letters(1)
            assert await atlas.names() == ["one", "two"]
            assert len(tried) == 2, "once with its page, once alone"
            letter = stored.letter
            assert (letter.service, letter.topic, letter.offset, letter.key) == ("regime", TOPIC, 2, "key")
            assert (letter.tenant, letter.reason) == ("acme", "RuntimeError: a bug in the handler")
            assert fact("bad").SerializeToString() == letter.payload
            (entry,) = await atlas.store.read(lambda conn: entries(conn, 1))
            assert (entry.topic, entry.offset) == ("eil.dead-letters", stored.id)

    async def test_it_is_handled_once_it_can_be(self, world, auth):
        mended = []

        def picky(tx, event):
            if not mended:
                raise RuntimeError("a bug")
            hear(tx, event)

        async with world.telling() as store, world.following(picky) as atlas:
            await tell(store, "one")
            (stored,) = await atlas.letters(1)
            ask = event_log_pb2.ReplayDeadLettersRequest(ids=[stored.id, 4711])
            answer = await atlas.log.ReplayDeadLetters(ask, metadata=SERVICE)
            assert not answer.replayed
            assert {row.id: row.reason for row in answer.failed} == {
                stored.id: "RuntimeError: a bug",
                4711: "there is no such dead letter",
            }
            mended.append(True)
            other = await atlas.log.ReplayDeadLetters(ask, metadata=auth("operator", tenant="globex"))
            assert not other.replayed, "another tenant's is not there"
            for _ in range(2):
                answer = await atlas.log.ReplayDeadLetters(ask, metadata=auth("operator", tenant="acme"))
                assert list(answer.replayed) == [stored.id]
            assert await atlas.names() == ["one"]
            left = await atlas.log.ListDeadLetters(event_log_pb2.ListDeadLettersRequest(), metadata=SERVICE)
            assert not left.dead_letters

    async def test_they_come_in_pages_of_the_own_tenant(self, world, auth):
        def refuse(tx, event):
            raise ValueError("no")

        async with world.telling() as store, world.following(refuse) as atlas:
            await tell(store, "a", "b", "c")
            await tell(store, "theirs", tenant="globex")
            await atlas.letters(4)
            token, found = "", []
            for _ in range(2):
                page = event_log_pb2.ListDeadLettersRequest(page_size=2, page_token=token)
                answer = await atlas.log.ListDeadLetters(page, metadata=auth("operator", tenant="acme"))
                found += [economy_pb2.TransferRecord.FromString(row.letter.payload).id for row in answer.dead_letters]
                token = answer.next_page_token
            assert found == ["c", "b", "a"]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await atlas.log.ListDeadLetters(page, metadata=auth("viewer", tenant="acme"))
            assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED

    async def test_a_store_that_is_full_is_waited_for(self, world):
        tried = []

        def fill(tx, event):
            tried.append(event.offset)
            pages = tx.conn.execute("PRAGMA page_count").fetchone()[0]
            tx.conn.execute(f"PRAGMA max_page_count = {pages + 1 if len(tried) < 3 else 2**30}")
            tx.conn.execute("CREATE TABLE IF NOT EXISTS blobs (body BLOB)")
            tx.conn.execute("INSERT INTO blobs VALUES (zeroblob(1000000))")
            hear(tx, event)

        async with world.telling() as store, world.following(fill) as atlas:
            await tell(store, "one")
            await atlas.has(1)
            assert len(tried) == 3
            left = await atlas.log.ListDeadLetters(event_log_pb2.ListDeadLettersRequest(), metadata=SERVICE)
            assert not left.dead_letters

    async def test_they_are_counted(self, world):
        def refuse(tx, event):
            raise ValueError("no")

        counter = metrics.DEAD_LETTERS.labels("regime")
        before = counter._value.get()
        async with world.telling() as store, world.following(refuse) as atlas:
            await tell(store, "a")
            await atlas.letters(1)
        assert counter._value.get() == before + 1
