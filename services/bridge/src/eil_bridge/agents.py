"""/mcp: the token is verified and the library loaded here, so that a bridge without agents does not carry it."""

import asyncio
import importlib

from eil_mesh import tracing
from eil_mesh.client import Peers
from eil_mesh.identity import TokenVerifier
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from eil_bridge.callers import authenticate
from eil_bridge.settings import BridgeSettings

CALLER = "eil.caller"
"""Where the verified caller stands in an ASGI scope."""


class Agents:
    """An ASGI application that lets callers with a token through to the Model Context Protocol.

    Args:
        peers: channels to the services.
        verifier: verifies tokens.
        settings: hosts and deadline.
    """

    def __init__(self, peers: Peers, verifier: TokenVerifier, settings: BridgeSettings) -> None:
        self._peers, self._verifier, self._settings = peers, verifier, settings
        self._application: ASGIApp | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        caller = authenticate(self._verifier, request)
        application = await self._load()
        with tracing.served("/mcp", request.headers.get(tracing.HEADER, "")):
            await application({**scope, CALLER: caller}, receive, send)

    async def _load(self) -> ASGIApp:
        async with self._loading:
            if (known := self._application) is not None:
                return known
            module = await asyncio.to_thread(importlib.import_module, "eil_bridge.mcp_server")
            self._application = loaded = module.application(self._peers, self._settings)
            return loaded
