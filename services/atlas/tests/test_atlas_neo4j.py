"""What the graph in Neo4j promises beyond the common suite: its shape, and what becomes of changes when something breaks."""

import itertools
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, LiteralString, cast

import pytest
from eil_atlas import neo4j_graph, neo4j_write, outbox
from eil_atlas.answers import Answers
from eil_atlas.changes import END_OF_TIME_US, Link, Place, Shift, StateRow, States, Stretch
from eil_atlas.domain.spans import DAY_US
from eil_atlas.domain.windows import WINDOW_US, state_id
from eil_atlas.neo4j_graph import Neo4jGraph, connect
from eil_mesh.errors import FailedPrecondition, Unavailable
from support.atlas import HOW, NEO4J, Side, atlas_store, erase, neo4j_settings
from support.servers import Server

T0 = 20_000 * DAY_US
needs_neo4j = pytest.mark.skipif(not NEO4J, reason=HOW)


def states(source: str, *minutes: int, regime: str = "r1", energy_j: float = 60.0) -> States:
    rows = [StateRow(T0 + minute * WINDOW_US, energy_j, 60.0, 0.2, "METERED", regime) for minute in minutes]
    return States(source, rows)


@pytest.fixture
async def neo4j(tmp_path: Path) -> AsyncIterator[Side]:
    async with AsyncExitStack() as stack:
        store = atlas_store(tmp_path / "atlas.db")
        stack.callback(store.close)
        settings = neo4j_settings(tmp_path, neo4j_outbox_entries=5)
        driver = connect(settings)
        graph = Neo4jGraph(store, driver, settings)
        await graph.open()
        stack.push_async_callback(driver.close)
        name = (await store.read(outbox.ends)).name
        side = Side(store, graph, Answers(store, graph), f"{name}-a", f"{name}-b")
        stack.push_async_callback(erase, driver, side.tenant, side.other, outbox=name)
        yield side


async def ask(side: Side, query: str) -> list[list]:
    assert isinstance(side.graph, Neo4jGraph)
    return await side.graph._ask(query, tenant=side.tenant)


@needs_neo4j
async def test_the_graph_has_the_shape_that_its_schema_names(neo4j: Side):
    shift = Shift("dc", T0 + 2 * WINDOW_US + 7, "s1", T0, "r1", "r2")
    await neo4j.record(states("dc", 0, 5), Place("dc", 1.0, 2.0), shift, Link("feed", "dc", "feeds", 3.0))
    await neo4j.record(states("dc", 2), states("feed", 1))
    chain = "MATCH (a:EnergyState {tenant: $tenant})-[:TRANSITIONS_TO]->(b) RETURN a.source, a.timestamp, b.timestamp ORDER BY a.timestamp"
    assert await ask(neo4j, chain) == [
        ["dc", T0, T0 + 2 * WINDOW_US],
        ["dc", T0 + 2 * WINDOW_US, T0 + 5 * WINDOW_US],
    ]
    owned = "MATCH (v:Service {tenant: $tenant})-[:CONSUMES_ENERGY]->(s) RETURN v.name, v.row, v.rack, count(s) ORDER BY v.name"
    assert await ask(neo4j, owned) == [["dc", 1.0, 2.0, 3], ["feed", None, None, 1]]
    detected = "MATCH (h:RegimeShift {tenant: $tenant})-[:DETECTED_IN]->(s) RETURN h.id, h.to_regime, s.id, s.domain"
    assert await ask(neo4j, detected) == [["s1", "r2", state_id(neo4j.tenant, "dc", T0 + 2 * WINDOW_US), "datacenter"]]
    fed = "MATCH (a:Service {tenant: $tenant})-[l:FEEDS]->(b) RETURN a.name, l.weight, b.name"
    assert await ask(neo4j, fed) == [["feed", 3.0, "dc"]]
    await neo4j.record(Link("feed", "dc", "feeds", 0.0))
    assert await ask(neo4j, fed) == []


