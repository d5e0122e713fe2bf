"""What is written to Neo4j, as Cypher: entries of the outbox in their order, coalesced, and roll-ups.

    (:Service {tenant, name, row, rack})-[:CONSUMES_ENERGY]->(:EnergyState {tenant, source, timestamp, id, energy, covered_s, entropy, …})
    (:EnergyState)-[:TRANSITIONS_TO]->(:EnergyState)     the source's next state
    (:RegimeShift {tenant, source, detected})-[:DETECTED_IN]->(:EnergyState)
    (:Service)-[:FEEDS|CALLS|ADJACENT {weight}]->(:Service)
    (:EnergySpan {tenant, source, level, timestamp, …})   an hour or a day; `:Stale` while it does not add up
    (:Outbox {name, applied, rolled})                    up to where the graph has an outbox's entries and is rolled up

Times are microseconds since 1970. Uniqueness constraints keep one node a key, and find it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString, cast

from neo4j import AsyncManagedTransaction

from eil_atlas.changes import Forgotten, Gone, Link, Place, Shift, StateRow, States, Stretch
from eil_atlas.domain.spans import DAY_US, HOUR_US, Group, Span, fold
from eil_atlas.domain.windows import WINDOW_US, state_id
from eil_atlas.outbox import Entry

Tx = AsyncManagedTransaction
SCHEMA = (
    "CREATE CONSTRAINT energy_state IF NOT EXISTS FOR (s:EnergyState) REQUIRE (s.tenant, s.source, s.timestamp) IS UNIQUE",
    "CREATE CONSTRAINT energy_span IF NOT EXISTS FOR (p:EnergySpan) REQUIRE (p.tenant, p.source, p.level, p.timestamp) IS UNIQUE",
    "CREATE CONSTRAINT service IF NOT EXISTS FOR (v:Service) REQUIRE (v.tenant, v.name) IS UNIQUE",
    "CREATE CONSTRAINT regime_shift IF NOT EXISTS FOR (h:RegimeShift) REQUIRE (h.tenant, h.source, h.detected) IS UNIQUE",
    "CREATE CONSTRAINT outbox IF NOT EXISTS FOR (o:Outbox) REQUIRE o.name IS UNIQUE",
    "CREATE INDEX energy_state_by_time IF NOT EXISTS FOR (s:EnergyState) ON (s.tenant, s.timestamp)",
    "CREATE INDEX energy_span_by_time IF NOT EXISTS FOR (p:EnergySpan) ON (p.tenant, p.level, p.timestamp)",
)
OF_SOURCE = "USING INDEX s:EnergyState(tenant, source, timestamp)"
OF_ALL = "USING INDEX s:EnergyState(tenant, timestamp)"
"""Which index finds states: the planner guesses from counts that it took when the graph was another, and may read a tenant for a source."""
_BY_TIME = "{0}.tenant{1}, {0}.source{1}, {0}.timestamp{1} LIMIT 1"
"""The whole key, as the index has it: ordered by time alone every state of the source would be read and sorted."""
_NEWEST, _OLDEST = _BY_TIME.format("p", " DESC"), _BY_TIME.format("n", "")
ADD = (
    "UNWIND $runs AS r MERGE (v:Service {tenant: r[0], name: r[1]}) WITH r, v"
    f" CALL (r) {{ OPTIONAL MATCH (p:EnergyState) {OF_SOURCE.replace('s:', 'p:')}"
    f"  WHERE p.tenant = r[0] AND p.source = r[1] AND p.timestamp >= 0 RETURN p ORDER BY {_NEWEST} }}"
    " CALL (r) { OPTIONAL MATCH (h:RegimeShift) WHERE h.tenant = r[0] AND h.source = r[1] AND h.detected >= 0"
    "  RETURN h.detected AS detected ORDER BY h.tenant DESC, h.source DESC, h.detected DESC LIMIT 1 }"
    " WITH r, v, p, coalesce(p.timestamp, -1) AS newest, coalesce(detected, -1) AS detected"
    " WITH r, v, p, CASE WHEN detected > newest THEN detected ELSE newest END AS known"
    " WITH r, v, p, known, [w IN r[2] WHERE w[0] > known] AS newer"
    " CALL (v, p, r, newer) { UNWIND newer AS w CREATE (v)-[:CONSUMES_ENERGY]->(s:EnergyState {tenant: r[0], source: r[1],"
    "  timestamp: w[0], energy: w[1], covered_s: w[2], entropy: w[3], power_method: w[4], regime: w[5], id: w[6], domain: $domain})"
    "  WITH p, s ORDER BY s.timestamp WITH p, collect(s) AS run"
    "  WITH CASE WHEN p IS NULL THEN run ELSE [p] + run END AS chain"
    "  UNWIND range(1, size(chain) - 1) AS i WITH chain[i - 1] AS a, chain[i] AS b CREATE (a)-[:TRANSITIONS_TO]->(b) }"
    " WITH r, known, newer WHERE size(newer) < size(r[2]) RETURN r[0], r[1], known"
)
"""Appends to each source's chain what is newer than all that the graph knows of it, states and shifts, so that nothing is to be mended;
returns whose runs hold more, and up to where."""
PUT = (
    "UNWIND $rows AS r MERGE (s:EnergyState {tenant: r[0], source: r[1], timestamp: r[2]})"
    " ON CREATE SET s.fresh = true, s.id = r[8], s.domain = $domain"
    " SET s.energy = r[3], s.covered_s = r[4], s.entropy = r[5], s.power_method = r[6], s.regime = r[7]"
    " WITH s, r WHERE s.fresh REMOVE s.fresh"
    " MERGE (v:Service {tenant: r[0], name: r[1]}) CREATE (v)-[:CONSUMES_ENERGY]->(s) WITH s, r"
    # It stands in the chain after the newest before it, and before the oldest after it; what joined these two is gone.
    " CALL (s, r) { MATCH (p:EnergyState) USING INDEX p:EnergyState(tenant, source, timestamp)"
    f"  WHERE p.tenant = r[0] AND p.source = r[1] AND p.timestamp < r[2] WITH s, p ORDER BY {_NEWEST}"
    "  OPTIONAL MATCH (p)-[old:TRANSITIONS_TO]->(o) WHERE o <> s DELETE old WITH DISTINCT s, p MERGE (p)-[:TRANSITIONS_TO]->(s) }"
    " CALL (s, r) { MATCH (n:EnergyState) USING INDEX n:EnergyState(tenant, source, timestamp)"
    f"  WHERE n.tenant = r[0] AND n.source = r[1] AND n.timestamp > r[2] WITH s, n ORDER BY {_OLDEST}"
    "  OPTIONAL MATCH (o)-[old:TRANSITIONS_TO]->(n) WHERE o <> s DELETE old WITH DISTINCT s, n MERGE (s)-[:TRANSITIONS_TO]->(n) }"
    " CALL (s, r) { MATCH (h:RegimeShift) WHERE h.tenant = r[0] AND h.source = r[1] AND h.detected >= r[2]"
    f"  AND h.detected < r[2] + {WINDOW_US} MERGE (h)-[:DETECTED_IN]->(s) }}"
)
"""Writes states wherever they stand."""
TAKE = (
    # One after the other: of states side by side the second must find the link that the first one's going has drawn.
    f"MATCH (s:EnergyState {{tenant: $row[0], source: $row[1], timestamp: $row[2]}}) {OF_SOURCE}"
    " OPTIONAL MATCH (p:EnergyState)-[:TRANSITIONS_TO]->(s) OPTIONAL MATCH (s)-[:TRANSITIONS_TO]->(n:EnergyState)"
    " FOREACH (_ IN CASE WHEN p IS NULL OR n IS NULL THEN [] ELSE [1] END | MERGE (p)-[:TRANSITIONS_TO]->(n)) DETACH DELETE s"
)
SHIFT = (
    "UNWIND $rows AS r MERGE (h:RegimeShift {tenant: r[0], source: r[1], detected: r[2]})"
    " SET h.id = r[3], h.onset = r[4], h.from_regime = r[5], h.to_regime = r[6] WITH h, r"
    f" MATCH (s:EnergyState {{tenant: r[0], source: r[1], timestamp: r[2] - r[2] % {WINDOW_US}}}) {OF_SOURCE}"
    " MERGE (h)-[:DETECTED_IN]->(s)"
)
PLACE = "UNWIND $rows AS r MERGE (v:Service {tenant: r[0], name: r[1]}) SET v.row = r[2], v.rack = r[3]"
LINK = (
    "UNWIND $rows AS r MERGE (a:Service {tenant: r[0], name: r[1]}) MERGE (b:Service {tenant: r[0], name: r[2]})"
    " MERGE (a)-[l:%s]->(b) SET l.weight = r[3]"
)
UNLINK = "UNWIND $rows AS r MATCH (:Service {tenant: r[0], name: r[1]})-[l:%s]->(:Service {tenant: r[0], name: r[2]}) DELETE l"
_RENAMED = (
    f"UNWIND $rows AS r MATCH (s:EnergyState) {OF_SOURCE} WHERE s.tenant = r[0] AND s.source = r[1]"
    " AND s.timestamp >= r[2] AND s.timestamp < r[3]"
)
RENAMED_HOURS = (
    f"{_RENAMED} AND s.timestamp < $rolled AND s.regime <> r[4]"
    f" RETURN DISTINCT r[0], r[1], s.timestamp - s.timestamp % {HOUR_US}"
)
RENAME = f"{_RENAMED} SET s.regime = r[4]"
"""In the order of the rows: a name that is taken back in the same batch must find what it is to undo, whatever stood there before."""
STALE = "UNWIND $rows AS r MERGE (p:EnergySpan {tenant: r[0], source: r[1], level: r[2], timestamp: r[3]}) SET p:Stale"
FORGET = "MATCH (n:%s {tenant: $tenant, source: $source}) WITH n LIMIT $limit DETACH DELETE n RETURN count(*)"
FORGET_SERVICE = "MATCH (v:Service {tenant: $tenant, name: $source}) DETACH DELETE v"
POSITION = "MERGE (o:Outbox {name: $name}) ON CREATE SET o.applied = 0, o.rolled = 0 RETURN o.applied, o.rolled"
APPLIED = "MATCH (o:Outbox {name: $name}) SET o.applied = $applied"
GROUPED = (
    f"UNWIND $rows AS r MATCH (s:EnergyState) {OF_SOURCE} WHERE s.tenant = r[0] AND s.source = r[1] AND s.timestamp >= r[2]"
    " AND s.timestamp < r[2] + $level"
    " RETURN r[0], r[1], r[2], s.regime, s.regime AS last, sum(s.energy), sum(s.covered_s), sum(s.entropy),"
    " count(*) AS states, count(*) AS led, max(s.timestamp)"
)
GROUPED_HOURS = (
    f"UNWIND $rows AS r MATCH (p:EnergySpan) WHERE p.tenant = r[0] AND p.source = r[1] AND p.level = {HOUR_US} AND p.timestamp >= r[2]"
    " AND p.timestamp < r[2] + $level AND p.states > 0 RETURN r[0], r[1], r[2], p.regime, p.last_regime, sum(p.energy), sum(p.covered_s),"
    " sum(p.entropy), sum(p.states), sum(p.led), max(p.timestamp)"
)
WRITE_SPANS = (
    "UNWIND $rows AS r MATCH (p:EnergySpan {tenant: r[0], source: r[1], level: $level, timestamp: r[2]})"
    " SET p.energy = r[3], p.covered_s = r[4], p.entropy = r[5], p.states = r[6], p.regime = r[7], p.led = r[8], p.last_regime = r[9]"
    " REMOVE p:Stale"
)
DROP_SPANS = (
    "UNWIND $rows AS r MATCH (p:EnergySpan {tenant: r[0], source: r[1], level: $level, timestamp: r[2]}) DELETE p"
)
FIND_STALE = (
    "MATCH (p:Stale) WHERE p.tenant IN $tenants AND p.level = $level"
    " RETURN p.tenant, p.source, p.timestamp ORDER BY p.timestamp LIMIT $limit"
)
FORGET_AT_ONCE = 5000


class Batch:
    """Entries in their order, each thing written once: as it is at the end."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.states: dict[tuple[str, str], dict[int, StateRow]] = {}
        self.gone: set[tuple[str, str, int]] = set()
        self.names: list[tuple[str, str, int, int, str]] = []
        self.shifts: dict[tuple[str, str, int], Shift] = {}
        self.places: dict[tuple[str, str], Place] = {}
        self.links: dict[tuple[str, str, str, str], Link] = {}
        for entry in entries:
            for change in entry.changes:
                self._add(entry.tenant, change)

    def _add(self, tenant: str, change: Any) -> None:
        match change:
            case States():
                self.states.setdefault((tenant, change.source), {}).update((row.start_us, row) for row in change.rows)
                self.gone.difference_update((tenant, change.source, row.start_us) for row in change.rows)
            case Gone():
                rows = self.states.get((tenant, change.source), {})
                for start_us in change.starts:
                    rows.pop(start_us, None)
                    self.gone.add((tenant, change.source, start_us))
            case Stretch():
                self.names.append((tenant, change.source, change.start_us, change.end_us, change.regime))
                rows = self.states.get((tenant, change.source), {})
                for start_us, row in rows.items():
                    if change.start_us <= start_us < change.end_us:
                        rows[start_us] = row._replace(regime=change.regime)
            case Shift():
                self.shifts[tenant, change.source, change.detected_us] = change
            case Place():
                self.places[tenant, change.source] = change
            case Link():
                self.links[tenant, change.source, change.to_source, change.kind] = change


