"""The feed over Kafka: one consumer reads every partition of the wanted topics, from positions that the follower's own store keeps.

No group of consumers divides the partitions: a store has one writer, which is its one follower, and a position counts only in the
transaction that handled what lies before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from eil.events.v1 import event_log_pb2
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from eil_mesh.broker import Broker, event_of
from eil_mesh.clock import from_us
from eil_mesh.feed import PAGE, Arrival, FeedLost, Lag, Reached

log = structlog.get_logger("eil.kafka")
POLL_MS = 200
"""Time that a poll waits for records: what a stop waits for, too [ms]."""
FETCH_BYTES = 16 * 1024 * 1024
"""Bytes fetched at once; two pages are held at most, the one being handled and the next."""


class KafkaFeed:
    """Records of some topics.

    Args:
        broker: the cluster.
        topics: topics wanted, without the cluster's prefix.
        decode: makes an arrival of a record, given its stream and the topic's name; called in the feed's thread, while the page before
            is handled. It does not raise.
        page: records in a page at most.
    """

    def __init__(
        self, broker: Broker, topics: Sequence[str], decode: Callable[[str, str, Any], Arrival], *, page: int = PAGE
    ) -> None:
        self._broker, self._topics, self._decode, self._page = broker, topics, decode, page
        self._consumer: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._in_hand = 0

    async def pages(self, reached: Mapping[str, Reached]) -> AsyncGenerator[Sequence[Arrival], None]:
        run = asyncio.get_running_loop().run_in_executor
        thread = self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-read")
        self._in_hand = 0
        try:
            # First what was reached of every partition, so that the store knows all of them.
            yield await run(thread, self._open, reached)
            coming = run(thread, self._poll)
            while True:
                page = await coming
                coming = run(thread, self._poll)  # the next is read while this one is handled
                if page:
                    yield page
                    self._in_hand -= len(page)
        except (KafkaError, OSError) as error:
            raise FeedLost(f"Kafka: {error}") from error
        finally:
            thread.submit(self._close)
            thread.shutdown(wait=False)

    async def lag(self, reached: Mapping[str, Reached]) -> Lag:
        if self._thread is None:
            raise FeedLost("Kafka is not connected")
        try:
            head, behind = await asyncio.get_running_loop().run_in_executor(self._thread, self._behind)
        except (KafkaError, RuntimeError, OSError) as error:  # RuntimeError: the thread has ended
            raise FeedLost(f"Kafka does not answer: {error}") from error
        entries = behind + self._in_hand
        return Lag(head - entries, head, entries)

    def _open(self, reached: Mapping[str, Reached]) -> Sequence[Arrival]:
        self._broker.ensure(self._topics)
        consumer = self._consumer = self._broker.consumer(
            max_poll_records=self._page, fetch_max_bytes=FETCH_BYTES, max_partition_fetch_bytes=FETCH_BYTES // 4
        )
        places = [
            TopicPartition(self._broker.topic(topic), partition)
            for topic in self._topics
            for partition in sorted(consumer.partitions_for_topic(self._broker.topic(topic)) or ())
        ]
        consumer.assign(places)
        for place in places:
            if (position := reached.get(self._stream(place), Reached()).position) > 0:
                consumer.seek(place, position)
            else:
                consumer.seek_to_beginning(place)
        return [Arrival(stream := self._stream(place), reached.get(stream, Reached()).position) for place in places]

    def _poll(self) -> list[Arrival]:
        assert self._consumer is not None, "it is opened before"
        try:
            found = self._consumer.poll(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError as error:
            self._begin_anew(error)
            return []
        arrivals = [
            self._decode(self._stream(place), self._broker.name(place.topic), record)
            for place, records in found.items()
            for record in records
        ]
        self._in_hand += len(arrivals)
        return arrivals

    def _begin_anew(self, error: OffsetOutOfRangeError) -> None:
        """Where a partition does not reach back to the position any more: what it has lost stands in the journal alone."""
        assert self._consumer is not None, "it is opened before"
        for place in error.args[0]:
            log.error(
                "records were deleted before they were read; give the topic a longer retention",
                topic=place.topic,
                partition=place.partition,
                position=error.args[0][place],
            )
            self._consumer.seek_to_beginning(place)

    def _behind(self) -> tuple[int, int]:
        """Σ of the ends of the partitions, and how far the consumer is from there."""
        if self._consumer is None:
            raise FeedLost("Kafka is not connected")
        places = list(self._consumer.assignment())
        ends = self._consumer.end_offsets(places, timeout_ms=2_000)
        read = sum(self._consumer.position(place, timeout_ms=2_000) or 0 for place in places)
        head = sum(ends.values())
        return head, max(head - read, 0)

    def _close(self) -> None:
        consumer, self._consumer, self._thread = self._consumer, None, None
        if consumer is not None:
            consumer.close(timeout_ms=1_000)

    def _stream(self, place: TopicPartition) -> str:
        return f"{self._broker.name(place.topic)}/{place.partition}"


def journal_records(service: str) -> Callable[[str, str, Any], Arrival]:
    """Decodes what the relay of a service's journal sends; records of other journals are passed over."""

    def decode(stream: str, topic: str, record: Any) -> Arrival:
        position = record.offset + 1
        try:
            journal, event = event_of(topic, record)
        except (ValueError, UnicodeDecodeError) as error:
            return Arrival(stream, position, raw_event(topic, record), flaw=f"the record cannot be read: {error}")
        if journal != service:
            return Arrival(stream, position)
        return Arrival(stream, position, event, event, known_by=event.offset)

    return decode


def raw_event(topic: str, record: Any) -> event_log_pb2.Event:
    """A record that no relay sent, as far as it can be read: its place in its partition, plus one, stands for the offset."""
    tenant, _, key = (record.key or b"").decode(errors="replace").partition("/")
    return event_log_pb2.Event(
        offset=record.offset + 1,
        time=from_us(record.timestamp * 1000),
        tenant=tenant,
        topic=topic,
        key=key,
        payload=record.value or b"",
    )
