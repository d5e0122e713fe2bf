"""Events over a journal's subscription and over Kafka: telemetry taken from the inbox, entries relayed, and how long an event is under way.

The inbox is measured as it is run: a regime service in a process of its own, with its relay, the broker and the sender on the same cores.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from eil.economy.v1 import economy_pb2
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.store import Store, Tx
from eil_mesh.testing import running

from eil_cli.bench.recovery import measure_recovery
from eil_cli.bench.report import Measure, Report
from eil_cli.terminal import Failure

TOPIC = "eil.bench.events"
TENANT = "bench"
SAMPLES_GATE, SAMPLES_GOAL = 200_000.0, 1_000_000.0
LATENCY_EVENTS, PERIOD_S = 300, 0.02
ENTRIES, ENTRY_BYTES = 20_000, 1_000
LIMIT_S = 300.0
"""What has not come about by then is a failure [s]."""


class Publisher(MeshSettings):
    """A service that tells."""

    service: ClassVar[str] = "regime"


class Listener(MeshSettings):
    """A service that follows it."""

    service: ClassVar[str] = "atlas"


def bench_events(kafka: str, *, quick: bool) -> Report:
    """Measure; without a broker (host:port), the subscription and gRPC alone.

    Raises:
        Failure: the broker cannot be reached, or something did not come about.
    """
    measures: dict[str, Measure] = {}
    baselines: dict[str, float] = {}
    notes = ["samples are values: rows × channels, as `eil bench regime` counts them"]
    if not quick:
        measures |= measure_recovery()
    measures |= _latency("subscribe", asyncio.run(_delays_s("", "", LATENCY_EVENTS // (3 if quick else 1))))
    if not kafka:
        return Report("events", measures, notes=("name a broker with --kafka to measure what goes through it", *notes))
    from eil_cli.bench.events_kafka import cluster, measure_inbox, measure_raw, measure_relay

    with cluster(kafka) as prefix:
        delays = asyncio.run(_delays_s(kafka, prefix, LATENCY_EVENTS // (3 if quick else 1)))
        measures |= _latency("kafka", delays)
        for channels in (1, 4):
            found = measure_inbox(kafka, prefix, channels, quick=quick)
            gate = {"gate": SAMPLES_GATE, "goal": SAMPLES_GOAL} if channels == 4 else {}
            name = f"inbox samples/s, {channels} channel{'s' * (channels > 1)}"
            measures[name] = Measure(found.inbox, "/s", better="higher", **gate)
            measures[f"grpc samples/s, {channels} channel{'s' * (channels > 1)}"] = Measure(
                found.grpc, "/s", better="higher"
            )
        count = ENTRIES // (4 if quick else 1)
        measures["relay entries/s"] = Measure(
            asyncio.run(measure_relay(kafka, prefix, count, ENTRY_BYTES)), "/s", better="higher"
        )
        baselines["relay entries/s"] = measure_raw(kafka, prefix, count, ENTRY_BYTES)
    return Report("events", measures, {"kafka-python": baselines}, tuple(notes))


def _latency(side: str, delays_s: list[float]) -> dict[str, Measure]:
    cuts = statistics.quantiles([delay * 1000 for delay in delays_s], n=100)
    return {f"event over {side}, p50": Measure(cuts[49], "ms"), f"event over {side}, p99": Measure(cuts[98], "ms")}


async def _delays_s(kafka: str, prefix: str, events: int) -> list[float]:
    """Time from before an entry's write to its handling in the follower's transaction, of each event."""
    sent_s: dict[str, float] = {}
    came_s: dict[str, float] = {}
    stores: dict[str, Store] = {}

    async def publisher(mesh: Mesh[Any]) -> None:
        stores["publisher"] = mesh.store("")

    async def listener(mesh: Mesh[Any]) -> None:
        def hear(_: Tx, event: Any) -> None:
            name = economy_pb2.TransferRecord.FromString(event.payload).id
            came_s[name] = time.perf_counter()

        mesh.follow(mesh.store(""), "regime", [TOPIC], hear)

    settings = {"kafka": kafka, "kafka_prefix": prefix, "drain_s": 0.0, "grace_s": 0.0}
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as folder:
        async with (
            running(Path(folder), Publisher, publisher, **settings),
            running(Path(folder), Listener, listener, **settings),
        ):
            for number in range(-5, events):  # the first ones open connections
                name = f"event {number}"
                record = economy_pb2.TransferRecord(id=name)
                sent_s[name] = time.perf_counter()
                await stores["publisher"].write(
                    lambda tx, name=name, record=record: tx.journal.append(tx.now_us, TENANT, TOPIC, name, record)
                )
                if number < 0:
                    await _until(lambda: len(came_s) == len(sent_s))
                await asyncio.sleep(PERIOD_S)
            await _until(lambda: len(came_s) == len(sent_s))
    return [came_s[name] - sent_s[name] for name in sent_s if not name.startswith("event -")]


async def _until(holds: Any) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > end_s:
            raise Failure("events did not arrive while their time under way was measured")
        await asyncio.sleep(0.001)


@contextmanager
def regime_process(folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """A regime service of this installation, in a process of its own, that serves in `folder`.

    Raises:
        Failure: it ended, or did not begin to serve.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "eil_regime"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environ},
        stdout=subprocess.DEVNULL,
        stderr=(folder / "regime.log").open("w"),
    )
    try:
        end_s = time.monotonic() + LIMIT_S
        while not (folder / "regime.sock").exists():
            if process.poll() is not None or time.monotonic() > end_s:
                raise Failure(f"the regime service did not start: {(folder / 'regime.log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def rows_stored(folder: Path) -> int:
    """Rows that the regime service of a folder has stored."""
    with closing(sqlite3.connect(f"file:{folder / 'regime.db'}?mode=ro", uri=True, timeout=10)) as conn:
        return conn.execute("SELECT coalesce(sum(samples), 0) FROM sources").fetchone()[0]
