"""buf.validate's rules as constraints of JSON schema."""

import base64
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from eil_gateway.xds import Json

INT32 = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32}
UINT32 = {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32}
INT64 = {FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64}
UINT64 = {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64}
FLOATS = {FieldDescriptor.TYPE_FLOAT: "float", FieldDescriptor.TYPE_DOUBLE: "double"}
NOT_NEGATIVE, POSITIVE = "^[0-9]+$", "^0*[1-9][0-9]*$"
BOUNDS = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}
SIZES = {
    "len": ("minLength", "maxLength"),
    "min_len": ("minLength",),
    "max_len": ("maxLength",),
    "min_items": ("minItems",),
    "max_items": ("maxItems",),
    "min_pairs": ("minProperties",),
    "max_pairs": ("maxProperties",),
}
FORMATS = ("email", "hostname", "ipv4", "ipv6", "uri", "uuid")
NO_CONSTRAINT = ("items", "keys", "values", "finite", "defined_only")
"""Rules whose content stands elsewhere in the schema, or that JSON and the closed list of names keep by themselves."""

WORDS_ONLY = ("any", "duration", "field_mask", "timestamp")
"""Kinds of rules for which JSON schema has nothing."""


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def rules_of(field: FieldDescriptor) -> Any:
    """The field's rules, empty where it has none (`buf.validate.FieldRules`)."""
    extension: Any = validate_pb2.field  # the generated type is that of any extension
    return field.GetOptions().Extensions[extension]


def refused_if_absent(message: Descriptor) -> set[str]:
    """Fields and oneofs for whose want the rules refuse an empty message: required ones, and fields whose zero breaks a rule."""
    empty = message_factory.GetMessageClass(message)()
    named: set[str] = set()
    for violation in protovalidate.collect_violations(empty):
        path: Any = violation.proto.field
        named |= {element.field_name for element in path.elements[:1]} if path else set()
    return named


def _number(field: FieldDescriptor, value: Any) -> Any:
    """A float rule as it was written: 0.1, not 0.10000000149; 5, not 5.0."""
    if field.type == FieldDescriptor.TYPE_FLOAT:
        value = float(f"{value:.7g}")
    return int(value) if value == round(value) and abs(value) < 2**53 else value


def _json(field: FieldDescriptor, value: Any) -> Any:
    """A single value of the field, as JSON has it."""
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.type in INT64 | UINT64:
        return str(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    return _number(field, value) if field.type in FLOATS else value


def _zero(field: FieldDescriptor, many: bool) -> Json:
    """A field that is as good as absent."""
    if many:
        return {"maxProperties": 0} if is_map(field) else {"maxItems": 0}
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return {"maxLength": 0}
    return {"const": _json(field, False if field.type == FieldDescriptor.TYPE_BOOL else 0)}


def _bound(field: FieldDescriptor, name: str, value: Any) -> Json | None:
    if field.type not in INT64 | UINT64:
        return {BOUNDS[name]: _number(field, value)}
    if (name, value) == ("gte", 0):  # strings have no least value, but signs show
        return {"pattern": NOT_NEGATIVE}
    return {"pattern": POSITIVE} if (name, value) in {("gt", 0), ("gte", 1)} else None


def _size(field: FieldDescriptor, name: str, value: int) -> Json:
    if field.type == FieldDescriptor.TYPE_BYTES:  # four characters for three bytes, the last ones padded or not
        least, most = -(-4 * value // 3), 4 * -(-value // 3)
        return {size: least if size == "minLength" else most for size in SIZES[name]}
    return {size: value for size in SIZES[name]}


def _constraint(field: FieldDescriptor, name: str, value: Any) -> Json | None:
    """One rule as a constraint; None if JSON schema cannot say it."""
    if name in BOUNDS:
        return _bound(field, name, value)
    if name in SIZES:
        return _size(field, name, value)
    if name in NO_CONSTRAINT:
        return {}
    match name:
        case "const":
            return {"const": _json(field, value)}
        case "in":
            return {"enum": [_json(field, one) for one in value]}
        case "not_in":
            return {"not": {"enum": [_json(field, one) for one in value]}}
        case "pattern" if field.type == FieldDescriptor.TYPE_STRING:
            return {"pattern": value}
        case "unique":
            return {"uniqueItems": value}
        case "example":
            return {"examples": [_json(field, one) for one in value]}
    return {"format": name} if name in FORMATS and value else None


def words_of(rules: Any) -> list[str]:
    """What rules in CEL say."""
    return [rule.message or rule.expression for rule in rules.cel] + list(rules.cel_expression)


def constraints(field: FieldDescriptor, rules: Any, many: bool = False) -> Json:
    """The rules as constraints on the field's value, or on a list or map as a whole (`many`).

    What JSON schema cannot say stands in words under `x-eil-rules`.
    """
    if rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return {}
    unsure = many or (field.message_type is None and not field.has_presence)  # zero is as good as absent
    schema: Json = {"not": _zero(field, many)} if rules.required and unsure else {}
    words = words_of(rules)
    kind = rules.WhichOneof("type")
    for rule, value in getattr(rules, kind).ListFields() if kind else ():
        constraint = None if kind in WORDS_ONLY else _constraint(field, rule.name, value)
        if constraint is None:
            plain = MessageToDict(value) if isinstance(value, Message) else value
            words.append(f"{kind}.{rule.name}: {plain}")
        else:
            schema |= constraint
    if schema and rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        schema = {"anyOf": [_zero(field, many), schema]}
    return schema | ({"x-eil-rules": words} if words else {})
