"""The schemas of the OpenAPI document agree with protobuf's JSON and with the rules: what the one refuses, the other refuses."""

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import protovalidate
import pytest
from eil_gateway.openapi_paths import bindings
from eil_gateway.openapi_rules import is_map, refused_if_absent
from eil_gateway.openapi_schema import Schemas, reachable
from eil_mesh.services import SERVICES
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from hypothesis import Phase, find, settings
from hypothesis.strategies import from_regex
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

REPOSITORY = Path(__file__).parents[2]
ALL = [name for name, service in SERVICES.items() if service.grpc]


@cache
def mesh() -> dict[str, Any]:
    """Schemas of all that the methods take and answer, also where the document has them as parameters."""
    found = list(bindings(ALL))
    schemas = Schemas({}, sent=[binding.descriptor.input_type for binding in found])
    for binding in found:
        schemas.ref(binding.descriptor.input_type)
        schemas.ref(binding.descriptor.output_type)
    return {"components": {"schemas": schemas.components()}}


def schema_of(name: str) -> dict[str, Any]:
    return mesh()["components"]["schemas"][name]


def own(names: set[str]) -> list[str]:
    return sorted(name for name in names & mesh()["components"]["schemas"].keys() if name.startswith("eil."))


@cache
def sent() -> list[str]:
    """Messages that clients send, whole or in others."""
    return own(reachable(binding.descriptor.input_type for binding in bindings(ALL)))


@cache
def only_answered() -> list[str]:
    """Messages that services alone send."""
    return own(reachable(binding.descriptor.output_type for binding in bindings(ALL)) - set(sent()))


@cache
def wholly_said() -> list[str]:
    """Messages that clients send, of whose rules none stands in words."""

    def words(name: str) -> bool:
        held = own(reachable([message_type(name).DESCRIPTOR]))
        return any("x-eil-rules" in json.dumps(schema_of(one)) for one in held)

    return [name for name in sent() if not words(name)]


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    registry: Any = Registry().with_resource("urn:doc", Resource(contents=mesh(), specification=DRAFT202012))
    return jsonschema.Draft202012Validator({"$ref": f"urn:doc#/components/schemas/{name}"}, registry=registry)


def message_type(name: str) -> Any:
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def accepted(name: str, value: Any) -> bool:
    """Whether protobuf's JSON and the rules take it."""
    try:
        return not protovalidate.collect_violations(ParseDict(value, message_type(name)()))
    except ParseError:
        return False


def filled(message: Any, depth: int = 0) -> Any:
    """Something in every field, of oneofs in the last member; nothing in maps to messages."""
    one: dict[int, Any] = {
        FieldDescriptor.TYPE_STRING: "a",
        FieldDescriptor.TYPE_BYTES: b"a",
        FieldDescriptor.TYPE_BOOL: True,
    }
    for field in message.DESCRIPTOR.fields:
        inner, held = field.message_type, getattr(message, field.name)
        if is_map(field):
            key, value = inner.fields_by_name["key"], inner.fields_by_name["value"]
            if value.message_type is None:
                held[one.get(key.type, 1)] = one.get(value.type, 1)
        elif inner is not None and depth < 5:
            part = held.add() if field.is_repeated else held
            part.SetInParent()
            filled(part, depth + 1)
        elif inner is None and field.is_repeated:
            held.append(one.get(field.type, 1))
        elif inner is None:
            setattr(message, field.name, one.get(field.type, 1))
    return message


