"""`eil bench economy`: durable transfers on either database, the ledger under simulation, and swaps that nobody can profit from.

Throughput is measured where the service's methods write: transfer, journal entry and audit trail in one transaction, answered once the disk
has it (fsync). Eight writers each wait for their answer before they send the next, as callers do.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from eil_economy.domain import ledger, schema
from eil_economy.domain.audit import audit
from eil_economy.domain.records import Instruction
from eil_economy.entries import book
from eil_economy.simulation.backends import SqliteBackend
from eil_economy.simulation.simulator import Simulator
from eil_market.domain.errors import MarketError
from eil_market.domain.pool import Pool, PoolLimits, add_liquidity, swap_exact_in, swap_exact_out
from eil_mesh import event_log
from eil_mesh.clock import SystemClock
from eil_mesh.postgres import PostgresStore
from eil_mesh.store import Store
from psycopg import sql

from eil_cli.bench.report import Measure, Report

WRITERS = 8
WARM_S = 1.0
TENANT = "bench"
FUNDS_U = 10**15
OPERATIONS = 1_000_000
QUICK_OPERATIONS = 20_000
SEQUENCES = 100_000
QUICK_SEQUENCES = 5_000
SEED = 20_260_101
EVERYTHING = PoolLimits(max_trade_ppm=10**6)
"""No limit of size: a thief would not keep to one."""
FOR_EVER_US = 2**60


@dataclass(frozen=True)
class Throughput:
    """Transfers that stood on the disk, and how long their callers waited [s]."""

    seconds: float
    waits_s: Sequence[float]
    mismatches: int

    @property
    def per_s(self) -> float:
        """Durable transfers per second."""
        return len(self.waits_s) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Wait that this share of the callers did not exceed [ms]."""
        waits = sorted(self.waits_s)
        return waits[min(len(waits) - 1, int(share * len(waits)))] * 1e3


def bench_economy(postgres: str, *, quick: bool, operations: int | None) -> Report:
    """Measure.

    Args:
        postgres: URL of a PostgreSQL server on which a schema may be made and dropped; empty leaves it out.
        quick: fewer operations and sequences, shorter measurement.
        operations: steps of the simulation; None is a million, or fewer if quick.
    """
    seconds = 2.0 if quick else 10.0
    measures: dict[str, Measure] = {}
    notes = [f"{WRITERS} writers, each waits for its answer; SQLite synchronous=FULL, PostgreSQL synchronous_commit=on"]
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as folder:
        store = Store(
            Path(folder) / "economy.db", event_log.SCHEMA + schema.SCHEMA + schema.REPLACE_GUARD, SystemClock()
        )
        measures |= _speed("sqlite", asyncio.run(_throughput(store, seconds)), gate_per_s=2000)
        if postgres:
            measures |= _speed("postgres", asyncio.run(_on_postgres(postgres, seconds)), gate_per_s=1500)
        else:
            notes.append("no PostgreSQL server was named: give one with --postgres URL")
        measures |= _simulated(Path(folder) / "simulated.db", operations or (QUICK_OPERATIONS if quick else OPERATIONS))
    measures |= _swapped(QUICK_SEQUENCES if quick else SEQUENCES)
    return Report("economy", measures, notes=tuple(notes))


def _speed(name: str, found: Throughput, *, gate_per_s: float) -> dict[str, Measure]:
    return {
        f"{name}_transfers": Measure(found.per_s, "1/s", gate_per_s, 2 * gate_per_s, "higher"),
        f"{name}_p50": Measure(found.quantile_ms(0.5), "ms"),
        f"{name}_p99": Measure(found.quantile_ms(0.99), "ms", 20, 10),
        f"{name}_audit_mismatches": Measure(found.mismatches, "", 0),
    }


async def _on_postgres(url: str, seconds: float) -> Throughput:
    name = f"eil_bench_{time.time_ns()}"
    try:
        return await _throughput(PostgresStore(url, name, schema.SCHEMA, SystemClock()), seconds)
    finally:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


async def _throughput(store: Store, seconds: float) -> Throughput:
    """Each writer pays its neighbours in turn; what is answered within the warm-up is not counted."""
    try:
        for writer in range(WRITERS):
            await book(
                store,
                lambda tx, owner=f"w{writer}": ledger.mint(
                    tx.conn, TENANT, f"fund-{owner}", owner, "CEU", FUNDS_U, "funds", tx.now_us
                ),
            )
        began_s = time.perf_counter() + WARM_S
        waits = await asyncio.gather(*(_writer(store, writer, began_s, began_s + seconds) for writer in range(WRITERS)))
        report = await store.read(audit)
    finally:
        store.close()
    return Throughput(seconds, [wait for own in waits for wait in own], len(report.mismatches))


