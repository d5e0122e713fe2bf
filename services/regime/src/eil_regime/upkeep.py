"""What the regime service does on its own: identify thermal nodes, forget old samples."""

import asyncio
import dataclasses
import json

import numpy as np
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.store import Connection, Store, Tx
from eil_physics import fit_node

from eil_regime import samples, segments, sources
from eil_regime.domain.bounds import ABSOLUTE_ZERO_C, AMBIENT, POWER, TEMPERATURE
from eil_regime.domain.measurement import AMBIENT_SENSOR_U_K
from eil_regime.ingest import Ingest

FIT_ROWS = 8192
"""Newest rows that a thermal node is fitted on: over two hours at one a second. The fit averages them down itself."""
REFIT_S = 6 * 3600.0
"""Age of a node on its source's clock at which it is fitted anew. Until then it judges what comes after its fit, a fault too: a node that
followed every minute would find nothing to judge, and take a failing fan for its own."""
MAX_SE_CONDUCTANCE = 0.015
"""Largest relative SE(UA) of a node that may judge. The first law's u_r leaves SE(UA) out: at 3 % one true window in ten is accused."""
FORGET_EVERY_S = 3600.0
FORGET_SEGMENTS = 50
"""Segments forgotten in one transaction, so that ingest never waits long."""


async def identify_nodes(store: Store, every_s: float) -> None:
    """Fit a thermal node to every source whose clock has moved and that has none or an old one, for ever."""
    fitted: dict[int, int] = {}
    while True:
        await asyncio.sleep(every_s)
        for source in await store.read(_candidates):
            if source.clock_us is None or fitted.get(source.id) == source.clock_us:
                continue
            if source.node is not None and source.clock_us / MICROSECONDS - source.node.frozen_at_s < REFIT_S:
                continue
            fitted[source.id] = source.clock_us
            node = await store.read(lambda conn, source=source: _fit(conn, source))
            if node is not None:
                await store.write(lambda tx, source=source, node=node: _save(tx, source.id, node))


def _candidates(conn: Connection) -> list[sources.Source]:
    rows = conn.execute(
        f"SELECT {sources.COLUMNS} FROM sources WHERE kind IN ('metered', 'simulated') AND clock_us IS NOT NULL"
    )
    return [source for row in rows if {POWER, TEMPERATURE} <= set((source := sources.source_of(row)).channels)]


def _fit(conn: Connection, source: sources.Source) -> str | None:
    """The node as JSON if it may judge, else None: an earlier node stands."""
    times_us, columns = samples.newest_rows(conn, source, FIT_ROWS)
    needed = [POWER, TEMPERATURE, *([AMBIENT] if AMBIENT in source.channels else [])]
    rows = np.isfinite([columns[name] for name in needed]).all(axis=0)
    if not rows.any():
        return None
    node = fit_node(
        times_us[rows] / MICROSECONDS,
        columns[POWER][rows],
        columns[TEMPERATURE][rows] - ABSOLUTE_ZERO_C,
        ambient_k=columns[AMBIENT][rows] - ABSOLUTE_ZERO_C if AMBIENT in needed else None,
        ambient_std_k=AMBIENT_SENSOR_U_K,
        power_kind="mean" if source.power_kind == "mean" else "instant",
    )
    sure = node.se_conductance_w_per_k <= MAX_SE_CONDUCTANCE * node.conductance_w_per_k
    return json.dumps(dataclasses.asdict(node)) if node.identified and sure else None


def _save(tx: Tx, source_id: int, node: str) -> None:
    tx.conn.execute("UPDATE sources SET node = ? WHERE id = ?", (node, source_id))


async def forget_samples(store: Store, ingest: Ingest, clock: Clock, keep_s: float) -> None:
    """Delete segments received longer than `keep_s` ago, for ever; their states stay in the Atlas. What has gathered for a day goes into
    segments first."""
    while True:
        now_us = clock.now_us()
        idle_us, oldest_us = now_us - segments.OPEN_US, now_us - round(keep_s * MICROSECONDS)
        settled = await store.write(lambda tx, idle_us=idle_us: ingest.settle(tx, idle_us, FORGET_SEGMENTS))
        forgotten = await store.write(
            lambda tx, oldest_us=oldest_us: segments.forget(tx.conn, oldest_us, FORGET_SEGMENTS)
        )
        await asyncio.sleep(0.05 if FORGET_SEGMENTS in (settled, forgotten) else FORGET_EVERY_S)
