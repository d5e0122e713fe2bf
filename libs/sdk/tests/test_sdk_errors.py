"""Errors: a class for each gRPC code, and what HTTP answers say."""

import grpc
import httpx
import pytest
from eil_mesh.errors import EilError as MeshError
from eil_mesh.errors import ResourceExhausted
from eil_mesh.status import to_status
from eil_sdk import EilError, FailedPrecondition, errors
from eil_sdk.client import EIL
from google.protobuf import json_format

KINDS = {kind.code: kind for kind in EilError.__subclasses__()}


def answer(status, **content):
    return httpx.Response(status, request=httpx.Request("GET", "https://mesh/v1/stream"), **content)


def test_every_code_has_a_class_of_its_name():
    assert set(KINDS) == {code.name for code in grpc.StatusCode} - {"OK", "UNKNOWN"}
    for code, kind in KINDS.items():
        assert kind.__name__.upper() == code.replace("_", "")
        assert type(errors.make(code, "no")) is kind
        assert kind("no").reason == code
    assert {kind.code for kind in MeshError.__subclasses__()} <= set(KINDS)


def test_a_status_in_json_says_what_it_says_over_grpc():
    refused = ResourceExhausted("empty", reason="BUDGET_EXHAUSTED", violations={"steps": "many"}, retry_after_s=1.5)
    tree = json_format.MessageToDict(to_status(refused, "req-1"), preserving_proto_field_name=True)
    said = errors.of_http(answer(429, json=tree, headers={"x-eil-budget-left": "0.5"}))
    assert type(said).__name__ == "ResourceExhausted"
    assert (said.reason, said.message, said.violations) == ("BUDGET_EXHAUSTED", "empty", {"steps": "many"})
    assert (said.retry_after_s, said.request_id, said.budget_left) == (1.5, "req-1", 0.5)


@pytest.mark.parametrize(
    ("response", "code", "message"),
    [
        (answer(401, json={"error": "invalid_client", "error_description": "who?"}), "UNAUTHENTICATED", "who?"),
        (answer(502, html="<h1>Bad gateway</h1>"), "UNAVAILABLE", "HTTP status 502: <h1>Bad gateway</h1>"),
        (answer(418, text=""), "UNKNOWN", "HTTP status 418"),
        (answer(404, json=["no"]), "NOT_FOUND", "HTTP status 404"),
        (answer(429, json={"message": "full"}), "RESOURCE_EXHAUSTED", "full"),
    ],
    ids=["OAuth", "a proxy", "nothing known", "no object", "no code"],
)
def test_other_answers_are_errors_of_their_status(response, code, message):
    said = errors.of_http(response)
    assert said.code == code
    assert message in said.message
    assert said.budget_left is None


def test_an_error_is_readable():
    assert str(errors.make("NOT_FOUND", "no such source", reason="SOURCE_UNKNOWN")) == "SOURCE_UNKNOWN: no such source"


def test_where_no_mesh_was_started_it_says_so(tmp_path):
    with pytest.raises(FailedPrecondition, match="eil up"):
        EIL.from_endpoint(tmp_path / "endpoint.json")
    (tmp_path / "endpoint.json").write_text('{"url": "https://localhost"}')
    with pytest.raises(FailedPrecondition, match="'ca'"):
        EIL.from_endpoint(tmp_path / "endpoint.json")
