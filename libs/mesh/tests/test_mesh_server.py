"""A service's life: health, drain in the right order, background work, one process to a state, and the process itself."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import AsyncExitStack, closing, suppress

import grpc
import pytest
import structlog
from eil.economy.v1 import economy_pb2
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.errors import FailedPrecondition, Unavailable
from eil_mesh.journal import verify
from eil_mesh.testing import metadata, token
from grpc_health.v1 import health_pb2

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
ASK = regime_pb2.GetStatusRequest()
DRAIN = {"drain_s": 0.3, "grace_s": 0.1}
SCHEMA = "CREATE TABLE IF NOT EXISTS facts (what TEXT) STRICT;"


async def answer(request, context):
    return regime_pb2.GetStatusResponse()


def put(what):
    def work(tx):
        tx.conn.execute("INSERT INTO facts VALUES (?)", (what,))
        tx.journal.append(tx.now_us, "acme", "topic", "key", economy_pb2.TransferRecord(id=what))

    return work


def facts(path):
    with closing(sqlite3.connect(path)) as conn:
        return [row[0] for row in conn.execute("SELECT what FROM facts ORDER BY rowid")]


async def heard(auth, folder="."):
    """What a new client hears."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"unix:{folder}/regime.sock", options) as channel:
        try:
            await regime_pb2_grpc.RegimeServiceStub(channel).GetStatus(ASK, metadata=auth("viewer"))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


class TestHealth:
    async def test_every_interface_serves(self, serve):
        async with serve("regime", store="") as regime:
            for name in ("", "eil.regime.v1.RegimeService", "eil.events.v1.EventLogService"):
                request = health_pb2.HealthCheckRequest(service=name)
                assert (await regime.health.Check(request)).status == SERVING

    async def test_watchers_hear_of_the_drain_before_calls_are_refused(self, serve, auth, tmp_path):
        async with AsyncExitStack() as stack:
            regime = await stack.enter_async_context(serve("regime", GetStatus=answer, settings=DRAIN))
            watch = regime.health.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == SERVING
            drain = asyncio.create_task(stack.aclose())
            assert (await watch.read()).status == NOT_SERVING
            assert await heard(auth) == "OK"
            await drain
        assert await heard(auth, tmp_path) == "UNAVAILABLE"


class TestDrain:
    async def test_it_goes_in_order(self, serve, tmp_path, auth):
        order = []

        async def work(mesh):
            (store,) = mesh._stores
            try:
                await asyncio.Event().wait()
            finally:
                order.append(f"background, calls {await heard(auth)}")
                await store.write(put("background"))

        async def settle(mesh):
            peer = mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "atlas")
            with pytest.raises(grpc.aio.AioRpcError) as caught:  # reachable, though it does not serve that
                await peer.GetStatus(ASK, metadata=auth("viewer"))
            order.append(f"settled, peer {caught.value.code().name}, state {facts(tmp_path / 'regime.db')}")

        def also(mesh):
            mesh.background(lambda: work(mesh))
            mesh.on_drain(lambda: settle(mesh))

        async with serve("atlas"), AsyncExitStack() as stack:
            regime = await stack.enter_async_context(
                serve("regime", store=SCHEMA, GetStatus=answer, also=also, settings=DRAIN)
            )
            await regime.mesh._stores[0].write(put("call"))
            watch = regime.health.Watch(health_pb2.HealthCheckRequest())
            await watch.read()
            drain = asyncio.create_task(stack.aclose())
            assert (await watch.read()).status == NOT_SERVING
            order.append(f"not serving, calls {await heard(auth)}")
            await drain
        assert order == [
            "not serving, calls OK",
            "background, calls UNAVAILABLE",
            "settled, peer UNIMPLEMENTED, state ['call', 'background']",
        ]
        assert not (tmp_path / "regime.db-wal").exists()

    async def test_a_call_in_flight_may_finish(self, serve, auth):
        began, finish = asyncio.Event(), asyncio.Event()

        async def slow(request, context):
            began.set()
            await finish.wait()
            await regime.mesh._stores[0].write(put("late"))
            return regime_pb2.GetStatusResponse(next_page_token="done")

        async with AsyncExitStack() as stack:
            regime = await stack.enter_async_context(serve("regime", store=SCHEMA, GetStatus=slow))
            call = asyncio.ensure_future(regime.stub.GetStatus(ASK, metadata=auth("viewer")))
            await began.wait()
            drain = asyncio.create_task(stack.aclose())
            await asyncio.sleep(0.05)
            assert not drain.done()
            finish.set()
            assert (await call).next_page_token == "done"
            await drain

    async def test_a_call_that_takes_too_long_is_ended(self, serve, auth):
        began, ended = asyncio.Event(), asyncio.Event()

        async def endless(request, context):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with serve("regime", GetStatus=endless, settings={"grace_s": 0.05}) as regime:
            call = asyncio.ensure_future(regime.stub.GetStatus(ASK, metadata=auth("viewer")))
            await began.wait()
        assert ended.is_set()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call

    async def test_a_settlement_that_fails_still_leaves_the_state_flushed(self, serve, tmp_path):
        async def settle():
            raise RuntimeError("the ledger is gone")

        with pytest.raises(RuntimeError, match="the ledger is gone"):
            async with serve("regime", store=SCHEMA, also=lambda mesh: mesh.on_drain(settle)) as regime:
                await regime.mesh._stores[0].write(put("call"))
        assert facts(tmp_path / "regime.db") == ["call"]
        assert not (tmp_path / "regime.db-wal").exists()


