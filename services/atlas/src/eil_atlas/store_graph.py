"""The graph in the service's own store: what is recorded is there in the same transaction.

Edges follow from the keys, so that they cannot disagree with the nodes: a source consumes energy in the states that carry its name, a
state goes over into the source's next one, a shift was detected in the state whose window holds the moment.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from eil_mesh.store import Connection, Store, Tx

from eil_atlas.changes import Change, Forgotten, Gone, StateRow, States, Stretch
from eil_atlas.domain.spans import DAY_US, HOUR_US, Group, Part, Span, fold
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.graph import FORGET_ROWS, ROLL_SPANS, State

SCHEMA = """
CREATE TABLE IF NOT EXISTS states (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  energy_j REAL NOT NULL,
  covered_s REAL NOT NULL,
  entropy REAL NOT NULL,
  power_method TEXT NOT NULL,
  regime TEXT NOT NULL,
  PRIMARY KEY (tenant, source, start_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS states_by_time ON states (tenant, start_us, source);
CREATE TABLE IF NOT EXISTS spans (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  level_us INTEGER NOT NULL,
  start_us INTEGER NOT NULL,
  energy_j REAL NOT NULL,
  covered_s REAL NOT NULL,
  entropy REAL NOT NULL,
  states INTEGER NOT NULL,
  regime TEXT NOT NULL,
  led INTEGER NOT NULL,
  last_regime TEXT NOT NULL,
  PRIMARY KEY (tenant, source, level_us, start_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_by_time ON spans (tenant, level_us, start_us, source);
CREATE TABLE IF NOT EXISTS stale (
  tenant TEXT NOT NULL,
  level_us INTEGER NOT NULL,
  start_us INTEGER NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (tenant, level_us, start_us, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rolled (one INTEGER PRIMARY KEY CHECK (one = 1), until_us INTEGER NOT NULL) STRICT;
"""
_PUT = (
    "INSERT INTO states VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (tenant, source, start_us) DO UPDATE SET energy_j=excluded.energy_j,"
    " covered_s=excluded.covered_s, entropy=excluded.entropy, power_method=excluded.power_method, regime=excluded.regime"
)
_TAKE = "DELETE FROM states WHERE tenant=? AND source=? AND start_us=?"
_PUT_SPAN = (
    "INSERT INTO spans VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (tenant, source, level_us, start_us) DO UPDATE SET"
    " energy_j=excluded.energy_j, covered_s=excluded.covered_s, entropy=excluded.entropy, states=excluded.states,"
    " regime=excluded.regime, led=excluded.led, last_regime=excluded.last_regime"
)
_STALE = "INSERT INTO stale VALUES (?,?,?,?) ON CONFLICT (tenant, level_us, start_us, source) DO NOTHING"
_STATE_AS_PIECE = (
    "s.source, s.start_us, s.energy_j, s.covered_s, s.entropy, 1 AS states, s.regime, 1 AS led, s.regime AS last_regime"
)
_GROUPED = "sum(energy_j), sum(covered_s), sum(entropy), CAST(sum(states) AS INTEGER), CAST(sum(led) AS INTEGER), max(start_us)"


class StoreGraph:
    """See Graph."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, tx: Tx, tenant: str, changes: Sequence[Change]) -> None:
        until_us = _rolled_us(tx.conn)
        for change in changes:
            match change:
                case States():
                    tx.conn.executemany(_PUT, [(tenant, change.source, *row) for row in change.rows])
                    mark_stale(tx.conn, tenant, change.source, change.rows, until_us)
                case Gone():
                    tx.conn.executemany(_TAKE, [(tenant, change.source, start_us) for start_us in change.starts])
                    mark_stale(tx.conn, tenant, change.source, [(start_us,) for start_us in change.starts], until_us)
                case Stretch():
                    rename(tx.conn, tenant, change, until_us)
                case Forgotten():
                    for table in ("states", "spans", "stale"):
                        tx.conn.execute(f"DELETE FROM {table} WHERE tenant=? AND source=?", (tenant, change.source))
                case _:
                    pass  # the store has shifts, places and links already

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
        ask = (tenant, source, span, before, limit)
        if level_us == WINDOW_US:
            return await self._store.read(lambda conn: _list_states(conn, *ask))
        return await self._store.read(lambda conn: _list_spans(conn, *ask, level_us))

    async def standing(self, tenant: str, windows: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        one = "SELECT 1 FROM states WHERE tenant=? AND source=? AND start_us=?"
        return await self._store.read(
            lambda conn: {window for window in windows if conn.execute(one, (tenant, *window)).fetchone()}
        )

    async def rolled_us(self) -> int:
        return await self._store.read(_rolled_us)

    async def groups(
        self, tenant: str, source: str, found: Sequence[Part], origin_us: int, step_us: int
    ) -> list[Group]:
        ask = (tenant, source, origin_us, step_us)
        return await self._store.read(lambda conn: [group for part in found for group in _groups(conn, part, *ask)])

    async def newest_us(self, tenant: str) -> int | None:
        ask = "SELECT max(start_us) FROM states WHERE tenant = ?"
        return await self._store.read(lambda conn: conn.execute(ask, (tenant,)).fetchone()[0])

    async def roll(self, settled_us: int) -> int:
        return await self._store.write(lambda tx: roll(tx.conn, settled_us))

    async def forget(self, oldest_us: int, level_us: int = WINDOW_US) -> int:
        return await self._store.write(lambda tx: forget(tx.conn, oldest_us, level_us))

    async def reclaim(self) -> None:
        return None

    async def caught_up(self) -> None:
        return None


def mark_stale(
    conn: Connection, tenant: str, source: str, rows: Iterable[StateRow] | Iterable[tuple[int]], until_us: int
) -> None:
    """Note the hours and days that are rolled up already and no longer add up."""
    hours = {row[0] - row[0] % HOUR_US for row in rows if row[0] < until_us}
    days = {hour - hour % DAY_US for hour in hours}
    conn.executemany(_STALE, [(tenant, HOUR_US, hour, source) for hour in hours if hour + HOUR_US <= until_us])
    conn.executemany(_STALE, [(tenant, DAY_US, day, source) for day in days if day + DAY_US <= until_us])


def rename(conn: Connection, tenant: str, stretch: Stretch, until_us: int) -> None:
    """Give the states of a stretch their regime."""
    span = (tenant, stretch.source, stretch.start_us, stretch.end_us, stretch.regime)
    where = "WHERE tenant=? AND source=? AND start_us>=? AND start_us<? AND regime<>?"
    if stretch.start_us < until_us:
        hours = conn.execute(
            f"SELECT DISTINCT start_us - start_us % {HOUR_US} FROM states {where} AND start_us<?", (*span, until_us)
        ).fetchall()
        mark_stale(conn, tenant, stretch.source, [(row[0],) for row in hours], until_us)
    conn.execute(f"UPDATE states SET regime=? {where}", (stretch.regime, *span))


def roll(conn: Connection, settled_us: int) -> int:
    """Roll up what is stale, hours before days; then move on by a day at most. Returns how much was done."""
    for level_us in (HOUR_US, DAY_US):
        rows = conn.execute(
            "SELECT tenant, start_us, source FROM stale WHERE level_us=? ORDER BY start_us LIMIT ?",
            (level_us, ROLL_SPANS),
        ).fetchall()
        for tenant, start_us, source in (tuple(row) for row in rows):
            _roll_one(conn, tenant, source, level_us, start_us)
        if rows:
            return len(rows)
    return _move_on(conn, settled_us - settled_us % HOUR_US)


def _roll_one(conn: Connection, tenant: str, source: str, level_us: int, start_us: int) -> None:
    finer_us = WINDOW_US if level_us == HOUR_US else HOUR_US
    part = Part(finer_us, start_us, start_us + level_us)
    spans = fold(_groups(conn, part, tenant, source, start_us, level_us))
    key = (tenant, source, level_us, start_us)
    conn.execute("DELETE FROM stale WHERE tenant=? AND source=? AND level_us=? AND start_us=?", key)
    if spans:
        conn.execute(_PUT_SPAN, (*key, *_figures(spans[0])))
    else:
        conn.execute("DELETE FROM spans WHERE tenant=? AND source=? AND level_us=? AND start_us=?", key)


def _figures(span: Span) -> tuple[Any, ...]:
    return span.energy_j, span.covered_s, span.entropy, span.states, span.regime, span.led, span.last_regime


def _move_on(conn: Connection, settled_us: int) -> int:
    """Let the hours that have ended since become stale, of a day at most; returns whether there were any."""
    until_us = _rolled_us(conn)
    tenants = _tenants(conn, "states")
    oldest = [
        row[0]
        for tenant in tenants
        for row in conn.execute("SELECT min(start_us) FROM states WHERE tenant=? AND start_us>=?", (tenant, until_us))
        if row[0] is not None
    ]
    first_us = min([*oldest, settled_us])
    now_us = min(settled_us, max(until_us, first_us - first_us % HOUR_US) + DAY_US)
    if now_us <= until_us:
        return 0
    for tenant in tenants:
        rows = conn.execute(
            f"SELECT DISTINCT source, start_us - start_us % {HOUR_US} FROM states WHERE tenant=? AND start_us>=? AND start_us<?",
            (tenant, until_us, now_us),
        ).fetchall()
        conn.executemany(_STALE, [(tenant, HOUR_US, row[1], row[0]) for row in rows])
        # The days that are over now: their hours may have been rolled up long ago.
        rows = conn.execute(
            f"SELECT DISTINCT source, start_us - start_us % {DAY_US} FROM states WHERE tenant=? AND start_us>=? AND start_us<?",
            (tenant, until_us - until_us % DAY_US, now_us - now_us % DAY_US),
        ).fetchall()
        conn.executemany(_STALE, [(tenant, DAY_US, row[1], row[0]) for row in rows])
    conn.execute(
        "INSERT INTO rolled VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET until_us=excluded.until_us", (now_us,)
    )
    return 1


def forget(conn: Connection, oldest_us: int, level_us: int) -> int:
    """Delete what begins before a moment, a limited number of rows at a time; what is to be rolled up first stays until it is."""
    if level_us == WINDOW_US:
        table, cut, values = "states", "start_us < ?", (oldest_us,)
        waiting = conn.execute("SELECT min(start_us) FROM stale").fetchone()[0]
        values = (min([oldest_us, *([waiting] if waiting is not None else [])]),)
        key = "tenant, source, start_us"
    else:
        table, cut, values = "spans", "level_us = ? AND start_us < ?", (level_us, oldest_us)
        key = "tenant, source, level_us, start_us"
    forgotten = 0
    for tenant in _tenants(conn, table):  # for the index by tenant and time
        forgotten += conn.execute(
            f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE tenant=? AND {cut} LIMIT ?)",
            (tenant, *values, FORGET_ROWS - forgotten),
        ).rowcount
    return forgotten


def _tenants(conn: Connection, table: str) -> list[str]:
    """Every tenant of a table whose key begins with the tenant: a step of the index each."""
    found: list[str] = []
    row = conn.execute(f"SELECT min(tenant) FROM {table}").fetchone()
    while row[0] is not None:
        found.append(row[0])
        row = conn.execute(f"SELECT min(tenant) FROM {table} WHERE tenant > ?", (row[0],)).fetchone()
    return found


def _rolled_us(conn: Connection) -> int:
    row = conn.execute("SELECT until_us FROM rolled").fetchone()
    return row[0] if row else 0


def _of(source: str, alias: str = "") -> tuple[str, tuple[str, ...]]:
    return (f" AND {alias}source=?", (source,)) if source else ("", ())


def _list_states(
    conn: Connection, tenant: str, source: str, span: tuple[int, int], before: tuple[int, str], limit: int
) -> list[State]:
    where, values = _of(source, "s.")
    rows = conn.execute(
        f"SELECT source, start_us, energy_j, covered_s, entropy, power_method, regime, {WINDOW_US}, 1,"
        " (SELECT max(start_us) FROM states p WHERE p.tenant=s.tenant AND p.source=s.source AND p.start_us<s.start_us) AS previous_us"
        f" FROM states s WHERE tenant=?{where} AND start_us>=? AND start_us<? AND start_us<=? AND (start_us, source) < (?, ?)"
        " ORDER BY start_us DESC, source DESC LIMIT ?",
        (tenant, *values, *span, before[0], *before, limit),
    ).fetchall()
    return [State(*row) for row in rows]


def _list_spans(
    conn: Connection,
    tenant: str,
    source: str,
    span: tuple[int, int],
    before: tuple[int, str],
    limit: int,
    level_us: int,
) -> list[State]:
    where, values = _of(source, "s.")
    rows = conn.execute(
        "SELECT source, start_us, energy_j, covered_s, entropy, '', regime, level_us, states,"
        " (SELECT max(p.start_us) FROM spans p WHERE p.tenant=s.tenant AND p.source=s.source AND p.level_us=s.level_us"
        "  AND p.start_us<s.start_us) AS previous_us"
        f" FROM spans s WHERE tenant=? AND level_us=?{where} AND start_us>=? AND start_us<? AND start_us<=? AND (start_us, source) < (?, ?)"
        " AND NOT EXISTS (SELECT 1 FROM stale t WHERE t.tenant=s.tenant AND t.level_us=s.level_us AND t.start_us=s.start_us"
        "  AND t.source=s.source) ORDER BY start_us DESC, source DESC LIMIT ?",
        (tenant, level_us, *values, *span, before[0], *before, limit),
    ).fetchall()
    return [State(*row) for row in rows]


def _groups(conn: Connection, part: Part, tenant: str, source: str, origin_us: int, step_us: int) -> list[Group]:
    where, values = _of(source, "s.")
    if part.level_us == WINDOW_US:
        pieces = f"SELECT {_STATE_AS_PIECE} FROM states s WHERE s.tenant=?{where} AND s.start_us>=? AND s.start_us<?"
        given: tuple[Any, ...] = (tenant, *values, part.start_us, part.end_us)
    else:
        own, stale = _of(source, "s.")[0], _of(source, "t.")[0]
        pieces = (
            "SELECT s.source, s.start_us, s.energy_j, s.covered_s, s.entropy, s.states, s.regime, s.led, s.last_regime FROM spans s"
            f" WHERE s.tenant=? AND s.level_us=?{own} AND s.start_us>=? AND s.start_us<? AND NOT EXISTS (SELECT 1 FROM stale t"
            "  WHERE t.tenant=s.tenant AND t.level_us=s.level_us AND t.start_us=s.start_us AND t.source=s.source)"
            f" UNION ALL SELECT {_STATE_AS_PIECE} FROM stale t JOIN states s ON s.tenant=t.tenant AND s.source=t.source"
            f" AND s.start_us>=t.start_us AND s.start_us<t.start_us + ? WHERE t.tenant=? AND t.level_us=?{stale}"
            " AND t.start_us>=? AND t.start_us<?"
        )
        bounds = (*values, part.start_us, part.end_us)
        given = (tenant, part.level_us, *bounds, part.level_us, tenant, part.level_us, *bounds)
    rows = conn.execute(
        f"SELECT source, bucket, regime, last_regime, {_GROUPED} FROM (SELECT s.*, start_us - (start_us - ?) % ? AS bucket"
        f" FROM ({pieces}) AS s) AS b GROUP BY source, bucket, regime, last_regime",
        (origin_us, step_us, *given),
    )
    return [Group(*tuple(row)) for row in rows]
