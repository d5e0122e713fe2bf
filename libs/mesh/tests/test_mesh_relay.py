"""What a relay sends to Kafka, what it does while there is none, and when writes are refused because of it."""

import asyncio
from typing import Any

import pytest
from eil.economy.v1 import economy_pb2
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh import metrics
from eil_mesh.broker import Broker, event_of, partition_of
from eil_mesh.call import Call, acting_for, serving
from eil_mesh.errors import ResourceExhausted
from eil_mesh.identity import Principal
from eil_mesh.journal import entries
from eil_mesh.settings import load_settings
from eil_mesh.testing import kafka_prefix, kafka_servers
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition
from support.servers import Server

TOPIC = "test.facts"
SERVICE = (("x-eil-service", "cli"),)
NOWHERE = "127.0.0.1:1"
HEARD = "CREATE TABLE IF NOT EXISTS heard (id INTEGER PRIMARY KEY, name TEXT) STRICT;"
needs_broker = pytest.mark.skipif(
    not kafka_servers(), reason="needs a Kafka broker: EIL_TEST_KAFKA=127.0.0.1:9092 make test"
)


def fact(name):
    return economy_pb2.TransferRecord(id=name)


def hear(tx, event):
    tx.conn.execute("INSERT INTO heard (name) VALUES (?)", (economy_pb2.TransferRecord.FromString(event.payload).id,))


async def tell(store, *names, key="key"):
    for name in names:
        await store.write(lambda tx, name=name: tx.journal.append(tx.now_us, "acme", TOPIC, key, fact(name)))


async def names(store):
    return await store.read(lambda conn: [row[0] for row in conn.execute("SELECT name FROM heard ORDER BY id")])


def following(mesh):
    mesh.follow(mesh._stores[0], "regime", (TOPIC,), hear)


@pytest.fixture
def kafka():
    with kafka_prefix(kafka_servers()) as prefix:
        yield {"kafka": kafka_servers(), "kafka_prefix": prefix, "kafka_partitions": 3, "grace_s": 0.0}


def records(kafka, topic, count):
    """The first records of a topic."""
    name = kafka["kafka_prefix"] + topic
    consumer = KafkaConsumer(
        bootstrap_servers=kafka["kafka"], group_id=None, enable_auto_commit=False, isolation_level="read_committed"
    )
    found = []
    while not consumer.partitions_for_topic(name):
        pass
    consumer.assign([TopicPartition(name, place) for place in consumer.partitions_for_topic(name)])
    consumer.seek_to_beginning()
    while len(found) < count:
        for batch in consumer.poll(timeout_ms=500).values():
            found += batch
    consumer.close()
    return found


@needs_broker
class TestRelay:
    async def test_a_record_says_what_the_entry_says(self, serve, kafka):
        before = metrics.RELAYED._value.get()
        async with serve("regime", store="", settings=kafka) as regime:
            store = regime.mesh._stores[0]
            await tell(store, *map(str, range(30)), key="rack/7")
            found = await asyncio.to_thread(records, kafka, TOPIC, 30)
            rows = await store.read(lambda conn: entries(conn, 1))
        events = [event_of(TOPIC, record) for record in found]
        assert {journal for journal, _ in events} == {"regime"}
        assert [event.offset for _, event in events] == [*range(1, 31)]
        assert {record.key for record in found} == {b"acme/rack/7"}
        assert {record.partition for record in found} == {partition_of("acme", "rack/7", 3)}
        for (_, event), row in zip(events, rows, strict=True):
            assert (event.payload, event.hash, event.tenant, event.key) == (row.payload, row.hash, row.tenant, row.key)
            assert event.time.ToMicroseconds() == row.time_us
        assert metrics.RELAYED._value.get() == before + 30

    async def test_what_was_not_recorded_is_sent_again_and_counts_once(self, serve, kafka, until):
        """As after a death between Kafka's acknowledgement and its record."""
        async with serve("regime", store="", settings=kafka) as regime:
            await tell(regime.mesh._stores[0], *map(str, range(10)))
            await asyncio.to_thread(records, kafka, TOPIC, 10)
        for _ in range(2):
            async with serve("regime", store="") as regime:  # without Kafka: nothing is relayed meanwhile
                await regime.mesh._stores[0].write(lambda tx: tx.conn.execute('UPDATE relayed SET "offset" = 4'))
            async with serve("regime", store="", settings=kafka):
                await asyncio.sleep(2.0)
        assert len(await asyncio.to_thread(records, kafka, TOPIC, 22)) == 22
        async with (
            serve("regime", store="", settings=kafka) as regime,
            serve("atlas", store=HEARD, also=following, settings=kafka) as atlas,
        ):
            await tell(regime.mesh._stores[0], "last")

            async def heard():
                return "last" in await names(atlas.mesh._stores[0])

            await until(heard)
            assert await names(atlas.mesh._stores[0]) == [*map(str, range(10)), "last"]

    async def test_a_change_of_sides_and_back_doubles_and_loses_nothing(self, serve, kafka, until):
        told = []
        for number, settings in enumerate([{}, kafka, {}, kafka]):
            async with (
                serve("regime", store="", settings={"grace_s": 0.0, **settings}) as regime,
                serve("atlas", store=HEARD, also=following, settings={"grace_s": 0.0, **settings}) as atlas,
            ):
                for place in range(6):
                    told.append(f"{number}.{place}")
                    await tell(regime.mesh._stores[0], told[-1], key=f"key {place}")

                async def all_heard(store=atlas.mesh._stores[0]):
                    return len(await names(store)) >= len(told)

                await until(all_heard, limit_s=60.0)
                await asyncio.sleep(0.3)
                assert sorted(await names(atlas.mesh._stores[0])) == sorted(told)

    async def test_a_record_that_nobody_relayed_is_put_aside(self, serve, kafka, until):
        async with (
            serve("regime", store="", settings=kafka) as regime,
            serve("atlas", store=HEARD, also=following, settings=kafka) as atlas,
        ):
            await tell(regime.mesh._stores[0], "one")
            await asyncio.to_thread(records, kafka, TOPIC, 1)
            producer = KafkaProducer(bootstrap_servers=kafka["kafka"])
            producer.send(kafka["kafka_prefix"] + TOPIC, value=b"\xff\xff", key=b"acme/key").get(10)
            producer.close()
            await tell(regime.mesh._stores[0], "two")
            log: Any = event_log_pb2_grpc.EventLogServiceStub(atlas.channel)

            async def letters():
                answer = await log.ListDeadLetters(event_log_pb2.ListDeadLettersRequest(), metadata=SERVICE)
                return list(answer.dead_letters)

            async def put_aside():
                return bool(await letters()) and len(await names(atlas.mesh._stores[0])) == 2

            await until(put_aside)
            (stored,) = await letters()
            assert (stored.letter.tenant, stored.letter.payload) == ("acme", b"\xff\xff")
            assert "schema version" in stored.letter.reason
            again = await asyncio.to_thread(records, kafka, "eil.dead-letters", 1)
            assert event_of("eil.dead-letters", again[0])[0] == "atlas"

    async def test_a_large_entry_passes(self, serve, kafka):
        async with serve("regime", store="", settings=kafka) as regime:
            await tell(regime.mesh._stores[0], "x" * 5_000_000)
            (record,) = await asyncio.to_thread(records, kafka, TOPIC, 1)
            assert len(record.value) > 5_000_000

    async def test_a_broker_that_stops_and_comes_back_loses_nothing(self, serve, until, tmp_path):
        broker = Server("kafka", tmp_path / "broker")
        settings = {"kafka": await asyncio.to_thread(broker.start), "kafka_partitions": 3, "grace_s": 0.0}
        try:
            async with (
                serve("regime", store="", settings=settings) as regime,
                serve("atlas", store=HEARD, also=following, settings=settings) as atlas,
            ):
                told, store = [], regime.mesh._stores[0]
                for life in range(2):
                    for place in range(20):
                        told.append(f"{life}.{place}")
                        await tell(store, told[-1], key=f"key {place % 4}")
                    await asyncio.to_thread(broker.stop)
                    for place in range(20, 40):
                        told.append(f"{life}.{place}")
                        await tell(store, told[-1], key=f"key {place % 4}")
                    await asyncio.to_thread(broker.start)

                async def all_heard():
                    return len(await names(atlas.mesh._stores[0])) >= len(told)

                await until(all_heard, limit_s=120.0)
                got = await names(atlas.mesh._stores[0])
                assert sorted(got) == sorted(told)
                for key in range(4):
                    mine = [name for name in told if int(name.partition(".")[2]) % 4 == key]
                    assert [name for name in got if name in mine] == mine
        finally:
            await asyncio.to_thread(broker.stop)


