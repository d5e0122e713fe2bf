"""Telemetry that comes by Kafka: topic `eil.sense.inbox.<tenant>`, value a serialized `IngestRequest`, key the source.

Whoever may write to the topic speaks for its tenant: the cluster's access lists are the credential, and there is no other. Nobody's token
stands behind the samples, so that a metered source's never count as its own. A record is taken in the transaction that records its
position. What cannot be read, breaks the contract's rules or has rows that are refused becomes a dead letter; rows that are good are
stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh.broker import Broker
from eil_mesh.errors import EilError, InvalidArgument
from eil_mesh.feed import Arrival
from eil_mesh.follower import Follower
from eil_mesh.kafka_feed import KafkaFeed, raw_event
from eil_mesh.layers import validate
from eil_mesh.store import Store, Tx
from google.protobuf.message import DecodeError

from eil_regime import batch
from eil_regime.ingest import Ingest
from eil_regime.settings import RegimeSettings

TOPIC: Final = "eil.sense.inbox."
NAME: Final = "inbox"
"""What positions and dead letters are kept under."""
NOBODY: Final = ""
"""The sender: no token has this subject, and no source this credential."""
PAGE: Final = 32
"""Records of one transaction at most: they may hold 10,000 rows each."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A record, read and found good by the contract's rules."""

    tenant: str
    request: regime_pb2.IngestRequest
    rows: batch.Batch


def inbox(settings: RegimeSettings, store: Store, ingest: Ingest, tenants: Sequence[str]) -> Follower:
    """The follower of the tenants' topics."""

    def take(tx: Tx, parcel: Parcel) -> str | None:
        answer = ingest.answer(tx, parcel.tenant, parcel.request, parcel.rows, NOBODY)
        return _refused(answer) if answer.rejected_count else None

    feed = KafkaFeed(Broker(settings), [TOPIC + tenant for tenant in tenants], arrival_of, page=PAGE)
    return Follower(store, NAME, feed, take, prepare=parcel_of)


def arrival_of(stream: str, topic: str, record: Any) -> Arrival:
    """A record as it arrives, read in the feed's thread while the page before it is stored."""
    event = raw_event(topic, record)
    event.tenant, event.key = topic.removeprefix(TOPIC), (record.key or b"").decode(errors="replace")
    try:
        return Arrival(stream, record.offset + 1, event, parcel_of(event))
    except EilError as error:
        return Arrival(stream, record.offset + 1, event, flaw=f"{error.reason}: {error.message}")


def parcel_of(event: event_log_pb2.Event) -> Parcel:
    """What is in a record.

    Raises:
        InvalidArgument: it is no IngestRequest, or breaks the contract's rules.
    """
    try:
        request = regime_pb2.IngestRequest.FromString(event.payload)
    except DecodeError as error:
        raise InvalidArgument(f"the record is no serialized eil.regime.v1.IngestRequest: {error}") from None
    validate(request)
    if event.key and event.key != request.source:
        raise InvalidArgument(
            f"the record's key is {event.key!r} and its source {request.source!r}; use the source as key, so that its batches stay in order"
        )
    return Parcel(event.tenant, request, batch.of_request(request))


def _refused(answer: regime_pb2.IngestResponse) -> str:
    first = answer.rejected[0]
    return f"{answer.rejected_count} rows were refused, the others are stored; row {first.row}: {first.reason}: {first.message}"
