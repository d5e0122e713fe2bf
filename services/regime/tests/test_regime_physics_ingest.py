"""Physics inside the regime service: windows closed by batches, a failing fan, restarts and transactions undone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import sqlite3
from itertools import pairwise

import grpc
import numpy as np
import pytest
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.journal import SCHEMA as JOURNAL
from eil_mesh.journal import Journal
from eil_mesh.store import Tx
from eil_mesh.testing import look, metadata, running, token
from eil_physics import ThermalNode
from eil_regime import physics, segments, sources, tails
from eil_regime.batch import Batch
from eil_regime.domain.physics_branch import PhysicsBranch
from eil_regime.ingest import Ingest
from eil_regime.main import build
from eil_regime.refusals import Limits
from eil_regime.settings import RegimeSettings
from hypothesis import given, settings
from hypothesis import strategies as st

NOW_US = 1_800_000_000 * MICROSECONDS
LIMITS = Limits(window_s=60.0, future_s=300.0, lateness_s=600.0, oldest_s=1e8)
CHANNELS = ("power_draw", "temperature", "ambient_temperature")
C, UA, AMBIENT_C = 15e3, 20.0, 23.0
NODE = ThermalNode(C, UA, AMBIENT_C + 273.15, 0.02 * C, 0.005 * UA, 0.1, "channel", frozen_at_s=0.0)
PERIOD_S = 5


def plant(rows: int, *, fails_at: int | None = None, seed: int = 1) -> Batch:
    """A node read in whole degrees every 5 s while its load steps; from row `fails_at` on a fan carries off half as much."""
    rng = np.random.default_rng(seed)
    power = np.repeat(rng.uniform(500, 900, rows // 120 + 1), 120)[:rows]
    temperature, path = AMBIENT_C + 35, []
    for row in range(rows):
        conductance = UA / 2 if fails_at is not None and row >= fails_at else UA
        keep = math.exp(-PERIOD_S * conductance / C)
        temperature = keep * temperature + (1 - keep) * (AMBIENT_C + power[row] / conductance)
        path.append(temperature)
    reading = np.round(np.array(path) + 0.2 * rng.standard_normal(rows))
    times_us = NOW_US + (np.arange(rows) - rows + 1) * PERIOD_S * MICROSECONDS
    return Batch(times_us, CHANNELS, np.array([power, reading, np.full(rows, AMBIENT_C)]))


def parts_of(batch: Batch, rows: int) -> list[Batch]:
    edges = [*range(0, batch.times_us.size, rows), batch.times_us.size]
    return [Batch(batch.times_us[a:b], batch.channels, batch.values[:, a:b]) for a, b in pairwise(edges)]


class Shelf:
    """A database in memory with one source, `plant`, whose thermal node is known."""

    def __init__(self, node: ThermalNode | None = NODE) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.row_factory = sqlite3.Row
        self.conn.executescript(JOURNAL + sources.SCHEMA + segments.SCHEMA + tails.SCHEMA)
        self.journal, self.ingest = Journal(self.conn), Ingest(LIMITS)
        sources.open_source(self.conn, "t", "plant")
        saved = json.dumps(dataclasses.asdict(node)) if node else None
        self.conn.execute("UPDATE sources SET kind = 'simulated', nameplate_w = 1000, node = ?", (saved,))

    def take(self, batch: Batch):
        return self.ingest.take(Tx(self.conn, self.journal, NOW_US), "t", "plant", batch, "mean", "meter")

    def saved(self) -> bytes | None:
        return sources.physics_state(self.conn, 1)


# --- which windows a batch closes


@settings(deadline=None)
@given(st.sets(st.integers(1, 900), min_size=2, max_size=60), st.integers(1, 12))
def test_each_window_with_samples_is_closed_once_however_they_are_sent(times, rows):
    times_us, window_us = np.array(sorted(times)), 60
    seen, clock_us = [], None
    for start in range(0, times_us.size, rows):
        part = times_us[start : start + rows]
        seen += physics.closed(part, clock_us, int(part[-1]), window_us)
        clock_us = int(part[-1])
    ends = sorted({math.ceil(t / window_us) * window_us for t in times})
    assert seen == ends[:-1], "all but the window that is still open, in order"


def test_late_rows_close_nothing_and_a_backfill_its_newest_windows():
    assert physics.closed(np.array([50, 100]), 500, 500, 60) == ()
    assert list(physics.closed(np.array([100, 610]), 500, 610, 60)) == [540]
    many = physics.closed(np.arange(1, 6002), None, 6001, 60)
    assert list(many) == list(range(6000 - 15 * 60, 6001, 60))


# --- what follows


def test_single_rows_and_batches_lead_to_the_same_physics():
    batch = plant(120)
    one, many = Shelf(), Shelf()
    last = [one.take(row) for row in parts_of(batch, 1)][-1]
    other = [many.take(part) for part in parts_of(batch, 50)][-1]
    assert one.saved() == many.saved() is not None
    assert last.prediction.physics == other.prediction.physics
    assert last.prediction.physics.residual_uncertainty > 0
    assert last.prediction.physics.entropy_rate == pytest.approx(700 / NODE.ambient_k, rel=0.3)


def test_state_is_written_only_when_a_window_closes():
    shelf, written = Shelf(), []
    shelf.conn.set_trace_callback(lambda statement: written.append(statement) if "INTO physics" in statement else None)
    for row in parts_of(plant(61), 1):
        shelf.take(row)
    assert len(written) == 5


def test_a_restart_at_any_batch_goes_on_exactly():
    steady, restarted = Shelf(), Shelf()
    for part in parts_of(plant(480, fails_at=300), 7):
        restarted.ingest = Ingest(LIMITS)
        mine, other = steady.take(part), restarted.take(part)
        assert mine.prediction == other.prediction
        assert mine.state == other.state
    assert mine.prediction.current == "critical"
    assert steady.saved() == restarted.saved()


def test_an_undone_transaction_leaves_no_trace():
    shelf, straight = Shelf(), Shelf()
    for count, part in enumerate(parts_of(plant(360), 13)):
        expected = straight.take(part)
        if count % 5 == 3:
            shelf.conn.execute("SAVEPOINT undone")
            head = shelf.journal.head
            shelf.take(Batch(part.times_us, CHANNELS, part.values * 1.5))
            shelf.conn.execute("ROLLBACK TO undone")
            shelf.journal.head = head
        assert shelf.take(part).prediction == expected.prediction
    assert shelf.saved() == straight.saved()


def test_a_long_backfill_shows_its_newest_windows_alone():
    shelf = Shelf()
    shelf.take(plant(12 * 60))
    branch = PhysicsBranch.load(shelf.saved() or b"")
    assert branch.evidence is not None
    assert branch.evidence.end_s == NOW_US / MICROSECONDS - 60, "the window that ends at the clock is open"
    at_once = branch.evidence
    parts = Shelf()
    for part in parts_of(plant(12 * 60), 12):
        parts.take(part)
    in_parts = PhysicsBranch.load(parts.saved() or b"").evidence
    assert in_parts is not None
    assert at_once.balance == in_parts.balance, "sixteen windows are what heat is balanced over"


def test_physics_falls_silent_when_power_does():
    shelf, batch = Shelf(), plant(48 + 1 + 60)
    cut = batch.times_us.size - 60
    known = shelf.take(Batch(batch.times_us[:cut], CHANNELS, batch.values[:, :cut])).prediction
    assert known.HasField("physics")
    spoken = [
        shelf.take(Batch(batch.times_us[row : row + 1], ("temperature",), batch.values[1:2, row : row + 1])).prediction
        for row in range(cut, batch.times_us.size)
    ]
    heard = [prediction.HasField("physics") for prediction in spoken]
    assert heard[12]
    assert heard == sorted(heard, reverse=True)
    assert not heard[-1]


def test_without_power_there_is_no_physics_and_modelled_power_balances_nothing():
    bare, modelled = Shelf(), Shelf()
    batch = plant(60)
    nothing = bare.take(Batch(batch.times_us, ("temperature",), batch.values[1:2])).prediction
    assert not nothing.HasField("physics")
    assert bare.saved() is None
    used = Batch(batch.times_us, ("cpu_usage", "temperature"), np.array([batch.values[0] / 1000, batch.values[1]]))
    evidence = modelled.take(used).prediction.physics
    assert evidence.entropy_rate > 1
    assert not evidence.HasField("residual")
    assert not evidence.HasField("psi"), "unknown figures are absent"


def test_a_sensor_that_reads_absolute_zero_is_a_gap_not_a_failure():
    shelf, batch = Shelf(), plant(90)
    batch.values[1, 20] = -273.15
    evidence = shelf.take(batch).prediction.physics
    assert evidence.HasField("residual"), "windows after it are judged"
    batch.values[2, 70] = -273.15
    other = Shelf()
    assert not other.take(batch).prediction.physics.HasField("residual")


async def node_of(folder) -> str:
    """The node, once the service has identified it."""
    for _ in range(400):
        with look(folder, "regime") as conn:
            if node := conn.execute("SELECT node FROM sources").fetchone()[0]:
                return node
        await asyncio.sleep(0.02)
    pytest.fail("no thermal node was identified")


@pytest.mark.usefixtures("either_database")
async def test_a_failing_fan_is_critical_within_minutes(tmp_path):
    rows, healthy = 2160, 180
    batch = plant(rows + healthy + 120, fails_at=rows + healthy)
    parts = [*parts_of(Batch(batch.times_us[:rows], CHANNELS, batch.values[:, :rows]), rows)]
    parts += parts_of(Batch(batch.times_us[rows:], CHANNELS, batch.values[:, rows:]), 12)
    async with (
        running(tmp_path, RegimeSettings, build, clock=ManualClock(NOW_US), fit_every_s=0.02),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
    ):
        stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        auth = metadata(token(tmp_path, roles=["operator"]))
        await stub.PutSource(regime_pb2.PutSourceRequest(source="plant", kind="simulated"), metadata=auth)
        said: list[regime_pb2.RegimePrediction] = []
        first = ""
        for part in parts:
            request = regime_pb2.IngestRequest(source="plant", power_kind="mean", times_us=part.times_us.tolist())
            request.columns.extend(
                regime_pb2.Column(name=name, values=column)
                for name, column in zip(CHANNELS, part.values.tolist(), strict=True)
            )
            answer = await stub.Ingest(request, metadata=auth)
            if not said:
                first = await node_of(tmp_path)
            if len(said) == healthy // 12:
                await asyncio.sleep(0.5)
                assert await node_of(tmp_path) == first, "a node stands, or it would find nothing to judge"
            said.append(answer.regime_prediction)
        status = await stub.GetStatus(regime_pb2.GetStatusRequest(source="plant"), metadata=auth)
    before, after = said[1 : 1 + healthy // 12], said[1 + healthy // 12 :]
    assert {prediction.physics.level for prediction in before} == {"none"}
    assert abs(before[-1].physics.residual) < 4 * before[-1].physics.residual_uncertainty
    alarm = next(minute for minute, prediction in enumerate(after, 1) if prediction.physics.level == "critical")
    assert alarm <= 8
    now = status.sources[0]
    assert now.energy_state.regime == now.regime_prediction.current == "critical"
    assert now.regime_prediction.next_likely == "critical"
    assert "Physics: heat balance off by -" in now.regime_prediction.reason
    assert now.regime_prediction.physics.residual < -0.15
