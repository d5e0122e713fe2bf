"""The REST surface as an OpenAPI 3.1 document, made from the protos: `python -m eil_gateway.openapi [SERVICE …]` prints it as YAML.

Structure comes from the descriptors of the generated code, descriptions from the comments of the .proto files, which that code lacks:
the document is made in a checkout of the repository. The bridge's own paths (/v1/health, /v1/stream, /mcp) are in no proto and not in it.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import yaml
from eil_mesh.access import contract
from eil_mesh.errors import DOMAIN
from eil_mesh.services import SERVICES
from google.rpc import error_details_pb2, status_pb2

from eil_gateway.errors import REPLIES
from eil_gateway.openapi_comments import comments
from eil_gateway.openapi_paths import DESCRIBED, REQUEST_ID, bindings, openapi_path, operation, response_name
from eil_gateway.openapi_schema import Schemas
from eil_gateway.transcoding import BODY_BYTES
from eil_gateway.xds import Json

CODES = {
    400: "INVALID_ARGUMENT, FAILED_PRECONDITION or OUT_OF_RANGE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
"""The services' gRPC codes behind an HTTP status."""
DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
"""What the details of an error may be."""
COMMENTS: Mapping[str, str] = {
    "google.rpc.Status": "Every refusal, of the door and of the services.",
    "google.rpc.Status.code": "Number of the gRPC code.",
    "google.rpc.Status.message": "What happened, what it means, what to do.",
    "google.rpc.Status.details": "The reason first; then fields at fault, and when to try again, where there is such.",
    "google.rpc.ErrorInfo": "The reason.",
    "google.rpc.ErrorInfo.reason": "UPPER_SNAKE and stable: programs may rely on it.",
    "google.rpc.ErrorInfo.domain": DOMAIN,
    "google.rpc.ErrorInfo.metadata": "`request_id`: the door's id of the request, as in `x-request-id`.",
    "google.rpc.BadRequest": "Fields at fault.",
    "google.rpc.BadRequest.field_violations": "Each field with what is wrong with it.",
    "google.rpc.RetryInfo": "Waiting helps.",
    "google.rpc.RetryInfo.retry_delay": "How long to wait.",
}
"""Descriptions of the error, whose protos are not ours."""
CONVENTIONS = (
    "Fields are named as in the protos; requests may have them in lowerCamelCase too. 64-bit integers are strings of digits, in requests"
    " also numbers. Enums are names, bytes base64, times RFC 3339 in UTC, durations seconds with an `s`. A number that is not finite is"
    ' written "NaN", "Infinity" or "-Infinity". Answers have every field, zeroes too, but for objects, `optional` fields and members of a'
    " oneof that are not there.",
    "Unknown fields of a body are ignored, unknown query parameters refused. A body has"
    f" {BODY_BYTES // 2**20} MiB at most. What the path says is not repeated in the body.",
    "Every operation needs a token with one of the roles under `x-eil-roles`. One with `x-eil-idempotency` may be sent again as it is: it"
    " has no side effects (NO_SIDE_EFFECTS), or the same again changes nothing (IDEMPOTENT). `x-eil-same-as` names the operation of which"
    " one is another path. Rules that JSON schema cannot say stand under `x-eil-rules`.",
)
"""What holds for every operation, in paragraphs."""
HEADERS: Json = {
    "RequestId": {"description": "The door's id of the request, as in its log.", "schema": {"type": "string"}},
    "RetryAfter": {
        "description": "Where waiting helps: whole seconds.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
BEARER: Json = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Get one with `eil token --role ROLE`.",
}


def _refusal(statuses: Sequence[int], services: str) -> Json:
    """A response: what refuses with these statuses, and the door's own reasons as a list."""
    replies = [reply for reply in REPLIES if reply.status in statuses]
    reasons = (f"* {reply.status} `{reply.reason}`: {re.sub('%[^%]+%', '…', reply.message)}" for reply in replies)
    headers = {"x-request-id": REQUEST_ID}
    if any(reply.retry_after_s for reply in replies):
        headers["retry-after"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": "\n".join([f"{services}, or the door's own:", "", *reasons]),
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/google.rpc.Status"}}},
    }


def _refusals() -> Json:
    named = {response_name(status): _refusal([status], f"{CODES[status]} of a service") for status in DESCRIBED}
    others = [reply.status for reply in REPLIES if reply.status not in DESCRIBED]
    return {**named, "Default": _refusal(others, "Any other refusal of a service")}


def _error_schemas(about: Mapping[str, str]) -> Json:
    """google.rpc.Status, what its details may be, and what these hold."""
    kinds: dict[str, Any] = {f"type.googleapis.com/{kind.DESCRIPTOR.full_name}": kind.DESCRIPTOR for kind in DETAILS}
    whole: Any = status_pb2.Status.DESCRIPTOR
    own = Schemas({**about, **COMMENTS}, sent=[whole, *kinds.values()])
    own.ref(whole)
    references = {url: own.ref(kind)["$ref"] for url, kind in kinds.items()}
    schemas = own.components()
    for url, kind in kinds.items():
        schema = schemas[kind.full_name]
        schema["properties"] = {"@type": {"const": url}, **schema["properties"]}
        schema["required"] = list(schema["properties"])
    status = schemas["google.rpc.Status"]
    status["required"] = ["code", "message"]  # what the gRPC runtime refuses by itself has no details
    status["properties"]["details"]["items"] = {
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "@type", "mapping": references},
    }
    return schemas


