"""Log, graph and segments beside a real regime service: nothing is found where nothing is wrong; what is broken is found and mended."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from eil.atlas.v1 import consistency_pb2, consistency_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_atlas import consistency, cutter
from eil_atlas.domain.content import HOUR_US
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.main import build
from eil_atlas.neo4j_graph import connect
from eil_atlas.settings import AtlasSettings
from eil_mesh import metrics
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.server import Mesh
from eil_mesh.status import reason_of
from eil_mesh.store import Store
from eil_mesh.testing import metadata, running, token
from eil_regime.main import build as build_regime
from eil_regime.settings import RegimeSettings
from support.atlas import HOW, NEO4J, erase

CLOCK = ManualClock()
T0 = CLOCK.now_us() - CLOCK.now_us() % HOUR_US - 6 * HOUR_US
MISSING, ALTERED = "SAMPLES_MISSING", "SAMPLES_ALTERED"
LACKING, SURPLUS, DIFFER, DAMAGED = "STATES_MISSING", "STATES_SURPLUS", "STATES_DIFFER", "SEGMENT_DAMAGED"


@dataclass
class World:
    """A regime service, an Atlas, and who asks them."""

    path: Path
    regime_store: Store
    store: Store
    regime: Any
    stub: Any
    tenant: str
    driver: Any = None

    def auth(self, *roles: str, tenant: str = ""):
        return metadata(token(self.path, roles or ("operator",), tenant or self.tenant))

    async def sense(self, first: int, last: int, *, source: str = "dc", tenant: str = "", every: int = 1) -> None:
        """A sample a minute from T0 on, an hour a call."""
        for begin in range(first, last, 60):
            minutes = range(begin, min(begin + 60, last), every)
            request = regime_pb2.IngestRequest(source=source)
            request.timestamps.extend(from_us(T0 + minute * WINDOW_US) for minute in minutes)
            request.columns.add(name="power_draw", values=[100.0 + minute % 7 for minute in minutes])
            request.columns.add(name="temperature", values=[20.0 + minute % 3 for minute in minutes])
            await self.regime.Ingest(request, metadata=self.auth(tenant=tenant))

    async def shift(self, source: str, minute: int) -> None:
        """A shift as the detector writes it; its names reach back over states that are there, and settled."""
        moment = from_us(T0 + minute * WINDOW_US)
        shift = regime_pb2.RegimeShift(id=f"s{minute}", source=source, onset=moment, detected=moment)
        shift.from_regime, shift.to_regime = f"r{minute}", f"r{minute + 50}"
        topic = "eil.regime.shifts"
        await self.regime_store.write(lambda tx: tx.journal.append(tx.now_us, self.tenant, topic, source, shift))

    async def verify(self, tenant: str = "", **request: Any):
        """Findings as (kind, hour of T0, repaired), and the summary, which is the last."""
        call = self.stub.Verify(consistency_pb2.VerifyRequest(**request), metadata=self.auth(tenant=tenant))
        parts = [part async for part in call]
        assert [part.WhichOneof("part") for part in parts].count("summary") == 1
        found = [part.finding for part in parts if part.HasField("finding")]
        kinds = consistency_pb2.FindingKind
        seen = [
            (
                kinds.Name(one.kind).removeprefix("FINDING_KIND_"),
                (one.hour.ToMicroseconds() - T0) // HOUR_US,
                one.repaired,
            )
            for one in found
        ]
        assert parts[-1].summary.findings == len(seen)
        assert parts[-1].summary.repaired == sum(one[2] for one in seen)
        assert all(one.message for one in found)
        return seen, parts[-1].summary

    async def write(self, query: str, *values: Any) -> int:
        return await self.store.write(lambda tx: tx.conn.execute(query, values).rowcount)

    async def count(self, query: str, *values: Any) -> int:
        return await self.store.read(lambda conn: conn.execute(query, values).fetchone()[0])

    async def cut(self, segments: int) -> None:
        """Wait until so many hours are cut."""
        await until(lambda: self.count("SELECT count(*) FROM segments"), lambda found: found == segments)

    async def damage(self, query: str, cypher: str, **values: Any) -> None:
        """Break the graph, where it is."""
        if self.driver is None:
            assert await self.write(query, self.tenant, *values.values())
        else:
            await self.driver.execute_query(cypher, tenant=self.tenant, **values)


async def until(ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(20):
        while not enough(answer := await ask()):
            await asyncio.sleep(0.02)
    return answer


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "LOOK_S", 0.05)
    monkeypatch.setattr(cutter, "LOOK_EVERY_S", 0.05)


async def opened(
    stack: AsyncExitStack, path: Path, tenant: str = "default", clock: ManualClock = CLOCK, **settings: Any
) -> World:
    regime: Mesh[RegimeSettings] = await stack.enter_async_context(
        running(path, RegimeSettings, build_regime, clock=clock)
    )
    atlas: Mesh[AtlasSettings] = await stack.enter_async_context(
        running(path, AtlasSettings, build, clock=clock, **settings)
    )
    options = [("grpc.default_authority", "localhost")]
    channels = [
        await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{name}.sock", options=options))
        for name in ("regime", "atlas")
    ]
    stubs = (
        regime_pb2_grpc.RegimeServiceStub(channels[0]),
        consistency_pb2_grpc.ConsistencyServiceStub(channels[1]),
    )
    return World(path, regime._stores[0], atlas._stores[0], *stubs, tenant)


@pytest.fixture
async def world(tmp_path: Path, either_database: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield await opened(stack, tmp_path)


@pytest.fixture(params=["store", "neo4j"])
async def either(request, tmp_path: Path) -> AsyncIterator[World]:
    """The graph in the store, then in Neo4j."""
    if request.param == "store":
        async with AsyncExitStack() as stack:
            yield await opened(stack, tmp_path)
        return
    if not NEO4J:
        pytest.skip(HOW)
    async with AsyncExitStack() as stack:
        made = await opened(stack, tmp_path, uuid.uuid4().hex, neo4j_url=NEO4J)
        made.driver = connect(AtlasSettings(state=tmp_path, neo4j_url=NEO4J))
        stack.push_async_callback(made.driver.close)
        name = await made.store.read(lambda conn: conn.execute("SELECT name FROM outbox_ends").fetchone()[0])
        stack.push_async_callback(erase, made.driver, made.tenant, outbox=name)
        yield made


async def test_nothing_is_found_where_nothing_is_wrong(either: World):
    await either.sense(0, 210)
    await either.cut(3)
    found, summary = await either.verify()
    assert found == []
    assert (summary.sources, summary.hours, summary.unknown_hours) == (1, 3, 0)
    assert (summary.samples, summary.states) == (2 * 210, 210)
    assert summary.entries >= 4
    assert not (either.path / "verifying").exists(), "nothing is left of what was learned anew"
    assert (await either.verify(deep=True, source="dc"))[0] == []
    assert (await either.verify(source="nobody"))[1].hours == 0


SAMPLES: dict[str, tuple[str, str]] = {
    "a row of the index dropped": ("DELETE FROM segments WHERE hour_us = ?", MISSING),
    "a row of the index altered": (
        "UPDATE segments SET content = '00' || substr(content, 3) WHERE hour_us = ?",
        ALTERED,
    ),
    "samples there twice": (
        'INSERT INTO segments SELECT tenant, source, hour_us, through + 1, first_us, last_us, "rows", samples, channels, digest, size,'
        " version, content, own FROM segments WHERE hour_us = ?",
        ALTERED,
    ),
}


@pytest.mark.parametrize("what", SAMPLES)
async def test_what_is_wrong_with_samples_is_found_and_mended(world: World, what: str):
    await world.sense(0, 210)
    await world.cut(3)
    query, kind = SAMPLES[what]
    assert await world.write(query, T0 + HOUR_US) == 1
    assert (await world.verify())[0] == [(kind, 1, False)]
    assert (await world.verify(repair=True))[0] == [(kind, 1, True)]
    await world.cut(3)
    assert (await world.verify(deep=True))[0] == []


async def test_an_arrival_that_is_lost_before_it_is_cut_is_found_and_mended(world: World, monkeypatch):
    monkeypatch.setattr(cutter.Cutter, "cut_due", lambda self: asyncio.sleep(0, 0))
    await world.sense(0, 210)
    await until(lambda: world.count("SELECT count(*) FROM arrivals"), lambda found: found == 4)
    assert await world.write("DELETE FROM arrivals WHERE hour_us = ?", T0 + 2 * HOUR_US) == 1
    assert (await world.verify())[0] == [(MISSING, 2, False)]
    assert (await world.verify(repair=True))[0] == [(MISSING, 2, True)]
    monkeypatch.undo()
    assert (await world.verify())[0] == []


@pytest.mark.parametrize("lost", [False, True])
async def test_a_damaged_segment_is_found_by_a_deep_look_and_made_anew(world: World, lost: bool):
    await world.sense(0, 210)
    await world.cut(3)
    ask = "SELECT digest FROM segments WHERE hour_us = ?"
    digest = await world.store.read(lambda conn: conn.execute(ask, (T0,)).fetchone()[0])
    (file,) = (world.path / "objects").rglob(digest)
    content = file.read_bytes()
    file.unlink() if lost else file.write_bytes(content[:-50])
    assert (await world.verify())[0] == [], "the index alone does not tell"
    assert (await world.verify(deep=True))[0] == [(DAMAGED, 0, False)]
    assert (await world.verify(deep=True, repair=True))[0] == [(DAMAGED, 0, True)]
    await world.cut(3)
    assert file.read_bytes() == content
    assert (await world.verify(deep=True))[0] == []


ADDED = (
    "INSERT INTO states SELECT tenant, source, start_us + 30000000, energy_j, covered_s, entropy, power_method, regime FROM states"
    " WHERE tenant = ? AND start_us IN (?, ?)",
    "MATCH (s:EnergyState {tenant: $tenant}) WHERE s.timestamp IN [$one, $two] MERGE (p:EnergyState {tenant: s.tenant, source: s.source,"
    " timestamp: s.timestamp + 30000000}) SET p.energy = s.energy, p.covered_s = s.covered_s, p.entropy = s.entropy,"
    " p.power_method = s.power_method, p.regime = s.regime",
)
STATES: dict[str, tuple[tuple[str, str], str]] = {
    "deleted": (
        (
            "DELETE FROM states WHERE tenant = ? AND start_us IN (?, ?)",
            "MATCH (s:EnergyState {tenant: $tenant}) WHERE s.timestamp IN [$one, $two] DETACH DELETE s",
        ),
        LACKING,
    ),
    "altered": (
        (
            "UPDATE states SET energy_j = energy_j + 1 WHERE tenant = ? AND start_us IN (?, ?)",
            "MATCH (s:EnergyState {tenant: $tenant}) WHERE s.timestamp IN [$one, $two] SET s.energy = s.energy + 1",
        ),
        DIFFER,
    ),
    "added": (ADDED, SURPLUS),
}


@pytest.mark.parametrize("what", STATES)
async def test_what_is_wrong_with_states_is_found_and_mended(either: World, what: str):
    await either.sense(0, 210)
    await either.cut(3)
    assert (await either.verify())[0] == []
    (query, cypher), kind = STATES[what]
    one = T0 + HOUR_US + 5 * WINDOW_US
    await either.damage(query, cypher, one=one, two=one + WINDOW_US)
    assert (await either.verify())[0] == [(kind, 1, False)]
    assert (await either.verify(repair=True))[0] == [(kind, 1, True)]
    assert (await either.verify())[0] == []
    if either.driver is not None:
        chain = "MATCH (a:EnergyState {tenant: $tenant})-[:TRANSITIONS_TO]->(b) WHERE b.timestamp - a.timestamp = 60000000 RETURN count(*)"
        rows = (await either.driver.execute_query(chain, tenant=either.tenant)).records
        assert rows[0][0] == 209, "the chain of states is whole again"


async def test_neighbouring_states_are_taken_out_of_the_chain(either: World):
    if either.driver is None:
        pytest.skip("edges follow from keys in the store")
    await either.sense(0, 210)
    await either.cut(3)
    await either.verify()
    # What the graph's own way put there: as if the journal had told of more, and was restored to what it was before.
    from eil_atlas.changes import StateRow, States
    from eil_atlas.outbox import append

    rows = [StateRow(T0 + 30_000_000 + n * WINDOW_US, 1.0, 1.0, 0.1, "METERED", "r") for n in range(70, 75)]
    rows += [StateRow(T0 + 40_000_000 + n * WINDOW_US, 1.0, 1.0, 0.1, "METERED", "r") for n in range(70, 75)]
    await either.store.write(lambda tx: append(tx, either.tenant, [States("dc", rows)], 1000))
    assert (await either.verify(repair=True))[0] == [(SURPLUS, 1, True)]
    chain = (
        "MATCH (a:EnergyState {tenant: $tenant})-[:TRANSITIONS_TO]->(b) RETURN count(*), max(b.timestamp - a.timestamp)"
    )
    record = (await either.driver.execute_query(chain, tenant=either.tenant)).records[0]
    assert list(record) == [209, WINDOW_US]


async def test_an_empty_graph_is_filled_again(either: World):
    await either.sense(0, 210)
    await either.cut(3)
    assert (await either.verify())[0] == []
    await either.damage(
        "DELETE FROM states WHERE tenant = ?",
        "MATCH (n) WHERE n.tenant = $tenant DETACH DELETE n",
    )
    assert (await either.verify())[0] == [(LACKING, hour, False) for hour in range(3)]
    assert (await either.verify(repair=True))[0] == [(LACKING, hour, True) for hour in range(3)]


async def test_a_graph_that_is_ahead_is_taken_up_by_a_repair_alone(either: World):
    if either.driver is None:
        pytest.skip("the store's graph cannot be ahead of the store")
    await either.sense(0, 210)
    await either.cut(3)
    await either.verify()
    name = await either.store.read(lambda conn: conn.execute("SELECT name FROM outbox_ends").fetchone()[0])
    position = "MATCH (o:Outbox {name: $name}) SET o.applied = 1000000"
    await either.driver.execute_query(position, name=name)
    one = "MATCH (s:EnergyState {tenant: $tenant, timestamp: $at}) DETACH DELETE s"
    await either.driver.execute_query(one, tenant=either.tenant, at=T0)
    assert (await either.verify(repair=True))[0] == [(LACKING, 0, True)]
    await either.sense(210, 280)
    await either.cut(4)
    assert (await either.verify())[0] == []


async def test_what_the_log_no_longer_tells_is_not_known_and_not_found(world: World):
    await world.sense(0, 330)
    await world.cut(5)
    blank = "UPDATE journal SET payload = NULL, salt = ? WHERE topic = 'eil.sense.telemetry' AND \"offset\" IN"
    first = '(SELECT "offset" FROM journal WHERE topic = \'eil.sense.telemetry\' ORDER BY "offset" LIMIT 2)'
    await world.regime_store.write(lambda tx: tx.conn.execute(f"{blank} {first}", (b"",)))
    found, summary = await world.verify(deep=True)
    assert found == []
    assert (summary.hours, summary.unknown_hours) == (2, 3)
    await world.write("DELETE FROM segments WHERE hour_us <= ?", T0 + HOUR_US)
    await world.write("DELETE FROM states WHERE start_us < ?", T0 + HOUR_US)
    assert (await world.verify(repair=True))[0] == [], "nobody can say"
    await world.write("DELETE FROM segments WHERE hour_us = ?", T0 + 3 * HOUR_US)
    assert (await world.verify())[0] == [(MISSING, 3, False)]


async def test_a_damaged_segment_that_the_log_has_forgotten_stays_a_finding(world: World):
    await world.sense(0, 330)
    await world.cut(5)
    await world.regime_store.write(
        lambda tx: tx.conn.execute('UPDATE journal SET payload = NULL, salt = ? WHERE "offset" <= 2', (b"",))
    )
    digest = await world.store.read(
        lambda conn: conn.execute("SELECT digest FROM segments WHERE hour_us = ?", (T0,)).fetchone()[0]
    )
    (file,) = (world.path / "objects").rglob(digest)
    file.unlink()
    assert (await world.verify(deep=True, repair=True))[0] == [(DAMAGED, 0, False)]


async def test_a_deleted_source_is_no_finding(world: World):
    await world.sense(0, 210)
    await world.sense(0, 210, source="other")
    await world.cut(6)
    await world.regime.DeleteSource(regime_pb2.DeleteSourceRequest(source="dc"), metadata=world.auth("admin"))
    await world.cut(3)
    found, summary = await world.verify(repair=True)
    assert (found, summary.hours) == ([], 3)


async def test_tenants_are_verified_apart(world: World):
    await world.sense(0, 210)
    await world.sense(0, 210, tenant="other")
    await world.cut(6)
    await world.write("DELETE FROM segments WHERE tenant = 'other' AND hour_us = ?", T0)
    assert (await world.verify())[0] == []
    found, summary = await world.verify("other")
    assert (found, summary.sources, summary.samples) == ([(MISSING, 0, False)], 1, 420)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.Verify(consistency_pb2.VerifyRequest(), metadata=world.auth("viewer")).read()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_one_runs_at_a_time_and_one_that_is_called_off_leaves_nothing(world: World):
    await world.sense(0, 210)
    await world.cut(3)
    first = world.stub.Verify(consistency_pb2.VerifyRequest(), metadata=world.auth())
    assert (await first.read()).HasField("progress")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.verify()
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CONSISTENCY_RUNNING")
    first.cancel()

    async def again() -> bool:
        try:
            return (await world.verify())[0] == []
        except grpc.aio.AioRpcError:
            return False

    assert await until(again, bool)
    assert not (world.path / "verifying").exists()


async def test_nothing_is_found_while_load_runs_and_the_atlas_comes_and_goes(tmp_path: Path):
    async with AsyncExitStack() as regime:
        told = await regime.enter_async_context(running(tmp_path, RegimeSettings, build_regime, clock=CLOCK))
        for part in range(3):
            async with AsyncExitStack() as stack:
                atlas: Mesh[AtlasSettings] = await stack.enter_async_context(
                    running(tmp_path, AtlasSettings, build, clock=CLOCK)
                )
                options = [("grpc.default_authority", "localhost")]
                channels = [
                    await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{name}.sock", options=options))
                    for name in ("regime", "atlas")
                ]
                world = World(
                    tmp_path,
                    told._stores[0],
                    atlas._stores[0],
                    regime_pb2_grpc.RegimeServiceStub(channels[0]),
                    consistency_pb2_grpc.ConsistencyServiceStub(channels[1]),
                    "default",
                )

                async def load(world: World = world, part: int = part) -> None:
                    for source in ("a", "b", "c"):
                        for minute in range(part * 110, part * 110 + 110, 10):
                            await world.sense(minute, minute + 10, source=source, every=2)
                            await world.sense(max(0, minute - 3), minute + 7, source=source)  # late, and some again
                            if minute % 50 == 0:
                                await world.shift(source, minute)

                under_way = asyncio.create_task(load())
                while not under_way.done():
                    assert (await world.verify())[0] == []
                await under_way
                found, summary = await world.verify()
                assert found == []
                shifts = await world.count("SELECT count(*) FROM shifts")
        assert (summary.sources, summary.hours) == (3, 3 * 5)
        assert shifts, "the load has shifts, whose names reach back"


async def test_the_schedule_mends_what_is_missing_of_late_and_takes_nothing_away(tmp_path: Path):
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        world = await opened(stack, tmp_path, clock=clock, verify_every_s=0.3, verify_since_s=1800.0)
        await world.sense(0, 120)
        clock.advance(3600)
        await world.sense(120, 330)
        await world.cut(5)
        added = "SELECT count(*) FROM states WHERE start_us % 60000000 > 0"
        await world.damage(*ADDED, one=T0 + 4 * HOUR_US, two=T0 + 4 * HOUR_US + WINDOW_US)
        await world.write("DELETE FROM segments WHERE hour_us IN (?, ?)", T0, T0 + 3 * HOUR_US)
        await world.cut(4)  # of the hour that the journal told of since
        clean = metrics.CONSISTENCY_CLEAN._value.get()
        surplus = metrics.CONSISTENCY_FINDINGS.labels("states_surplus")._value
        before = surplus.get()

        async def seen() -> float:
            return surplus.get() - before

        await until(seen, lambda times: times >= 2)
        assert await world.count(added) == 2, "what the journal does not have waits for an operator"
        assert metrics.CONSISTENCY_CLEAN._value.get() == clean
    async with AsyncExitStack() as stack:
        world = await opened(stack, tmp_path, clock=clock)
        assert (await world.verify(repair=True))[0] == [(MISSING, 0, True), (SURPLUS, 4, True)]
        assert await world.count(added) == 0
