"""The description of the API, and the page to try it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from eil_bridge import description
from eil_bridge.web import application
from starlette.routing import Route


def references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("$ref"), str):
            yield tree["$ref"]
        for part in tree.values():
            yield from references(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from references(part)


async def test_the_description_is_public_whole_and_kept_by_its_tag(house: Any):
    async with house.bridge(), house.http() as client:
        answer = await client.get("/v1/openapi.json")
        again = await client.get("/v1/openapi.json", headers={"if-none-match": f'W/"x", {answer.headers["etag"]}'})
        other = await client.get("/v1/openapi.json", headers={"if-none-match": '"another"'})
        asked = await client.head("/v1/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert (other.status_code, asked.status_code) == (200, 200)
    tree = answer.json()
    assert tree["openapi"].startswith("3.1.")
    assert {"/v1/sense", "/v1/act", "/v1/proof"} <= tree["paths"].keys()
    for reference in references(tree):
        place = tree
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    names = [operation["operationId"] for path in tree["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_every_path_that_the_bridge_serves_is_described():
    nothing: Any = type("Nothing", (), {"__getattr__": lambda self, _: self, "__call__": lambda self: None})()
    served: Any = application(nothing, nothing, nothing, nothing)
    paths = {
        (route.path, method.lower())
        for route in served.routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    wanted = {(path, method) for path, method in paths if method != "head" and "{" not in path}
    content, _ = description._document()
    tree = json.loads(content)["paths"]
    assert wanted
    assert {(path, method) for path, method in wanted if method not in tree.get(path, {})} == set()


def test_what_stands_in_both_descriptions_is_refused():
    described = {"paths": {"/v1/health": {}}, "components": {"schemas": {}}, "tags": []}
    own = {"paths": {"/v1/health": {}}, "components": {"schemas": {}}, "tags": []}
    with pytest.raises(ValueError, match="/v1/health is described twice"):
        description.merged(described, own)


async def test_the_page_needs_no_other_host(house: Any):
    async with house.bridge(), house.http() as client:
        page = await client.get("/docs")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        answers = {path: await client.get(path) for path in loaded if path.startswith("/")}
        missing = [
            await client.get(f"/docs/{name}")
            for name in ("docs.html", "swagger-editor.css", "..%2Fopenapi.json", "own_paths.yaml")
        ]
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert all(path.startswith(("/", "data:,")) and not path.startswith("//") for path in loaded), loaded
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert len(answers) == 4
    assert [answer.status_code for answer in missing] == [404] * 4