@needs_neo4j
@pytest.mark.parametrize("seed", range(3))
async def test_runs_of_known_new_and_late_states_and_shifts_keep_every_edge(neo4j: Side, seed: int):
    rng = random.Random(seed)
    minutes: dict[str, set[int]] = {"dc": set(), "pdu": set()}
    detected: dict[str, set[int]] = {"dc": set(), "pdu": set()}
    for clock in range(0, 120, 6):
        for source in minutes:
            run = sorted(rng.sample(range(max(0, clock - 12), clock + 12), rng.randint(1, 9)))
            shifts = [rng.randrange(clock + 12)] if rng.random() < 0.5 else []  # some before their state, some after it
            changes = [
                states(source, *run),
                *(Shift(source, T0 + m * WINDOW_US + 7, f"h{m}", T0, "a", "b") for m in shifts),
            ]
            await neo4j.record(*rng.sample(changes, len(changes)))
            minutes[source].update(run)
            detected[source].update(shifts)
    edges = "MATCH (a:EnergyState {tenant: $tenant})-[:TRANSITIONS_TO]->(b) RETURN a.source, a.timestamp, b.timestamp"
    assert sorted(await ask(neo4j, edges)) == sorted(
        [source, T0 + a * WINDOW_US, T0 + b * WINDOW_US]
        for source, known in minutes.items()
        for a, b in itertools.pairwise(sorted(known))
    )
    found = "MATCH (h:RegimeShift {tenant: $tenant})-[:DETECTED_IN]->(s) RETURN s.source, s.timestamp, h.detected"
    assert sorted(await ask(neo4j, found)) == sorted(
        [source, T0 + m * WINDOW_US, T0 + m * WINDOW_US + 7]
        for source, known in minutes.items()
        for m in known & detected[source]
    )
    owned = "MATCH (v:Service {tenant: $tenant})-[:CONSUMES_ENERGY]->(s) RETURN v.name, s.source, s.timestamp"
    assert sorted(await ask(neo4j, owned)) == sorted(
        [source, source, T0 + m * WINDOW_US] for source, known in minutes.items() for m in known
    )


@needs_neo4j
@pytest.mark.parametrize("source", ["", "dc"])
async def test_a_question_and_a_new_state_read_no_more_of_a_long_history_than_of_a_short_one(neo4j: Side, source: str):
    place = {"start": 0, "end": T0 + DAY_US, "before": T0 + DAY_US, "after": "", "limit": 1, "level": WINDOW_US}
    asked = {"tenant": neo4j.tenant, "source": source, **place}
    row = [T0 + DAY_US, 1.0, 60.0, 0.1, "METERED", "r", "id"]
    runs = [[neo4j.tenant, "dc", [row]]]
    reads = []
    for minutes in (range(5), range(5, 400)):
        await neo4j.record(states("dc", *minutes))
        reads.append(
            await read_by(neo4j, neo4j_graph._listing(WINDOW_US, source), asked)
            + await read_by(neo4j, neo4j_write.ADD, {"runs": runs, "domain": "d"})
            + await read_by(neo4j, neo4j_write.PUT, {"rows": [[neo4j.tenant, "dc", *row]], "domain": "d"})
        )
    assert reads[0] > 0
    assert reads[1] <= reads[0] + 10, "an edge more at a node, but not a state more"


async def read_by(side: Side, query: str, parameters: dict[str, Any]) -> int:
    """How often a query turns to the database; what it writes is undone."""
    assert isinstance(side.graph, Neo4jGraph)
    async with side.graph._driver.session() as session, await session.begin_transaction() as tx:
        summary = await (await tx.run(cast(LiteralString, f"PROFILE {query}"), parameters)).consume()
        await tx.rollback()

    def hits(plan: dict[str, Any]) -> int:
        return plan["dbHits"] + sum(hits(child) for child in plan.get("children", ()))

    assert summary.profile is not None
    return hits(summary.profile)


@needs_neo4j
async def test_a_crash_between_the_graphs_commit_and_the_outboxs_applies_nothing_twice(neo4j: Side):
    graph = neo4j.graph
    assert isinstance(graph, Neo4jGraph)
    await neo4j.record(states("dc", 9))
    await neo4j.store.write(lambda tx: graph.record(tx, neo4j.tenant, [states("dc", 0, 1, regime="old")]))
    entries = await neo4j.store.read(lambda conn: outbox.waiting(conn, 0, 100, 100))
    position = await graph.apply(entries)  # and here the process dies: the outbox still has them
    assert (await neo4j.store.read(outbox.ends)).applied < position
    rename = Stretch("dc", T0, END_OF_TIME_US, "new")
    await neo4j.store.write(lambda tx: graph.record(tx, neo4j.tenant, [rename]))
    assert (
        await graph.apply([*entries, *await neo4j.store.read(lambda conn: outbox.waiting(conn, position, 9, 9))])
        > position
    )
    assert await graph.apply(entries) > position, "what was applied is passed over: the old name does not come back"
    await graph.caught_up()
    now = await neo4j.store.read(outbox.ends)
    assert now.waiting == 0
    assert await neo4j.store.read(lambda conn: outbox.waiting(conn, 0, 100, 100)) == []
    found = await graph.states(neo4j.tenant, "dc", (0, END_OF_TIME_US), (END_OF_TIME_US, ""), 10)
    assert [state.regime for state in found] == ["new"] * 3
    assert await ask(neo4j, "MATCH (:EnergyState {tenant: $tenant})-[t:TRANSITIONS_TO]->() RETURN count(t)") == [[2]]


