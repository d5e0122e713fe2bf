"""What the atlas service does on its own: roll up hours and days, and forget what is old."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import Unavailable
from eil_mesh.store import Connection, Store

from eil_atlas.domain.spans import DAY_US, HOUR_US
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.graph import FORGET_ROWS, Graph

log = structlog.get_logger("eil.atlas")
ROLL_EVERY_S = 60.0
FORGET_EVERY_S = 3600.0
PAUSE_S = 0.05
"""Between two transactions, for those who wait."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long states (and shifts), hours and days of them are kept [s]."""

    states_s: float
    hours_s: float
    days_s: float


async def roll_up(graph: Graph, clock: Clock, lateness_s: float) -> None:
    """Roll up hours and days once they are settled, for ever."""
    while True:
        try:
            await _whole(lambda: graph.roll(clock.now_us() - round(lateness_s * MICROSECONDS)))
        except Unavailable as error:
            log.warning("nothing rolled up", cause=error.message)
        await asyncio.sleep(ROLL_EVERY_S)


async def forget_old(store: Store, graph: Graph, clock: Clock, keep: Retention) -> None:
    """Forget what is older than it is kept, for ever."""
    while True:
        try:
            await forget_once(store, graph, clock.now_us(), keep)
        except Unavailable as error:
            log.warning("nothing forgotten", cause=error.message)
        await asyncio.sleep(FORGET_EVERY_S)


async def forget_once(store: Store, graph: Graph, now_us: int, keep: Retention) -> None:
    """Forget what is older than it is kept, and the sources that have been silent since. Raises Unavailable."""
    for level_us, keep_s in ((WINDOW_US, keep.states_s), (HOUR_US, keep.hours_s), (DAY_US, keep.days_s)):
        oldest_us = now_us - round(keep_s * MICROSECONDS)
        await _whole(lambda oldest_us=oldest_us, level_us=level_us: graph.forget(oldest_us, level_us))
    oldest_us = now_us - round(max(keep.states_s, keep.hours_s, keep.days_s) * MICROSECONDS)
    await _whole(lambda: store.write(lambda tx: _forget_sources(tx.conn, oldest_us)))


async def _whole(step: Callable[[], Awaitable[int]]) -> None:
    """Take a step until there is nothing left to do, with pauses between."""
    while True:
        if not await step():
            return
        await asyncio.sleep(PAUSE_S)


def _forget_sources(conn: Connection, oldest_us: int) -> int:
    """Delete shifts older than a moment and the sources that were silent since, a limited number of rows; returns how many shifts went."""
    gone = 0
    for (tenant,) in conn.execute("SELECT DISTINCT tenant FROM sources").fetchall():
        key = "tenant, source, detected_us"
        gone += conn.execute(
            f"DELETE FROM shifts WHERE ({key}) IN (SELECT {key} FROM shifts WHERE tenant=? AND detected_us<? LIMIT ?)",
            (tenant, oldest_us, FORGET_ROWS - gone),
        ).rowcount
    if gone < FORGET_ROWS:
        silent = "SELECT tenant, name FROM sources WHERE clock_us < ?"
        for table in ("power", "windows"):
            conn.execute(f"DELETE FROM {table} WHERE (tenant, source) IN ({silent})", (oldest_us,))
        conn.execute("DELETE FROM sources WHERE clock_us < ?", (oldest_us,))
    return gone
