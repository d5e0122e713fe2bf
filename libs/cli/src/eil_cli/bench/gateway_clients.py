"""From a sample to a thousand WebSocket clients: how long an event is under way through the door.

All clients live in this process, on the machine that serves them: what their TLS and frames cost is part of what is measured. They read raw
frames, and of each message just the time that stands in it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import uvloop

from eil_cli.bench.rest import RestPool
from eil_cli.endpoint import Endpoint
from eil_cli.terminal import Failure

SOURCE = "bench/stream"
MARK = b'"times_us":["'
CONNECTING = 32
"""Handshakes under way at once."""
LIMIT_S = 60.0
"""What has not come about by then is a failure [s]."""


@dataclass(slots=True)
class Fanout:
    """What was measured."""

    connected_s: float
    """From the first connection to the last handshake [s]."""
    latencies_ms: list[float] = field(default_factory=list)
    """From the sending of a sample to its arrival at a client, for each of both [ms]; 500 events to 1,000 clients are 500,000."""
    missing: int = 0
    """Arrivals that did not come about."""
    repeated: int = 0
    """Arrivals beyond the first."""


def measure_fanout(endpoint: Endpoint, *, clients: int, events: int, per_s: float) -> Fanout:
    """Connect clients to /v1/stream, send samples by /v1/sense at an even pace, and see when each client gets each.

    Raises:
        Failure: a client was refused or let go.
    """
    return uvloop.run(_measure(endpoint, clients, events, per_s))


class _Client(asyncio.Protocol):
    """One client: handshake, then frames."""

    def __init__(self, request: bytes, arrived: Callable[[_Client, int], None]) -> None:
        self._request, self._arrived = request, arrived
        self._rest = b""
        self._open = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.problem = ""
        self.seen: set[int] = set()

    def connection_made(self, transport: Any) -> None:  # uvloop's transports are no asyncio.Transport
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._open:
            head, found, rest = self._rest.partition(b"\r\n\r\n")
            if not found:
                return
            self._open, self._rest = True, rest
            if not head.startswith(b"HTTP/1.1 101"):
                self.connection_lost(OSError(head[:200].decode(errors="replace")))
                return
            self.ready.set_result(None)
        while (size := _size(self._rest)) and len(self._rest) >= size[0] + size[1]:
            begin, length = size
            self._frame(self._rest[0] & 15, self._rest[begin : begin + length])
            self._rest = self._rest[begin + length :]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:  # a ping; the mask of a client's frame may be zero
            self._transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        elif opcode == 8:
            self.problem = payload[2:].decode(errors="replace")
        elif (at := payload.find(MARK)) >= 0:
            begin = at + len(MARK)
            self._arrived(self, int(payload[begin : payload.index(b'"', begin)]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.problem = self.problem or str(exc or "the connection ended")
        if not self.ready.done():
            self.ready.set_exception(Failure(f"a client was refused: {self.problem}"))

    def close(self) -> None:
        self._transport.abort()


def _size(data: bytes) -> tuple[int, int] | None:
    """Where the payload of a server's frame begins, and its length; None if the head is not there yet."""
    if len(data) < 2:
        return None
    if (length := data[1]) < 126:
        return 2, length
    wide = 2 if length == 126 else 8
    return (2 + wide, int.from_bytes(data[2 : 2 + wide], "big")) if len(data) >= 2 + wide else None


async def _measure(endpoint: Endpoint, clients: int, events: int, per_s: float) -> Fanout:
    sent_s: dict[int, float] = {}
    found = Fanout(0.0)

    def arrived(client: _Client, time_us: int) -> None:
        now_s = time.perf_counter()
        if time_us in client.seen:
            found.repeated += 1
        elif time_us in sent_s:
            client.seen.add(time_us)
            found.latencies_ms.append((now_s - sent_s[time_us]) * 1000)

    began_s = time.perf_counter()
    listeners = await _connect(endpoint, clients, arrived)
    found.connected_s = time.perf_counter() - began_s
    try:
        async with RestPool(endpoint.url, endpoint.ca, endpoint.admin_token, 4) as rest:
            await _warm_up(rest, listeners, sent_s)
            found.latencies_ms.clear()
            posts, first_s = list[asyncio.Task[None]](), time.perf_counter()
            for number in range(events):
                await asyncio.sleep(max(first_s + number / per_s - time.perf_counter(), 0.0))
                posts.append(asyncio.create_task(_sense(rest, sent_s)))
            await asyncio.gather(*posts)
            end_s = time.perf_counter() + LIMIT_S
            while len(found.latencies_ms) < events * clients and time.perf_counter() < end_s:
                if problem := next((listener.problem for listener in listeners if listener.problem), ""):
                    raise Failure(f"a client was let go while events were under way: {problem}")
                await asyncio.sleep(0.05)
        found.missing = events * clients - len(found.latencies_ms)
        return found
    finally:
        for listener in listeners:
            listener.close()


async def _connect(endpoint: Endpoint, clients: int, arrived: Callable[[_Client, int], None]) -> list[_Client]:
    parts = urlsplit(endpoint.url)
    tls, turn = ssl.create_default_context(cafile=endpoint.ca), asyncio.Semaphore(CONNECTING)
    loop, listeners = asyncio.get_running_loop(), list[_Client]()

    async def connect() -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET /v1/stream?topics=eil.sense.telemetry&source={SOURCE} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {endpoint.admin_token}\r\n\r\n"
        )
        async with turn:
            _, client = await loop.create_connection(
                lambda: _Client(request.encode(), arrived), parts.hostname or "", parts.port or 443, ssl=tls
            )
            listeners.append(client)
            await client.ready

    await asyncio.gather(*(connect() for _ in range(clients)))
    return listeners


async def _sense(rest: RestPool, sent_s: dict[int, float]) -> None:
    time_us = time.time_ns() // 1000
    stamp = datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    sent_s[time_us] = time.perf_counter()
    await rest.post("/v1/sense", {"source": SOURCE, "timestamp": stamp, "telemetry": {"power_draw": 850.5}})


async def _warm_up(rest: RestPool, listeners: list[_Client], sent_s: dict[int, float]) -> None:
    """Send until all have got something: then connections stand, and every journal is followed."""
    end_s = time.perf_counter() + LIMIT_S
    while not all(listener.seen for listener in listeners):
        if time.perf_counter() > end_s:
            raise Failure("events did not reach every client")
        await _sense(rest, sent_s)
        await asyncio.sleep(0.5)
