"""The service as its callers see it: over gRPC, through the mesh's layers, beside a regime service's journal."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil.regime.v1 import regime_pb2
from eil_atlas.domain.windows import WINDOW_US, state_id
from eil_atlas.main import build
from eil_atlas.settings import AtlasSettings
from eil_mesh.anchor import sign_head
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.status import reason_of
from eil_mesh.store import Store
from eil_mesh.testing import metadata, running, token

pytestmark = pytest.mark.usefixtures("either_database")

CLOCK = ManualClock()
T0 = CLOCK.now_us() - CLOCK.now_us() % WINDOW_US - 60 * WINDOW_US
S = 1_000_000
DIGEST = hashlib.sha256(b"weights").hexdigest()
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


class Door:
    """Calls of the Atlas by users and services."""

    def __init__(self, tmp_path: Path, stub: Any) -> None:
        self._tmp_path, self.stub = tmp_path, stub

    def as_user(self, *roles: str, tenant: str = "default"):
        return metadata(token(self._tmp_path, roles, tenant))

    def as_service(self, name: str, tenant: str = ""):
        return (("x-eil-service", name), *((("x-eil-tenant", tenant),) if tenant else ()))

    async def anchor(self, head: atlas_pb2.JournalHead, service: str = "decision") -> None:
        await self.stub.AnchorHead(atlas_pb2.AnchorHeadRequest(head=head), metadata=self.as_service(service))

    async def heads(self, **request: Any) -> list[atlas_pb2.JournalHead]:
        answer = await self.stub.ListHeads(
            atlas_pb2.ListHeadsRequest(**request), metadata=self.as_user("viewer", tenant="anyone")
        )
        return list(answer.heads)


@contextlib.asynccontextmanager
async def atlas(tmp_path: Path) -> AsyncIterator[Door]:
    async with (
        running(tmp_path, AtlasSettings, build, clock=CLOCK),
        grpc.aio.insecure_channel("unix:atlas.sock", options=[("grpc.default_authority", "localhost")]) as channel,
    ):
        yield Door(tmp_path, atlas_pb2_grpc.AtlasServiceStub(channel))


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with atlas(tmp_path) as opened:
        yield opened


class FakeRegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"


class FakeRegime:
    """A regime service that is its journal alone."""

    store: Store

    async def build(self, mesh: Mesh[FakeRegimeSettings]) -> None:
        self.store = mesh.store("")

    async def sense(self, start_s: int, end_s: int, watts: float, *, tenant: str = "default", regime: str = "r1"):
        record = regime_pb2.TelemetryRecord(
            source="dc",
            times_us=[T0 + second * S for second in range(start_s, end_s)],
            columns=[regime_pb2.Column(name="power_draw", values=[watts] * (end_s - start_s))],
            energy_state=regime_pb2.EnergyState(
                total_energy=60 * watts,
                entropy=0.2 * watts,
                regime="stable",
                regime_id=regime,
                power_method="METERED",
                time=from_us(T0 + (end_s - 1) * S),
            ),
        )
        await self._append(tenant, "eil.sense.telemetry", record)

    async def shift(self, second: int, left: str, tenant: str = "default"):
        moment = from_us(T0 + second * S)
        record = regime_pb2.RegimeShift(id=f"dc@{second}", source="dc", onset=moment, detected=moment, from_regime=left)
        await self._append(tenant, "eil.regime.shifts", record)

    async def _append(self, tenant: str, topic: str, record: Any) -> None:
        await self.store.write(lambda tx: tx.journal.append(tx.now_us, tenant, topic, "dc", record))


@pytest.fixture
async def regime(tmp_path: Path) -> AsyncIterator[FakeRegime]:
    fake = FakeRegime()
    async with running(tmp_path, FakeRegimeSettings, fake.build, clock=CLOCK):
        yield fake


async def until(ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """The answer once it is as wanted: what travels as events arrives soon, not at once."""
    async with asyncio.timeout(60):
        while not enough(answer := await ask()):
            await asyncio.sleep(0.02)
    return answer


@contextlib.asynccontextmanager
async def refused(code: grpc.StatusCode, reason: str) -> AsyncIterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert (caught.value.code(), reason_of(caught.value)) == (code, reason), caught.value.details()


async def test_states_and_shifts_come_from_the_regime_services_journal(regime: FakeRegime, tmp_path: Path):
    await regime.sense(0, 120, 100.0)
    async with atlas(tmp_path) as door:
        viewer = door.as_user("viewer")

        def states(**request: Any):
            return door.stub.ListStates(atlas_pb2.ListStatesRequest(**request), metadata=viewer)

        await until(states, lambda answer: len(answer.states) == 2)
        await regime.shift(130, "r1")
        await regime.sense(120, 150, 100.0, regime="r2")
        newest = (await until(states, lambda answer: len(answer.states) == 3)).states[0]
        assert newest.id == state_id("default", "dc", T0 + 2 * WINDOW_US)
        assert (newest.source, newest.regime, newest.domain) == ("dc", "r2", "datacenter")
        assert newest.energy == pytest.approx(2900.0)
        assert newest.entropy == pytest.approx(2900.0 / 300.0)
        assert newest.timestamp.ToMicroseconds() == T0 + 2 * WINDOW_US

        first = await states(page_size=2)
        second = await states(page_size=2, page_token=first.next_page_token)
        assert [s.timestamp.ToMicroseconds() for s in (*first.states, *second.states)] == [
            T0 + i * WINDOW_US for i in (2, 1, 0)
        ]
        assert second.next_page_token == ""
        assert first.states[1].previous_id == second.states[0].id

        (shift,) = (await door.stub.ListShiftStates(atlas_pb2.ListShiftStatesRequest(), metadata=viewer)).shifts
        assert (shift.state_id, shift.from_regime, shift.to_regime) == (newest.id, "r1", "r2")

        found = await door.stub.GetEnergyMap(atlas_pb2.GetEnergyMapRequest(), metadata=viewer)
        assert (found.unit, found.resolution_s) == ("J", 60.0)
        assert found.end.ToMicroseconds() == T0 + 3 * WINDOW_US
        assert found.start.ToMicroseconds() == T0 - 57 * WINDOW_US
        assert found.total_energy == pytest.approx(14_900.0)
        assert [(node.source, node.states, node.regime) for node in found.nodes] == [("dc", 3, "r2")]
        assert [(edge.from_regime, edge.to_regime, edge.count) for edge in found.edges] == [("r1", "r2", 1)]

        elsewhere = door.as_user("viewer", tenant="other")
        assert not (await door.stub.ListStates(atlas_pb2.ListStatesRequest(), metadata=elsewhere)).states
        assert not (await door.stub.ListShiftStates(atlas_pb2.ListShiftStatesRequest(), metadata=elsewhere)).shifts
        assert not (await door.stub.GetEnergyMap(atlas_pb2.GetEnergyMapRequest(), metadata=elsewhere)).nodes


async def test_following_goes_on_after_a_restart_and_counts_nothing_twice(regime: FakeRegime, tmp_path: Path):
    async def total(door: Door) -> float:
        answer = await door.stub.GetEnergyMap(atlas_pb2.GetEnergyMapRequest(), metadata=door.as_user("viewer"))
        return answer.total_energy

    await regime.sense(0, 60, 100.0)
    async with atlas(tmp_path) as door:
        await until(lambda: total(door), lambda joules: joules > 0)
    await regime.sense(60, 121, 100.0)
    async with atlas(tmp_path) as door:
        assert await until(lambda: total(door), lambda joules: joules > 5900) == pytest.approx(12_000.0)


async def test_a_map_is_over_whole_windows_and_bounded(regime: FakeRegime, tmp_path: Path):
    await regime.sense(0, 241, 100.0)
    async with atlas(tmp_path) as door:
        viewer = door.as_user("viewer")

        def over(start_s: float | None, end_s: float | None):
            request = atlas_pb2.GetEnergyMapRequest(
                start=None if start_s is None else from_us(T0 + round(start_s * S)),
                end=None if end_s is None else from_us(T0 + round(end_s * S)),
            )
            return door.stub.GetEnergyMap(request, metadata=viewer)

        await until(lambda: over(None, None), lambda answer: answer.nodes)
        middle = await over(61, 119)
        assert (middle.start.ToMicroseconds(), middle.end.ToMicroseconds()) == (T0 + WINDOW_US, T0 + 2 * WINDOW_US)
        assert middle.total_energy == pytest.approx(6000.0)
        parts = [await over(i * 60, (i + 1) * 60) for i in range(5)]
        whole = await over(0, None)
        assert sum(part.total_energy for part in parts) == pytest.approx(whole.total_energy) == pytest.approx(24_000.0)
        for start_s, end_s in ((120, 60), (7200, None), (0, 40 * 86400)):
            async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
                await over(start_s, end_s)


async def test_an_empty_map_and_a_strange_token(door: Door):
    viewer = door.as_user("viewer")
    empty = await door.stub.GetEnergyMap(atlas_pb2.GetEnergyMapRequest(), metadata=viewer)
    assert (empty.unit, empty.total_energy, len(empty.nodes)) == ("J", 0.0, 0)
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        await door.stub.ListStates(atlas_pb2.ListStatesRequest(page_token="x"), metadata=viewer)


async def test_an_object_comes_back_as_it_was_put(door: Door):
    put = atlas_pb2.PutObjectRequest(content=b"weights", media_type="application/x-weights")
    for _ in range(2):
        assert (await door.stub.PutObject(put, metadata=door.as_user("operator"))).digest == DIGEST
    got = await door.stub.GetObject(atlas_pb2.GetObjectRequest(digest=DIGEST), metadata=door.as_user("viewer"))
    assert (got.content, got.media_type) == (b"weights", "application/x-weights")
    by_service = await door.stub.GetObject(
        atlas_pb2.GetObjectRequest(digest=DIGEST), metadata=door.as_service("nvp", "default")
    )
    assert by_service.content == b"weights"


async def test_an_object_is_its_tenants_alone(door: Door):
    get, put = atlas_pb2.GetObjectRequest(digest=DIGEST), atlas_pb2.PutObjectRequest(content=b"weights")
    await door.stub.PutObject(put, metadata=door.as_user("operator", tenant="a"))
    async with refused(grpc.StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"):
        await door.stub.GetObject(get, metadata=door.as_user("viewer", tenant="b"))
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "NO_TENANT"):
        await door.stub.GetObject(get, metadata=door.as_service("nvp"))
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"):
        await door.stub.PutObject(put, metadata=door.as_user("viewer", tenant="a"))


async def test_an_altered_object_is_data_loss(door: Door, tmp_path: Path):
    put = atlas_pb2.PutObjectRequest(content=b"weights")
    await door.stub.PutObject(put, metadata=door.as_user("operator"))
    (path,) = (path for path in (tmp_path / "objects").rglob(DIGEST))
    path.write_bytes(b"weightz")
    async with refused(grpc.StatusCode.DATA_LOSS, "OBJECT_DAMAGED"):
        await door.stub.GetObject(atlas_pb2.GetObjectRequest(digest=DIGEST), metadata=door.as_user("viewer"))


def head(offset: int, entry_hash: bytes = bytes(32), key: Ed25519PrivateKey = KEY, journal: str = "decision/0"):
    return sign_head(key, journal, offset, entry_hash, T0 + offset)


async def test_heads_are_kept_as_they_were_signed_newest_first(door: Door):
    await door.anchor(head(5))
    await door.anchor(head(9))
    await door.anchor(head(9))  # the same again changes nothing
    await door.anchor(head(7, journal="proof/0"), "proof")
    await door.anchor(head(6))  # one that was overtaken
    assert await door.heads() == [head(9), head(7, journal="proof/0"), head(6), head(5)]
    assert await door.heads(journal="decision/0", page_size=2) == [head(9), head(6)]


async def test_a_head_that_contradicts_an_anchored_one_is_refused(door: Door):
    await door.anchor(head(5))
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "HEAD_CONTRADICTED"):
        await door.anchor(head(5, b"\x01" * 32))
    assert await door.heads() == [head(5)]


async def test_the_first_key_of_a_journal_is_its_key(door: Door):
    await door.anchor(head(5))
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "KEY_CHANGED"):
        await door.anchor(head(6, key=OTHER_KEY))
    await door.anchor(head(1, key=OTHER_KEY, journal="proof/0"), "proof")
    assert len(await door.heads()) == 2


async def test_a_head_whose_signature_does_not_fit_is_refused(door: Door):
    forged = head(5)
    forged.offset = 6
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "SIGNATURE_INVALID"):
        await door.anchor(forged)
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
        await door.anchor(head(2**63))
    assert await door.heads() == []


async def test_a_service_anchors_its_own_journal_alone(door: Door):
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_JOURNAL"):
        await door.anchor(head(5), "proof")
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"):
        await door.stub.AnchorHead(atlas_pb2.AnchorHeadRequest(head=head(5)), metadata=door.as_user("admin"))
    assert await door.heads() == []


async def test_the_meshs_own_anchoring_arrives(tmp_path: Path):
    fake = FakeRegime()
    async with (
        atlas(tmp_path) as door,
        running(tmp_path, FakeRegimeSettings, fake.build, clock=CLOCK, anchor_s=0.02),
    ):
        await fake.sense(0, 10, 100.0)
        (anchored,) = await until(door.heads, lambda heads: heads)
        assert (anchored.journal, anchored.offset) == ("regime/0", 1)


async def test_the_graph_answers_over_grpc(regime: FakeRegime, tmp_path: Path):
    await regime.sense(0, 240, 100.0)
    async with atlas(tmp_path) as door:
        viewer, operator = door.as_user("viewer"), door.as_user("operator")
        stub = door.stub

        def at(second: float):
            request = atlas_pb2.GetStateRequest(source="dc", time=from_us(T0 + round(second * S)))
            return stub.GetState(request, metadata=viewer)

        await until(
            lambda: stub.ListStates(atlas_pb2.ListStatesRequest(), metadata=viewer),
            lambda answer: len(answer.states) == 4,
        )
        await regime.shift(130, "r1")
        inside, after = await at(61.5), await at(300)
        assert (inside.age_s, inside.state.timestamp.ToMicroseconds()) == (0.0, T0 + WINDOW_US)
        assert (after.age_s, after.state.timestamp.ToMicroseconds()) == (60.0, T0 + 3 * WINDOW_US)
        assert (inside.state.covered_s, inside.state.power_method, inside.state.resolution_s) == (60.0, "METERED", 60.0)
        async with refused(grpc.StatusCode.NOT_FOUND, "STATE_NOT_FOUND"):
            await at(-1)
        span: dict[str, Any] = {"start": from_us(T0), "end": from_us(T0 + 4 * WINDOW_US)}
        some = await stub.ListStates(
            atlas_pb2.ListStatesRequest(start=from_us(T0 + WINDOW_US), end=from_us(T0 + 3 * WINDOW_US)), metadata=viewer
        )
        assert [s.timestamp.ToMicroseconds() for s in some.states] == [T0 + 2 * WINDOW_US, T0 + WINDOW_US]

        def path(**page: Any):
            return stub.ListRegimePath(atlas_pb2.ListRegimePathRequest(source="dc", **span, **page), metadata=viewer)

        await until(path, lambda answer: len(answer.stretches) == 2)
        first = await path(page_size=1)
        second = await path(page_size=1, page_token=first.next_page_token)
        assert [(s.regime, s.states) for s in (*first.stretches, *second.stretches)] == [("r1", 2), ("r1", 2)]
        assert second.next_page_token == ""
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"):
            await path(page_token="9/dc")

        link = atlas_pb2.Link(from_source="pdu", to_source="dc", kind=atlas_pb2.LINK_KIND_FEEDS)
        drawn = atlas_pb2.PutLinksRequest(links=[link])
        await stub.PutLinks(drawn, metadata=operator)
        async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED"):
            await stub.PutLinks(drawn, metadata=viewer)
        (listed,) = (await stub.ListLinks(atlas_pb2.ListLinksRequest(), metadata=viewer)).links
        assert (listed.from_source, listed.weight) == ("pdu", 1.0)
        (flow,) = (await stub.GetEnergyFlow(atlas_pb2.GetEnergyFlowRequest(**span), metadata=viewer)).flows
        assert flow.energy == pytest.approx(23_900.0)
        traced = await stub.TraceShift(atlas_pb2.TraceShiftRequest(source="dc"), metadata=viewer)
        assert traced.explanation.startswith("nothing explains it")
        top = await stub.ListTopConsumers(atlas_pb2.ListTopConsumersRequest(**span), metadata=viewer)
        assert [(one.source, one.share, one.HasField("trend")) for one in top.consumers] == [("dc", 1.0, False)]
        asked = atlas_pb2.FindSimilarStatesRequest(source="dc", time=from_us(T0), limit=2, **span)
        alike = await stub.FindSimilarStates(asked, metadata=viewer)
        assert (len(alike.similar), alike.scanned, alike.complete) == (2, 4, True)
        gone = await stub.DeleteLinks(atlas_pb2.DeleteLinksRequest(links=[link]), metadata=operator)
        assert gone.deleted == 1
