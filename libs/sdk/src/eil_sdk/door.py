"""How to reach a mesh: its address, its certificate, and what channels and connections are made with."""

import json
import ssl
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc import aio

from eil_sdk.errors import FailedPrecondition, InvalidArgument

OPTIONS = (
    ("grpc.primary_user_agent", f"eil-sdk/{version('eil-sdk')}"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),  # a stream of telemetry or of actions finds out that the other end is gone
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
HTTP_TIMEOUT = httpx.Timeout(10.0)


@dataclass(frozen=True, slots=True)
class Door:
    """The one way into a mesh."""

    url: str
    """https://HOST:PORT. With http:// the token travels in clear: for a proxy on the same machine."""
    ca: str | Path | None = None
    """PEM file of the certificate that signed the door's; absent: what the system trusts."""

    def channel(self) -> grpc.Channel:
        """A channel; it connects by its first call.

        Raises:
            InvalidArgument: the address is none.
            OSError: the certificate cannot be read.
        """
        target, credentials = self._target(), self._credentials()
        return (
            grpc.secure_channel(target, credentials, OPTIONS) if credentials else grpc.insecure_channel(target, OPTIONS)
        )

    def async_channel(self) -> aio.Channel:
        """The same for the running event loop."""
        target, credentials = self._target(), self._credentials()
        return (
            aio.secure_channel(target, credentials, OPTIONS) if credentials else aio.insecure_channel(target, OPTIONS)
        )

    def http(self) -> dict[str, Any]:
        """What an httpx client is made with."""
        verify = ssl.create_default_context(cafile=self.ca) if self.ca else True
        return {"base_url": self.url, "verify": verify, "timeout": HTTP_TIMEOUT}

    def _target(self) -> str:
        url = httpx.URL(self.url)
        if url.scheme not in ("https", "http") or not url.host or url.path != "/":
            raise InvalidArgument(
                f"{self.url!r} is no address of a mesh: https://HOST:PORT", violations={"url": "https://HOST:PORT"}
            )
        host = f"[{url.host}]" if ":" in url.host else url.host
        return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if self.url.startswith("http:"):
            return None
        return grpc.ssl_channel_credentials(Path(self.ca).read_bytes() if self.ca else None)


def endpoint(path: str | Path) -> tuple[Door, str]:
    """The door that an endpoint.json of `eil up` names, and its administrator's token.

    Raises:
        FailedPrecondition: there is no such file, so no mesh was started there, or it is damaged.
    """
    try:
        given = json.loads(Path(path).read_text())
        return Door(given["url"], given["ca"]), given["admin_token"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FailedPrecondition(
            f"{path} names no mesh ({error!r}); start one with `eil up --detach`, or give its path"
        ) from None
