"""Checkpoints on their way into service: each is stored in the Atlas, then named to the service that is to use it."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from eil_cli.door import Door
from eil_cli.endpoint import Endpoint


def put_into_service(
    endpoint: Endpoint, service: str, contents: Iterable[bytes]
) -> Iterator[tuple[dict[str, Any], str]]:
    """The model that each checkpoint serves as now, and the checkpoint's digest.

    Raises:
        DoorError: the mesh refuses one; those before it serve.
    """
    with Door(endpoint) as door:
        for content in contents:
            body = {"content": base64.b64encode(content).decode(), "mediaType": "application/vnd.safetensors"}
            digest = door.call("POST", "/v1/atlas/objects", body)["digest"]
            yield door.call("PUT", f"/v1/{service}/models/{digest}", {})["model"], digest
