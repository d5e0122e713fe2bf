"""uvicorn's connections with a short way out: bytes that are the same for every client go to the transport as they are, without an ASGI
message, a frame and a task's turn for each. What says when a connection takes more is here, too."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

PIPE = "eil.pipe"
"""Where a connection's pipe stands in its ASGI scope."""


class Pipe:
    """The way out of one connection. Whole frames, or whole chunks, alone may be written."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.paused = False
        """Whether more waits in the connection than should: then nothing more is to be written."""
        self.moved: Callable[[], None] = lambda: None
        """Called when `paused` has changed."""
        self._writable = asyncio.Event()
        self._writable.set()

    def write(self, data: bytes) -> None:
        """Send, or let wait, without a turn of the event loop. A connection that is closing takes nothing."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause(self) -> None:
        self.paused = True
        self._writable.clear()
        self.moved()

    def resume(self) -> None:
        self.paused = False
        self._writable.set()
        self.moved()

    async def writable(self) -> None:
        """Wait until more may be written."""
        await self._writable.wait()

    def cut(self) -> None:
        """End the connection without waiting for what was not taken."""
        self._transport.abort()


class _Piped(asyncio.Protocol):
    """A server's protocol whose pipe hears when the connection is full, and when it is not any more."""

    _pipe: Pipe | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._pipe:
            self._pipe.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pipe:
            self._pipe.resume()


class HttpProtocol(_Piped, HttpToolsProtocol):
    """HTTP/1.1 whose scopes have a pipe: after the head of a chunked answer it takes chunks."""

    def on_headers_complete(self) -> None:
        self._pipe = self._pipe or Pipe(self.transport)
        self.scope[PIPE] = self._pipe  # pyright: ignore[reportGeneralTypeIssues] - ASGI lets servers add keys
        super().on_headers_complete()


def websocket_protocol(patience_s: float) -> type[WebSocketsSansIOProtocol]:
    """WebSocket whose scopes have a pipe, and which cuts off a client that does not take what was sent to it: uvicorn would wait for ever.

    Args:
        patience_s: time that such a client gets [s].
    """

    class WebSocketProtocol(_Piped, WebSocketsSansIOProtocol):
        def handle_connect(self, event: Any) -> None:
            super().handle_connect(event)
            if not self.close_sent:  # the handshake was accepted; the application has not begun yet
                self._pipe = Pipe(self.transport)
                self.scope[PIPE] = self._pipe  # pyright: ignore[reportGeneralTypeIssues]

        def keepalive_timeout(self) -> None:
            super().keepalive_timeout()
            self.loop.call_later(patience_s, self.transport.abort)

        def on_task_complete(self, task: asyncio.Task[None]) -> None:
            super().on_task_complete(task)
            self.loop.call_later(patience_s, self.transport.abort)

    return WebSocketProtocol


def frame(data: bytes) -> bytes:
    """A WebSocket text message as a server sends it: one frame, not masked (RFC 6455, 5.2)."""
    size = len(data)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + data
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


def chunk(data: bytes) -> bytes:
    """A chunk of an HTTP/1.1 answer (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
