"""A baseline older than what the regime service keeps, read beside real services: the Atlas gives what regime gave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import grpc
import numpy as np
import pytest
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_atlas.main import build as build_atlas
from eil_atlas.settings import AtlasSettings
from eil_mesh.call import acting_for
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import metadata, running, token
from eil_proof.telemetry import Reading, read_intervals
from eil_regime.main import build as build_regime
from eil_regime.settings import RegimeSettings

HOUR_US = 3600 * MICROSECONDS
T0 = 500_000 * HOUR_US
HOURS, HOLE = 30, range(700, 900)
"""Hours of samples, and the minutes of them in which nothing was sent."""


class ProofSettings(MeshSettings):
    service: ClassVar[str] = "proof"


class Services:
    """What the proof service reaches, on one clock."""

    def __init__(self, tmp_path: Path, mesh: Mesh[ProofSettings], meter: grpc.aio.Channel) -> None:
        self._meter: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(meter)
        self._auth = metadata(token(tmp_path, ["admin"], subject="meter"))
        self.regime = mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime")
        self.archive = mesh.peers.stub(archive_pb2_grpc.ArchiveServiceStub, "atlas")

    async def enrol(self) -> None:
        request = regime_pb2.PutSourceRequest(source="dc", kind="metered", credential="meter")
        await self._meter.PutSource(request, metadata=self._auth)

    async def ingest(self, minutes: np.ndarray, power_kind: str) -> None:
        request = regime_pb2.IngestRequest(
            source="dc", power_kind=power_kind, times_us=T0 + minutes * 60 * MICROSECONDS
        )
        request.columns.add(name="power_draw", values=500.0 + 40.0 * np.sin(minutes / 50))
        request.columns.add(name="load", values=np.where(minutes % 4 == 0, np.nan, minutes / 7))
        await self._meter.Ingest(request, metadata=self._auth)

    async def cut(self, segments: int) -> None:
        async with asyncio.timeout(30):
            while True:
                request = archive_pb2.ListSegmentsRequest()
                if len((await self.archive.ListSegments(request, metadata=self._auth)).segments) >= segments:
                    return
                await asyncio.sleep(0.1)

    async def read(self, *, archived: bool) -> Reading:
        archive = self.archive if archived else None
        with acting_for("proof", "default"):
            return await read_intervals(self.regime, "dc", T0 + HOUR_US, 900, 4 * 25, ("load",), archive=archive)


@asynccontextmanager
async def services(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Services]:
    async def nothing(mesh: Mesh[ProofSettings]) -> None:
        """Only its clients are wanted."""

    async with (
        running(tmp_path, RegimeSettings, build_regime, clock=clock, deadline_s=300.0),
        running(tmp_path, AtlasSettings, build_atlas, clock=clock),
        running(tmp_path, ProofSettings, nothing, clock=clock) as mesh,
        grpc.aio.insecure_channel("unix:regime.sock", options=[("grpc.default_authority", "localhost")]) as meter,
    ):
        yield Services(tmp_path, mesh, meter)


@pytest.mark.parametrize("power_kind", ["instant", "mean"])
async def test_what_regime_forgot_is_measured_from_the_archive_as_regime_did(tmp_path: Path, power_kind: str):
    clock = ManualClock(T0 + (HOURS + 1) * HOUR_US)
    minutes = np.setdiff1d(np.arange(HOURS * 60), HOLE)
    async with services(tmp_path, clock) as first:
        await first.enrol()
        await first.ingest(minutes, power_kind)
        await first.cut(HOURS - 5)
        told = await first.read(archived=False)
        assert (await first.read(archived=True)).provenance == told.provenance  # the hole lies behind what is known
        assert np.isnan(told.intervals.energy_j).sum() > 10
    clock.advance(40 * 86400.0)
    async with services(tmp_path, clock) as later:
        await later.ingest(np.arange(40 * 1440, 40 * 1440 + 30), power_kind)
        async with asyncio.timeout(30):
            while np.isfinite((await later.read(archived=False)).intervals.energy_j).any():
                await asyncio.sleep(0.1)  # it forgets in the background
        again = await later.read(archived=True)
    assert again.intervals.energy_j.tolist() == pytest.approx(told.intervals.energy_j.tolist(), rel=1e-12, nan_ok=True)
    assert again.intervals.driver.tolist() == pytest.approx(told.intervals.driver.tolist(), rel=1e-12, nan_ok=True)
    measured = int(np.isfinite(told.intervals.energy_j).sum())
    assert again.provenance["archived_intervals"] >= measured
    assert {key: again.provenance[key] for key in ("kind", "power_method", "own_credential")} == {
        "kind": "metered",
        "power_method": "METERED",
        "own_credential": True,
    }
