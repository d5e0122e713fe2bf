"""The HTTP side: its routes, and a uvicorn server that starts and stops with the mesh."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from eil_mesh.errors import EilError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from eil_bridge import description
from eil_bridge.agents import Agents
from eil_bridge.health import Health
from eil_bridge.pipes import HttpProtocol, websocket_protocol
from eil_bridge.replies import on_error
from eil_bridge.settings import BridgeSettings
from eil_bridge.stream import Streams
from eil_bridge.token_endpoint import Tokens

log = structlog.get_logger("eil.web")
LARGEST_MESSAGE = 4096
"""Bytes of a message that a client may send on the stream, where nothing is listened to."""
RENEW_EVERY_S = 60.0
"""Seconds between looks at the certificate's files."""


def application(health: Health, streams: Streams, agents: Agents, tokens: Tokens) -> ASGIApp:
    """The routes."""
    return Starlette(
        routes=[
            Route("/v1/health", health.answer, methods=["GET"]),
            WebSocketRoute("/v1/stream", streams.websocket),
            Route("/v1/stream", streams.events, methods=["GET"]),
            Route("/mcp", agents, methods=["POST"]),
            Route("/v1/openapi.json", description.openapi, methods=["GET"]),
            Route("/docs", description.page, methods=["GET"]),
            Route("/docs/{name}", description.page, methods=["GET"]),
            Route("/v1/token", tokens.answer, methods=["POST"]),
        ],
        exception_handlers={EilError: on_error, HTTPException: on_error, Exception: on_error},
    )


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers, which would take the mesh's, and with an event for "it listens"."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def _certificates(context: ssl.SSLContext, folder: Path) -> ssl.SSLContext:
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.load_verify_locations(folder / "ca.crt")
    return context


def _tls(folder: Path) -> ssl.SSLContext:
    """Mutual TLS: clients show a certificate of the mesh's CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    return _certificates(context, folder)


def _listening(host: str, port: int) -> socket.socket:
    """A socket on an address; `::` is every address there is, of either family, as it is for gRPC."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=host == "::")


class HttpServer:
    """uvicorn on the Unix socket or port of the settings.

    Args:
        serve: the ASGI application.
        settings: address, TLS and times.
    """

    def __init__(self, serve: ASGIApp, settings: BridgeSettings) -> None:
        self._tls_dir = settings.tls_dir
        self._context = context = _tls(settings.tls_dir) if settings.tls_dir else None
        host, _, place = settings.http.rpartition(":")
        self._address = None if host == "unix" else (host.strip("[]"), int(place))
        where: dict[str, Any] = {"uds": place} if host == "unix" else {}
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                serve,
                **where,
                http=HttpProtocol,
                ws=websocket_protocol(settings.patience_s),
                ws_max_size=LARGEST_MESSAGE,
                ws_ping_interval=settings.ping_s,
                ws_ping_timeout=settings.ping_s,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                log_level="warning",  # at info it would write the query of a stream, which may hold a token
                access_log=False,
                proxy_headers=False,
                server_header=False,
                ssl_context_factory=(lambda _config, _default: context) if context else None,
                timeout_graceful_shutdown=round(settings.grace_s),
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Health says SERVING only after this.

        Raises:
            OSError: the address cannot be listened on.
        """
        self._task = asyncio.create_task(self._uvicorn.serve([_listening(*self._address)] if self._address else None))
        listening = asyncio.create_task(self._uvicorn.listening.wait())
        await asyncio.wait([self._task, listening], return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            self._task.result()

    async def run(self, end_streams: Callable[[], Awaitable[None]]) -> None:
        """Serve until cancelled; then stop accepting, end the streams, let requests under way finish, and close."""
        if self._task is None:
            raise RuntimeError("start() comes first")
        try:
            await asyncio.gather(asyncio.shield(self._task), self._renew())
        finally:
            for listener in self._uvicorn.servers:
                listener.close()
            await end_streams()
            self._uvicorn.should_exit = True
            await self._task

    async def _renew(self) -> None:
        """Serve renewed certificates to new connections."""
        while self._context and self._tls_dir:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                _certificates(self._context, self._tls_dir)
            except OSError as error:  # ssl.SSLError is one: the files may be halfway through their renewal
                log.warning("certificate not renewed", error=str(error))
