"""Where a running mesh is found: `endpoint.json` in its state folder, so that scripts need nothing else."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from eil_cli.files import write_private

FILE = "endpoint.json"


class EndpointMissing(Exception):
    """There is no usable endpoint.json; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach a mesh, and the token of its administrator."""

    url: str
    """Base of REST, WebSocket and MCP, e.g. https://127.0.0.1:8443."""
    grpc: str
    """Target of gRPC over TLS, e.g. 127.0.0.1:8443."""
    ca: str
    """Path of the certificate that signed the gateway's (PEM)."""
    admin_token: str
    """Bearer token of role admin, tenant default."""
    metrics: dict[str, str]
    """Prometheus page of each service, by name."""
    pid: int
    """Process id of the supervisor."""

    @classmethod
    def load(cls, state: Path) -> "Endpoint":
        """The endpoint of the mesh whose state folder this is.

        Raises:
            EndpointMissing: no mesh was ever healthy there, or the file is damaged.
        """
        path = state / FILE
        try:
            given = json.loads(path.read_text())
            return cls(**{field.name: given[field.name] for field in fields(cls)})
        except FileNotFoundError:
            raise EndpointMissing(
                f"{path} does not exist, so no mesh runs from there; start one with `eil up --detach`, "
                "or name another state folder with --state or EIL_STATE"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise EndpointMissing(f"{path} is damaged ({error!r}); `eil down` and `eil up` write it anew") from None

    def save(self, state: Path) -> None:
        """Write endpoint.json at once and whole, mode 0600: it holds a token."""
        write_private(state / FILE, json.dumps(asdict(self), indent=2) + "\n")


def default_state() -> Path:
    """The state folder to use where none is named: $EIL_STATE, else .eil in the working directory."""
    return Path(os.environ.get("EIL_STATE") or ".eil").absolute()