@needs_neo4j
async def test_a_state_older_than_the_graph_writes_nothing(neo4j: Side, tmp_path: Path):
    assert isinstance(neo4j.graph, Neo4jGraph)
    for minute in range(3):
        await neo4j.record(states("dc", minute))
    await neo4j.write("UPDATE outbox_ends SET head=1, applied=1")  # as a restored backup has it
    again = Neo4jGraph(neo4j.store, neo4j.graph._driver, neo4j.graph._settings)
    await neo4j.store.write(lambda tx: again.record(tx, neo4j.tenant, [states("dc", 7)]))
    with pytest.raises(Unavailable) as refused:
        await again.write_out()
    assert refused.value.reason == "GRAPH_AHEAD"


async def test_while_neo4j_is_away_learning_goes_on_until_the_outbox_is_full(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"bolt://127.0.0.1:{free.getsockname()[1]}"
    store = atlas_store(tmp_path / "atlas.db")
    settings = neo4j_settings(tmp_path, url, neo4j_outbox_entries=3, neo4j_connect_s=0.2)
    graph = Neo4jGraph(store, connect(settings), settings)
    await graph.open()
    for minute in range(3):
        await store.write(lambda tx, minute=minute: graph.record(tx, "a", [states("dc", minute)]))
    with pytest.raises(Unavailable) as full:
        await store.write(lambda tx: graph.record(tx, "a", [states("dc", 3)]))
    assert (full.value.reason, full.value.retry_after_s) == ("GRAPH_BEHIND", 5.0)
    for question in (
        graph.write_out(),
        graph.newest_us("a"),
        graph.roll(T0),
        graph.forget(T0),
        Answers(store, graph).state_at("a", "dc", T0),
        Answers(store, graph).sums("a", T0, T0 + DAY_US),
    ):
        with pytest.raises(Unavailable) as away:
            await question
        assert (away.value.reason, away.value.retry_after_s) == ("GRAPH_UNREACHABLE", 5.0)
    await graph.close()
    store.close()


async def test_a_password_comes_from_its_file_and_is_not_printed(tmp_path: Path):
    (tmp_path / "password").write_text("secret phrase\n")
    settings = neo4j_settings(tmp_path, "bolt://127.0.0.1:1", neo4j_password_file=tmp_path / "password")
    assert "secret phrase" not in settings.model_dump_json()
    await connect(settings).close()
    missing = neo4j_settings(tmp_path, "bolt://127.0.0.1:1", neo4j_password_file=tmp_path / "none")
    with pytest.raises(FailedPrecondition):
        connect(missing)


def test_a_batch_of_states_is_cut_into_entries_in_its_order(tmp_path: Path):
    rows = [StateRow(minute * WINDOW_US, 1.0, 60.0, 0.1, "", "r") for minute in range(4500)]
    changes = [Place("dc", 1.0, None), States("dc", rows[:1500]), States("dc", rows[1500:]), Place("dc", 2.0, None)]
    parts = list(outbox._parts(changes))
    assert [sum(len(c.rows) for c in part if isinstance(c, States)) for part in parts] == [2000, 2000, 500]
    assert [row for part in parts for c in part if isinstance(c, States) for row in c.rows] == rows
    assert parts[0][0] == changes[0]
    assert parts[-1][-1] == changes[-1]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    own = Server("neo4j", tmp_path / "neo4j")
    own.start()
    yield own
    own.stop()


async def test_nothing_is_lost_when_neo4j_is_killed_and_comes_back(server: Server, tmp_path: Path):
    store = atlas_store(tmp_path / "atlas.db")
    settings = neo4j_settings(tmp_path, server.address, neo4j_connect_s=1.0)
    graph = Neo4jGraph(store, connect(settings), settings)
    await graph.open()
    await store.write(lambda tx: graph.record(tx, "a", [states("dc", 0)]))
    await graph.caught_up()
    os.kill(int((tmp_path / "neo4j/neo4j.pid").read_text()), signal.SIGKILL)
    await store.write(lambda tx: graph.record(tx, "a", [states("dc", 1)]))
    with pytest.raises(Unavailable):
        await graph.caught_up()
    with pytest.raises(Unavailable):
        await graph.state_at("a", "dc", T0)
    server.start()
    await store.write(lambda tx: graph.record(tx, "a", [states("dc", 2)]))
    await graph.caught_up()
    found = await graph.states("a", "dc", (0, END_OF_TIME_US), (END_OF_TIME_US, ""), 10)
    assert [(state.start_us - T0) // WINDOW_US for state in found] == [2, 1, 0]
    assert [state.previous_us is None for state in found] == [False, False, True]
    await graph.close()
    store.close()
