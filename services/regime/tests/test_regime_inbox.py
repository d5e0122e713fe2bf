"""Telemetry by Kafka: each record counts once, what is bad is put aside, and the samples are nobody's own.

Needs a broker: EIL_TEST_KAFKA=127.0.0.1:9092 make test
"""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, ManualClock, from_us
from eil_mesh.settings import load_settings
from eil_mesh.testing import kafka_prefix, kafka_servers, metadata, running, token
from eil_regime.main import build
from eil_regime.settings import RegimeSettings
from kafka import KafkaProducer

needs_broker = pytest.mark.skipif(
    not kafka_servers(), reason="needs a Kafka broker: EIL_TEST_KAFKA=127.0.0.1:9092 make test"
)
NOW_US = 1_800_000_000 * MICROSECONDS
SERVICE = (("x-eil-service", "cli"),)


def batch(begin_s, rows=10, source="plant", *, power=100.0, **more):
    return regime_pb2.IngestRequest(
        source=source,
        times_us=[NOW_US + (begin_s + row) * MICROSECONDS for row in range(-rows, 0)],
        columns=[regime_pb2.Column(name="power_draw", values=[power] * rows)],
        **more,
    )


class World:
    """A regime service that reads the inboxes of two tenants, restarted at will, and a producer."""

    def __init__(self, tmp_path, prefix, until):
        self._tmp_path, self._prefix, self._until = tmp_path, prefix, until
        self._producer = KafkaProducer(bootstrap_servers=kafka_servers(), acks="all")

    def send(self, request, tenant="acme", key=None):
        value = request if isinstance(request, bytes) else request.SerializeToString()
        name = None if isinstance(request, bytes) else request.source.encode()
        topic = f"{self._prefix}eil.sense.inbox.{tenant}"
        self._producer.send(topic, value=value, key=name if key is None else key).get(20)

    @asynccontextmanager
    async def running(self):
        settings = {
            "kafka": kafka_servers(),
            "kafka_prefix": self._prefix,
            "kafka_partitions": 2,
            "sense_inbox": "acme, globex",
            "grace_s": 0.0,
        }
        async with (
            running(self._tmp_path, RegimeSettings, build, clock=ManualClock(NOW_US), **settings) as mesh,
            grpc.aio.insecure_channel(f"unix:{self._tmp_path}/regime.sock") as channel,
        ):
            self.store = mesh._stores[0]
            self.stub = regime_pb2_grpc.RegimeServiceStub(channel)
            self.log = event_log_pb2_grpc.EventLogServiceStub(channel)
            yield

    def auth(self, tenant):
        return metadata(token(self._tmp_path, roles=["operator"], tenant=tenant))

    async def samples(self, tenant="acme"):
        request = regime_pb2.GetStatusRequest()
        answer = await self.stub.GetStatus(request, metadata=self.auth(tenant))
        return {row.source: row.samples for row in answer.sources}

    async def has(self, samples, tenant="acme"):
        async def enough():
            return await self.samples(tenant) == samples

        await self._until(enough)

    async def letters(self, count, tenant="acme"):
        async def listed():
            request = event_log_pb2.ListDeadLettersRequest()
            return list((await self.log.ListDeadLetters(request, metadata=self.auth(tenant))).dead_letters)

        async def enough():
            return len(await listed()) >= count

        await self._until(enough)
        return await listed()


@pytest.fixture
def until():
    async def wait(holds, limit_s=40.0):
        end_s = asyncio.get_running_loop().time() + limit_s
        while not await holds():
            assert asyncio.get_running_loop().time() < end_s, "it did not come about"
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def world(tmp_path, until):
    with kafka_prefix(kafka_servers()) as prefix:
        world = World(tmp_path, prefix, until)
        yield world
        world._producer.close()


