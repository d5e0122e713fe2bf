"""The parts of `eil bench events` that need a broker."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from eil.economy.v1 import economy_pb2
from eil_gateway.keys import ensure_keys, issue_token
from eil_mesh.broker import MAX_RECORD, Broker
from eil_mesh.clock import SystemClock
from eil_mesh.event_log import SCHEMA
from eil_mesh.relay import Relay
from eil_mesh.store import Store
from eil_regime.compiled import compile_kernels
from eil_regime.settings import RegimeSettings
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from eil_cli.bench.events import LIMIT_S, TENANT, TOPIC, Publisher, regime_process, rows_stored
from eil_cli.bench.regime_speed import cores
from eil_cli.bench.regime_wire import CORES, WARM_UP_ROWS, Load, samples_per_s, sequences
from eil_cli.terminal import Failure

INBOX = "eil.sense.inbox."
SOURCES, ROWS, BATCHES = 64, 5_000, 10


@dataclass(frozen=True)
class Taken:
    """Samples a second by way."""

    inbox: float
    grpc: float


@contextmanager
def cluster(kafka: str) -> Iterator[str]:
    """A prefix for topics of this run, which are deleted at the end.

    Raises:
        Failure: the broker cannot be reached.
    """
    prefix = f"eil-bench-{os.getpid()}-{time.time_ns() // 10**6}."
    try:
        admin: Any = KafkaAdminClient(bootstrap_servers=kafka)
    except KafkaError as error:
        raise Failure(f"Kafka at {kafka} cannot be reached ({error}); name a broker with --kafka HOST:PORT") from None
    try:
        yield prefix
    finally:
        if mine := [topic for topic in admin.list_topics() if topic.startswith(prefix)]:
            admin.delete_topics(mine)
        admin.close()


def measure_inbox(kafka: str, prefix: str, channels: int, *, quick: bool) -> Taken:
    """A regime service takes one load by Kafka and another like it by gRPC; sender and service are kept to two cores.

    Raises:
        Failure: it did not take every row.
    """
    compile_kernels()
    load = Load(channels, SOURCES, BATCHES // (5 if quick else 1), ROWS)
    tenant = f"{TENANT}{channels}"
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as name, cores(CORES):
        folder = Path(name)
        folder.chmod(0o700)
        ensure_keys(folder)
        token = issue_token(folder, subject="bench", roles=["admin"], ttl_s=3600, now_s=time.time())
        settings = RegimeSettings(kafka=kafka, kafka_prefix=prefix, sense_inbox=tenant)
        environ = {
            "EIL_REGIME_KAFKA": kafka,
            "EIL_REGIME_KAFKA_PREFIX": prefix,
            "EIL_REGIME_SENSE_INBOX": tenant,
        }
        Broker(settings).ensure([INBOX + tenant])
        with regime_process(folder, environ):
            inbox = _inbox_per_s(kafka, prefix + INBOX + tenant, folder, load)
            by_grpc = asyncio.run(_grpc_per_s(folder, token, load))
    return Taken(inbox, by_grpc)


def _inbox_per_s(kafka: str, topic: str, folder: Path, load: Load) -> float:
    """Values a second from the first record sent to the last one stored; sources are known and their detectors begun before."""
    made = [
        [(request.source.encode(), request.SerializeToString()) for request in sequence]
        for sequence in sequences("inbox", load)
    ]
    producer = KafkaProducer(
        bootstrap_servers=kafka, acks="all", batch_size=1 << 20, linger_ms=5, max_request_size=MAX_RECORD
    )
    try:
        _send(producer, topic, [sequence[0] for sequence in made])
        _await_rows(folder, load.sources * WARM_UP_ROWS)
        began_s = time.perf_counter()
        for turn in range(1, load.batches + 1):
            _send(producer, topic, [sequence[turn] for sequence in made])
        _await_rows(folder, load.sources * (WARM_UP_ROWS + load.batches * load.rows))
        return load.samples / (time.perf_counter() - began_s)
    finally:
        producer.close()


def _send(producer: KafkaProducer, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
    for key, value in records:
        producer.send(topic, value=value, key=key)
    producer.flush()


def _await_rows(folder: Path, rows: int) -> None:
    end_s = time.monotonic() + LIMIT_S
    while (stored := rows_stored(folder)) < rows:
        if time.monotonic() > end_s:
            raise Failure(f"only {stored} of {rows} rows came through Kafka")
        time.sleep(0.02)


async def _grpc_per_s(folder: Path, token: str, load: Load) -> float:
    async with grpc.aio.insecure_channel(f"unix:{folder / 'regime.sock'}") as channel:
        return await samples_per_s(channel, token, "grpc", load)


async def measure_relay(kafka: str, prefix: str, count: int, size: int) -> float:
    """Entries a second that a relay brings from a full journal to Kafka."""
    topic, own = TOPIC, f"{prefix}relay."
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as folder:
        store = Store(Path(folder) / "bench.db", SCHEMA, SystemClock())
        try:
            for begin in range(0, count, 500):
                await store.write(
                    lambda tx, begin=begin: [
                        tx.journal.append(
                            tx.now_us, TENANT, topic, f"key {number % 100}", economy_pb2.TransferRecord(id="x" * size)
                        )
                        for number in range(begin, begin + 500)
                    ]
                )
            settings = Publisher(kafka=kafka, kafka_prefix=own)
            relay = Relay(store, "bench", Broker(settings), 10 * count)
            began_s = time.perf_counter()
            task = asyncio.create_task(relay.run())
            while await store.read(_relayed) < count:
                if time.perf_counter() > began_s + LIMIT_S:
                    raise Failure("the relay did not come to the end of the journal")
                await asyncio.sleep(0.01)
            elapsed_s = time.perf_counter() - began_s
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            store.close()
    return count / elapsed_s


def _relayed(conn: sqlite3.Connection) -> int:
    return conn.execute('SELECT coalesce(max("offset"), 0) FROM relayed').fetchone()[0]


def measure_raw(kafka: str, prefix: str, count: int, size: int) -> float:
    """Messages a second of kafka-python alone: a producer's loop, then a consumer's, one after another."""
    topic, value = f"{prefix}raw", b"x" * size
    Broker(Publisher(kafka=kafka, kafka_prefix=prefix, kafka_partitions=1)).ensure(["raw"])
    producer = KafkaProducer(bootstrap_servers=kafka, acks="all", batch_size=1 << 20, linger_ms=5)
    began_s = time.perf_counter()
    for number in range(count):
        producer.send(topic, value=value, key=b"%d" % number)
    producer.flush()
    consumer = KafkaConsumer(bootstrap_servers=kafka, group_id=None, enable_auto_commit=False)
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    got = 0
    while got < count:
        got += sum(map(len, consumer.poll(timeout_ms=200).values()))
        if time.perf_counter() > began_s + LIMIT_S:
            raise Failure("kafka-python alone did not bring every message")
    elapsed_s = time.perf_counter() - began_s
    consumer.close()
    producer.close()
    return count / elapsed_s
