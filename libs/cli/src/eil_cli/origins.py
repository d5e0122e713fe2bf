"""Origins whose pages may call the door, as `eil up --cors-origin` was told; the state folder remembers them."""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from eil_cli.files import write_private
from eil_cli.terminal import Failure

FILE = "cors-origins.json"
NONE = "none"
"""Instead of an origin: forget those remembered."""


def remember(state: Path, origins: Sequence[str]) -> None:
    """Let pages of these origins, and of no others, call from the next start on.

    Raises:
        Failure: one is no origin.
        OSError: the folder cannot be written to.
    """
    given = [] if list(origins) == [NONE] else [_origin(origin) for origin in origins]
    write_private(state / FILE, json.dumps(given) + "\n")


def allowed(state: Path) -> list[str]:
    """The origins remembered."""
    path = state / FILE
    return json.loads(path.read_text()) if path.exists() else []


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http") or not parts.hostname or text != f"{parts.scheme}://{parts.netloc}":
        raise Failure(f"{text!r} is no origin: write scheme, host and port alone, e.g. https://portal.example")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise Failure(f"{text!r} is not encrypted: whoever is on its way could write the page that calls; use https://")
    return text.lower()
