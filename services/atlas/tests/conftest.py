"""Where the Atlas keeps things: objects in a folder and in a bucket of a real S3 server, the graph in a store and in a real Neo4j."""

import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import boto3
import pytest
from eil_atlas.answers import Answers
from eil_atlas.folder import Folder
from eil_atlas.graph import Graph
from eil_atlas.neo4j_graph import Neo4jGraph, connect
from eil_atlas.store_graph import StoreGraph
from eil_mesh.testing import postgres_schema, postgres_url
from support.atlas import HOW, NEO4J, Side, atlas_store, atlas_store_in, erase, neo4j_settings
from support.places import Files, Keys, Place, bucket_of


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    made = Folder(tmp_path / "objects")
    made.clean()
    return Place(made, Files(tmp_path / "objects"))


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testtest")


@pytest.fixture
def s3(credentials: None) -> Iterator[Keys]:
    """A bucket of its own, gone at the end."""
    if not (server := os.environ.get("EIL_TEST_S3", "")):
        pytest.skip("no S3 server: set EIL_TEST_S3")
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    keys = Keys(client, f"test-{os.getpid()}-{time.monotonic_ns()}", "mesh/")
    client.create_bucket(Bucket=keys.bucket)
    yield keys
    keys.prefix = ""
    for name in keys.names():
        keys.remove(name)
    client.delete_bucket(Bucket=keys.bucket)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "folder":
        return request.getfixturevalue("folder")
    s3 = request.getfixturevalue("s3")
    made = bucket_of(s3)
    made.clean()
    return Place(made, s3)


@pytest.fixture
def nowhere() -> str:
    """Address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(params=["sqlite", "postgres", "neo4j"])
async def side(request, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "neo4j" and not NEO4J:
        pytest.skip(HOW)
    if request.param == "postgres" and not postgres_url():
        pytest.skip("no PostgreSQL server: set EIL_TEST_POSTGRES")
    own = uuid.uuid4().hex
    tenants = f"{own}-a", f"{own}-b"
    async with AsyncExitStack() as stack:
        if request.param == "postgres":
            store = atlas_store_in(postgres_url(), stack.enter_context(postgres_schema()))
        else:
            store = atlas_store(tmp_path / "atlas.db")
        stack.callback(store.close)
        if request.param != "neo4j":
            graph: Graph = StoreGraph(store)
        else:
            settings = neo4j_settings(tmp_path)
            driver = connect(settings)
            graph = neo4j = Neo4jGraph(store, driver, settings)
            await neo4j.open()
            stack.push_async_callback(driver.close)
            name = await store.read(lambda conn: conn.execute("SELECT name FROM outbox_ends").fetchone()[0])
            stack.push_async_callback(erase, driver, *tenants, outbox=name)
        yield Side(store, graph, Answers(store, graph), *tenants)
