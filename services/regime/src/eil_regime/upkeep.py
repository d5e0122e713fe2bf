"""What the regime service does on its own: identify thermal nodes, forget old samples."""

import asyncio
import dataclasses
import json
import math
import sqlite3

from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.store import Store, Tx
from eil_physics import fit_node

from eil_regime import samples
from eil_regime.domain.bounds import ABSOLUTE_ZERO_C, AMBIENT, POWER, TEMPERATURE
from eil_regime.domain.measurement import AMBIENT_SENSOR_U_K

FIT_ROWS = 1024
"""Newest rows that a thermal node is fitted on."""
MAX_SE_CONDUCTANCE = 0.015
"""Largest relative SE(UA) of a node that may judge. The first law's u_r leaves SE(UA) out: at 3 % one true window in ten is accused."""
FORGET_EVERY_S = 3600.0
FORGET_ROWS = 20_000
"""Rows forgotten in one transaction, so that ingest never waits long."""


async def identify_nodes(store: Store, every_s: float) -> None:
    """Fit the thermal node of every source whose clock has moved, for ever. A node judges only windows after its fit."""
    fitted: dict[int, int] = {}
    while True:
        await asyncio.sleep(every_s)
        for source in await store.read(_candidates):
            if source.clock_us is None or fitted.get(source.id) == source.clock_us:
                continue
            fitted[source.id] = source.clock_us
            node = await store.read(lambda conn, source=source: _fit(conn, source))
            if node is not None:
                await store.write(lambda tx, source=source, node=node: _save(tx, source.id, node))


def _candidates(conn: sqlite3.Connection) -> list[samples.Source]:
    rows = conn.execute("SELECT * FROM sources WHERE kind IN ('metered', 'simulated') AND clock_us IS NOT NULL")
    return [source for row in rows if {POWER, TEMPERATURE} <= set((source := samples.source_of(row)).channels)]


def _fit(conn: sqlite3.Connection, source: samples.Source) -> str | None:
    """The node as JSON if it may judge, else None: an earlier node stands."""
    times, columns = samples.newest_rows(conn, source, FIT_ROWS)
    needed = [POWER, TEMPERATURE, *([AMBIENT] if AMBIENT in source.channels else [])]
    rows = [i for i in range(len(times)) if all(math.isfinite(columns[name][i]) for name in needed)]
    if not rows:
        return None
    ambient = [columns[AMBIENT][i] - ABSOLUTE_ZERO_C for i in rows] if AMBIENT in needed else None
    node = fit_node(
        [times[i] / MICROSECONDS for i in rows],
        [columns[POWER][i] for i in rows],
        [columns[TEMPERATURE][i] - ABSOLUTE_ZERO_C for i in rows],
        ambient_k=ambient,
        ambient_std_k=AMBIENT_SENSOR_U_K,
        power_kind="mean" if source.power_kind == "mean" else "instant",
    )
    sure = node.se_conductance_w_per_k <= MAX_SE_CONDUCTANCE * node.conductance_w_per_k
    return json.dumps(dataclasses.asdict(node)) if node.identified and sure else None


def _save(tx: Tx, source_id: int, node: str) -> None:
    tx.conn.execute("UPDATE sources SET node = ? WHERE id = ?", (node, source_id))


async def forget_samples(store: Store, clock: Clock, keep_s: float) -> None:
    """Delete samples received longer than `keep_s` ago, for ever; their states stay in the Atlas."""
    while True:
        oldest_us = clock.now_us() - round(keep_s * MICROSECONDS)
        forgotten = await store.write(lambda tx, oldest_us=oldest_us: _forget(tx, oldest_us))
        await asyncio.sleep(0.05 if forgotten == FORGET_ROWS else FORGET_EVERY_S)


def _forget(tx: Tx, oldest_us: int) -> int:
    return tx.conn.execute(
        "DELETE FROM samples WHERE (source_id, channel, time_us) IN"
        " (SELECT source_id, channel, time_us FROM samples WHERE received_us < ? LIMIT ?)",
        (oldest_us, FORGET_ROWS),
    ).rowcount
