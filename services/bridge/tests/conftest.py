"""A bridge on its Unix sockets, beside services that are their journals and whatever servicers a test gives them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import websockets
from eil_bridge.main import build
from eil_bridge.settings import BridgeSettings
from eil_mesh.clock import Clock
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.store import Store
from eil_mesh.testing import running, token
from google.protobuf.message import Message

Servicer = tuple[str, Callable[..., None], Any]


class House:
    """The services under test, all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stores: dict[str, Store] = {}

    def token(self, *roles: str, tenant: str = "default", subject: str = "tester") -> str:
        return token(self.folder, roles, tenant, subject)

    @contextlib.asynccontextmanager
    async def service(self, name: str, *servicers: Servicer, clock: Clock | None = None) -> AsyncIterator[None]:
        """A service by that name: the mesh's own server, a journal and the servicers."""

        class Settings(MeshSettings):
            service: ClassVar[str] = name

        async def build_service(mesh: Mesh[Settings]) -> None:
            self.stores[name] = mesh.store("")
            for servicer in servicers:
                interface, register, instance = servicer
                mesh.add(interface, register, instance)

        async with running(self.folder, Settings, build_service, clock=clock):
            yield

    @contextlib.asynccontextmanager
    async def bridge(self, *, clock: Clock | None = None, **settings: object) -> AsyncIterator[None]:
        """The bridge, for a test that hangs at most so long."""
        self.token("viewer")  # the key that verifies tokens
        async with (
            asyncio.timeout(60),
            running(self.folder, BridgeSettings, build, clock=clock, grace_s=1.0, **settings),
        ):
            yield

    async def write(self, service: str, topic: str, key: str, message: Message, tenant: str = "default") -> None:
        """Append an event to a service's journal."""
        await self.stores[service].write(lambda tx: tx.journal.append(tx.now_us, tenant, topic, key, message))

    def http(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds="bridge.sock")
        return httpx.AsyncClient(transport=transport, base_url="http://localhost:8443", headers=headers)

    def stream(self, bearer: str = "", query: str = "", **options: Any) -> Any:
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        uri = f"ws://localhost:8443/v1/stream?{query}"
        return websockets.unix_connect("bridge.sock", uri, additional_headers=headers, **options)

    @contextlib.asynccontextmanager
    async def server_sent(
        self, bearer: str, query: str = "", last_id: str = ""
    ) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
        """Blocks of /v1/stream as server-sent events: fields by name; a comment's name is empty."""
        headers = {"authorization": f"Bearer {bearer}", "accept": "text/event-stream"}
        if last_id:
            headers["last-event-id"] = last_id
        async with self.http(**headers) as client, client.stream("GET", f"/v1/stream?{query}") as answer:
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
            yield blocks(answer.aiter_lines())

    @contextlib.asynccontextmanager
    async def repeating(self, service: str, topic: str, key: str, message: Message, tenant: str = "default"):
        """Writes the event again and again: a stream shows what is written after it has subscribed, which nobody sees."""

        async def repeat() -> None:
            while True:
                await self.write(service, topic, key, message, tenant)
                await asyncio.sleep(0.02)

        task = asyncio.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def blocks(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, str]]:
    """What lies between empty lines."""
    block: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            block[name] = value.removeprefix(" ")
        elif block:
            yield block
            block = {}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)
