"""Services made of a few lines, served for real on Unix sockets, and what a refusal says."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import grpc
import pytest
from eil_mesh.clock import Clock
from eil_mesh.postgres import PostgresStore
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.status import DETAILS_KEY
from eil_mesh.store import Store
from eil_mesh.testing import metadata, postgres_schema, postgres_url, running, token
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2_grpc


def settings_class(service: str) -> type[MeshSettings]:
    """The smallest settings class of a service."""
    body = {"__annotations__": {"service": ClassVar[str]}, "__module__": __name__, "service": service}
    return type(f"{service.capitalize()}Settings", (MeshSettings,), body)


@pytest.fixture(params=["sqlite", "postgres"])
def open_either(request, tmp_path) -> Iterator[Callable[[str, Clock], Store]]:
    """`open_either(schema, clock)` opens a store, and opens it anew, on either database."""
    if request.param == "sqlite":
        yield lambda schema, clock: Store(tmp_path / "facts.db", schema, clock)
        return
    if not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    with postgres_schema() as name:
        yield lambda schema, clock: PostgresStore(postgres_url(), name, schema, clock)


@dataclass
class Served:
    """A running service: its mesh, and stubs on its socket."""

    mesh: Mesh[Any]
    stub: Any
    health: Any
    channel: grpc.aio.Channel


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
async def serve(tmp_path) -> AsyncIterator[Serve]:
    """`serve("regime", GetStatus=method, …)`: the service on its socket in `tmp_path`, with these methods alone.

    A method is `async def (request, context)`. `store` opens a store with that schema; `also` is called with the mesh before it starts;
    `settings` are settings. Clients stay connected until the test ends: they see a drain to its end.
    """

    @asynccontextmanager
    async def start(
        service: str,
        *,
        store: str | None = None,
        also: Callable[[Mesh[Any]], None] = lambda mesh: None,
        clock: Clock | None = None,
        settings: dict[str, Any] | None = None,
        **methods: Callable[..., Any],
    ) -> AsyncIterator[Served]:
        generated, name = import_module(f"eil.{service}.v1.{service}_pb2_grpc"), f"{service.capitalize()}Service"
        servicer = getattr(generated, f"{name}Servicer")()
        for method, behaviour in methods.items():
            assert hasattr(servicer, method), f"{name} has no {method}"
            setattr(servicer, method, behaviour)

        async def build(mesh: Mesh[Any]) -> None:
            if store is not None:
                mesh.store(store)
            mesh.add(f"eil.{service}.v1.{name}", getattr(generated, f"add_{name}Servicer_to_server"), servicer)
            also(mesh)

        async with running(tmp_path, settings_class(service), build, clock=clock, **(settings or {})) as mesh:
            channel = await clients.enter_async_context(grpc.aio.insecure_channel(mesh.settings.address()))
            yield Served(mesh, getattr(generated, f"{name}Stub")(channel), health_pb2_grpc.HealthStub(channel), channel)

    async with AsyncExitStack() as clients:
        yield start


@pytest.fixture
def auth(tmp_path):
    """`auth("viewer", tenant="acme")`: metadata with a token of these roles."""

    def make(*roles: str, tenant: str = "default", subject: str = "tester") -> tuple[tuple[str, str], ...]:
        return metadata(token(tmp_path, roles=roles, tenant=tenant, subject=subject))

    return make


@dataclass
class Refusal:
    """What the client was told."""

    code: grpc.StatusCode
    message: str
    status: status_pb2.Status

    def detail(self, kind: type) -> Any:
        """The detail of a kind, or None."""
        for packed in self.status.details:
            found = kind()
            if packed.Unpack(found):
                return found
        return None

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        return self.detail(error_details_pb2.ErrorInfo)

    @property
    def reason(self) -> str:
        return self.info.reason if self.info else ""

    @property
    def fields(self) -> dict[str, str]:
        bad = self.detail(error_details_pb2.BadRequest)
        return {violation.field: violation.description for violation in bad.field_violations} if bad else {}


@pytest.fixture
def refusal() -> Callable[[Awaitable[Any]], Awaitable[Refusal]]:
    """`await refusal(stub.Method(…))`: how the call was refused."""

    async def told(call: Awaitable[Any]) -> Refusal:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return refusal_of(caught.value)

    return told


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    trailing = {key: value for key, value in error.trailing_metadata() or ()}
    status = status_pb2.Status()
    if raw := trailing.get(DETAILS_KEY):
        assert isinstance(raw, bytes)
        status.ParseFromString(raw)
    return Refusal(error.code(), error.details() or "", status)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(lambda: …)`: waits for what must come about, and fails if it does not in a long while."""

    async def wait(holds: Callable[[], bool | Awaitable[bool]], limit_s: float = 60.0) -> None:
        end_s = time.monotonic() + limit_s
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            assert time.monotonic() < end_s, "it did not come about"
            await asyncio.sleep(0.01)

    return wait
