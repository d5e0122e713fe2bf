"""REST operations of OpenAPI: one for each `google.api.http` binding of a method that some role may call."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from eil_gateway.contract import Method, own_methods
from eil_gateway.openapi_rules import is_map, refused_if_absent
from eil_gateway.openapi_schema import WELL_KNOWN, Schemas
from eil_gateway.policy import grants
from eil_gateway.xds import Json

DESCRIBED = (400, 401, 403, 404, 429, 503)
"""Statuses of refusals that every operation names; `default` stands for all others."""
REQUEST_ID: Json = {"$ref": "#/components/headers/RequestId"}
IDEMPOTENCY_KEY: Json = {
    "name": "idempotency-key",
    "in": "header",
    "description": "Stands for `request_id`: the same id and body get the stored answer for 7 days, the same id with another body 409.",
    "schema": {"type": "string"},
}
STREAM = (
    "A stream: one JSON array; with `Accept: application/x-ndjson` a JSON object a line; with `Accept: text/event-stream`"
    " an event for each object, its JSON after `data: `. A stream that fails after its first object ends with one more, which has `error`,"
    " a google.rpc.Status; what ends without its closing bracket, or by a reset, was cut off."
)
"""How the door writes the stream of a service."""


def response_name(status: int) -> str:
    """Name of the component that is the refusal with this HTTP status."""
    return HTTPStatus(status).phrase.replace(" ", "")


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to call a method by REST."""

    method: Method
    descriptor: MethodDescriptor
    verb: str
    template: str
    """The path as the proto has it."""
    body: str
    """Field that the body is; "*" is all fields that the path does not take, "" none."""
    number: int
    """0 for the method's first binding."""

    @property
    def primary_id(self) -> str:
        """Operation id of the method's first binding."""
        return f"{self.descriptor.containing_service.name}_{self.descriptor.name}"

    @property
    def operation_id(self) -> str:
        """Operation id."""
        return f"{self.primary_id}_{self.number + 1}" if self.number else self.primary_id


def _descriptor(path: str) -> MethodDescriptor:
    """The method at a gRPC path."""
    pool: Any = descriptor_pool.Default()  # the types lack FindMethodByName
    return pool.FindMethodByName(path.removeprefix("/").replace("/", "."))


def bindings(services: Sequence[str]) -> Iterator[Binding]:
    """Every binding of the services' methods that some role may call."""
    http: Any = annotations_pb2.http  # the generated type is that of any extension
    for method in own_methods():
        descriptor = _descriptor(method.path)
        if method.service not in services or not method.access.roles or not descriptor.GetOptions().HasExtension(http):
            continue
        first: http_pb2.HttpRule = descriptor.GetOptions().Extensions[http]
        for number, rule in enumerate([first, *first.additional_bindings]):
            verb = rule.WhichOneof("pattern") or "get"
            template = rule.custom.path if verb == "custom" else getattr(rule, verb)
            verb = rule.custom.kind.lower() if verb == "custom" else verb
            if rule.response_body:
                raise NotImplementedError(f"{method.path}: response_body has no form in the document yet; add it here")
            yield Binding(method, descriptor, verb, template, rule.body, number)


def openapi_path(template: str) -> tuple[str, dict[str, str]]:
    """A proto's path as OpenAPI has it, and its parameters with the pattern of each, "" for one segment.

    A parameter that can have but one value is no parameter: `{picture=map.png}` is `map.png`.
    """
    parameters: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        name, segments = match[1], match[2] or "*"
        if "*" not in segments:
            return segments
        patterns = (
            ".+" if part == "**" else "[^/]+" if part == "*" else re.escape(part) for part in segments.split("/")
        )
        parameters[name] = "" if segments == "*" else f"^{'/'.join(patterns)}$"
        return f"{{{name}}}"

    return re.sub(r"\{([^=}]+)(?:=([^}]*))?\}", replaced, template), parameters


def _taken(template: str) -> list[str]:
    """Fields that a path takes, also those that can have but one value there."""
    return re.findall(r"\{([^=}]+)", template)


def _field(message: Descriptor, path: str) -> FieldDescriptor:
    """The field at a dotted path."""
    name, _, rest = path.partition(".")
    field = message.fields_by_name[name]
    return _field(field.message_type, rest) if rest and field.message_type is not None else field