class TestBackground:
    async def test_a_failure_ends_the_process_with_its_error(self, serve, auth, until):
        async def work():
            raise RuntimeError("the work broke")

        async def refused():
            return await heard(auth) == "UNAVAILABLE"

        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serve("regime", also=lambda mesh: mesh.background(work)))
            await until(refused)  # nobody asked it to stop
            with pytest.raises(RuntimeError, match="the work broke"):
                await stack.aclose()

    async def test_what_fails_at_the_end_stands_in_the_log(self, serve):
        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError("the disk broke")

        with structlog.testing.capture_logs() as logs:
            async with serve("regime", also=lambda mesh: mesh.background(work)):
                await asyncio.sleep(0)
        assert [str(entry["exc_info"]) for entry in logs if entry["event"] == "background work failed"] == [
            "the disk broke"
        ]

    async def test_work_that_is_done_ends_nothing(self, serve, auth):
        done = asyncio.Event()

        async def once():
            done.set()

        async with serve("regime", GetStatus=answer, also=lambda mesh: mesh.background(once)) as regime:
            await done.wait()
            await asyncio.sleep(0.05)
            await regime.stub.GetStatus(ASK, metadata=auth("viewer"))


class TestState:
    async def test_a_second_process_on_the_same_state_is_refused(self, serve, auth, tmp_path):
        async with serve("regime", store=SCHEMA, GetStatus=answer) as regime:
            with pytest.raises(FailedPrecondition, match=r"regime\.db is in use by another process") as caught:
                async with serve("regime", store=SCHEMA):
                    pytest.fail("it started")
            assert caught.value.reason == "STATE_IN_USE"
            await regime.mesh._stores[0].write(put("first"))
            await regime.stub.GetStatus(ASK, metadata=auth("viewer"))
        async with serve("regime", store=SCHEMA) as regime:
            await regime.mesh._stores[0].write(put("second"))
        assert facts(tmp_path / "regime.db") == ["first", "second"]

    async def test_a_locked_file_makes_writes_unavailable_not_silent(self, serve, tmp_path, monkeypatch):
        monkeypatch.setattr("eil_mesh.store.BUSY_S", 0.05)
        async with serve("regime", store=SCHEMA) as regime:
            (store,) = regime.mesh._stores
            with sqlite3.connect(tmp_path / "regime.db", isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                for _ in range(2):
                    with pytest.raises(Exception, match="nothing was changed") as caught:
                        await asyncio.wait_for(store.write(put("lost")), 10)
                    assert getattr(caught.value, "reason", "") == "STORE_FAILED"
                other.execute("ROLLBACK")
            await store.write(put("kept"))
        assert facts(tmp_path / "regime.db") == ["kept"]

    async def test_work_that_ends_its_own_transaction_fails_alone(self, serve, tmp_path):
        """As SQLite does by itself when the disk is full."""

        def broken(tx):
            put("lost")(tx)
            tx.conn.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

        async with serve("regime", store=SCHEMA) as regime:
            (store,) = regime.mesh._stores
            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(store.write(broken), 10)
            assert caught.value.reason == "STORE_FAILED"
            await store.write(put("kept"))
            assert await store.read(lambda conn: list(verify(conn))) == []
        assert facts(tmp_path / "regime.db") == ["kept"]

    async def test_the_folder_is_the_owners_alone(self, serve, tmp_path):
        async with serve("regime", store=SCHEMA, settings={"state": tmp_path / "state" / "deep"}) as regime:
            assert regime.mesh.settings.state.stat().st_mode & 0o777 == 0o700
            assert (regime.mesh.settings.state / "keys" / "regime.ed25519").stat().st_mode & 0o777 == 0o600


def frame(kind, flags, stream, payload=b""):
    """An HTTP/2 frame."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def watch_health():
    """The frames of a Health.Watch as a client sends them, connection preface included."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    coded = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in headers.items()
    )
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
    return preface + frame(1, 4, 1, coded) + frame(0, 1, 1, bytes(5))


