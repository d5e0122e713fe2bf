"""`eil bench atlas` without --data: states written per second, and a state at a moment, on SQLite and on a Neo4j server."""

import asyncio
import random
import sqlite3
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eil_atlas.answers import Answers
from eil_atlas.changes import StateRow, States
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.graph import Graph
from eil_atlas.main import SCHEMA
from eil_atlas.settings import AtlasSettings
from eil_atlas.store_graph import StoreGraph
from eil_mesh import event_log
from eil_mesh.clock import SystemClock
from eil_mesh.errors import EilError
from eil_mesh.store import Store
from neo4j.exceptions import DriverError

from eil_cli.bench.progress import Begin, progress
from eil_cli.bench.report import Measure, Report
from eil_cli.terminal import Failure

SOURCES = 10_000
STATES, NEO4J_STATES = 10_000_000, 1_000_000
WINDOWS = 6
"""Windows of every source that are written one by one."""
LOOKUPS = 2000
EVENTS = 500
"""Records of the journal that a follower handles in one transaction."""
LOADED = 25
"""Windows whose states are loaded in one transaction of the store."""
T0 = 29_000_000 * WINDOW_US
WRITE_GATE, WRITE_GOAL = 2000.0, 6000.0
SQLITE_GATE, SQLITE_GOAL = 20.0, 5.0
NEO4J_GATE, NEO4J_GOAL = 50.0, 15.0
BARE = "bare"


@dataclass(frozen=True)
class Side:
    """A graph in a store of its own, and what its plainest use is: writing and finding without keys or edges."""

    name: str
    store: Store
    graph: Graph
    tenant: str
    bare_write: Callable[[int], Awaitable[None]]
    bare_read: Callable[[], Awaitable[Any]]


def bench_graph(
    neo4j: str, *, states: int = STATES, neo4j_states: int = NEO4J_STATES, sources: int = SOURCES
) -> Report:
    """Measure the graph on SQLite and, if a server is named, on Neo4j.

    Args:
        neo4j: bolt://host:port of a server without a password, or "".
        states: states that lie in SQLite when one at a moment is asked for.
        neo4j_states: the same in Neo4j.
        sources: sources that the states belong to.

    Raises:
        Failure: the server cannot be reached.
    """
    try:
        with progress() as begin:
            return asyncio.run(_bench(neo4j, states, neo4j_states, sources, begin))
    except EilError as error:
        raise Failure(error.message) from None


async def _bench(neo4j: str, states: int, neo4j_states: int, sources: int, begin: Begin) -> Report:
    measures: dict[str, Measure] = {}
    bare: dict[str, float] = {}
    async with sqlite_side() as side:
        await measure(side, states, sources, begin, measures, bare)
    if neo4j:
        async with neo4j_side(neo4j) as side:
            await measure(side, neo4j_states, sources, begin, measures, bare)
    sizes = f"{states:,} states in SQLite" + (f", {neo4j_states:,} in Neo4j" if neo4j else "")
    notes = (
        f"{sources:,} sources; written: one state of each per window, {EVENTS} events a transaction, fsync at each commit; "
        "in Neo4j from the outbox until the graph has them, edges and all.",
        f"a state at a moment: {LOOKUPS:,} random ones, one after another, with {sizes}; newest before the moment, with its neighbour.",
        f"{BARE}: rows or nodes without key, index or edge; and the shortest question there is (SELECT 1, RETURN 1).",
    )
    return Report("atlas", measures, {BARE: bare}, notes)