async def _writer(store: Store, writer: int, began_s: float, end_s: float) -> list[float]:
    waits: list[float] = []
    sent = 0
    while (sent_s := time.perf_counter()) < end_s:
        sent += 1
        to = f"w{(writer + 1 + sent % (WRITERS - 1)) % WRITERS}"
        order = Instruction(f"t-{writer}-{sent}", f"w{writer}", to, "CEU", 1 + sent % 997, "payment")
        await book(store, lambda tx, order=order: ledger.transfer(tx.conn, TENANT, order, tx.now_us))
        answered_s = time.perf_counter()
        if sent_s >= began_s and answered_s <= end_s:
            waits.append(answered_s - sent_s)
    return waits


def _simulated(path: Path, operations: int) -> dict[str, Measure]:
    began_s = time.perf_counter()
    backend = SqliteBackend(path)
    outcome = Simulator(SEED, backend).run(operations)
    backend.close()
    spent_s = time.perf_counter() - began_s
    for text in outcome.told:
        print(text)
    return {
        "simulated_operations": Measure(
            outcome.steps, "", OPERATIONS if operations >= OPERATIONS else None, better="higher"
        ),
        "simulated_lines": Measure(outcome.lines, ""),
        "simulated_crashes": Measure(outcome.seen["CRASH"], ""),
        "simulated_replays": Measure(outcome.seen["REPLAY"], ""),
        "simulated_violations": Measure(outcome.violations, "", 0),
        "simulated_speed": Measure(outcome.steps / spent_s, "1/s"),
    }


def _swapped(sequences: int) -> dict[str, Measure]:
    """Random sequences of swaps by one trader, who then goes back to where he began in Y: he must have no more of X than before."""
    rng = random.Random(SEED)
    profitable = falls = swaps = 0
    for _ in range(sequences):
        reserves = [rng.randint(10**4, 10 ** rng.randint(5, 15)) for _ in range(2)]
        pool, _ = add_liquidity(Pool("CEU", "PFT"), reserves[0], reserves[1], 0, FOR_EVER_US, 0)
        held = [0, 0]  # what the trader gained of X and Y
        for _ in range(rng.randint(1, 8)):
            pool, done, fell = _swap(rng, pool, held)
            swaps, falls = swaps + done, falls + fell
        pool, back, fell = _go_back(pool, held)
        falls += fell
        profitable += back and held[0] > 0
    return {
        "swap_sequences": Measure(sequences, "", SEQUENCES if sequences >= SEQUENCES else None, better="higher"),
        "swaps": Measure(swaps, ""),
        "profitable_round_trips": Measure(profitable, "", 0),
        "falls_of_k": Measure(falls, "", 0),
    }


def _swap(rng: random.Random, pool: Pool, held: list[int]) -> tuple[Pool, int, int]:
    side = rng.randrange(2)
    token = (pool.token_x, pool.token_y)[side]
    reserve_in, reserve_out = pool.reserves_for(token)
    try:
        if rng.random() < 0.7:
            amount = rng.choice((rng.randint(1, 20), rng.randint(1, reserve_in)))
            after, swap = swap_exact_in(pool, EVERYTHING, token, amount, 0, FOR_EVER_US, 0)
        else:
            amount = rng.choice((rng.randint(1, 20), rng.randint(1, reserve_out)))
            after, swap = swap_exact_out(pool, EVERYTHING, token, amount, 2**62, FOR_EVER_US, 0)
    except MarketError:
        return pool, 0, 0
    held[side] -= swap.amount_in_u
    held[1 - side] += swap.amount_out_u
    return after, 1, _fell(pool, after)


def _go_back(pool: Pool, held: list[int]) -> tuple[Pool, bool, int]:
    """Sell what was gained of Y, or buy back what was given; False if the pool refuses that."""
    try:
        if held[1] > 0:
            after, swap = swap_exact_in(pool, EVERYTHING, pool.token_y, held[1], 0, FOR_EVER_US, 0)
            held[0] += swap.amount_out_u
        elif held[1] < 0:
            after, swap = swap_exact_out(pool, EVERYTHING, pool.token_x, -held[1], 2**62, FOR_EVER_US, 0)
            held[0] -= swap.amount_in_u
        else:
            return pool, True, 0
    except MarketError:
        return pool, False, 0
    held[1] = 0
    return after, True, _fell(pool, after)


def _fell(before: Pool, after: Pool) -> int:
    return after.reserve_x_u * after.reserve_y_u < before.reserve_x_u * before.reserve_y_u