def reaches_back(entries: Iterable[Entry], rolled_us: int) -> bool:
    """Whether entries may alter what is rolled up."""
    changes = [change for entry in entries for change in entry.changes]
    return any(
        isinstance(change, Forgotten)
        or (isinstance(change, Stretch) and change.start_us < rolled_us)
        or (isinstance(change, Gone) and any(start_us < rolled_us for start_us in change.starts))
        or (isinstance(change, States) and any(row.start_us < rolled_us for row in change.rows))
        for change in changes
    )


async def apply(tx: Tx, name: str, domain: str, entries: Sequence[Entry]) -> int:
    """Apply those entries that the graph does not have yet, and note the position with them; returns the position."""
    applied, rolled_us = (await rows_of(tx, POSITION, name=name))[0]
    entries = [entry for entry in entries if entry.seq > applied]
    if not entries:
        return applied
    waiting: list[Entry] = []
    for entry in entries:
        if not any(isinstance(change, Forgotten) for change in entry.changes):
            waiting.append(entry)
            continue
        await _write(tx, Batch(waiting), domain, rolled_us)
        waiting = []
        for change in entry.changes:  # forgetting parts a batch: what came before must not come back
            if isinstance(change, Forgotten):
                await _forget(tx, entry.tenant, change.source)
            else:
                await _write(tx, Batch([Entry(entry.seq, entry.tenant, [change])]), domain, rolled_us)
    await _write(tx, Batch(waiting), domain, rolled_us)
    await tx.run(APPLIED, name=name, applied=entries[-1].seq)
    return entries[-1].seq


