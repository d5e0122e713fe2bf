"""Messages as JSON schema 2020-12, in the form in which the door reads and writes them."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from eil_gateway.openapi_rules import (
    FLOATS,
    INT32,
    INT64,
    NOT_NEGATIVE,
    UINT32,
    UINT64,
    constraints,
    is_map,
    refused_if_absent,
    rules_of,
    words_of,
)
from eil_gateway.xds import Json

NOT_FINITE = "^(NaN|-?Infinity)$"
"""How JSON writes what is no number."""
WELL_KNOWN: Mapping[str, Json] = {
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
    "google.protobuf.DoubleValue": {"type": "number", "format": "double"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.FloatValue": {"type": "number", "format": "float"},
    "google.protobuf.Int32Value": {"type": "integer", "format": "int32"},
    "google.protobuf.Int64Value": {"type": "string", "format": "int64"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.UInt32Value": {"type": "integer", "format": "uint32", "minimum": 0},
    "google.protobuf.UInt64Value": {"type": "string", "format": "uint64"},
    "google.protobuf.Value": {},
}
"""Messages that JSON writes in a form of their own."""


def reachable(messages: Iterable[Descriptor]) -> set[str]:
    """Full names of the messages and of all that they hold."""
    found: set[str] = set()
    left = list(messages)
    while left:
        message = left.pop()
        if message.full_name not in found:
            found.add(message.full_name)
            left += [field.message_type for field in message.fields if field.message_type is not None]
    return found


def _scalar(field: FieldDescriptor) -> Json:
    if field.type in INT32:
        return {"type": "integer", "format": "int32"}
    if field.type in UINT32:
        return {"type": "integer", "format": "uint32", "minimum": 0}
    if field.type in INT64:
        return {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
    if field.type in UINT64:
        return {"type": "string", "format": "uint64", "pattern": NOT_NEGATIVE}
    if field.type in FLOATS:
        return {"type": "number", "format": FLOATS[field.type]}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return {"type": "boolean" if field.type == FieldDescriptor.TYPE_BOOL else "string"}


class Schemas:
    """Schemas of messages and enums, each once under its full name.

    What clients send has the rules as constraints, and those fields required that the rules ask for. What only the services send has all
    required that the door always writes, zeroes too, and no constraints: rules are kept for requests alone.
    """

    def __init__(self, comments: Mapping[str, str], sent: Iterable[Descriptor]) -> None:
        """`comments` by full name, as descriptions; `sent`: the messages that clients send."""
        self._comments, self._sent = comments, reachable(sent)
        self._wanted: dict[str, Descriptor | EnumDescriptor] = {}

    def ref(self, kind: Descriptor | EnumDescriptor) -> Json:
        """A reference to a message or enum, which thereby becomes a component."""
        self._wanted[kind.full_name] = kind
        return {"$ref": f"#/components/schemas/{kind.full_name}"}

    def components(self) -> dict[str, Json]:
        """Everything referred to, by full name, sorted."""
        built: dict[str, Json] = {}
        while missing := self._wanted.keys() - built.keys():
            for name in sorted(missing):
                kind = self._wanted[name]
                built[name] = self._enum(kind) if isinstance(kind, EnumDescriptor) else self.message(kind)
        return dict(sorted(built.items()))

    def message(self, message: Descriptor, without: Container[str] = ()) -> Json:
        """A message's own schema, without some of its fields."""
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        fields = [field for field in message.fields if field.name not in without]
        schema: Json = {"type": "object", **self._described(message.full_name)}
        if fields:
            schema["properties"] = {field.name: self.field(field) for field in fields}
        words: list[str] = []
        if message.full_name in self._sent:
            extension: Any = validate_pb2.message
            needed, words = refused_if_absent(message), words_of(message.GetOptions().Extensions[extension])
        else:
            needed = {field.name for field in fields if not field.has_presence}
        if required := [field.name for field in fields if field.name in needed]:
            schema["required"] = required
        return schema | _choices(message) | ({"x-eil-rules": words} if words else {})

    def field(self, field: FieldDescriptor) -> Json:
        """A field's schema with its description."""
        holder: Any = field.containing_type
        rules = rules_of(field) if holder.full_name in self._sent else validate_pb2.FieldRules()
        if is_map(field):
            entry: Any = field.message_type
            keys, values = entry.fields_by_name["key"], entry.fields_by_name["value"]
            schema: Json = {"type": "object", "additionalProperties": self._value(values, rules.map.values)}
            if keys.type == FieldDescriptor.TYPE_STRING and (names := constraints(keys, rules.map.keys)):
                schema["propertyNames"] = names
            schema |= constraints(field, rules, many=True)
        elif field.is_repeated:
            items = self._value(field, rules.repeated.items)
            schema = {"type": "array", "items": items, **constraints(field, rules, many=True)}
        else:
            schema = self._value(field, rules)
        if field.GetOptions().deprecated:
            schema["deprecated"] = True
        return self._described(field.full_name) | schema

    def _value(self, field: FieldDescriptor, rules: Any) -> Json:
        """One value of the field: itself, or one of its items."""
        if field.message_type is not None:
            name = field.message_type.full_name
            schema = dict(WELL_KNOWN[name]) if name in WELL_KNOWN else self.ref(field.message_type)
        elif field.enum_type is not None:
            schema = self.ref(field.enum_type)
        else:
            schema = _scalar(field)
        own = constraints(field, rules)
        holder: Any = field.containing_type
        if field.type in FLOATS and holder.full_name in self._sent:
            free = not own and not getattr(rules, FLOATS[field.type]).finite
            own |= {"type": ["number", "string"], "pattern": NOT_FINITE} if free else {}
        return schema | own

    def _enum(self, enum: EnumDescriptor) -> Json:
        names = [value.name for value in enum.values]
        about = [f"* `{name}`: {self._comments.get(f'{enum.full_name}.{name}', '')}" for name in names]
        described = "\n".join([self._comments.get(enum.full_name, ""), "", *about]).strip()
        return {"type": "string", "description": described, "enum": names}

    def _described(self, name: str) -> Json:
        text = self._comments.get(name)
        return {"description": text} if text else {}


def _choices(message: Descriptor) -> Json:
    """Oneofs: one of the members is there, or none where the rules do not ask for one."""
    of_message: Any = validate_pb2.message
    of_oneof: Any = validate_pb2.oneof
    choices = [(list(rule.fields), rule.required) for rule in message.GetOptions().Extensions[of_message].oneof]
    for oneof in message.oneofs:
        if not oneof.name.startswith("_"):  # a single `optional` field is a oneof of this name
            names = [field.name for field in oneof.fields]
            choices.append((names, oneof.GetOptions().Extensions[of_oneof].required))
    schemas: list[Json] = []
    for names, required in choices:
        one = [{"required": [name]} for name in names]
        none = [] if required else [{"not": {"anyOf": one}}]
        schemas.append({"oneOf": [*one, *none]})
    return {"allOf": schemas} if len(schemas) > 1 else schemas[0] if schemas else {}
