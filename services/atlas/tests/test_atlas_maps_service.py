"""Maps as their callers see them: telemetry in a regime service's journal in, frames and pictures out."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import grpc
import numpy as np
import pytest
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil.regime.v1 import regime_pb2
from eil_atlas.main import build
from eil_atlas.settings import AtlasSettings
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.status import reason_of
from eil_mesh.store import Store
from eil_mesh.testing import metadata, running, token

CLOCK = ManualClock()
MINUTE = 60_000_000
T0 = CLOCK.now_us() - CLOCK.now_us() % MINUTE - 60 * MINUTE
HALL = {f"r{row}-{rack}": (row, rack) for row in (1, 2, 3) for rack in (1, 2, 3, 4) if (row + rack) % 2}


class FakeRegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"


class Journal:
    """A regime service that is its journal alone."""

    store: Store

    async def build(self, mesh: Mesh[FakeRegimeSettings]) -> None:
        self.store = mesh.store("")

    async def sense(
        self,
        source: str,
        watts: float,
        *,
        seconds: Sequence[int] = range(0, 1801, 10),
        place: tuple[float, float] | None = None,
        tenant: str = "default",
    ) -> None:
        """Samples of constant power; the place stands beside the first."""
        columns = {"power_draw": [watts] * len(seconds)}
        if place:
            columns |= {
                name: [at] + [np.nan] * (len(seconds) - 1) for name, at in zip(("row", "rack"), place, strict=True)
            }
        record = regime_pb2.TelemetryRecord(
            source=source,
            times_us=[T0 + second * 1_000_000 for second in seconds],
            columns=[regime_pb2.Column(name=name, values=values) for name, values in columns.items()],
            energy_state=regime_pb2.EnergyState(
                total_energy=60 * watts,
                entropy=60 * watts / 300.0,
                regime_id="r1",
                power_method="METERED",
                time=from_us(T0 + seconds[-1] * 1_000_000),
            ),
        )
        await self.store.write(lambda tx: tx.journal.append(tx.now_us, tenant, "eil.sense.telemetry", source, record))


class Atlas:
    """Calls of the Atlas by a viewer."""

    def __init__(self, tmp_path: Path, stub: Any) -> None:
        self.tmp_path, self._stub = tmp_path, stub

    def map(self, tenant: str = "default", /, **asked: Any) -> Any:
        return self._stub.GetEnergyMap(atlas_pb2.GetEnergyMapRequest(**asked), metadata=self._viewer(tenant))

    def draw(self, tenant: str = "default", /, **asked: Any) -> Any:
        return self._stub.DrawEnergyMap(atlas_pb2.DrawEnergyMapRequest(**asked), metadata=self._viewer(tenant))

    async def link(self, *pairs: tuple[str, str]) -> None:
        """Draw that the first of each pair feeds the second."""
        links = [
            atlas_pb2.Link(from_source=one, to_source=other, kind=atlas_pb2.LINK_KIND_FEEDS, weight=2.0)
            for one, other in pairs
        ]
        operator = metadata(token(self.tmp_path, ("operator",)))
        await self._stub.PutLinks(atlas_pb2.PutLinksRequest(links=links), metadata=operator)

    async def knows(self, *sources: str) -> None:
        """Wait until it has followed so far."""
        async with asyncio.timeout(60):
            while {node.source for node in (await self.map()).nodes} != set(sources):
                await asyncio.sleep(0.02)

    def _viewer(self, tenant: str) -> Any:
        return metadata(token(self.tmp_path, ("viewer",), tenant))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    made = Journal()
    async with running(tmp_path, FakeRegimeSettings, made.build, clock=CLOCK):
        yield made


@pytest.fixture
async def atlas(tmp_path: Path, journal: Journal) -> AsyncIterator[Atlas]:
    async with (
        running(tmp_path, AtlasSettings, build, clock=CLOCK),
        grpc.aio.insecure_channel("unix:atlas.sock", options=[("grpc.default_authority", "localhost")]) as channel,
    ):
        yield Atlas(tmp_path, atlas_pb2_grpc.AtlasServiceStub(channel))


@contextlib.asynccontextmanager
async def refused(code: grpc.StatusCode, words: str) -> AsyncIterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert (caught.value.code(), reason_of(caught.value)) == (code, code.name), caught.value.details()
    assert words in str(caught.value.details())


async def test_a_grid_has_the_hall_its_field_and_what_is_missing(journal: Journal, atlas: Atlas):
    for name, (row, rack) in HALL.items():
        await journal.sense(name, 100.0 * row, place=(row, rack))
    await journal.sense("ups", 5000.0)
    await journal.sense("late", 100.0, seconds=range(1500, 1801, 10), place=(3, 9))
    await atlas.knows(*HALL, "ups", "late")

    end = from_us(T0 + 30 * MINUTE)
    answer = await atlas.map(form="grid", quantity="power", end=end)
    (frame,) = answer.frames
    assert (answer.form, answer.quantity, answer.frame_unit, answer.unit) == ("grid", "power", "W", "J")
    assert (list(answer.row_coordinates), list(answer.rack_coordinates)) == ([1, 2, 3], list(range(1, 10)))
    assert frame.start.ToMicroseconds() == T0, "an absent begin is the first state's"
    assert {node.source: round(node.value, 6) for node in frame.nodes} == {
        "ups": 5000.0,
        **{name: 100.0 * row for name, (row, _) in HALL.items()},
    }
    assert [(gap.source, gap.covered_s) for gap in frame.missing] == [("late", 300.0)]
    assert list(answer.unplaced) == ["ups"]
    assert {(place.source, place.row, place.rack) for place in answer.places} == {
        ("late", 3, 9),
        *((name, *place) for name, place in HALL.items()),
    }
    values, doubts = (np.reshape(each, (3, 9)) for each in (frame.values, frame.uncertainties))
    assert frame.fitted == len(HALL)
    np.testing.assert_allclose(values[:, :4].mean(axis=1), [100.0, 200.0, 300.0], atol=30.0)
    assert np.all(doubts > 0)
    assert doubts[2, 8] > 1.5 * doubts[2, :4].max(), "nothing was read where `late` stands"
    assert frame.amplitude > 0
    assert frame.local_spread > 0
    assert "3 × 9 cells" in answer.method

    finer = await atlas.map(form="grid", grid_rows=6, grid_racks=20, diffusion_time=2.0, end=end)
    assert len(finer.frames[0].values) == 120
    assert (finer.frames[0].diffusion_time, finer.frames[0].diffusion_time_racks) == (2.0, 2.0)
    assert "given" in finer.method


async def test_frames_add_up_to_the_states_that_they_are_made_of(journal: Journal, atlas: Atlas):
    await journal.sense("a", 100.0, place=(1, 1))
    await journal.sense("b", 50.0, seconds=range(600, 1801, 10), place=(1, 5))
    await atlas.knows("a", "b")
    span = {"start": from_us(T0), "end": from_us(T0 + 30 * MINUTE)}
    answer = await atlas.map(form="grid", resolution_s=300, **span)
    assert [frame.start.ToMicroseconds() for frame in answer.frames] == [T0 + i * 5 * MINUTE for i in range(6)]
    read = [{node.source: node.value for node in frame.nodes} for frame in answer.frames]
    assert sum(each["a"] for each in read) == pytest.approx(30 * 60 * 100.0)
    assert [sorted(each) for each in read] == [["a"], ["a"], ["a", "b"], ["a", "b"], ["a", "b"], ["a", "b"]]
    assert [[gap.source for gap in frame.missing] for frame in answer.frames] == [["b"], ["b"], [], [], [], []]
    assert sum(node.energy for node in answer.nodes) == pytest.approx(answer.total_energy)
    assert {len(frame.values) for frame in answer.frames} == {5}
    assert len({frame.amplitude for frame in answer.frames}) == 1, "frames of one map are of one scale"
    uneven = await atlas.map(form="grid", resolution_s=420, **span)
    assert uneven.frames[0].start.ToMicroseconds() == T0 - 5 * MINUTE, "the begin goes down to whole frames"
    assert len(uneven.frames) == 5


async def test_a_graph_tells_of_what_is_linked(journal: Journal, atlas: Atlas):
    for number in range(8):
        await journal.sense(f"s{number}", 300.0 if number < 4 else 900.0)
    await atlas.knows(*(f"s{number}" for number in range(8)))
    links = [("pdu-a" if number < 4 else "pdu-b", f"s{number}") for number in range(8)]
    await atlas.link(*links)
    answer = await atlas.map(form="graph", quantity="power", end=from_us(T0 + 30 * MINUTE))
    (frame,) = answer.frames
    assert {(link.source, link.target, link.weight) for link in answer.links} == {
        (*sorted(pair), 1.0) for pair in links
    }
    said = {estimate.name: estimate for estimate in frame.estimates}
    assert said.keys() == {"pdu-a", "pdu-b", *(f"s{number}" for number in range(8))}
    for name, watts in (("pdu-a", 300.0), ("pdu-b", 900.0)):
        assert abs(said[name].value - watts) < 2 * said[name].uncertainty
        assert said[name].uncertainty > 0
    assert said["pdu-a"].value < 450.0 < 750.0 < said["pdu-b"].value
    assert not frame.values
    assert not answer.unplaced


async def test_what_cannot_be_answered_is_refused(journal: Journal, atlas: Atlas):
    await journal.sense("a", 100.0, place=(1, 1))
    await journal.sense("b", 100.0, place=(90, 90))
    await atlas.knows("a", "b")
    bad = grpc.StatusCode.INVALID_ARGUMENT
    for words, asked in (
        ("no whole minutes", {"form": "grid", "resolution_s": 90}),
        ("without a `form`", {"resolution_s": 60}),
        ("ask for 180 s", {"form": "grid", "resolution_s": 60, "start": from_us(T0 - 600 * MINUTE)}),
        ("fewer cells", {"form": "grid", "resolution_s": 60, "start": from_us(T0 - 60 * MINUTE)}),
        ("", {"form": "torus"}),
        ("", {"form": "grid", "grid_rows": 129}),
        ("", {"form": "grid", "diffusion_time": -1.0}),
    ):
        async with refused(bad, words):
            await atlas.map(**asked)


async def test_nothing_is_known_of_another_tenant_and_nothing_to_draw_is_said(journal: Journal, atlas: Atlas):
    async with refused(grpc.StatusCode.NOT_FOUND, "no source has a state yet"):
        await atlas.draw()
    await journal.sense("a", 100.0, place=(1, 1))
    await atlas.knows("a")
    other = await atlas.map("other", form="grid")
    assert not other.frames
    elsewhere = await atlas.map("other", form="grid", end=from_us(T0 + 30 * MINUTE))
    assert not elsewhere.frames[0].nodes
    assert not elsewhere.places
    async with refused(grpc.StatusCode.NOT_FOUND, "no source has a state yet"):
        await atlas.draw("other")
    async with refused(grpc.StatusCode.NOT_FOUND, "nothing to draw"):
        await atlas.draw("other", end=from_us(T0 + 30 * MINUTE))


async def test_pictures_come_as_what_they_are(journal: Journal, atlas: Atlas, loading):
    threads = loading("eil_atlas.drawing")
    for name, (row, rack) in HALL.items():
        await journal.sense(name, 100.0 * row, place=(row, rack))
    await atlas.knows(*HALL)
    png, svg, again = await asyncio.gather(
        atlas.draw(), atlas.draw(picture="map.svg", form="graph"), atlas.draw(picture="map.png", form="grid")
    )
    assert (png.content_type, png.data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert (svg.content_type, svg.data[:5]) == ("image/svg+xml", b"<?xml")
    assert png.data == again.data, "where sources have places the picture is a grid, and it is the same each time"
    assert [thread is threading.main_thread() for thread in threads] == [False], "what draws is loaded beside the loop"


async def test_the_newest_place_stands(journal: Journal, atlas: Atlas):
    await journal.sense("a", 100.0, place=(1, 1))
    await journal.sense("a", 100.0, seconds=range(2000, 2100, 10), place=(4, 7))
    await journal.sense("a", 100.0, seconds=range(1900, 2000, 10), place=(9, 9))
    await journal.sense("b", 100.0, place=(np.nan, 2))
    await atlas.knows("a", "b")
    answer = await atlas.map(form="grid")
    assert [(place.source, place.row, place.rack) for place in answer.places] == [("a", 4, 7)]
    assert list(answer.unplaced) == ["b"]
