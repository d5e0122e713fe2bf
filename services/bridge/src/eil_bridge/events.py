"""Events as JSON: which service keeps which topic, and what a topic's payload is."""

import asyncio
import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from eil.events.v1 import event_log_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

log = structlog.get_logger("eil.stream")
LARGE = 64 * 1024
"""Bytes of a payload that is written as JSON beside the event loop."""
LARGEST_PAYLOAD = 4 * 1024 * 1024
"""Bytes of a payload that is sent; a larger one is left out, and the event says so."""
_FLOATING = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: the service whose journal it stands in, and its message."""

    service: str
    message: str


TOPICS: Mapping[str, Topic] = {
    "eil.sense.telemetry": Topic("regime", "TelemetryRecord"),
    "eil.regime.shifts": Topic("regime", "RegimeShift"),
    "eil.act.actions": Topic("decision", "Decision"),
    "eil.act.controls": Topic("decision", "Control"),
    "eil.proof.verdicts": Topic("proof", "Verdict"),
    "eil.proof.verifications": Topic("proof", "Verification"),
    "eil.economy.entries": Topic("economy", "TransferRecord"),
    "energy.diffusion.events": Topic("diffusion", "Run"),
}
"""Every topic of the mesh."""
BY_SERVICE: Mapping[str, list[str]] = {
    service: [topic for topic, kind in TOPICS.items() if kind.service == service]
    for service in sorted({kind.service for kind in TOPICS.values()})
}
"""The same, by the service that keeps them."""


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON values, written as REST writes it: names as in the protos, defaults included, NaN and ±∞ as null."""
    tree = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    _null(message.DESCRIPTOR, tree)
    return tree


def _null(descriptor: Any, tree: dict[str, Any]) -> None:
    """protobuf writes NaN as the string "NaN": where a number belongs, null says it better."""
    for field in descriptor.fields:
        value = tree.get(field.name)
        if value is None:
            continue
        if field.message_type is not None:
            if not field.message_type.GetOptions().map_entry:
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, dict):  # well-known types are written as strings
                        _null(field.message_type, part)
        elif field.cpp_type in _FLOATING:
            tree[field.name] = [_finite(part) for part in value] if isinstance(value, list) else _finite(value)


def _finite(value: float | str) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


@cache
def _message(topic: str) -> type[Message]:
    # Imported when first seen: a bridge that nobody streams from does not load the contracts.
    kind = TOPICS[topic]
    return getattr(importlib.import_module(f"eil.{kind.service}.v1.{kind.service}_pb2"), kind.message)


def members(event: event_log_pb2.Event) -> bytes:
    """An event of one of TOPICS as the members of a JSON object, in one line and without its braces.

    `payload` is null if it was erased. It is null, too, if it cannot be shown; then `omitted` says why.
    """
    tree: dict[str, Any] = {
        "topic": event.topic,
        "service": TOPICS[event.topic].service,
        "offset": event.offset,
        "time": event.time.ToJsonString(),
        "key": event.key,
        "payload": None,
    }
    if len(event.payload) > LARGEST_PAYLOAD:
        tree["omitted"] = f"the payload has {len(event.payload)} bytes, too many for a stream; ask the service for it"
    elif event.payload:
        try:
            tree["payload"] = plain(_message(event.topic).FromString(event.payload))
        except DecodeError:
            log.error("event not understood", offset=event.offset, topic=event.topic, tenant=event.tenant)
            tree["omitted"] = "this version of the bridge does not understand the payload; ask the service for it"
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()[1:-1]


async def written(event: event_log_pb2.Event) -> bytes:
    """The same, beside the event loop where that would stop it."""
    return await asyncio.to_thread(members, event) if len(event.payload) > LARGE else members(event)