async def rows_of(tx: Tx, query: str, **parameters: Any) -> list[list[Any]]:
    """All rows that a query returns."""
    return await (await tx.run(cast(LiteralString, query), parameters)).values()


async def _run(tx: Tx, query: str, rows: Sequence[Any], **parameters: Any) -> None:
    if rows:
        await (await tx.run(cast(LiteralString, query), {"rows": rows, **parameters})).consume()


async def _write(tx: Tx, batch: Batch, domain: str, rolled_us: int) -> None:
    back = [name for name in batch.names if name[2] < rolled_us]
    hours = {tuple(row) for row in await rows_of(tx, RENAMED_HOURS, rows=back, rolled=rolled_us)} if back else set()
    await _run(tx, RENAME, batch.names)
    await _put(tx, {source: rows for source, rows in batch.states.items() if rows}, domain)
    for key in sorted(batch.gone):
        await (await tx.run(cast(LiteralString, TAKE), row=list(key))).consume()
    hours |= {(*key, us - us % HOUR_US) for key, rows in batch.states.items() for us in rows if us < rolled_us}
    hours |= {(tenant, source, us - us % HOUR_US) for tenant, source, us in batch.gone if us < rolled_us}
    await _run(tx, STALE, stale_rows(hours, rolled_us))
    await _run(
        tx,
        SHIFT,
        [[*key, s.id, s.onset_us, s.from_regime, s.to_regime] for key, s in batch.shifts.items()],
    )
    await _run(tx, PLACE, [[*key, place.row, place.rack] for key, place in batch.places.items()])
    for kind in sorted({link.kind for link in batch.links.values()}):
        rows = [[key[0], *key[1:3], link.weight] for key, link in batch.links.items() if link.kind == kind]
        await _run(tx, LINK % kind.upper(), [row for row in rows if row[3] > 0])
        await _run(tx, UNLINK % kind.upper(), [row for row in rows if row[3] == 0])


