"""For tests: a real service in this process, on a Unix socket in a temporary folder, and tokens that it takes.

async with running(tmp_path, AtlasSettings, build) as mesh, grpc.aio.insecure_channel(f"unix:{tmp_path}/atlas.sock") as channel:
    await AtlasServiceStub(channel).ListStates(request, metadata=metadata(token(tmp_path, roles=["viewer"])))
"""

import asyncio
import contextlib
import itertools
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, TypeVar

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from psycopg import sql
from psycopg.conninfo import make_conninfo

from eil_mesh.clock import Clock, SystemClock
from eil_mesh.identity import DEFAULT_TENANT
from eil_mesh.postgres import PostgresStore, reading
from eil_mesh.server import Mesh
from eil_mesh.services import STATEFUL
from eil_mesh.settings import MeshSettings
from eil_mesh.store import Connection, Store

S = TypeVar("S", bound=MeshSettings)
_SCHEMAS = itertools.count(1)
_state_url = ""
"""Where services keep their state at present; see `either_database`."""
KEY_ID = "test"
FOR_EVER_S = 4_102_444_800
"""The year 2100: tokens outlive whatever clock a test holds."""


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path,
    kind: type[S],
    build: Callable[[Mesh[S]], Awaitable[None]],
    *,
    clock: Clock | None = None,
    **settings: object,
) -> AsyncIterator[Mesh[S]]:
    """A service with its state and socket in `tmp_path`, which is the working directory meanwhile; drained at the end.

    Several may run in one folder and reach each other as peers. `settings` are fields of the service's settings. Under the fixture
    `either_database` the state may be PostgreSQL's. Budgets are off unless `budgets=True`, which needs an economy in the folder.

    Raises:
        Exception: what the service's background work raised, at the end.
    """
    stop = asyncio.Event()
    with contextlib.chdir(tmp_path):  # a socket's path may have 107 letters at most: it stays relative
        where = {"database_url": _state_url} if kind.service in STATEFUL else {}
        mesh = Mesh(kind.model_validate({"budgets": False} | where | settings), clock or SystemClock())
        await build(mesh)
        await mesh.start()
        run = asyncio.create_task(mesh.run(stop))
        try:
            yield mesh
        finally:
            stop.set()
            await run


def postgres_url() -> str:
    """Where the tests find a PostgreSQL server: EIL_TEST_POSTGRES; empty if there is none, and what needs one is left out."""
    return os.environ.get("EIL_TEST_POSTGRES", "")


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The name of a schema that does not exist yet, and will not any more at the end."""
    name = f"test_{os.getpid()}_{next(_SCHEMAS)}"
    try:
        yield name
    finally:
        with psycopg.connect(postgres_url(), autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@contextlib.contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a database that does not exist yet, and will not any more at the end: for services, whose schemas have fixed names."""
    name = f"test_{os.getpid()}_{next(_SCHEMAS)}"
    with psycopg.connect(postgres_url(), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(postgres_url(), dbname=name)
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def end_sessions(url: str, application: str) -> None:
    """End the sessions of the database at `url` whose application is LIKE this, as the server does with a client that is gone; what
    others have on the same server stays."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE %s AND datname = current_database()",
            (application,),
        )


@pytest.fixture(scope="session")
def postgres_of_tests() -> Iterator[str]:
    """The URL of a database for the tests of this process that want one; skips them if there is no server."""
    if not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    with postgres_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def either_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs a test twice: services that it starts, and stores, keep their state in a file, then in PostgreSQL. Gives the setting."""
    global _state_url
    if request.param == "sqlite":
        yield ""
        return
    _state_url = request.getfixturevalue("postgres_of_tests")
    yield _state_url
    url, _state_url = _state_url, ""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.SQL(", ").join(map(sql.Identifier, STATEFUL)))
        )


class _Watch:
    """A finder that finds nothing, and notes the threads that look for a module."""

    def __init__(self, module: str) -> None:
        self._module, self.threads = module, list[threading.Thread]()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == self._module:
            self.threads.append(threading.current_thread())


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[threading.Thread]]:
    """`loading(module)`: the module is loaded anew where the test needs it; the list tells the thread that does."""

    def of(module: str) -> list[threading.Thread]:
        watch = _Watch(module)
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
        return watch.threads

    return of


def open_store(tmp_path: Path, service: str, schema: str, clock: Clock) -> Store:
    """A service's store without the service, where `running` would put it."""
    if _state_url:
        return PostgresStore(_state_url, service, schema, clock)
    return Store(tmp_path / f"{service}.db", schema, clock)


@contextlib.contextmanager
def look(tmp_path: Path, service: str) -> Iterator[Connection]:
    """One snapshot of a service's state, wherever `running` put it; nobody writes through it."""
    if _state_url:
        with reading(_state_url, service) as session:
            yield session
        return
    with contextlib.closing(
        sqlite3.connect(f"file:{tmp_path}/{service}.db?mode=ro", uri=True, isolation_level=None)
    ) as conn:
        conn.row_factory = sqlite3.Row
        conn.execute("BEGIN")
        yield conn


def kafka_servers() -> str:
    """Where the tests find a Kafka broker: EIL_TEST_KAFKA; empty if there is none, and what needs one is left out."""
    return os.environ.get("EIL_TEST_KAFKA", "")


@contextlib.contextmanager
def kafka_prefix(servers: str) -> Iterator[str]:
    """A prefix of topics that do not exist yet, and will not any more at the end."""
    from kafka import KafkaAdminClient  # loaded where it is used

    prefix = f"test-{os.getpid()}-{time.time_ns()}."
    admin: Any = KafkaAdminClient(bootstrap_servers=servers)
    try:
        yield prefix
        if made := [topic for topic in admin.list_topics() if topic.startswith(prefix)]:
            admin.delete_topics(made)
    finally:
        admin.close()


def token(
    tmp_path: Path, roles: Iterable[str] = ("admin",), tenant: str = DEFAULT_TENANT, subject: str = "tester"
) -> str:
    """A token that does not expire; the key that verifies it is put into `tmp_path/keys/jwks.json`, where services look for it."""
    jwks = tmp_path / "keys" / "jwks.json"
    if not jwks.exists():
        public = RSAAlgorithm.to_jwk(_key().public_key(), as_dict=True)
        jwks.parent.mkdir(exist_ok=True)
        jwks.write_text(json.dumps({"keys": [{**public, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]}))
    claims = {
        "iss": "eil",
        "aud": "eil",
        "sub": subject,
        "roles": list(roles),
        "tenant": tenant,
        "exp": FOR_EVER_S,
    }
    return jwt.encode(claims, _key(), algorithm="RS256", headers={"kid": KEY_ID})


def metadata(bearer: str) -> tuple[tuple[str, str], ...]:
    """gRPC metadata of a call with a token."""
    return (("authorization", f"Bearer {bearer}"),)


@cache
def _key() -> rsa.RSAPrivateKey:
    """One key for all tests of a process: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