async def test_quiet_subscribers_may_ping(serve, monkeypatch):
    """A client pings every KEEPALIVE_MS; a server that took this for abuse would end its streams every few minutes."""
    monkeypatch.setattr("eil_mesh.server.KEEPALIVE_MS", 100)
    ping, go_away, received = 6, 7, []

    async def read(reader):
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(9)
                received.append((head[3], head[4]))
                await reader.readexactly(int.from_bytes(head[:3]))

    async with serve("regime", settings={"grace_s": 0.0}):
        reader, writer = await asyncio.open_unix_connection("regime.sock")
        writer.write(watch_health())
        reading = asyncio.create_task(read(reader))
        for _ in range(6):
            await asyncio.sleep(0.1)
            writer.write(frame(ping, 0, 0, bytes(8)))
        await asyncio.sleep(0.1)
        assert (ping, 1) in received  # acknowledged
        assert go_away not in [kind for kind, _ in received]
        reading.cancel()
        writer.close()


SERVICE = """
import asyncio
from typing import ClassVar
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.server import serve
from eil_mesh.settings import MeshSettings

class RegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"

class Regime(regime_pb2_grpc.RegimeServiceServicer):
    async def GetStatus(self, request, context):
        password = "hunter2"
        raise KeyError("a bug")

async def build(mesh):
    mesh.store("")
    mesh.add("eil.regime.v1.RegimeService", regime_pb2_grpc.add_RegimeServiceServicer_to_server, Regime())

serve(RegimeSettings, build)
"""


async def test_the_process_serves_logs_and_stops_on_a_signal(tmp_path, refusal, until, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EIL_REGIME_BUDGETS", "false")  # there is no economy
    bearer = token(tmp_path, roles=["viewer"])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVICE)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        await until(lambda: (tmp_path / "regime.sock").exists())
        async with grpc.aio.insecure_channel("unix:regime.sock") as channel:
            stub = regime_pb2_grpc.RegimeServiceStub(channel)
            sent = (*metadata(bearer), ("x-request-id", "r-1"))
            told = await refusal(stub.GetStatus(ASK, metadata=sent, wait_for_ready=True))
        assert told.code == grpc.StatusCode.INTERNAL
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0, log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["serving", "unexpected error", "stopped"]
    bug = lines[1]
    assert bug["error_id"] in told.message
    assert (bug["request_id"], bug["level"]) == ("r-1", "error")
    assert "KeyError" in json.dumps(bug["exception"])
    assert "hunter2" not in log  # the values of variables stay out of logs
    assert bearer[:60] not in log
