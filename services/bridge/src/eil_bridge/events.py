"""Events as JSON: which service keeps which topic, and what a topic's payload is."""

import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eil.events.v1 import event_log_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

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


def to_json(event: event_log_pb2.Event) -> str:
    """An event of one of TOPICS as a line of JSON. `payload` is null if it was erased, or is too large to be sent.

    Raises:
        google.protobuf.message.DecodeError: the payload is not the topic's message.
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
        tree["payload"] = plain(_message(event.topic).FromString(event.payload))
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