def as_the_door_writes(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def test_answers_fit_their_schemas() -> None:
    assert len(only_answered()) > 50
    for name in only_answered():
        kind = message_type(name)
        held = reachable([kind.DESCRIPTOR])
        for answer in (kind(), *([] if held & set(sent()) else [filled(kind())])):  # what requests hold keeps rules
            errors = list(validator(name).iter_errors(as_the_door_writes(answer)))
            assert not errors, (name, errors[0].message)
        assert not validator(name).is_valid([])


@cache
def matching(pattern: str) -> str:
    """A string that a pattern allows, the same every time."""
    once = settings(database=None, deadline=None, derandomize=True, phases=[Phase.generate])
    return find(from_regex(pattern), lambda text: "\n" not in text, settings=once)


def example(schema: dict[str, Any], full: bool, depth: int = 0) -> Any:
    """What the schema allows: all fields (`full`), or those that are required."""
    if "$ref" in schema:
        schema = {**schema_of(schema["$ref"].rpartition("/")[2]), **schema}
        del schema["$ref"]
    if "anyOf" in schema:
        schema = {**schema, **schema["anyOf"][-1]}
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next(one for one in reversed(schema["enum"]) if one not in schema.get("not", {}).get("enum", []))
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if kind == "array":
        return [example(schema["items"], full, depth + 1) for _ in range(schema.get("minItems", 1))]
    if kind == "object":
        return example_object(schema, full, depth)
    if kind == "string":
        return example_text(schema)
    if kind == "boolean":
        return True
    return example_number(schema, 1 if kind == "integer" else 1e-3)


def example_number(schema: dict[str, Any], step: float) -> float:
    most = schema.get("maximum", schema.get("exclusiveMaximum", 1) - step)
    return schema.get("minimum", schema.get("exclusiveMinimum", min(0, most) - step) + step)


def example_text(schema: dict[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "2025-01-20T12:00:00Z"
    if "contentEncoding" in schema:
        return "A" * (-(-schema.get("minLength", 1) // 4) * 4)
    return matching(schema["pattern"]) if "pattern" in schema else "a" * max(1, schema.get("minLength", 1))


def example_object(schema: dict[str, Any], full: bool, depth: int) -> dict[str, Any]:
    if "additionalProperties" in schema:
        name = example_text({"type": "string", **schema.get("propertyNames", {})})
        return {name: example(schema["additionalProperties"], full, depth + 1)}
    names = set(schema.get("properties", {}) if full and depth < 5 else schema.get("required", []))
    for choice in (one["oneOf"] for one in [schema, *schema.get("allOf", [])] if "oneOf" in one):
        members = [one["required"][0] for one in choice if "required" in one]
        may_be_none = any("not" in one for one in choice)
        names -= set(members)
        names |= set() if may_be_none and not full else {members[0]}
    return {name: example(schema["properties"][name], full, depth + 1) for name in sorted(names)}


def test_what_the_schemas_allow_the_rules_allow() -> None:
    assert len(wholly_said()) > 80
    for name in wholly_said():
        for full in (False, True):
            value = example(schema_of(name), full)
            assert validator(name).is_valid(value), (name, value)
            assert accepted(name, value), (name, value)


def test_an_empty_message_is_refused_by_both_or_by_neither() -> None:
    verdicts = {name: validator(name).is_valid({}) for name in sent()}
    assert verdicts == {name: accepted(name, {}) for name in sent()}
    assert set(verdicts.values()) == {True, False}


def broken(schema: dict[str, Any], good: Any) -> Iterator[tuple[str, Any]]:
    """(constraint, a value that breaks it) for a field that has a good value."""
    for key, value in schema.items():
        match key:
            case "minimum" | "exclusiveMinimum":
                yield key, value - (key == "minimum")
            case "maximum" | "exclusiveMaximum":
                yield key, value + (key == "maximum")
            case "minLength":
                yield key, ""
            case "maxLength" if value < 100_000:
                yield key, "A" * (4 * (value // 4 + 1))
            case "pattern":
                bad = (text for text in ("", "0", "-1", " !") if not re.search(value, text))
                yield from ((key, text) for text in islice(bad, 1))
            case "enum":
                yield key, "no such"
            case "minItems":
                yield key, []
            case "maxItems" if value < 2000:
                yield key, (good * (value + 1))[: value + 1]
            case "uniqueItems":
                yield key, [good[0], good[0]]
            case "minProperties":
                yield key, {}
            case "maxProperties":
                yield key, {f"k{number}": next(iter(good.values())) for number in range(value + 1)}
            case "items":
                yield from ((f"items.{inner}", [bad]) for inner, bad in broken(value, good[0]) if "$ref" not in value)
            case "additionalProperties":
                name, one = next(iter(good.items()))
                yield from ((f"values.{inner}", {name: bad}) for inner, bad in broken(value, one))
            case "propertyNames":
                yield from ((f"keys.{inner}", {bad: next(iter(good.values()))}) for inner, bad in broken(value, ""))


def test_what_breaks_a_constraint_breaks_a_rule() -> None:
    seen: set[str] = set()
    for name in wholly_said():
        schema = schema_of(name)
        whole = example(schema, full=True)
        for field, good in whole.items():
            for constraint, bad in broken(schema["properties"][field], good):
                seen.add(constraint)
                value = {**whole, field: bad}
                assert not validator(name).is_valid(value), (name, field, constraint)
                assert not accepted(name, value), (name, field, constraint)
    assert {"minimum", "maximum", "exclusiveMinimum", "maxLength", "pattern", "enum", "maxItems"} <= seen
    assert {"items.minimum", "minProperties", "keys.pattern", "uniqueItems"} <= seen


def test_requests_of_the_handbook_fit() -> None:
    sense = {"source": "dc-01", "timestamp": "2025-01-20T12:00:00Z", "telemetry": {"power_draw": 850.5}}
    assert validator("eil.regime.v1.SenseRequest").is_valid(sense)
    assert not validator("eil.regime.v1.SenseRequest").is_valid({**sense, "telemetry": {"power draw": 1}})
    act = {"goal": "minimize_energy", "current_state": {"active_servers": 12, "avg_utilization": 0.68}}
    assert validator("eil.decision.v1.ActRequest").is_valid(act)
    column = {"name": "power_draw", "values": [1.5, "NaN"]}
    assert validator("eil.regime.v1.Column").is_valid(column)
    assert not validator("eil.regime.v1.Column").is_valid({**column, "values": ["much"]})


RULES = """
syntax = "proto3";
package eil.openapi_test.v1;
import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";
message Held {
  option (buf.validate.message).cel = {id: "order", message: "a is before b", expression: "true"};
  bytes hash = 1 [(buf.validate.field).bytes.len = 32];
  uint64 size = 2 [(buf.validate.field).uint64 = {gte: 1, lte: 9}];
  google.protobuf.Duration wait = 3 [(buf.validate.field).duration.lte = {seconds: 3}];
  repeated string names = 4 [(buf.validate.field).required = true, (buf.validate.field).repeated.items.required = true];
  float share = 5 [(buf.validate.field).float.lte = 0.1];
  optional int64 maybe = 6 [(buf.validate.field).required = true];
  string code = 7 [(buf.validate.field).ignore = IGNORE_ALWAYS, (buf.validate.field).string.min_len = 5];
  oneof one { bool a = 8; string b = 9; }
  oneof other { bool c = 10; string d = 11; }
  bool sure = 12 [(buf.validate.field).required = true];
  int32 old = 13 [deprecated = true];
  Kind kind = 14 [(buf.validate.field).enum = {not_in: [0]}];
}
enum Kind { KIND_UNSPECIFIED = 0; KIND_GOOD = 1; }
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A message with rules that the protos do not have, in the default pool."""
    from grpc_tools import protoc

    folder = tmp_path_factory.mktemp("protos")
    (folder / "held.proto").write_text(RULES)
    out = folder / "held.binpb"
    imports = [folder, REPOSITORY / ".venv/protos", Path(protoc.__file__).with_name("_proto")]
    assert protoc.main(["protoc", *(f"-I{path}" for path in imports), f"--descriptor_set_out={out}", "held.proto"]) == 0
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    return descriptor_pool.Default().FindMessageTypeByName("eil.openapi_test.v1.Held")


def test_rules_that_no_proto_has_yet(held: Any) -> None:
    schema = Schemas({}, sent=[held]).message(held)
    fields = schema["properties"]
    assert fields["hash"] == {"type": "string", "contentEncoding": "base64", "minLength": 43, "maxLength": 44}
    assert fields["size"]["pattern"] == "^0*[1-9][0-9]*$"
    assert fields["size"]["x-eil-rules"] == ["uint64.lte: 9"]
    assert fields["wait"]["x-eil-rules"] == ["duration.lte: 3s"]
    assert fields["names"] == {
        "type": "array",
        "items": {"type": "string", "not": {"maxLength": 0}},
        "not": {"maxItems": 0},
    }
    assert fields["share"]["maximum"] == 0.1
    assert fields["code"] == {"type": "string"}
    assert fields["sure"] == {"type": "boolean", "not": {"const": False}}
    assert fields["old"]["deprecated"]
    assert fields["kind"]["not"] == {"enum": ["KIND_UNSPECIFIED"]}
    assert schema["required"] == ["hash", "size", "names", "maybe", "sure", "kind"]
    assert len(schema["allOf"]) == 2
    assert schema["x-eil-rules"] == ["a is before b"]
    assert refused_if_absent(held) == set(schema["required"])
    written = Schemas({}, sent=[]).message(held)
    assert "maybe" not in written["required"], "the door does not write an optional field that is not there"
    assert {"names", "share", "old"} <= set(written["required"])