async def measure(
    side: Side, states: int, sources: int, begin: Begin, measures: dict[str, Measure], bare: dict[str, float]
) -> None:
    """Fill a side and measure it: first loaded in runs, then written window by window, then asked."""
    per_source = max(1, states // sources - WINDOWS)
    await load(side, sources, per_source, begin)
    step = begin(f"{side.name}: states written", WINDOWS)
    written_s = 0.0
    for window in range(per_source, per_source + WINDOWS):
        begun = time.perf_counter()
        await write_window(side, sources, window)
        written_s += time.perf_counter() - begun
        step()
    count = sources * WINDOWS
    gated = (WRITE_GATE, WRITE_GOAL) if side.name == "neo4j" else (None, None)
    measures[f"{side.name}_states_per_s"] = Measure(count / written_s, "/s", *gated, "higher")
    begun = time.perf_counter()
    await side.bare_write(count)
    bare[f"{side.name}_states_per_s"] = count / (time.perf_counter() - begun)
    answers, rng, last = Answers(side.store, side.graph), random.Random(1), per_source + WINDOWS
    moments = [(f"s{rng.randrange(sources)}", T0 + rng.randrange(last * WINDOW_US)) for _ in range(LOOKUPS)]
    step = begin(f"{side.name}: a state at a moment", LOOKUPS)
    asked = await timed([lambda one=one: answers.state_at(side.tenant, *one) for one in moments], step)
    idle = await timed([side.bare_read] * LOOKUPS, step)
    gate, goal = (NEO4J_GATE, NEO4J_GOAL) if side.name == "neo4j" else (SQLITE_GATE, SQLITE_GOAL)
    for share, limits in ((50, (None, None)), (99, (gate, goal))):
        name = f"{side.name}_state_at_p{share}"
        measures[name] = Measure(percentile(asked, share), "ms", *limits)
        bare[name] = percentile(idle, share)


def percentile(values: list[float], share: int) -> float:
    """The smallest value that a share [%] of the values does not exceed."""
    return sorted(values)[-(-len(values) * share // 100) - 1]


async def timed(questions: list[Callable[[], Awaitable[Any]]], step: Callable[[], None]) -> list[float]:
    """Time of each question [ms], asked one after another."""
    times_ms = []
    for ask in questions:
        begun = time.perf_counter()
        await ask()
        times_ms.append((time.perf_counter() - begun) * 1e3)
        step()
    return times_ms


def row(source: int, window: int) -> StateRow:
    """A state like any other."""
    energy_j = 6000.0 + source % 997 + window % 101
    return StateRow(T0 + window * WINDOW_US, energy_j, 60.0, energy_j / 300.0, "METERED", f"r{window // 500}")


async def load(side: Side, sources: int, per_source: int, begin: Begin) -> None:
    """Bring states into the graph the way that all come, many windows of every source in a transaction."""
    step = begin(f"{side.name}: loading {sources * per_source:,} states", per_source)
    for first in range(0, per_source, LOADED):
        windows = range(first, min(first + LOADED, per_source))

        def record(tx: Any, windows: range = windows) -> None:
            puts = [States(f"s{source}", [row(source, window) for window in windows]) for source in range(sources)]
            side.graph.record(tx, side.tenant, puts)

        await side.store.write(record)
        await side.graph.caught_up()
        for _ in windows:
            step()


async def write_window(side: Side, sources: int, window: int) -> None:
    """A state of every source, as its record arrives."""
    for first in range(0, sources, EVENTS):
        puts = [States(f"s{source}", [row(source, window)]) for source in range(first, min(first + EVENTS, sources))]

        def record(tx: Any, puts: list[States] = puts) -> None:
            for put in puts:
                side.graph.record(tx, side.tenant, [put])

        await side.store.write(record)
    await side.graph.caught_up()


@asynccontextmanager
async def opened_store() -> AsyncIterator[tuple[Store, Path]]:
    """A store with the Atlas's tables in a folder that goes again."""
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as folder:
        store = Store(Path(folder) / "atlas.db", event_log.SCHEMA + SCHEMA, SystemClock())
        try:
            yield store, Path(folder)
        finally:
            store.close()


@asynccontextmanager
async def sqlite_side() -> AsyncIterator[Side]:
    """The graph in SQLite."""
    async with opened_store() as (store, folder):

        def write(count: int) -> None:
            conn = sqlite3.connect(folder / "bare.db")
            conn.execute(
                "CREATE TABLE bare (source TEXT, start_us INTEGER, energy REAL, covered REAL, entropy REAL, how TEXT, regime TEXT)"
            )
            for first in range(0, count, EVENTS):
                rows = [(f"s{source}", *row(source, 0)) for source in range(first, min(first + EVENTS, count))]
                conn.executemany("INSERT INTO bare VALUES (?,?,?,?,?,?,?)", rows)
                conn.commit()
            conn.close()

        yield Side(
            "sqlite",
            store,
            StoreGraph(store),
            "bench",
            lambda count: asyncio.to_thread(write, count),
            lambda: store.read(lambda conn: conn.execute("SELECT 1").fetchone()),
        )


@asynccontextmanager
async def neo4j_side(url: str) -> AsyncIterator[Side]:
    """The graph on a Neo4j server, under a tenant of its own that is taken away again."""
    from eil_atlas.neo4j_graph import Neo4jGraph, connect

    async with opened_store() as (store, folder), AsyncExitStack() as stack:
        settings = AtlasSettings(state=folder, neo4j_url=url, neo4j_query_s=120.0)
        driver = connect(settings)
        stack.push_async_callback(driver.close)
        graph, tenant = Neo4jGraph(store, driver, settings), f"bench{uuid.uuid4().hex[:6]}"
        await graph.open()
        stack.push_async_callback(_erase, driver, tenant)
        writer = asyncio.create_task(graph.write_for_ever())  # beside the followers, as in the service
        stack.callback(writer.cancel)

        async def write(count: int) -> None:
            query = "UNWIND $rows AS r CREATE (:EilBench {tenant: $tenant, source: r[0], timestamp: r[1], energy: r[2], regime: r[6]})"
            for first in range(0, count, EVENTS * 10):
                rows = [[f"s{i}", *row(i, 0)] for i in range(first, min(first + EVENTS * 10, count))]
                await driver.execute_query(query, rows=rows, tenant=tenant)

        yield Side("neo4j", store, graph, tenant, write, lambda: driver.execute_query("RETURN 1"))


async def _erase(driver: Any, tenant: str) -> None:
    """Take the tenant away again, if the server is still there."""
    with suppress(DriverError):
        await _erase_nodes(driver, tenant)


async def _erase_nodes(driver: Any, tenant: str) -> None:
    for label in ("EilBench", "EnergyState", "Service"):
        query = (
            f"MATCH (n:{label}) WHERE n.tenant = $tenant CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 2000 ROWS"
        )
        async with driver.session() as session:
            await (await session.run(query, tenant=tenant)).consume()