def users_call(token):
    return serving(Call("Sense", "id", Principal("meter", "acme", token=token)))


class TestBackPressure:
    """There is no broker at all: the journal keeps everything."""

    async def test_a_users_write_is_refused_and_a_services_own_is_not(self, serve, until):
        settings = {"kafka": NOWHERE, "relay_backlog": 5, "grace_s": 0.0}
        async with serve("regime", store="", settings=settings) as regime:
            store = regime.mesh._stores[0]
            with users_call(token=True):
                await tell(store, "within the limit")
            await tell(store, *map(str, range(10)))
            await until(lambda: metrics.RELAY_BACKLOG._value.get() == 11)
            with users_call(token=True), pytest.raises(ResourceExhausted) as caught:
                await tell(store, "refused")
            assert (caught.value.reason, bool(caught.value.retry_after_s)) == ("EVENTS_BACKLOG", True)
            with users_call(token=False):
                await tell(store, "a service in its own name")
            with acting_for("regime", "acme"):
                await tell(store, "background work")
            assert len(await store.read(lambda conn: entries(conn, 1))) == 13

    async def test_without_kafka_nothing_is_refused(self, serve):
        async with serve("regime", store="", settings={"relay_backlog": 1}) as regime:
            with users_call(token=True):
                await tell(regime.mesh._stores[0], *map(str, range(10)))


class TestSettings:
    def test_a_password_comes_from_a_file_and_is_printed_nowhere(self, tmp_path):
        secret = tmp_path / "password"
        secret.write_text("hunter2\n")
        settings = _settings(
            EIL_REGIME_KAFKA="a:1,b:2", EIL_REGIME_KAFKA_USER="eil", EIL_REGIME_KAFKA_PASSWORD_FILE=str(secret),
            EIL_REGIME_KAFKA_CA="/ca.crt",
        )  # fmt: skip
        assert "hunter2" not in settings.model_dump_json()
        options = Broker(settings)._options()
        assert options["bootstrap_servers"] == ["a:1", "b:2"]
        assert options["sasl_plain_password"] == "hunter2"
        assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")

    @pytest.mark.parametrize("alone", ["USER", "PASSWORD_FILE", "CERT", "KEY"])
    def test_halves_of_a_credential_are_refused(self, alone, capsys):
        with pytest.raises(SystemExit):
            _settings(**{f"EIL_REGIME_KAFKA_{alone}": "x"})
        assert "go together" in capsys.readouterr().err


def _settings(**environ):
    from typing import ClassVar

    from eil_mesh.settings import MeshSettings

    class RegimeSettings(MeshSettings):
        service: ClassVar[str] = "regime"

    return load_settings(RegimeSettings, environ)