@needs_broker
class TestInbox:
    async def test_a_record_is_its_tenants_and_counts_once_over_restarts(self, world):
        async with world.running():
            await world.has({})  # serves: the topics are made soon
            await world._until(lambda: _followed(world, "inbox"))
            world.send(batch(-100))
            world.send(batch(-100), tenant="globex")
            await world.has({"plant": 10})
        for life in range(3):
            world.send(batch(10 * life - 50))  # while it does not run
            async with world.running():
                await world.has({"plant": 20 + 10 * life})
        async with world.running():
            world.send(batch(0, source="other"))
            await world.has({"plant": 40, "other": 10})
            assert await world.samples("globex") == {"plant": 10}
            assert not await world.letters(0)

    async def test_what_is_bad_is_put_aside_with_its_reason_and_the_rest_goes_on(self, world):
        async with world.running():
            await world._until(lambda: _followed(world, "inbox"))
            world.send(b"\xff\xfe no protobuf", key=b"plant")
            world.send(batch(-50, source="not a name!"))
            world.send(regime_pb2.IngestRequest(source="plant", columns=batch(0).columns))
            world.send(batch(-30), key=b"another")
            mixed = batch(-20)
            mixed.columns[0].values[3] = float("inf")
            world.send(mixed)
            world.send(batch(0))
            await world.has({"plant": 19})
            letters = await world.letters(5)
            reasons = sorted(stored.letter.reason for stored in letters)
            assert len(reasons) == 5
            assert any("no serialized eil.regime.v1.IngestRequest" in reason for reason in reasons)
            assert any("source" in reason and reason.startswith("INVALID_ARGUMENT") for reason in reasons)
            assert any("has no times" in reason for reason in reasons)
            assert any("key is 'another'" in reason for reason in reasons)
            assert any(reason.startswith("1 rows were refused") and "PHYSICS_VIOLATED" in reason for reason in reasons)
            assert {stored.letter.service for stored in letters} == {"inbox"}
            assert not await world.letters(0, tenant="globex")

    async def test_a_letter_that_is_handled_anew_takes_what_is_good_now(self, world):
        async with world.running():
            await world._until(lambda: _followed(world, "inbox"))
            world.send(batch(400))  # 400 s ahead of the clock: more than is accepted
            (stored,) = await world.letters(1)
            assert "TIMESTAMP_IN_FUTURE" in stored.letter.reason
            ask = event_log_pb2.ReplayDeadLettersRequest(ids=[stored.id])
            answer = await world.log.ReplayDeadLetters(ask, metadata=SERVICE)
            assert "TIMESTAMP_IN_FUTURE" in answer.failed[0].reason
        world_later = World(world._tmp_path, world._prefix, world._until)
        async with _later(world_later):
            for _ in range(2):
                answer = await world_later.log.ReplayDeadLetters(ask, metadata=SERVICE)
                assert list(answer.replayed) == [stored.id]
            assert await world_later.samples() == {"plant": 10}
        world_later._producer.close()

    async def test_its_samples_are_never_a_metered_sources_own(self, world):
        async with world.running():
            await world._until(lambda: _followed(world, "inbox"))
            put = regime_pb2.PutSourceRequest(source="plant", kind="metered", credential="kafka")
            await world.stub.PutSource(put, metadata=world.auth("acme"))
            world.send(batch(0))
            await world.has({"plant": 10})
            window = regime_pb2.MeasureRequest(source="plant")
            window.start.CopyFrom(from_us(NOW_US - 9 * MICROSECONDS))
            window.end.CopyFrom(from_us(NOW_US - 2 * MICROSECONDS))
            measured = await world.stub.Measure(window, metadata=world.auth("acme"))
            assert measured.covered_s > 0
            assert not measured.own_credential

    async def test_a_request_id_counts_once_whichever_way_it_comes(self, world):
        async with world.running():
            await world._until(lambda: _followed(world, "inbox"))
            await world.stub.Ingest(batch(-20, request_id="r1"), metadata=world.auth("acme"))
            world.send(batch(-20, request_id="r1"))
            world.send(batch(-5, request_id="r1"))
            (stored,) = await world.letters(1)
            assert "REQUEST_ID_REUSED" in stored.letter.reason or "was used for another" in stored.letter.reason
            assert await world.samples() == {"plant": 10}


@asynccontextmanager
async def _later(world):
    """The same service, ten minutes later."""
    settings = {"kafka": kafka_servers(), "kafka_prefix": world._prefix, "sense_inbox": "acme", "grace_s": 0.0}
    clock = ManualClock(NOW_US + 600 * MICROSECONDS)
    async with (
        running(world._tmp_path, RegimeSettings, build, clock=clock, **settings),
        grpc.aio.insecure_channel(f"unix:{world._tmp_path}/regime.sock") as channel,
    ):
        world.stub = regime_pb2_grpc.RegimeServiceStub(channel)
        world.log = event_log_pb2_grpc.EventLogServiceStub(channel)
        yield


async def _followed(world, name):
    answer = await world.log.ListFollowed(event_log_pb2.ListFollowedRequest(), metadata=SERVICE)
    return any(row.service == name and not row.problem for row in answer.followed)


def test_an_inbox_without_kafka_is_refused(capsys):
    with pytest.raises(SystemExit):
        load_settings(RegimeSettings, {"EIL_REGIME_SENSE_INBOX": "acme"})
    assert "set kafka" in capsys.readouterr().err
