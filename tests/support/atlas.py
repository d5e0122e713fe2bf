"""The Atlas's graph in tests: on either side, and what takes a tenant away from Neo4j again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eil_atlas.answers import Answers
from eil_atlas.changes import Change
from eil_atlas.erased import erase_source
from eil_atlas.graph import Graph
from eil_atlas.main import SCHEMA
from eil_atlas.settings import AtlasSettings
from eil_mesh import event_log
from eil_mesh.clock import ManualClock
from eil_mesh.postgres import PostgresStore
from eil_mesh.store import Store

NEO4J = os.environ.get("EIL_TEST_NEO4J", "")
HOW = "set EIL_TEST_NEO4J=bolt://127.0.0.1:PORT (a Neo4j 5.26 without a password) to run this on Neo4j, too"


@dataclass
class Side:
    """A graph with its store, and a tenant (and that tenant's neighbour) that nobody else uses."""

    store: Store
    graph: Graph
    answers: Answers
    tenant: str
    other: str

    async def record(self, *changes: Change, tenant: str = "") -> None:
        """Record changes and wait until they can be read."""
        await self.store.write(lambda tx: self.graph.record(tx, tenant or self.tenant, changes))
        await self.graph.caught_up()

    async def forget(self, tenant: str, source: str) -> None:
        """Erase a source and wait until that can be read."""
        await self.store.write(lambda tx: erase_source(tx, self.graph, tenant, source))
        await self.graph.caught_up()

    async def write(self, query: str, *values: Any) -> None:
        """Run a statement in the store."""
        await self.store.write(lambda tx: tx.conn.execute(query, values))

    async def roll(self, settled_us: int) -> None:
        """Roll up until nothing is left to do."""
        while await self.graph.roll(settled_us):
            pass


def atlas_store(path: Path) -> Store:
    """A store with the service's tables."""
    return Store(path, event_log.SCHEMA + SCHEMA, ManualClock(), durable=False)


def atlas_store_in(url: str, schema: str) -> Store:
    """The same in a schema of a PostgreSQL server."""
    return PostgresStore(url, schema, event_log.SCHEMA + SCHEMA, ManualClock(), durable=False)


async def erase(driver: Any, *tenants: str, outbox: str) -> None:
    """Take away everything of tenants and of an outbox."""
    for label in ("EnergyState", "EnergySpan", "RegimeShift", "Service"):
        query = (
            f"MATCH (n:{label}) WHERE n.tenant IN $tenants CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 1000 ROWS"
        )
        async with driver.session() as session:
            await (await session.run(query, tenants=list(tenants))).consume()
    await driver.execute_query("MATCH (o:Outbox {name: $name}) DELETE o", name=outbox)


def neo4j_settings(path: Path, url: str = NEO4J, **others: Any) -> AtlasSettings:
    """Settings with the graph in Neo4j."""
    return AtlasSettings(state=path, neo4j_url=url, **others)
