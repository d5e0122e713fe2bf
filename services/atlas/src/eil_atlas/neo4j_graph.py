"""The graph in Neo4j: what is recorded waits in the store's outbox until a writer in the background has brought it there.

The position up to which it was applied stands in the graph and is written with what it speaks of, so that a crash anywhere applies nothing
twice. While Neo4j is away learning goes on until the outbox is full, and questions are answered UNAVAILABLE, never wrongly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, LiteralString, TypeVar, cast

import structlog
from eil_mesh import metrics
from eil_mesh.errors import FailedPrecondition, Unavailable
from eil_mesh.store import Store, Tx
from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction, unit_of_work
from neo4j.exceptions import AuthError, CypherSyntaxError, CypherTypeError, DriverError, Neo4jError

from eil_atlas import neo4j_write, outbox
from eil_atlas.changes import END_OF_TIME_US, Change
from eil_atlas.domain.spans import Group, Part
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.graph import ROLL_SPANS, State
from eil_atlas.neo4j_write import FORGET_AT_ONCE, OF_ALL, OF_SOURCE, rows_of
from eil_atlas.settings import AtlasSettings

T = TypeVar("T")
log = structlog.get_logger("eil.atlas")
CONNECTIONS = 8
"""Connections to Neo4j at most: 512 MB of heap carry no more questions at once."""
RETRY_AFTER_S = 5.0
ENTRIES, STATES = 5000, 2500
"""Entries of the outbox, and states, applied in one transaction."""
GATHER_S = 0.2
"""The outbox is read so often where nothing waits: entries about one state that come together are written as one."""
PAUSE_S = 2.0
"""Between attempts while Neo4j is away."""

_STATE = "s.source, s.timestamp, s.energy, s.covered_s, s.entropy, s.power_method, s.regime"
_PLACE = "s.timestamp >= $start AND s.timestamp < $end AND CASE s.timestamp WHEN $before THEN s.source < $after ELSE true END"
"""Older than the place (before, after); `end` is past `before` by 1 at most. A CASE, since an OR is planned as two scans of everything."""
LIST = (
    f"MATCH (s:EnergyState) @index WHERE s.tenant = $tenant@source AND {_PLACE} WITH s ORDER BY @key LIMIT $limit"
    f" OPTIONAL MATCH (p)-[:TRANSITIONS_TO]->(s) RETURN {_STATE}, {WINDOW_US}, 1, p.timestamp ORDER BY s.timestamp DESC, s.source DESC"
)
LIST_SPANS = (
    f"MATCH (s:EnergySpan) @index WHERE s.tenant = $tenant AND s.level = $level@source AND {_PLACE} AND NOT s:Stale"
    " WITH s ORDER BY @key LIMIT $limit"
    " OPTIONAL CALL (s) { MATCH (p:EnergySpan) USING INDEX p:EnergySpan(tenant, source, level, timestamp)"
    "  WHERE p.tenant = s.tenant AND p.source = s.source AND p.level = s.level AND p.timestamp < s.timestamp AND p.states > 0"
    "  RETURN p.timestamp AS previous ORDER BY p.tenant DESC, p.source DESC, p.level DESC, p.timestamp DESC LIMIT 1 }"
    " RETURN s.source, s.timestamp, s.energy, s.covered_s, s.entropy, '', s.regime, s.level, s.states, previous"
    " ORDER BY s.timestamp DESC, s.source DESC"
)
STANDING = "UNWIND $windows AS r MATCH (s:EnergyState {tenant: $tenant, source: r[0], timestamp: r[1]}) RETURN s.source, s.timestamp"
NEWEST = (
    f"MATCH (s:EnergyState) {OF_ALL} WHERE s.tenant = $tenant AND s.timestamp >= 0 RETURN s.timestamp"
    " ORDER BY s.tenant DESC, s.timestamp DESC LIMIT 1"
)
_BUCKET = "$origin + ((s.timestamp - $origin) / $step) * $step"
_SUMS = "sum(s.energy), sum(s.covered_s), sum(s.entropy)"
GROUP_STATES = (
    "MATCH (s:EnergyState) @ WHERE s.tenant = $tenant%s AND s.timestamp >= $start AND s.timestamp < $end"
    f" RETURN s.source, {_BUCKET} AS bucket, s.regime, s.regime AS last, {_SUMS}, count(*) AS states, count(*) AS led, max(s.timestamp)"
)
GROUP_SPANS = (
    "MATCH (s:EnergySpan) WHERE s.tenant = $tenant AND s.level = $level%s AND s.timestamp >= $start AND s.timestamp < $end AND NOT s:Stale"
    f" RETURN s.source, {_BUCKET} AS bucket, s.regime, s.last_regime, {_SUMS}, sum(s.states), sum(s.led), max(s.timestamp)"
)
GROUP_STALE = (
    "MATCH (t:Stale) WHERE t.tenant = $tenant AND t.level = $level%s AND t.timestamp >= $start AND t.timestamp < $end"
    f" MATCH (s:EnergyState) {OF_SOURCE} WHERE s.tenant = t.tenant AND s.source = t.source AND s.timestamp >= t.timestamp"
    f" AND s.timestamp < t.timestamp + $level RETURN s.source, {_BUCKET} AS bucket, s.regime, s.regime AS last, {_SUMS},"
    " count(*) AS states, count(*) AS led, max(s.timestamp)"
)
OLDEST_STALE = "MATCH (p:Stale) WHERE p.tenant IN $tenants RETURN min(p.timestamp)"
FORGET_STATES = (
    f"MATCH (s:EnergyState) {OF_ALL} WHERE s.tenant = $tenant AND s.timestamp < $oldest WITH s LIMIT $limit"
    " DETACH DELETE s RETURN count(*)"
)
FORGET_SPANS = (
    "MATCH (s:EnergySpan) WHERE s.tenant = $tenant AND s.level = $level AND s.timestamp < $oldest WITH s LIMIT $limit DELETE s"
    " RETURN count(*)"
)


def connect(settings: AtlasSettings) -> AsyncDriver:
    """A driver for the server that the settings name; it connects when it is first used.

    Raises:
        FailedPrecondition: the password's file cannot be read.
    """
    auth = None
    if settings.neo4j_password_file is not None:
        try:
            auth = (settings.neo4j_user, settings.neo4j_password_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            raise FailedPrecondition(
                f"the password of Neo4j cannot be read: {error}; see the setting neo4j_password_file"
            ) from None
    return AsyncGraphDatabase.driver(
        settings.neo4j_url,
        auth=auth,
        max_connection_pool_size=CONNECTIONS,
        connection_timeout=settings.neo4j_connect_s,
        connection_acquisition_timeout=settings.neo4j_connect_s,
        max_transaction_retry_time=settings.neo4j_connect_s,
        notifications_min_severity="OFF",
    )


class Neo4jGraph:
    """See Graph. `write_for_ever` is to run beside it."""

    def __init__(self, store: Store, driver: AsyncDriver, settings: AtlasSettings) -> None:
        self._store, self._driver, self._settings = store, driver, settings
        self._rolling = asyncio.Lock()
        """Held while roll-ups change, and while a span is put together from roll-ups and states: the parts must be of one moment."""
        self._writing = asyncio.Lock()
        self._ready, self._rolled_us = False, END_OF_TIME_US

    def record(self, tx: Tx, tenant: str, changes: Sequence[Change]) -> None:
        outbox.append(tx, tenant, changes, self._settings.neo4j_outbox_entries)

    async def open(self) -> None:
        """Give the outbox its name; before anything is recorded."""
        await self._store.write(outbox.open_outbox)

    async def close(self) -> None:
        """Close the connections."""
        await self._driver.close()

    async def write_for_ever(self) -> None:
        """Bring what waits in the outbox to Neo4j, in its order, as long as the process lives."""
        while True:
            try:
                await self.write_out()
                await asyncio.sleep(GATHER_S)
            except Unavailable as error:
                log.warning("Neo4j is behind", cause=error.message)
                await asyncio.sleep(PAUSE_S)

    async def write_out(self) -> None:
        """Bring everything that waits to Neo4j. Raises Unavailable."""
        async with self._writing:
            while entries := await self._next():
                await self._prepare()
                applied = await self.apply(entries)
                tenants = sorted({entry.tenant for entry in entries})
                await self._store.write(lambda tx, to=applied, of=tenants: outbox.applied(tx, to, of))
        metrics.OUTBOX_ENTRIES.set((await self._store.read(outbox.ends)).waiting)

    async def apply(self, entries: Sequence[outbox.Entry]) -> int:
        """Write entries to Neo4j, with their position, which is returned. Raises Unavailable."""
        name = (await self._store.read(outbox.ends)).name
        async with AsyncExitStack() as alone:
            if neo4j_write.reaches_back(entries, self._rolled_us):
                await alone.enter_async_context(self._rolling)
            return await self._do(lambda tx: neo4j_write.apply(tx, name, self._settings.domain, entries))

    async def _next(self) -> list[outbox.Entry]:
        def ask(conn: Any) -> list[outbox.Entry]:
            now = outbox.ends(conn)
            metrics.OUTBOX_ENTRIES.set(now.waiting)
            return outbox.waiting(conn, now.applied, ENTRIES, STATES)

        return await self._store.read(ask)

    async def _prepare(self) -> None:
        """Make constraints and indexes, once, and see that this outbox is the graph's."""
        if self._ready:
            return
        for statement in neo4j_write.SCHEMA:
            await self._ask_alone(statement)
        ends = await self._store.read(outbox.ends)
        applied, self._rolled_us = (await self._ask(neo4j_write.POSITION, write=True, name=ends.name))[0]
        if applied > ends.head:
            raise Unavailable(
                f"Neo4j has {applied} entries of this outbox, which knows of {ends.head}: the state is older than the graph, as after a "
                "restored backup; nothing is written until `eil atlas verify --repair` takes the graph up and compares it",
                reason="GRAPH_AHEAD",
                retry_after_s=60.0,
            )
        self._ready = True

    async def state_at(self, tenant: str, source: str, start_us: int, level_us: int = WINDOW_US) -> State | None:
        found = await self.states(tenant, source, (0, start_us + 1), (start_us + 1, ""), 1, level_us)
        return found[0] if found else None

    async def states(
        self,
        tenant: str,
        source: str,
        span: tuple[int, int],
        before: tuple[int, str],
        limit: int,
        level_us: int = WINDOW_US,
    ) -> list[State]:
        found = await self._ask(
            _listing(level_us, source),
            tenant=tenant,
            source=source,
            start=span[0],
            end=min(span[1], before[0] + 1),
            before=before[0],
            after=before[1],
            limit=limit,
            level=level_us,
        )
        return [State(*row) for row in found]

    async def standing(self, tenant: str, windows: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        found = await self._ask(STANDING, tenant=tenant, windows=[list(window) for window in windows])
        return {(source, start_us) for source, start_us in found}

    async def rolled_us(self) -> int:
        name = (await self._store.read(outbox.ends)).name
        found = await self._ask("MATCH (o:Outbox {name: $name}) RETURN o.rolled", name=name)
        return found[0][0] if found else 0

    async def groups(
        self, tenant: str, source: str, found: Sequence[Part], origin_us: int, step_us: int
    ) -> list[Group]:
        async def ask(tx: AsyncManagedTransaction) -> list[Group]:
            rows: list[list[Any]] = []
            for part in found:
                of_states = part.level_us == WINDOW_US
                for query in (GROUP_STATES,) if of_states else (GROUP_SPANS, GROUP_STALE):
                    rows += await rows_of(
                        tx,
                        _of(query, "t" if query is GROUP_STALE else "s", source),
                        tenant=tenant,
                        source=source,
                        start=part.start_us,
                        end=part.end_us,
                        level=part.level_us,
                        origin=origin_us,
                        step=step_us,
                    )
            return [Group(*row) for row in rows]

        async with self._rolling:
            return await self._do(ask, write=False)

    async def newest_us(self, tenant: str) -> int | None:
        found = await self._ask(NEWEST, tenant=tenant)
        return found[0][0] if found else None

    async def roll(self, settled_us: int) -> int:
        await self._prepare()
        name = (await self._store.read(outbox.ends)).name
        tenants = await self._store.read(outbox.tenants)
        async with self._rolling:
            self._rolled_us = END_OF_TIME_US  # not known until the transaction has ended
            done = await self._do(lambda tx: neo4j_write.roll(tx, name, tenants, settled_us, ROLL_SPANS))
            self._rolled_us = await self.rolled_us()
            return done

    async def forget(self, oldest_us: int, level_us: int = WINDOW_US) -> int:
        tenants = await self._store.read(outbox.tenants)
        query = FORGET_STATES if level_us == WINDOW_US else FORGET_SPANS
        if level_us == WINDOW_US:
            waiting = (await self._ask(OLDEST_STALE, tenants=tenants))[0][0]
            oldest_us = min([oldest_us, *([waiting] if waiting is not None else [])])
        what = {"oldest": oldest_us, "level": level_us, "limit": FORGET_AT_ONCE}
        return sum([(await self._ask(query, write=True, tenant=tenant, **what))[0][0] for tenant in tenants])

    async def reclaim(self) -> None:
        async with self._writing:
            ends = await self._store.read(outbox.ends)
            applied = (await self._ask(neo4j_write.POSITION, write=True, name=ends.name))[0][0]
            if applied > ends.head:
                log.warning("the graph is taken up at an older position", applied=applied, position=ends.applied)
                await self._ask(neo4j_write.APPLIED, write=True, name=ends.name, applied=ends.applied)

    async def caught_up(self) -> None:
        await self.write_out()

    async def _ask(self, query: str, *, write: bool = False, **parameters: Any) -> list[list[Any]]:
        return await self._do(lambda tx: rows_of(tx, query, **parameters), write=write)

    async def _ask_alone(self, query: str) -> None:
        """Run what cannot stand in a transaction of ours."""
        try:
            async with asyncio.timeout(self._settings.neo4j_write_s):
                await self._driver.execute_query(cast(LiteralString, query), database_=self._settings.neo4j_database)
        except (DriverError, Neo4jError, OSError, TimeoutError) as error:
            raise _unreachable(error) from error

    async def _do(self, work: Callable[[AsyncManagedTransaction], Awaitable[T]], *, write: bool = True) -> T:
        """Do work in a transaction. Raises Unavailable."""
        limit_s = self._settings.neo4j_write_s if write else self._settings.neo4j_query_s
        bounded = unit_of_work(timeout=limit_s)(work)  # the server ends it, too
        try:
            async with (
                asyncio.timeout(limit_s),
                self._driver.session(database=self._settings.neo4j_database) as session,
            ):
                return await (session.execute_write(bounded) if write else session.execute_read(bounded))
        except (CypherSyntaxError, CypherTypeError):  # a bug of ours is no absence of Neo4j
            raise
        except (DriverError, Neo4jError, OSError, TimeoutError) as error:
            raise _unreachable(error) from error


def _of(query: str, alias: str, source: str) -> str:
    """The query asked of one source or (if "") of all, with the index that serves it."""
    of, index = (f" AND {alias}.source = $source", OF_SOURCE) if source else ("", OF_ALL)
    return query.replace("@", index) % of


def _listing(level_us: int, source: str) -> str:
    """The query for states or spans, newest first, of one source or (if "") of all: in the order of the index that serves it, so that no
    more is read than the limit says."""
    query, label, level = (LIST, "EnergyState", ()) if level_us == WINDOW_US else (LIST_SPANS, "EnergySpan", ("level",))
    index = ("tenant", *(("source",) if source else ()), *level, "timestamp")
    order = index if source else (*index, "source")
    return (
        query.replace("@index", f"USING INDEX s:{label}({', '.join(index)})")
        .replace("@source", " AND s.source = $source" if source else "")
        .replace("@key", ", ".join(f"s.{name} DESC" for name in order))
    )


def _unreachable(error: Exception) -> Unavailable:
    refused = "; it refuses the user or password" if isinstance(error, AuthError) else ""
    log.warning("Neo4j did not answer", error=type(error).__name__, cause=str(error)[:200])
    return Unavailable(
        f"the graph could not be asked ({type(error).__name__}{refused}); learning goes on; try again",
        reason="GRAPH_UNREACHABLE",
        retry_after_s=RETRY_AFTER_S,
    )
