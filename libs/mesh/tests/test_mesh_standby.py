"""Processes of one service over one database: one writes, the others hand calls on to it, and one takes over when it goes."""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import grpc
import psycopg
import pytest
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_gateway.keys import service_certificates
from eil_mesh.call import current_call
from eil_mesh.client import service_config
from eil_mesh.clock import SystemClock
from eil_mesh.errors import NotFound, Unavailable
from eil_mesh.identity import FORWARDED_HEADER
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import end_sessions, postgres_database, postgres_url
from eil_mesh.tls import channel_credentials
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError

pytestmark = pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL server: set EIL_TEST_POSTGRES")
SCHEMA = "CREATE TABLE IF NOT EXISTS facts (what TEXT PRIMARY KEY);"
PATIENCE_S = 20.0


class RegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"


class Regime(regime_pb2_grpc.RegimeServiceServicer):
    """Notes what it is asked as facts, each of which takes a moment."""

    def __init__(self, mesh: Mesh[Any], served: list[str]) -> None:
        self.store, self._served = mesh.store(SCHEMA), served

    async def GetStatus(self, request: Any, context: Any) -> regime_pb2.GetStatusResponse:
        call = current_call()
        assert call is not None
        if request.source == "unknown":
            raise NotFound("no such source", reason="SOURCE_UNKNOWN")
        self._served.append(request.source)
        await asyncio.sleep(0.01)
        await self.store.write(lambda tx: tx.conn.execute("INSERT INTO facts VALUES (?)", (request.source,)))
        return regime_pb2.GetStatusResponse(next_page_token=f"{call.principal.subject} {call.principal.service}")

    async def IngestStream(self, requests: Any, context: Any) -> AsyncIterator[regime_pb2.IngestStreamResponse]:
        async for request in requests:
            yield regime_pb2.IngestStreamResponse(sequences=[request.sequence])


@dataclass
class Replica:
    """One process of the service; here they share the test's."""

    mesh: Mesh[Any]
    stub: Any
    health: Any
    address: str
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    served: list[str] = field(default_factory=list)
    """What it did itself."""
    run: "asyncio.Task[None] | None" = None

    async def main(self) -> None:
        """As `serve` does."""
        if not await self.mesh.stand_by(self.stop):
            await self.mesh.drain()
            return
        regime = Regime(self.mesh, self.served)  # pyright: ignore[reportAbstractUsage]
        self.mesh.add("eil.regime.v1.RegimeService", regime_pb2_grpc.add_RegimeServiceServicer_to_server, regime)
        await self.mesh.start()
        await self.mesh.run(self.stop)

    async def begins(self) -> None:
        self.run = asyncio.create_task(self.main())
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                await asyncio.sleep(0.02)

    async def ends(self) -> None:
        self.stop.set()
        if self.run:
            await self.run

    async def writes(self) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            while not self.mesh._tasks:
                await asyncio.sleep(0.02)
        return True


@pytest.fixture
def database():
    with postgres_database() as url:
        yield url


@pytest.fixture
async def replica(tmp_path, database):
    """`replica()`: a process that has not begun."""
    made: list[Replica] = []
    async with contextlib.AsyncExitStack() as channels:

        async def make(**settings: Any) -> Replica:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                at = f"127.0.0.1:{probe.getsockname()[1]}"
            given = {"database_url": database, "listen": at, "advertise": "127.0.0.1", "budgets": False}
            given |= {"state": tmp_path / f"replica-{len(made)}", "jwks": tmp_path / "keys" / "jwks.json"}
            mesh = Mesh(RegimeSettings.model_validate(given | settings), SystemClock())
            if tls := settings.get("tls_dir"):
                override = [("grpc.ssl_target_name_override", "eil-regime")]
                channel = grpc.aio.secure_channel(at, channel_credentials(tls.parent / "proof"), override)
            else:
                channel = grpc.aio.insecure_channel(at)
            await channels.enter_async_context(channel)
            stub, health = regime_pb2_grpc.RegimeServiceStub(channel), health_pb2_grpc.HealthStub(channel)
            made.append(Replica(mesh, stub, health, at))
            return made[-1]

        yield make
        for one in reversed(made):
            await one.ends()


def ask(source: str) -> regime_pb2.GetStatusRequest:
    return regime_pb2.GetStatusRequest(source=source)


def facts(database: str) -> set[str]:
    with psycopg.connect(database) as conn:
        return {row[0] for row in conn.execute("SELECT what FROM regime.facts")}


async def test_a_second_process_serves_by_the_first(replica, auth, refusal):
    first, second = await replica(), await replica()
    await first.begins()
    await second.begins()
    answer = await second.stub.GetStatus(ask("one"), metadata=auth("viewer", subject="anna"))
    assert answer.next_page_token == "anna None"
    assert (first.served, second.served) == (["one"], [])
    refused = await refusal(second.stub.GetStatus(ask("unknown"), metadata=auth("viewer")))
    assert refused.reason == "SOURCE_UNKNOWN", "errors come back whole"
    stream = second.stub.IngestStream(metadata=auth("agent"))
    for n in range(1, 4):
        await stream.write(regime_pb2.IngestStreamRequest(sequence=n))
        assert list((await stream.read()).sequences) == [n]
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


