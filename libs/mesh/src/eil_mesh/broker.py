"""What the mesh says to Kafka: how it connects, which topics there are, and how a journal entry becomes a record and back.

A record's key is `tenant/key`, its value the entry's payload; what else the entry says stands in headers. Everything here blocks: call it
from a thread of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from eil.events.v1 import event_log_pb2
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import TopicAlreadyExistsError
from kafka.partitioner.default import murmur2

from eil_mesh import tracing
from eil_mesh.clock import from_us
from eil_mesh.journal import Entry
from eil_mesh.settings import MeshSettings

logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it meets is said here, once, where it matters
SCHEMA_VERSION: Final = b"1"
"""Of the headers and of what the payloads mean; a release reads its own and the one before."""
MAX_RECORD: Final = 68 * 1024 * 1024
"""Bytes of a record: what a gRPC message may have, and its headers."""
CONNECT_MS: Final = 5_000
"""Time that connecting, metadata or the end of a transaction may take [ms]; then it is tried anew."""


class Broker:
    """Clients of one cluster, as the settings say. A password is read from its file for each of them: a new one is used at once."""

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings

    def topic(self, name: str) -> str:
        """The topic's name in the cluster."""
        return self._settings.kafka_prefix + name

    def name(self, topic: str) -> str:
        """Inverse of `topic`."""
        return topic.removeprefix(self._settings.kafka_prefix)

    def producer(self, transactional_id: str) -> Any:
        """An idempotent producer whose records all replicas have before they count; whoever had the id before it can send no more.

        Raises:
            kafka.errors.KafkaError: no server answers.
        """
        make: Any = KafkaProducer
        producer = make(
            **self._options(),
            transactional_id=self._settings.kafka_prefix + transactional_id,
            acks="all",
            linger_ms=2,
            batch_size=1 << 20,
            max_request_size=MAX_RECORD,
            max_block_ms=CONNECT_MS,
            retry_backoff_ms=10,  # a transaction often begins while the broker still ends the one before it
            request_timeout_ms=10_000,
            delivery_timeout_ms=30_000,
            allow_auto_create_topics=False,
        )
        try:
            producer.init_transactions()
        except BaseException:
            producer.close(timeout=1)
            raise
        return producer

    def consumer(self, **options: Any) -> Any:
        """A consumer of what was committed. It belongs to no group: positions are the caller's to keep.

        Raises:
            kafka.errors.KafkaError: no server answers.
        """
        make: Any = KafkaConsumer  # published types of kafka-python are those of an older release
        return make(
            **self._options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            **options,
        )

    def ensure(self, names: Iterable[str]) -> None:
        """Make the topics that do not exist, with the partitions that the settings say.

        Raises:
            kafka.errors.KafkaError: no server answers, or it refuses.
        """
        settings = self._settings
        admin: Any = KafkaAdminClient(**self._options(metrics=False))
        try:
            missing = {self.topic(name) for name in names} - set(admin.list_topics())
            shape = {
                "num_partitions": settings.kafka_partitions,
                "replication_factor": settings.kafka_replication,
                "configs": {"max.message.bytes": str(MAX_RECORD)},
            }
            for topic in sorted(missing):
                try:
                    admin.create_topics({topic: shape})
                except TopicAlreadyExistsError:  # another service was first
                    continue
            if missing:
                admin.wait_for_topics(sorted(missing))
        finally:
            admin.close()

    def _options(self, *, metrics: bool = True) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "bootstrap_servers": settings.kafka.split(","),
            "client_id": f"eil-{settings.service}",
            "bootstrap_timeout_ms": CONNECT_MS,
            "security_protocol": ("SASL_" if settings.kafka_user else "")
            + ("SSL" if settings.kafka_ca else "PLAINTEXT"),
        }
        if metrics:
            options["metrics_enabled"] = False  # kafka-python's own, which nobody reads
        if settings.kafka_ca:
            options |= {
                "ssl_cafile": str(settings.kafka_ca),
                "ssl_certfile": str(settings.kafka_cert) if settings.kafka_cert else None,
                "ssl_keyfile": str(settings.kafka_key) if settings.kafka_key else None,
            }
        if settings.kafka_user and settings.kafka_password_file:
            options |= {
                "sasl_mechanism": settings.kafka_sasl,
                "sasl_plain_username": settings.kafka_user,
                "sasl_plain_password": settings.kafka_password_file.read_text().strip(),
            }
        return options


def partition_of(tenant: str, key: str, partitions: int) -> int:
    """The partition of a key, as every Kafka client counts it."""
    return (murmur2(f"{tenant}/{key}".encode()) & 0x7FFFFFFF) % partitions


def record_of(journal: str, entry: Entry) -> Mapping[str, Any]:
    """Key, value and headers of an entry that is not erased."""
    return {
        "key": f"{entry.tenant}/{entry.key}".encode(),
        "value": entry.payload,
        "headers": [
            ("schema", SCHEMA_VERSION),
            ("journal", journal.encode()),
            ("offset", b"%d" % entry.offset),
            ("time_us", b"%d" % entry.time_us),
            ("tenant", entry.tenant.encode()),
            ("key", entry.key.encode()),
            ("hash", entry.hash),
            *([(tracing.HEADER, entry.traceparent.encode())] if entry.traceparent else ()),
        ],
    }


def event_of(topic: str, record: Any) -> tuple[str, event_log_pb2.Event]:
    """The journal that a record comes from, and the event.

    Raises:
        ValueError: it is not what a relay sends.
    """
    headers = dict(record.headers)
    if (version := headers.get("schema")) != SCHEMA_VERSION:
        raise ValueError(f"its schema version is {version!r}, this release reads {SCHEMA_VERSION!r}")
    try:
        return headers["journal"].decode(), event_log_pb2.Event(
            offset=int(headers["offset"]),
            time=from_us(int(headers["time_us"])),
            tenant=headers["tenant"].decode(),
            topic=topic,
            key=headers["key"].decode(),
            payload=record.value or b"",
            hash=headers["hash"],
            traceparent=headers.get(tracing.HEADER, b"").decode(),
        )
    except KeyError as error:
        raise ValueError(f"it has no header {error}") from None