async def _put(tx: Tx, states: dict[tuple[str, str], dict[int, StateRow]], domain: str) -> None:
    """Append what is newer than all that the graph has of its source, then put the rest where it belongs."""
    if not states:
        return
    runs = [[*key, [[*rows[us], state_id(*key, us)] for us in sorted(rows)]] for key, rows in states.items()]
    known = {(tenant, source): us for tenant, source, us in await rows_of(tx, ADD, runs=runs, domain=domain)}
    await _run(
        tx,
        PUT,
        [
            [tenant, source, *row]
            for tenant, source, run in runs
            if (tenant, source) in known
            for row in run
            if row[0] <= known[tenant, source]
        ],
        domain=domain,
    )


def stale_rows(hours: Iterable[tuple[Any, ...]], rolled_us: int) -> list[list[Any]]:
    """The roll-ups [tenant, source, level, begin] that no longer add up once states of these hours (tenant, source, begin) changed."""
    hours = list(hours)
    days = {(tenant, source, hour - hour % DAY_US) for tenant, source, hour in hours}
    return [[*key[:2], HOUR_US, key[2]] for key in hours if key[2] + HOUR_US <= rolled_us] + [
        [*key[:2], DAY_US, key[2]] for key in days if key[2] + DAY_US <= rolled_us
    ]


