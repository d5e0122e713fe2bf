"""A ledger in an open transaction, or a whole service, on either database; at the end every balance must follow from the transfers."""

import asyncio
import sqlite3
from collections.abc import Iterator

import grpc
import psycopg
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_economy.domain import schema
from eil_economy.domain.audit import audit
from eil_economy.domain.ledger import mint
from eil_economy.main import build
from eil_economy.settings import EconomySettings
from eil_mesh.clock import ManualClock
from eil_mesh.pipeline import Session
from eil_mesh.postgres import statements
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, postgres_database, postgres_schema, postgres_url, running, token

TABLES = ("account", "supply", "transfer", "hold", "licence", "licence_use", "budget", "claim")


class PostgresBook(Session):
    """A session that can show all it holds, as SQLite's connection can."""

    def recover(self, savepoint: str) -> None:
        """Back to where the savepoint was set, after an error: what was sent since is skipped up to a mark."""
        self._sync(quiet=True)
        self.execute(f"ROLLBACK TO {savepoint}")

    def iterdump(self) -> Iterator[str]:
        for table in TABLES:
            yield from (f"{table} {row}" for row in self.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3"))


@pytest.fixture(scope="session")
def postgres_book() -> Iterator[PostgresBook]:
    """One schema for all tests of this process; each undoes what it did."""
    if not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    with (
        postgres_schema() as name,
        psycopg.connect(postgres_url(), autocommit=True, options=f"-c search_path={name}") as raw,
    ):
        raw.execute(f"CREATE SCHEMA {name}".encode())
        raw.execute(statements(schema.SCHEMA).encode())
        yield PostgresBook(raw)


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection | PostgresBook]:
    """A book without a line."""
    if request.param == "postgres":
        book = request.getfixturevalue("postgres_book")
        book.begin()
        yield book
        book.undo()
        return
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("PRAGMA foreign_keys = ON")
    conn.executescript(schema.SCHEMA + schema.REPLACE_GUARD)
    conn.execute("BEGIN IMMEDIATE")
    yield conn
    conn.close()


@pytest.fixture
def conn(empty) -> Iterator[sqlite3.Connection | PostgresBook]:
    """A book in which alice has 1000 u of CEU."""
    mint(empty, "acme", "m1", "alice", "CEU", 1000, "top-up", 1)
    yield empty
    assert audit(empty).mismatches == ()


@pytest.fixture(scope="session")
def postgres_economy() -> Iterator[str]:
    """A database for services of this process."""
    if not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    with postgres_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The service's setting: empty, or a database in which it has no schema yet."""
    if request.param == "sqlite":
        yield ""
        return
    url = request.getfixturevalue("postgres_economy")
    yield url
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute("DROP SCHEMA IF EXISTS economy CASCADE")


class Economy:
    """Calls as an operator, or as a service of the mesh: `await economy("Burn", id=…)`."""

    def __init__(self, channel, tmp_path, clock):
        self.stub, self.tmp_path, self.clock = economy_pb2_grpc.EconomyServiceStub(channel), tmp_path, clock

    async def __call__(self, method, *, service="", tenant="acme", role="operator", **fields):
        if service:
            auth = (("x-eil-service", service), ("x-eil-tenant", tenant))
        else:
            auth = metadata(token(self.tmp_path, roles=[role], tenant=tenant))
        return await getattr(self.stub, method)(getattr(economy_pb2, f"{method}Request")(**fields), metadata=auth)

    async def refused(self, method, **fields):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self(method, **fields)
        return error.value.code().name, reason_of(error.value)

    async def held(self, owner, kind):
        found = await self("GetBalances", owner=owner)
        return next(((b.balance_u, b.reserved_u) for b in found.balances if b.token == kind), (0, 0))

    async def until(self, holds):
        async with asyncio.timeout(20):
            while not await holds():
                await asyncio.sleep(0.01)


@pytest.fixture
async def economy(tmp_path, database_url):
    clock = ManualClock()
    async with (
        running(tmp_path, EconomySettings, build, clock=clock, sweep_every_s=0.01, database_url=database_url),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel,
    ):
        client = Economy(channel, tmp_path, clock)
        await client("Mint", service="proof", id="proof:p0", owner="alice", token="PFT", amount_u=1000, reason="seed")
        yield client
        found = await client("AuditLedger")
        assert found.holds
        assert list(found.mismatches) == []
