"""What the atlas service does on its own: forget old states."""

import asyncio

from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.store import Store, Tx

FORGET_EVERY_S = 3600.0
FORGET_ROWS = 20_000
"""Rows forgotten in one transaction, so that nobody waits long."""


async def forget_states(store: Store, clock: Clock, keep_s: float) -> None:
    """Delete states and shifts older than `keep_s`, for ever, and the sources that have been silent since."""
    while True:
        oldest_us = clock.now_us() - round(keep_s * MICROSECONDS)
        forgotten = await store.write(lambda tx, oldest_us=oldest_us: forget(tx, oldest_us))
        await asyncio.sleep(0.05 if forgotten >= FORGET_ROWS else FORGET_EVERY_S)


def forget(tx: Tx, oldest_us: int) -> int:
    """Delete what is older than a moment [µs], a limited number of rows at a time; returns how many states went."""
    tenants = "SELECT DISTINCT tenant FROM sources"  # lets the index by tenant and time find them
    tx.conn.execute(f"DELETE FROM shifts WHERE tenant IN ({tenants}) AND detected_us < ?", (oldest_us,))
    forgotten = tx.conn.execute(
        "DELETE FROM states WHERE (tenant, source, start_us) IN"
        f" (SELECT tenant, source, start_us FROM states WHERE tenant IN ({tenants}) AND start_us < ? LIMIT ?)",
        (oldest_us, FORGET_ROWS),
    ).rowcount
    if forgotten < FORGET_ROWS:  # the last states of a silent source are gone
        silent = "SELECT tenant, name FROM sources WHERE clock_us < ?"
        tx.conn.execute(f"DELETE FROM power WHERE (tenant, source) IN ({silent})", (oldest_us,))
        tx.conn.execute("DELETE FROM sources WHERE clock_us < ?", (oldest_us,))
    return forgotten
