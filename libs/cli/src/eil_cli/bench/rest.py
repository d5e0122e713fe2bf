"""A cheap asynchronous REST client for load: so many kept-alive HTTP/1.1 connections with TLS, one request at a time on each.

It knows just what the door answers: a status, and a body whose length is said. A general client would cost more than the calls it times.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from eil_cli.door import NOT_REACHED, DoorError, refusal


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class RestPool:
    """POSTs JSON over at most `connections` connections; a request waits while all are in use.

    Args:
        url: of the door, https://host:port.
        ca: file of the certificate that it is known by.
        token: bearer token.
        connections: kept alive at most.
    """

    def __init__(self, url: str, ca: str, token: str, connections: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._tls = ssl.create_default_context(cafile=ca)
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        self._turn, self._idle = asyncio.Semaphore(connections), list[_Connection]()  # whoever waits longest goes first

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer of a call that succeeds.

        Raises:
            DoorError: it was refused, or no answer came.
        """
        content = json.dumps(body, separators=(",", ":")).encode()
        request = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        async with self._turn:
            connection = self._idle.pop() if self._idle else None
            try:
                if connection is None:
                    connection = _Connection(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))
                status, answer = await _exchange(connection, request)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                if connection is not None:
                    connection.writer.close()
                raise DoorError(NOT_REACHED, "UNREACHABLE", f"POST {path} was not answered ({error!r})") from None
            self._idle.append(connection)
        found = json.loads(answer)
        if status >= 400:
            raise refusal(status, found)
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._idle:
            connection.writer.close()


async def _exchange(connection: _Connection, request: bytes) -> tuple[int, bytes]:
    """Status and body of one answer.

    Raises:
        ValueError: it does not say how long its body is.
    """
    connection.writer.write(request)
    head = (await connection.reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"content-length:")
    if not found:
        raise ValueError("an answer without a content length")
    length = int(rest.partition(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await connection.reader.readexactly(length)
