"""`eil events` against services that run: what it shows of followers and dead letters, and that a replay is done once."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from eil.economy.v1 import economy_pb2
from eil_cli.main import build
from eil_cli.terminal import out
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import running
from typer.testing import CliRunner

TOPIC = "test.facts"


class Teller(MeshSettings):
    service: ClassVar[str] = "regime"


class Listener(MeshSettings):
    service: ClassVar[str] = "atlas"


class Mended:
    """Whether the handler of atlas works."""

    works = False
    heard: Callable[[], list[str]] = staticmethod(list)
    """What it handled."""


@contextmanager
def mesh(folder, told, mended):
    """regime and atlas in `folder`, in a thread of their own; atlas cannot handle what begins with "bad" while it is not mended."""
    ready, stop = threading.Event(), threading.Event()

    async def run():
        stores = {}

        async def teller(mesh):
            stores["regime"] = mesh.store("")

        async def listener(mesh):
            stores["atlas"] = mesh.store("CREATE TABLE IF NOT EXISTS heard (name TEXT) STRICT;")

            def handle(tx, event):
                name = economy_pb2.TransferRecord.FromString(event.payload).id
                if name.startswith("bad") and not mended.works:
                    raise RuntimeError("a bug [in the handler]")
                tx.conn.execute("INSERT INTO heard VALUES (?)", (name,))

            mesh.follow(stores["atlas"], "regime", (TOPIC,), handle)

        async with (
            running(folder, Teller, teller, grace_s=0.0),
            running(folder, Listener, listener, grace_s=0.0),
        ):
            for tenant, name in told:
                record = economy_pb2.TransferRecord(id=name)
                await stores["regime"].write(
                    lambda tx, tenant=tenant, record=record: tx.journal.append(tx.now_us, tenant, TOPIC, "key", record)
                )
            while await stores["atlas"].read(reached) < len(told):
                await asyncio.sleep(0.01)
            mended.heard = lambda: asyncio.run_coroutine_threadsafe(
                stores["atlas"].read(lambda conn: [row[0] for row in conn.execute("SELECT name FROM heard")]), loop
            ).result(10)
            loop = asyncio.get_running_loop()
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        stop.set()
        thread.join(30)


def reached(conn):
    return conn.execute('SELECT coalesce(max("offset"), 0) FROM followed').fetchone()[0]


def eil(folder, *arguments) -> tuple[int, Any]:
    result = CliRunner().invoke(build(), ["events", *arguments, "--state", str(folder), "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else result.output


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lag_dead_and_replay(state):
    mended = Mended()
    with mesh(state, [("acme", "good"), ("acme", "bad 1"), ("globex", "bad 2")], mended):
        code, found = eil(state, "lag")
        (row,) = found["followers"]
        assert (row["follower"], row["follows"], row["head"], row["position"], row["lag"]) == (
            "atlas",
            "regime",
            3,
            3,
            0,
        )
        assert (row["dead_letters"], row["oldest_s"], code) == (2, None, 1)
        code, found = eil(state, "dead")
        assert code == 0
        newest, oldest = found["dead_letters"]
        assert (newest["tenant"], oldest["tenant"]) == ("globex", "acme")
        assert (oldest["topic"], oldest["offset"], oldest["reason"]) == (
            TOPIC,
            2,
            "RuntimeError: a bug [in the handler]",
        )
        _, found = eil(state, "dead", "--tenant", "acme")
        assert [letter["id"] for letter in found["dead_letters"]] == [oldest["id"]]
        code, found = eil(state, "replay", oldest["id"])
        assert (code, found["replayed"]) == (1, [])
        assert "a bug" in found["failed"][oldest["id"]]
        mended.works = True
        assert eil(state, "replay", oldest["id"]) == (0, {"replayed": [oldest["id"]], "failed": {}})
        assert eil(state, "replay", oldest["id"])[0] == 0
        assert eil(state, "replay", "--all") == (0, {"replayed": [newest["id"]], "failed": {}})
        assert eil(state, "replay", "--all") == (0, {"replayed": [], "failed": {}})
        assert sorted(mended.heard()) == ["bad 1", "bad 2", "good"]
        assert eil(state, "lag")[0] == 0
        for command in ("lag", "dead"):
            shown = CliRunner().invoke(build(), ["events", command, "--state", str(state)])
            assert shown.exit_code == 0, shown.output


def test_the_table_shows_reasons_as_they_are(state, monkeypatch):
    monkeypatch.setattr(out, "width", 300)
    with mesh(state, [("acme", "bad 1")], Mended()):
        shown = CliRunner().invoke(build(), ["events", "dead", "--state", str(state)])
        assert "a bug [in the handler]" in shown.output


@pytest.mark.parametrize("command", [["lag"], ["dead"], ["replay", "--all"]])
def test_where_no_mesh_runs_it_says_so(state, command):
    assert eil(state, *command)[0] == 3


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["atlas:1", "--all"], ["atlas:x"]])
def test_wrong_usage(state, arguments):
    assert eil(state, "replay", *arguments)[0] == 2


def test_a_service_that_does_not_run_is_named(state):
    with mesh(state, [("acme", "good")], Mended()):
        code, output = eil(state, "replay", "proof:1")
        assert (code, "proof does not run here" in output) == (1, True)
