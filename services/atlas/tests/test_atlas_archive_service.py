"""The archive as its callers see it: over gRPC, through the mesh's layers, beside a regime service's journal."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import grpc
import numpy as np
import pytest
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc
from eil.regime.v1 import regime_pb2
from eil_atlas.domain.content import HOUR_US
from eil_atlas.main import build
from eil_atlas.settings import AtlasSettings
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.status import reason_of
from eil_mesh.store import Store
from eil_mesh.testing import metadata, running, token

pytestmark = pytest.mark.usefixtures("either_database")

CLOCK = ManualClock()
T0 = CLOCK.now_us() - CLOCK.now_us() % HOUR_US - 10 * HOUR_US
S = 1_000_000
BIG = np.random.default_rng(1).bytes(5 * 1024 * 1024)
BIG_DIGEST = hashlib.sha256(BIG).hexdigest()
NONE = "0" * 64


class FakeRegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"


class FakeRegime:
    """A regime service that is its journal alone."""

    store: Store

    async def build(self, mesh: Mesh[FakeRegimeSettings]) -> None:
        self.store = mesh.store("")

    async def sense(self, first: int, last: int, tenant: str = "default") -> None:
        """A row a second from T0 on."""
        record = regime_pb2.TelemetryRecord(source="dc", times_us=[T0 + second * S for second in range(first, last)])
        for name, factor in (("power_draw", 1.0), ("load", 0.5)):
            record.columns.add(name=name, values=[second * factor for second in range(first, last)])
        await self.store.write(lambda tx: tx.journal.append(tx.now_us, tenant, "eil.sense.telemetry", "dc", record))


class Door:
    """Calls of the archive."""

    def __init__(self, tmp_path: Path, stub: Any) -> None:
        self._tmp_path, self.stub = tmp_path, stub

    def user(self, *roles: str, tenant: str = "default"):
        return metadata(token(self._tmp_path, roles or ("admin",), tenant))

    async def put(self, content: bytes, digest: str = "", step: int = 1_000_000, role: str = "operator") -> Any:
        async def pieces():
            for first in range(0, len(content), step):
                chunk = content[first : first + step]
                yield archive_pb2.PutObjectStreamRequest(chunk=chunk, digest=digest, media_type="text/plain")

        return await self.stub.PutObjectStream(pieces(), metadata=self.user(role))

    async def read(self, first: int, last: int, *channels: str, **rest: Any) -> dict[str, list[float]]:
        span = {"start": from_us(T0 + first * S), "end": from_us(T0 + last * S)}
        request = archive_pb2.ReadSamplesRequest(source="dc", channels=channels, **span, **rest)
        found: dict[str, list[float]] = {}
        async for page in self.stub.ReadSamples(request, metadata=self.user("viewer")):
            assert len(page.times_us) * len(page.columns) <= 65_536
            found.setdefault("time", []).extend(page.times_us)
            if page.HasField("lost"):
                found.setdefault("lost", []).append(page.lost.ToMicroseconds())
            for column in page.columns:
                assert len(column.values) == len(page.times_us)
                found.setdefault(column.name, []).extend(column.values)
        return found

    async def segments(self, **rest: Any) -> Any:
        return await self.stub.ListSegments(archive_pb2.ListSegmentsRequest(**rest), metadata=self.user("viewer"))

    async def checkpoint(self, digest: str, **rest: Any) -> archive_pb2.Checkpoint:
        request = archive_pb2.PutCheckpointRequest(**{"name": "rack", "digest": digest, **rest})
        return (await self.stub.PutCheckpoint(request, metadata=self.user("operator"))).checkpoint

    async def found(self, **rest: Any) -> archive_pb2.Checkpoint:
        request = archive_pb2.GetCheckpointRequest(**rest)
        return (await self.stub.GetCheckpoint(request, metadata=self.user("viewer"))).checkpoint


@contextlib.asynccontextmanager
async def atlas(tmp_path: Path, **settings: Any) -> AsyncIterator[Door]:
    async with (
        running(tmp_path, AtlasSettings, build, clock=CLOCK, **settings),
        grpc.aio.insecure_channel("unix:atlas.sock", options=[("grpc.default_authority", "localhost")]) as channel,
    ):
        yield Door(tmp_path, archive_pb2_grpc.ArchiveServiceStub(channel))


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with atlas(tmp_path) as opened:
        yield opened


@contextlib.asynccontextmanager
async def refused(code: grpc.StatusCode, reason: str) -> AsyncIterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert (caught.value.code(), reason_of(caught.value)) == (code, reason), caught.value.details()


@pytest.fixture
async def regime(tmp_path: Path) -> AsyncIterator[FakeRegime]:
    fake = FakeRegime()
    async with running(tmp_path, FakeRegimeSettings, fake.build, clock=CLOCK):
        yield fake


async def until_cut(door: Door, segments: int) -> list[archive_pb2.SegmentInfo]:
    async with asyncio.timeout(20):
        while len(found := (await door.segments()).segments) < segments:
            await asyncio.sleep(0.05)
    return list(found)


async def test_the_journals_samples_become_segments_that_are_listed_and_read(regime: FakeRegime, tmp_path: Path):
    await regime.sense(0, 7200)
    await regime.sense(7200, 8000)
    async with atlas(tmp_path) as door:
        first, second = await until_cut(door, 2)
        assert (first.rows, first.samples, first.hour.ToMicroseconds()) == (3600, 7200, T0)
        assert second.first.ToMicroseconds() == T0 + HOUR_US
        page = await door.segments(page_size=1)
        rest = await door.segments(page_size=1, page_token=page.next_page_token)
        assert [*page.segments, *rest.segments] == [first, second]
        assert (await door.segments(page_size=1, page_token=rest.next_page_token)).next_page_token == ""
        assert list((await door.segments(start=from_us(T0 + HOUR_US))).segments) == [second]
        assert list((await door.segments(end=from_us(T0 + HOUR_US), source="dc")).segments) == [first]
        assert not (await door.segments(source="other")).segments

        found = await door.read(3000, 7500, "load")  # over both segments, into what is not cut yet
        assert found == {"time": [T0 + s * S for s in range(3000, 7500)], "load": [s / 2 for s in range(3000, 7500)]}
        assert await door.read(9000, 9100) == {}
        await regime.sense(8000, 8010, tenant="other")
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            await door.read(10, 10)
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            await door.segments(page_token="x/y")

        path = next((tmp_path / "objects").glob(f"*/*/{first.digest}"))
        path.write_bytes(path.read_bytes()[:-1])
        async with refused(grpc.StatusCode.DATA_LOSS, "SEGMENT_LOST"):
            await door.read(0, 7200)
        found = await door.read(0, 7200, "load", skip_lost=True)
        assert (found["lost"], len(found["load"])) == ([T0], 3600)
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, "OBJECT_IN_USE"):
            request = archive_pb2.DeleteObjectRequest(digest=second.digest)
            await door.stub.DeleteObject(request, metadata=door.user("operator"))


async def test_a_large_object_goes_and_comes_in_pieces(door: Door, tmp_path: Path):
    put = await door.put(BIG, BIG_DIGEST)
    assert (put.digest, put.size) == (BIG_DIGEST, len(BIG))
    pieces = [
        piece
        async for piece in door.stub.GetObjectStream(
            archive_pb2.GetObjectStreamRequest(digest=BIG_DIGEST), metadata=door.user("viewer")
        )
    ]
    assert b"".join(piece.chunk for piece in pieces) == BIG
    assert [(piece.media_type, piece.size) for piece in pieces[:2]] == [("text/plain", len(BIG)), ("", 0)]
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_an_upload_that_is_not_what_it_says_or_too_large_stores_nothing(tmp_path: Path):
    async with atlas(tmp_path, largest_object=1_500_000) as door:
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            await door.put(b"content", NONE)
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            await door.put(b"")
        async with refused(grpc.StatusCode.OUT_OF_RANGE, "OBJECT_TOO_LARGE"):
            await door.put(BIG[:1_900_000])
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            await door.put(b"content", "no digest")
        async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"):
            await door.put(b"content", role="viewer")
        listed = await door.stub.ListObjects(archive_pb2.ListObjectsRequest(), metadata=door.user("viewer"))
        assert list(listed.objects) == []
        assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []
        assert list((tmp_path / "incoming").iterdir()) == []


async def test_an_upload_that_breaks_off_stores_nothing(door: Door, tmp_path: Path):
    begun = asyncio.Event()

    async def pieces():
        yield archive_pb2.PutObjectStreamRequest(chunk=b"begin")
        begun.set()
        await asyncio.Event().wait()

    call = door.stub.PutObjectStream(pieces(), metadata=door.user())
    await begun.wait()
    async with asyncio.timeout(60):
        while not list((tmp_path / "incoming").iterdir()):
            await asyncio.sleep(0.01)
        call.cancel()
        while list((tmp_path / "incoming").iterdir()):
            await asyncio.sleep(0.01)
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []


async def test_objects_are_listed_and_deleted(door: Door):
    put = [(await door.put(content)).digest for content in (b"one", b"two", b"three")]
    ask = archive_pb2.ListObjectsRequest(page_size=2)
    first = await door.stub.ListObjects(ask, metadata=door.user("viewer"))
    ask.page_token = first.next_page_token
    rest = await door.stub.ListObjects(ask, metadata=door.user("viewer"))
    assert sorted(one.digest for one in (*first.objects, *rest.objects)) == sorted(put)
    assert rest.next_page_token == ""
    gone = archive_pb2.DeleteObjectRequest(digest=put[0])
    async with refused(grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"):
        await door.stub.DeleteObject(gone, metadata=door.user("operator", tenant="other"))
    await door.stub.DeleteObject(gone, metadata=door.user("operator"))
    async with refused(grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"):
        await door.stub.DeleteObject(gone, metadata=door.user("operator"))
    async with refused(grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"):
        async for _ in door.stub.GetObjectStream(
            archive_pb2.GetObjectStreamRequest(digest=put[0]), metadata=door.user("viewer")
        ):
            pass
    assert (await door.put(b"one")).digest == put[0]


async def test_a_checkpoint_is_what_was_said_of_it_and_its_id_follows_from_that(door: Door):
    digest = (await door.put(b"weights")).digest
    said = {"kind": "heat", "data": [NONE], "metrics": {"error": 0.25}, "notes": "first"}
    made = await door.checkpoint(digest, **said)
    assert made == await door.checkpoint(digest, **said) == await door.found(checkpoint_id=made.checkpoint_id)
    assert (made.name, made.kind, made.digest, list(made.data)) == ("rack", "heat", digest, [NONE])
    assert (dict(made.metrics), made.notes, made.created) == ({"error": 0.25}, "first", from_us(CLOCK.now_us()))
    other = await door.checkpoint(digest, **{**said, "metrics": {"error": 0.5}})
    assert other.checkpoint_id != made.checkpoint_id
    async with refused(grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"):
        await door.checkpoint(NONE)
    async with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
        await door.checkpoint(digest, parents=["0" * 32])
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "OBJECT_IN_USE"):
        await door.stub.DeleteObject(archive_pb2.DeleteObjectRequest(digest=digest), metadata=door.user("operator"))


async def test_checkpoints_are_found_by_age_and_by_metric(door: Door):
    digest = (await door.put(b"weights")).digest
    made = []
    for error in (0.3, 0.1, 0.2):
        made.append(await door.checkpoint(digest, metrics={"error": error}))
        CLOCK.advance(1)
    await door.checkpoint(digest, name="other", metrics={"error": 0.0})
    assert await door.found(name="rack") == made[2]
    assert await door.found(name="rack", metric="error") == made[1]
    assert await door.found(name="rack", metric="error", greatest=True) == made[0]
    for missing in ({"name": "rack", "metric": "skill"}, {"name": "none"}, {"checkpoint_id": "0" * 32}):
        async with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
            await door.found(**missing)
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        await door.found()
    ask = archive_pb2.ListCheckpointsRequest(name="rack", page_size=2)
    first = await door.stub.ListCheckpoints(ask, metadata=door.user("viewer"))
    ask.page_token = first.next_page_token
    rest = await door.stub.ListCheckpoints(ask, metadata=door.user("viewer"))
    assert [*first.checkpoints, *rest.checkpoints] == made[::-1]
    others = await door.stub.ListCheckpoints(ask, metadata=door.user("viewer", tenant="other"))
    assert not others.checkpoints


async def test_lineage_goes_back_over_all_parents_and_none_of_them_can_be_deleted(door: Door):
    digest = (await door.put(b"weights")).digest
    root = await door.checkpoint(digest, notes="root")
    left = await door.checkpoint(digest, notes="left", parents=[root.checkpoint_id])
    right = await door.checkpoint(digest, notes="right", parents=[root.checkpoint_id])
    both = await door.checkpoint(digest, notes="both", parents=[left.checkpoint_id, right.checkpoint_id])
    ask = archive_pb2.GetLineageRequest(checkpoint_id=both.checkpoint_id)
    lineage = await door.stub.GetLineage(ask, metadata=door.user("viewer"))
    assert lineage.checkpoints[0] == both
    assert {one.notes for one in lineage.checkpoints[1:3]} == {"left", "right"}
    assert list(lineage.checkpoints[3:]) == [root]
    assert not lineage.truncated

    def delete(one: archive_pb2.Checkpoint):
        ask = archive_pb2.DeleteCheckpointRequest(checkpoint_id=one.checkpoint_id)
        return door.stub.DeleteCheckpoint(ask, metadata=door.user("operator"))

    for parent in (root, left):
        async with refused(grpc.StatusCode.FAILED_PRECONDITION, "CHECKPOINT_HAS_CHILDREN"):
            await delete(parent)
    for one in (both, left, right, root):
        await delete(one)
    async with refused(grpc.StatusCode.NOT_FOUND, "CHECKPOINT_NOT_FOUND"):
        await delete(root)
    await door.stub.DeleteObject(archive_pb2.DeleteObjectRequest(digest=digest), metadata=door.user("operator"))
