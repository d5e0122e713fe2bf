"""What only PostgreSQL can do to a store: lose the session, be taken over, refuse a role; and values that go there and back."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import aclosing, suppress
from urllib.parse import urlsplit

import psycopg
import pytest
from eil.economy.v1 import economy_pb2
from eil_mesh import pipeline
from eil_mesh.clock import ManualClock
from eil_mesh.errors import FailedPrecondition, InvalidArgument, Unavailable
from eil_mesh.event_log import tail
from eil_mesh.journal import verify
from eil_mesh.pipeline import Session
from eil_mesh.postgres import PostgresStore, prepare
from eil_mesh.testing import end_sessions, postgres_schema, postgres_url
from psycopg import sql
from psycopg.conninfo import make_conninfo

pytestmark = pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL server: set EIL_TEST_POSTGRES")
SCHEMA = "CREATE TABLE IF NOT EXISTS facts (what TEXT PRIMARY KEY);"


@pytest.fixture
def name() -> Iterator[str]:
    with postgres_schema() as made:
        yield made


@pytest.fixture
def store(name: str) -> Iterator[PostgresStore]:
    opened = PostgresStore(postgres_url(), name, SCHEMA, ManualClock())
    yield opened
    opened.close()


def note(what: str):
    def work(tx):
        tx.conn.execute("INSERT INTO facts VALUES (?)", (what,))
        return tx.journal.append(tx.now_us, "acme", "topic", "k", economy_pb2.TransferRecord(id=what))

    return work


def admin(statement: sql.Composed) -> None:
    with psycopg.connect(postgres_url(), autocommit=True) as conn:
        conn.execute(statement)


async def facts(store: PostgresStore) -> list[str]:
    return await store.read(lambda conn: [row[0] for row in conn.execute("SELECT what FROM facts ORDER BY what")])


async def test_a_lost_session_fails_what_it_carried_and_the_next_goes_on(store, name):
    await store.write(note("a"))
    end_sessions(postgres_url(), f"eil-{name}")
    with pytest.raises(Unavailable):
        await store.write(note("b"))
    assert await store.write(note("c")) == 2
    assert await facts(store) == ["a", "c"]
    assert await store.read(lambda conn: list(verify(conn))) == []


async def test_a_writer_that_was_taken_over_commits_nothing(store, name):
    await store.write(note("a"))
    admin(sql.SQL("UPDATE {}.writer SET epoch = epoch + 1").format(sql.Identifier(name)))
    results = await asyncio.gather(*(store.write(note(what)) for what in "bcd"), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    assert await facts(store) == ["a"]


async def test_whoever_comes_while_the_writer_lives_is_refused_and_may_come_after_it(store, name):
    with pytest.raises(FailedPrecondition):
        PostgresStore(postgres_url(), name, SCHEMA, ManualClock())
    store.close()
    again = PostgresStore(postgres_url(), name, SCHEMA, ManualClock())
    assert await again.write(note("b")) == 1
    again.close()


async def test_the_next_releases_tables_are_made_beside_a_writer(store, name):
    await store.write(note("a"))
    prepare(postgres_url(), name, SCHEMA + "CREATE TABLE IF NOT EXISTS more (what TEXT PRIMARY KEY);")
    prepare(postgres_url(), name, SCHEMA)
    assert await store.write(note("b")) == 2, "the writer goes on"
    assert await store.read(lambda conn: conn.execute("SELECT count(*) FROM more").fetchone()[0]) == 0


def test_a_service_makes_its_tables_and_ends(name):
    database = sql.Identifier(name)
    admin(sql.SQL("CREATE DATABASE {}").format(database))
    url = urlsplit(postgres_url())._replace(path=f"/{name}").geturl()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "eil_economy", "--migrate"],
            env={**os.environ, "EIL_ECONOMY_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "tables are there" in done.stderr
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT count(*) FROM economy.journal").fetchone()
    finally:
        admin(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


async def test_what_was_acknowledged_survives_a_kill_of_the_writer(name):
    script = textwrap.dedent(
        f"""
        import asyncio
        from eil.economy.v1 import economy_pb2
        from eil_mesh.clock import SystemClock
        from eil_mesh.postgres import PostgresStore, prepare

        def note(what):
            def work(tx):
                tx.conn.execute("INSERT INTO facts VALUES (?)", (what,))
                tx.journal.append(tx.now_us, "acme", "topic", "k", economy_pb2.TransferRecord(id=what))
            return work

        async def main():
            store = PostgresStore({postgres_url()!r}, {name!r}, {SCHEMA!r}, SystemClock())
            for i in range(10**6):
                await store.write(note(str(i)))
                print(i, flush=True)

        asyncio.run(main())
        """
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [int(child.stdout.readline()) for _ in range(40)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in child.stdout.read().split()]
    child.wait()
    async with asyncio.timeout(20):
        while True:
            try:
                again = PostgresStore(postgres_url(), name, SCHEMA, ManualClock())
                break
            except FailedPrecondition:  # the server has not noticed yet
                await asyncio.sleep(0.05)
    stored = {int(what) for what in await facts(again)}
    assert stored >= set(acknowledged)
    assert await again.read(lambda conn: list(verify(conn))) == []
    again.close()


async def test_the_journal_is_followed_as_it_grows(store):
    await store.write(note("a"))
    heard = []

    async def listen():
        async with aclosing(tail(store, 1, tenant="acme", topics=[])) as journal:
            async for entry in journal:
                heard.append(entry.offset)
                if len(heard) == 3:
                    return

    listening = asyncio.create_task(listen())
    await store.write(note("b"))
    await store.write(note("c"))
    await asyncio.wait_for(listening, 20)
    assert heard == [1, 2, 3]


async def test_a_server_that_is_not_there_is_named_at_the_start():
    with pytest.raises(FailedPrecondition, match="database_url"):
        PostgresStore("postgresql://eil@127.0.0.1:1/eil", "x", SCHEMA, ManualClock())
    with pytest.raises(ValueError, match="no name of a schema"):
        PostgresStore(postgres_url(), "x; DROP", SCHEMA, ManualClock())


async def test_one_services_role_cannot_read_anothers_schema(store, name):
    await store.write(note("a"))
    role = f"{name}_other"
    admin(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    try:
        address = make_conninfo(postgres_url(), user=role)
        with (
            psycopg.connect(address) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            conn.execute(sql.SQL("SELECT * FROM {}.facts").format(sql.Identifier(name)))
    finally:
        admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bigint", -(2**63)),
        ("bigint", 2**63 - 1),
        ("bigint", None),
        ("text", ""),
        ("text", "Wärme ∂T/∂t 🌡 %s $1"),
        ("bytea", bytes(range(256))),
        ("double precision", -1.5e300),
        ("double precision", None),
        ("real", 0.25),
        ("bigint", True),
    ],
)
def test_values_go_there_and_back(kind, value):
    with psycopg.connect(postgres_url(), autocommit=True) as raw:
        session = Session(raw)
        session.begin()
        session.execute(f"CREATE TEMP TABLE t (v {kind})")
        session.execute("INSERT INTO t VALUES (?)", (value,))
        assert session.execute("SELECT v FROM t").fetchone() == (value,)
        assert session.execute("SELECT v FROM t WHERE v = ?", ("x" if kind == "text" else value,)).fetchall() in (
            [],
            [(value,)],
        )
        session.end("ROLLBACK")


@pytest.fixture
def session() -> Iterator[Session]:
    with psycopg.connect(postgres_url(), autocommit=True) as raw:
        opened = Session(raw)
        opened.begin()
        yield opened
        opened.end("ROLLBACK")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum(v)", 2**64 - 2),
        ("-sum(v)", -(2**64 - 2)),
        ("sum(v) - sum(v)", 0),
        ("avg(v / v)", 1.0),
        ("0.000125::numeric", 0.000125),
        ("-12345678.5::numeric", -12345678.5),
        ("1200000000::numeric", 1_200_000_000),
        ("min(v) = max(v)", True),
    ],
)
def test_sums_of_counts_are_ints_and_other_numerics_floats(session, expression, value):
    found = session.execute(f"SELECT {expression} FROM (VALUES (?), (?)) AS t (v)", (2**63 - 1, 2**63 - 1)).fetchone()
    assert (type(found[0]), found[0]) == (type(value), value)


def test_rows_answer_by_place_and_by_name_and_statements_say_what_they_changed(session):
    session.execute("CREATE TEMP TABLE t (a bigint, b text)")
    session.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, "y"), (3, None)])
    rows = session.execute("SELECT a, b FROM t ORDER BY a").fetchall()
    assert (rows[0]["b"], rows[0][1], rows[0][-1], rows[0][:1]) == ("x", "x", "x", (1,))
    assert dict(rows[2]) == {"a": 3, "b": None}
    with pytest.raises(IndexError, match="no column"):
        rows[0]["c"]
    assert session.execute("UPDATE t SET b = ? WHERE a < ?", ("z", 3)).rowcount == 2
    assert session.execute("DELETE FROM t WHERE a = ? RETURNING b", (1,)).fetchone()["b"] == "z"


def test_one_statement_takes_parameters_of_any_type(session):
    session.execute("CREATE TEMP TABLE t (v double precision)")
    for value in (1, 0.5, None, True):
        session.execute("INSERT INTO t VALUES (?)", (value,))
    assert [row[0] for row in session.execute("SELECT v FROM t")] == [1.0, 0.5, None, 1.0]
    with pytest.raises(TypeError, match="cannot be stored"):
        session.execute("INSERT INTO t VALUES (?)", ([],))
    with pytest.raises(InvalidArgument, match="NUL"):
        session.execute("SELECT ?", ("a\0b",))


def test_statements_without_end_do_not_stay_prepared(session, monkeypatch):
    monkeypatch.setattr(pipeline, "PREPARED", 5)
    for _ in range(3):
        for number in range(10):
            assert session.execute(f"SELECT {number}").fetchone() == (number,)
        session.end("COMMIT")
        session.begin()
    (kept,) = session.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert kept <= 2


async def test_reads_fail_as_unavailable_while_the_server_is_away_and_go_on_after_it(store, name):
    await store.write(note("a"))
    assert await facts(store) == store.glance(
        lambda conn: [row["what"] for row in conn.execute("SELECT what FROM facts")]
    )
    for read in (lambda: _twice(store), lambda: _glanced(store)):
        end_sessions(postgres_url(), f"eil-{name}")
        with pytest.raises(Unavailable) as refused:
            await read()
        assert refused.value.retry_after_s
    for _ in range(2):  # what the other thread had is lost, too
        with suppress(Unavailable):
            await facts(store)
    assert await facts(store) == ["a"]


async def _twice(store: PostgresStore) -> None:
    """Each of two threads has a session, or none yet."""
    await facts(store)
    await facts(store)


async def _glanced(store: PostgresStore) -> object:
    return store.glance(lambda conn: conn.execute("SELECT 1").fetchone())


def test_an_error_is_told_once_it_is_asked_about_and_the_session_lives_on():
    with psycopg.connect(postgres_url(), autocommit=True) as raw:
        session = Session(raw)
        session.begin()
        session.execute("SELECT 1 / ?", (0,))
        with pytest.raises(psycopg.errors.DivisionByZero):
            session.execute("SELECT 1").fetchone()
        session.undo()
        session.begin()
        session.execute("CREATE TEMP TABLE t (v text UNIQUE)")
        for _ in range(2):
            session.execute("INSERT INTO t VALUES (?)", ("same",))
        with pytest.raises(psycopg.errors.UniqueViolation):
            session.end("COMMIT")
        session.undo()
        session.begin()
        assert session.execute("SELECT 2").fetchone() == (2,)
        assert session.end("COMMIT") == "COMMIT"