async def test_one_takes_over_from_the_other_and_no_call_is_lost(replica, database, auth):
    """Clients that never try again, balanced over all that there are, while one after the other is replaced."""
    processes = [await replica(drain_s=0.5) for _ in range(4)]
    await processes[0].begins()
    config = json.loads(
        service_config("eil.regime.v1.RegimeService", regime_pb2.DESCRIPTOR.services_by_name["RegimeService"])
    )
    for methods in config["methodConfig"]:
        methods.pop("retryPolicy", None)
    options = [("grpc.service_config", json.dumps(config)), ("grpc.max_reconnect_backoff_ms", 100)]
    target = "ipv4:" + ",".join(process.address for process in processes)
    answered, going = list[str](), True

    async def load(client: int, stub: Any) -> None:
        n = 0
        while going:
            n += 1
            await stub.GetStatus(ask(f"{client}-{n}"), metadata=auth("viewer"), timeout=PATIENCE_S)
            answered.append(f"{client}-{n}")

    async with grpc.aio.insecure_channel(target, options) as channel:
        clients = [asyncio.create_task(load(client, regime_pb2_grpc.RegimeServiceStub(channel))) for client in range(8)]
        for old, new in itertools.pairwise(processes):
            await asyncio.sleep(0.3)
            await new.begins()
            await asyncio.sleep(0.3)
            await old.ends()
            assert await new.writes()
        going = False
        await asyncio.gather(*clients)
    assert facts(database) == set(answered)
    assert all(process.served for process in processes)
    assert sum(len(process.served) for process in processes) == len(answered), "each was done once"


async def test_while_nobody_writes_calls_wait_and_in_the_end_are_refused(replica, database, auth, refusal):
    first, second = await replica(), await replica(deadline_s=0.5)
    await first.begins()
    await second.begins()
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE regime.writer SET address = 'localhost:1'")  # where nobody is
    refused = await refusal(second.stub.GetStatus(ask("one"), metadata=auth("viewer"), timeout=PATIENCE_S))
    assert refused.reason == "NO_WRITER"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE regime.writer SET address = %s", (first.address,))
    await second.stub.GetStatus(ask("one"), metadata=auth("viewer"), timeout=PATIENCE_S)


async def test_a_writer_that_died_is_followed(replica, database, auth):
    first, second = await replica(), await replica()
    await first.begins()
    await second.begins()
    await first.mesh.server.stop(None)
    (store,) = first.mesh._stores
    end_sessions(database, "eil-regime")
    await second.stub.GetStatus(ask("one"), metadata=auth("viewer"), timeout=PATIENCE_S)
    assert second.served == ["one"]
    with pytest.raises(Unavailable):
        await store.write(lambda tx: tx.conn.execute("INSERT INTO facts VALUES ('late')"))
    async with asyncio.timeout(PATIENCE_S):
        await first.stop.wait()  # it ends, to begin anew
    assert facts(database) == {"one"}


async def test_streams_that_clients_send_are_told_at_once(replica, auth):
    first, second = await replica(grace_s=PATIENCE_S), await replica()
    await first.begins()
    await second.begins()
    stream = first.stub.IngestStream(metadata=auth("agent"))
    await stream.write(regime_pb2.IngestStreamRequest(sequence=1))
    await stream.read()
    async with asyncio.timeout(PATIENCE_S / 2):
        await first.ends()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_callers_are_known_by_their_certificates_whichever_process_they_reach(replica, tmp_path):
    service_certificates(tmp_path / "tls", ["regime", "proof"])
    first, second = [await replica(tls_dir=tmp_path / "tls" / "regime") for _ in range(2)]
    await first.begins()
    await second.begins()
    for process in (first, second):
        answer = await process.stub.GetStatus(
            ask(process.address.rpartition(":")[2]), metadata=[("x-eil-tenant", "acme")]
        )
        assert answer.next_page_token == "proof proof"
    pretending = [("x-eil-tenant", "acme"), (FORWARDED_HEADER, "market")]
    answer = await first.stub.GetStatus(ask("pretending"), metadata=pretending)
    assert answer.next_page_token == "proof proof", "only the service's own word counts"


def test_without_a_database_nothing_passes_on():
    with pytest.raises(ValidationError, match="advertise needs database_url"):
        RegimeSettings.model_validate({"advertise": "here", "listen": "[::]:7000"})
    database = {"database_url": "postgresql://db/eil", "listen": "[::]:7000"}
    assert RegimeSettings.model_validate({**database, "advertise": "fd00::7"}).advertised() == "[fd00::7]:7000"
