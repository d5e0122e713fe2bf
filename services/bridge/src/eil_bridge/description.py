"""The description of the API and a page to try it: public, the same for everybody, and complete without any other host."""

import asyncio
import hashlib
import importlib.util
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

STATIC = files("eil_bridge") / "static"
LIBRARY = ("swagger-ui.css", "swagger-ui-bundle.js")
"""Files of Swagger UI that the page needs, as its Python package carries them."""
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SAFE = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
CACHED = "public, max-age=300"


def merged(described: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The services' description with the bridge's own paths in it.

    Raises:
        ValueError: a path or schema stands in both.
    """
    for kind, into, more in (
        ("path", described["paths"], own["paths"]),
        ("schema", described["components"]["schemas"], own["components"]["schemas"]),
    ):
        if twice := sorted(into.keys() & more.keys()):
            raise ValueError(f"{kind} {twice[0]} is described twice: take it out of static/own_paths.yaml")
        into.update(more)
    described["tags"] = [*described["tags"], *own["tags"]]
    return described


@cache
def _document() -> tuple[bytes, str]:
    """The document and its ETag, made when first asked for."""
    own = yaml.safe_load((STATIC / "own_paths.yaml").read_text())
    tree = merged(json.loads((STATIC / "openapi.json").read_text()), own)
    content = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


async def openapi(request: Request) -> Response:
    """GET /v1/openapi.json."""
    content, tag = await asyncio.to_thread(_document)
    headers = {"etag": tag, "cache-control": CACHED}
    wanted = {part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")}
    if wanted & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


async def page(request: Request) -> Response:
    """GET /docs, and what it loads from /docs/."""
    name = request.path_params.get("name", "docs.html")
    if name in LIBRARY:
        return FileResponse(_library() / name, headers={**SAFE, "cache-control": "public, max-age=86400"})
    if name not in ("docs.html", "start.js") or request.url.path == "/docs/docs.html":
        raise HTTPException(404)
    return FileResponse(str(STATIC / name), headers={**SAFE, "cache-control": CACHED})


@cache
def _library() -> Path:
    found = importlib.util.find_spec("swagger_ui")  # found, not imported: its code is of no use here
    assert found is not None, "swagger-ui-py is a dependency of this package"
    assert found.origin is not None, "it is a package of files"
    return Path(found.origin).parent / "static"