def _queried(
    message: Descriptor, prefix: str = "", above: tuple[str, ...] = ()
) -> Iterator[tuple[str, FieldDescriptor, bool]]:
    """(dotted name, field, whether it must be given) of what a query may say: no maps, no lists of messages."""
    needed = refused_if_absent(message) if not above else set()
    for field in message.fields:
        inner = field.message_type
        if inner is None or (inner.full_name in WELL_KNOWN and not field.is_repeated):
            yield prefix + field.name, field, field.name in needed
        elif not field.is_repeated and not is_map(field) and inner.full_name not in above:
            yield from _queried(inner, f"{prefix}{field.name}.", (*above, message.full_name))


def _parameter(name: str, place: str, schema: Json, required: bool) -> Json:
    about = {"description": schema.pop("description")} if "description" in schema else {}
    return {"name": name, "in": place, **about, **({"required": True} if required else {}), "schema": schema}


def _parameters(binding: Binding, schemas: Schemas) -> list[Json]:
    request = binding.descriptor.input_type
    listed: list[Json] = []
    for name, pattern in openapi_path(binding.template)[1].items():
        schema = schemas.field(_field(request, name))
        listed.append(_parameter(name, "path", schema | ({"pattern": pattern} if pattern else {}), True))
    if binding.body != "*":
        gone = {binding.body, *_taken(binding.template)}
        for name, field, required in _queried(request):
            if name not in gone and name.partition(".")[0] != binding.body:
                listed.append(_parameter(name, "query", schemas.field(field), required))
    if "request_id" in request.fields_by_name and "request_id" not in refused_if_absent(request):
        listed.append(dict(IDEMPOTENCY_KEY))
    return listed


def _body(binding: Binding, schemas: Schemas) -> Json:
    """The request body, or nothing."""
    request = binding.descriptor.input_type
    if not binding.body:
        return {}
    if binding.body != "*":
        schema, needed = schemas.field(request.fields_by_name[binding.body]), binding.body in refused_if_absent(request)
    else:
        taken = set(_taken(binding.template))
        schema = schemas.message(request, without=taken) if taken else schemas.ref(request)
        needed = bool(refused_if_absent(request) - taken)
    if binding.descriptor.client_streaming:
        schema, needed = {"type": "array", "items": schema}, True
    return {"requestBody": {"required": needed, "content": {"application/json": {"schema": schema}}}}


def _answer(binding: Binding, schemas: Schemas, about: Mapping[str, str]) -> Json:
    """The answer where all went well."""
    response = binding.descriptor.output_type
    described = about.get(response.full_name, "The content itself.")
    if response.full_name == "google.api.HttpBody":
        content: Json = {"*/*": {}}
    elif binding.descriptor.server_streaming:
        one = {"schema": schemas.ref(response)}
        described += f"\n\n{STREAM}"
        whole = {"schema": {"type": "array", "items": schemas.ref(response)}}
        content = {"application/json": whole, "application/x-ndjson": one, "text/event-stream": one}
    else:
        content = {"application/json": {"schema": schemas.ref(response)}}
    return {"description": described, "headers": {"x-request-id": REQUEST_ID}, "content": content}


def operation(binding: Binding, schemas: Schemas, about: Mapping[str, str]) -> Json:
    """The operation of a binding; `about` has the descriptions by full name."""
    options = binding.descriptor.GetOptions()
    text = about.get(binding.descriptor.full_name, "")
    summary = re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
    described: Json = {
        "operationId": binding.operation_id,
        "tags": [binding.descriptor.containing_service.name],
        "summary": summary.removesuffix("."),
        **({"description": text} if text != summary else {}),
        "x-eil-roles": sorted(grants()[binding.method.path]),
    }
    if options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN:
        described["x-eil-idempotency"] = MethodOptions.IdempotencyLevel.Name(options.idempotency_level)
    if binding.number:
        described["x-eil-same-as"] = binding.primary_id
    if options.deprecated:
        described["deprecated"] = True
    if parameters := _parameters(binding, schemas):
        described["parameters"] = parameters
    refusals = {str(status): {"$ref": f"#/components/responses/{response_name(status)}"} for status in DESCRIBED}
    return {
        **described,
        **_body(binding, schemas),
        "responses": {
            "200": _answer(binding, schemas, about),
            **refusals,
            "default": {"$ref": "#/components/responses/Default"},
        },
    }
