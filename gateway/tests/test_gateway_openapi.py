"""The OpenAPI document: its form, that it has what the protos have, and that its schemas agree with the door's JSON and the rules."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from eil_gateway.contract import all_methods
from eil_gateway.errors import REPLIES, local_replies
from eil_gateway.openapi import document, main, render
from eil_gateway.openapi_comments import comments
from eil_gateway.openapi_paths import DESCRIBED, bindings, openapi_path, response_name
from eil_gateway.openapi_schema import Schemas
from eil_gateway.policy import grants
from eil_gateway.transcoding import transcoder
from eil_mesh.errors import InvalidArgument, Unavailable
from eil_mesh.services import SERVICES
from eil_mesh.status import to_status
from google.protobuf.json_format import MessageToDict
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

REPOSITORY = Path(__file__).parents[2]
COMMITTED = REPOSITORY / "api_docs/diffusion_openapi.yaml"
ALL = [name for name, service in SERVICES.items() if service.grpc]
VERBS = {"get", "put", "post", "delete", "patch"}
FIXED_FIELDS = {
    "document": {"openapi", "info", "servers", "security", "tags", "paths", "components"},
    "operation": {
        "operationId",
        "tags",
        "summary",
        "description",
        "deprecated",
        "parameters",
        "requestBody",
        "responses",
    },
    "parameter": {"name", "in", "description", "required", "schema"},
    "response": {"description", "headers", "content"},
}
"""What OpenAPI 3.1 knows, as far as it is used here; `x-…` is free everywhere."""


@cache
def about() -> dict[str, str]:
    return comments()


@cache
def described(*services: str) -> dict[str, Any]:
    return document(services, about())


def operations(doc: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in doc["paths"].items():
        for verb, operation in item.items():
            yield path, verb, operation


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(inner)


def resolved(doc: dict[str, Any], reference: str) -> Any:
    node: Any = doc
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


@cache
def validator(name: str, *services: str) -> jsonschema.Draft202012Validator:
    resource = Resource(contents=described(*services), specification=DRAFT202012)
    registry: Any = Registry().with_resource("urn:doc", resource)
    return jsonschema.Draft202012Validator({"$ref": f"urn:doc#/components/schemas/{name}"}, registry=registry)


def unknown_fields(node: dict[str, Any], kind: str) -> set[str]:
    return {key for key in node if not key.startswith("x-")} - FIXED_FIELDS[kind]


@pytest.mark.parametrize("services", [(), ("diffusion",), *((name,) for name in ALL if name != "diffusion")])
def test_it_has_the_form_of_openapi(services: tuple[str, ...]) -> None:
    doc = described(*services)
    assert doc["openapi"].startswith("3.1.")
    assert doc["servers"] == [{"url": "/"}]
    assert not unknown_fields(doc, "document")
    assert {"title", "version"} <= doc["info"].keys()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for kind in doc["components"].values() for name in kind)
    tags = {tag["name"] for tag in doc["tags"]}
    for path, verb, operation in operations(doc):
        assert path.startswith("/")
        assert verb in VERBS
        assert not unknown_fields(operation, "operation")
        assert set(operation["tags"]) <= tags
        for parameter in operation.get("parameters", []):
            assert not unknown_fields(parameter, "parameter")
        for response in operation["responses"].values():
            if "$ref" not in response:
                assert not unknown_fields(response, "response")
                assert response["description"]
        assert {"200", "400", "401", "403", "404", "429", "503", "default"} == operation["responses"].keys()
    for schema in doc["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("services", [(), ("diffusion",)])
def test_every_reference_leads_somewhere_and_nothing_is_left_over(services: tuple[str, ...]) -> None:
    doc = described(*services)
    references = {node["$ref"] for node in nodes(doc) if "$ref" in node}
    for reference in references:
        assert resolved(doc, reference)
    components = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "headers")
        for name in doc["components"][kind]
    }
    assert components == references


def test_parameters_of_a_path_are_declared_once_and_are_not_in_the_body() -> None:
    for path, verb, operation in operations(described()):
        declared = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
        assert sorted(declared) == sorted(re.findall(r"\{([^}]+)\}", path)), path
        named = [parameter["name"] for parameter in operation.get("parameters", [])]
        assert len(named) == len(set(named)), path
        assert all(one["required"] for one in operation.get("parameters", []) if one["in"] == "path")
        assert ("requestBody" in operation) <= (verb in {"post", "put", "patch"})
        for media in operation.get("requestBody", {}).get("content", {}).values():
            schema = media["schema"]
            schema = resolved(described(), schema["$ref"]) if "$ref" in schema else schema
            assert not set(declared) & schema.get("properties", {}).keys()


def test_parameters_have_the_schemas_of_their_fields() -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(described())}
    checked = 0
    for binding in bindings(ALL):
        request = binding.descriptor.input_type
        whole = Schemas({}, sent=[request]).message(request)
        for parameter in by_id[binding.operation_id].get("parameters", []):
            if parameter["in"] != "header":
                assert parameter["schema"] == whole["properties"][parameter["name"]]
                asked = parameter["in"] == "path" or parameter["name"] in whole.get("required", [])
                assert parameter.get("required", False) == asked
                checked += 1
    assert checked > 100


def test_operation_ids_are_unique_and_other_paths_name_the_first() -> None:
    ids = [operation["operationId"] for _, _, operation in operations(described())]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", one) for one in ids)
    others = {operation["x-eil-same-as"] for _, _, operation in operations(described()) if "x-eil-same-as" in operation}
    assert others
    assert others <= set(ids)


@pytest.mark.parametrize("services", [(), ("diffusion",), ("atlas",)])
def test_every_binding_in_the_protos_is_there(services: tuple[str, ...]) -> None:
    written = {
        (verb, re.sub(r"\{\w+=([^}*]+)\}", r"\1", path))
        for folder in (REPOSITORY / "protos/eil" / name for name in services or ALL)
        for file in folder.rglob("*.proto")
        for verb, path in re.findall(r'\b(get|put|post|delete|patch): "(/[^"]+)"', file.read_text())
    }
    assert written
    assert {(verb, path) for path, verb, _ in operations(described(*services))} == written


def test_roles_and_idempotency_are_those_of_the_protos() -> None:
    methods = {method.path: method for method in all_methods()}
    by_id = {operation["operationId"]: operation for _, _, operation in operations(described())}
    for binding in bindings(ALL):
        operation, method = by_id[binding.operation_id], methods[binding.method.path]
        assert operation["x-eil-roles"] == sorted(grants()[method.path])
        assert ("x-eil-idempotency" in operation) == method.access.idempotent
    assert by_id["RegimeService_Sense"]["x-eil-roles"] == ["admin", "agent", "operator"]
    assert by_id["RegimeService_Sense"]["x-eil-idempotency"] == "IDEMPOTENT"
    assert "x-eil-idempotency" not in by_id["DecisionService_Act"]
    assert described()["security"] == [{"bearer": []}]


def test_the_comments_of_the_protos_are_its_descriptions() -> None:
    doc = described()
    assert all(operation["summary"] for _, _, operation in operations(doc))
    assert all(tag["description"] for tag in doc["tags"])
    for name, schema in doc["components"]["schemas"].items():
        if name.startswith("eil."):
            assert schema["description"], name
            assert all(field["description"] for field in schema.get("properties", {}).values()), name
    sense = doc["components"]["schemas"]["eil.regime.v1.SenseRequest"]
    assert sense["properties"]["timestamp"]["description"] == "When the sample was taken."
    assert "buf:lint" not in render(doc)


def test_streams_are_described_as_the_door_writes_them() -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(described())}
    for binding in bindings(ALL):
        content = by_id[binding.operation_id]["responses"]["200"]["content"]
        forms = {"application/json", "application/x-ndjson", "text/event-stream"}
        if binding.descriptor.server_streaming:
            assert content.keys() == forms
            whole = content["application/json"]["schema"]
            assert whole["type"] == "array"
            for form in ("application/x-ndjson", "text/event-stream"):
                assert content[form]["schema"] == whole["items"]
        else:
            assert len(content) == 1
    body = by_id["ArchiveService_PutObjectStream"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["type"] == "array"
    assert by_id["AtlasService_DrawEnergyMap"]["responses"]["200"]["content"] == {"*/*": {}}


def test_the_door_writes_json_as_the_document_supposes() -> None:
    options = transcoder()["print_options"]
    assert options == {"preserve_proto_field_names": True, "always_print_primitive_fields": True}
    assert transcoder()["request_validation_options"]["reject_unknown_query_parameters"]


def test_refusals_fit_the_error() -> None:
    whole = to_status(InvalidArgument("mend it", violations={"source": "empty"}), "r-1")
    busy = to_status(Unavailable("later", retry_after_s=0.1), "r-2")
    check = validator("google.rpc.Status")
    for status in (whole, busy):
        written = MessageToDict(status, preserving_proto_field_name=True)
        check.validate(written)
        for detail in written["details"]:
            assert not check.is_valid(
                {**written, "details": [{**detail, "@type": "type.googleapis.com/google.rpc.Help"}]}
            )
    replies = local_replies()
    formats = [replies["body_format"], *(mapper["body_format_override"] for mapper in replies["mappers"])]
    own = [one["json_format"] for one in formats if "json_format" in one]
    assert len(own) > 10
    for body in own:
        check.validate(body)


def test_the_doors_own_reasons_stand_where_they_belong() -> None:
    responses = described()["components"]["responses"]
    for reply in REPLIES:
        named = [name for name, response in responses.items() if f"`{reply.reason}`" in response["description"]]
        status = "Default" if reply.status not in DESCRIBED else response_name(reply.status)
        assert named == [status]
    assert "retry-after" in responses["TooManyRequests"]["headers"]
    assert "retry-after" not in responses["NotFound"]["headers"]


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("/v1/a", "/v1/a", {}),
        ("/v1/a/{id}:stop", "/v1/a/{id}:stop", {"id": ""}),
        ("/v1/{picture=map.png}", "/v1/map.png", {}),
        ("/v1/{name=racks/*}/b", "/v1/{name}/b", {"name": "^racks/[^/]+$"}),
        ("/v1/{rest=**}", "/v1/{rest}", {"rest": "^.+$"}),
    ],
)
def test_path_templates(template: str, path: str, parameters: dict[str, str]) -> None:
    assert openapi_path(template) == (path, parameters)


def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_text() == render(described("diffusion")), "run `make generate` and commit api_docs"


def test_yaml_says_the_same_without_anchors() -> None:
    text = render(described("decision"))
    assert yaml.safe_load(text) == json.loads(json.dumps(described("decision")))
    assert not re.search(r"[:-] [&*]id\d+", text)


def test_the_command_prints_one_service_or_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["market"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["info"]["title"] == "EIL market"
    assert {tag["name"] for tag in printed["tags"]} == {"MarketService"}
    assert main(["bridge"]) == 1
    assert "diffusion" in capsys.readouterr().err


def test_without_the_protos_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="make generate"):
        comments(tmp_path)