def _paths(services: Sequence[str], about: Mapping[str, str]) -> tuple[Json, Json, list[str]]:
    """Paths, schemas of what they refer to, and the interfaces."""
    found = list(bindings(services))
    schemas = Schemas(about, sent=[binding.descriptor.input_type for binding in found])
    paths: dict[str, Json] = {}
    for binding in found:
        item = paths.setdefault(openapi_path(binding.template)[0], {})
        if binding.verb in item:
            raise ValueError(f"two methods are bound to {binding.verb} {binding.template}; give one another path")
        item[binding.verb] = operation(binding, schemas, about)
    interfaces = sorted({binding.descriptor.containing_service.full_name for binding in found})
    ordered = {path: dict(sorted(item.items())) for path, item in sorted(paths.items())}
    return ordered, schemas.components(), interfaces


def document(services: Sequence[str] = (), about: Mapping[str, str] | None = None) -> Json:
    """The document of these services of the table, or of all: the same whenever the protos are the same.

    Args:
        services: names in the service table.
        about: descriptions by full name, for callers that have read the comments before.

    Raises:
        LookupError: there is no such service, or it has no proto.
        RuntimeError: the protos' comments cannot be read.
    """
    known = [name for name, service in SERVICES.items() if service.grpc]
    if unknown := sorted(set(services) - set(known)):
        raise LookupError(f"no service with a contract is called {', '.join(unknown)}; there are {', '.join(known)}")
    about = comments() if about is None else about
    chosen = [name for name in known if name in services or not services]
    paths, schemas, interfaces = _paths(chosen, about)
    packages = (about.get(file.name, "") for name in chosen for file in contract(name)) if services else ()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": " ".join(["EIL", *(chosen if services else ())]),
            "version": version("eil-api"),
            "description": "\n\n".join([*filter(None, packages), *CONVENTIONS]),
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name.rpartition(".")[2], "description": about.get(name, "")} for name in interfaces],
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**schemas, **_error_schemas(about)}.items())),
            "responses": _refusals(),
            "headers": HEADERS,
            "securitySchemes": {"bearer": BEARER},
        },
    }


class _Dumper(yaml.SafeDumper):
    """Without anchors; what has several lines is written in lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def render(described: Json) -> str:
    """The document as YAML."""
    head = "# Made from protos/ by `make generate`; never edited.\n"
    return head + yaml.dump(described, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def main(arguments: Iterable[str]) -> int:
    """Print the document of the services that are named, or of all; with --json first as JSON."""
    names = list(arguments)
    as_json = names[:1] == ["--json"]
    try:
        tree = document(names[as_json:])
    except (LookupError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.write(json.dumps(tree, ensure_ascii=False, indent=1) + "\n" if as_json else render(tree))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