async def _forget(tx: Tx, tenant: str, source: str) -> None:
    what = {"tenant": tenant, "source": source, "limit": FORGET_AT_ONCE}
    for label in ("EnergyState", "EnergySpan", "RegimeShift"):
        while (await rows_of(tx, FORGET % label, **what))[0][0]:
            pass
    await (await tx.run(FORGET_SERVICE, tenant=tenant, source=source)).consume()


async def roll(tx: Tx, name: str, tenants: Sequence[str], settled_us: int, limit: int) -> int:
    """As `Graph.roll`, in one transaction."""
    for level_us, query in ((HOUR_US, GROUPED), (DAY_US, GROUPED_HOURS)):
        found = await rows_of(tx, FIND_STALE, tenants=list(tenants), level=level_us, limit=limit)
        if not found:
            continue
        groups: dict[str, list[Group]] = {}
        for tenant, source, start_us, *rest in await rows_of(tx, query, rows=found, level=level_us):
            groups.setdefault(tenant, []).append(Group(source, start_us, *rest))
        spans = [(tenant, span) for tenant, of_tenant in groups.items() for span in fold(of_tenant)]
        await _run(tx, WRITE_SPANS, [_span_row(*one) for one in spans], level=level_us)
        full = {(tenant, span.source, span.start_us) for tenant, span in spans}
        await _run(tx, DROP_SPANS, [key for key in found if tuple(key) not in full], level=level_us)
        return len(found)
    return await _move_on(tx, name, tenants, settled_us - settled_us % HOUR_US)


def _span_row(tenant: str, span: Span) -> list[Any]:
    return [
        tenant, span.source, span.start_us, span.energy_j, span.covered_s, span.entropy, span.states, span.regime, span.led,
        span.last_regime,
    ]  # fmt: skip


OLDEST = (
    f"MATCH (s:EnergyState) {OF_ALL} WHERE s.tenant = $tenant AND s.timestamp >= $since RETURN s.timestamp"
    " ORDER BY s.tenant, s.timestamp LIMIT 1"
)
ENDED = (
    f"MATCH (s:EnergyState) {OF_ALL} WHERE s.tenant = $tenant AND s.timestamp >= $since AND s.timestamp < $until"
    " RETURN DISTINCT s.tenant, s.source, $level, s.timestamp - s.timestamp % $level"
)
MOVED = "MATCH (o:Outbox {name: $name}) SET o.rolled = $rolled"


async def _move_on(tx: Tx, name: str, tenants: Sequence[str], settled_us: int) -> int:
    """Let the hours and days that have ended since become stale, of a day at most; returns whether there were any."""
    rolled_us = (await rows_of(tx, POSITION, name=name))[0][1]
    oldest = [row[0] for tenant in tenants for row in await rows_of(tx, OLDEST, tenant=tenant, since=rolled_us)]
    first_us = min([settled_us, *oldest])
    now_us = min(settled_us, max(rolled_us, first_us - first_us % HOUR_US) + DAY_US)
    if now_us <= rolled_us:
        return 0
    for tenant in tenants:
        for level_us in (HOUR_US, DAY_US):
            since, until = rolled_us - rolled_us % level_us, now_us - now_us % level_us
            ended = await rows_of(tx, ENDED, tenant=tenant, since=since, until=until, level=level_us)
            await _run(tx, STALE, ended)
    await (await tx.run(MOVED, name=name, rolled=now_us)).consume()
    return 1
