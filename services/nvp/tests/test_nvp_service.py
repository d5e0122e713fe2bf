"""The service over gRPC: sources by their states, fields by published models, and refusals that say what to do."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import grpc
import numpy as np
import pytest
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc, atlas_pb2, atlas_pb2_grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.events.v1 import event_log_pb2
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil.proof.v1 import proof_pb2
from eil_economy.main import build as build_economy
from eil_economy.settings import EconomySettings
from eil_mesh.clock import ManualClock
from eil_mesh.errors import NotFound
from eil_mesh.settings import MeshSettings
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, open_store, running, token
from eil_nvp import feedback
from eil_nvp.domain.fields import datasets, model
from eil_nvp.domain.fields.network import NetworkTraining
from eil_nvp.domain.fields.registry import DOMAINS
from eil_nvp.main import build
from eil_nvp.settings import NvpSettings
from google.protobuf.message import DecodeError

POINTS = 16


class AtlasSettings(MeshSettings):
    service: ClassVar[str] = "atlas"


class Atlas(atlas_pb2_grpc.AtlasServiceServicer):
    """An Atlas with the states of one source and some objects."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.energies = list(1000.0 + 50.0 * np.sin(np.arange(200) / 5.0) + rng.standard_normal(200))
        self.objects: dict[str, bytes] = {}

    async def ListStates(self, request, context):
        if request.source != "dc-01":
            return atlas_pb2.ListStatesResponse()
        places = range(len(self.energies))[::-1][: request.page_size or 100]
        states = [
            atlas_pb2.StateRecord(id=f"s{i}", source="dc-01", energy=self.energies[i], entropy=3.0) for i in places
        ]
        return atlas_pb2.ListStatesResponse(states=states)

    async def GetObject(self, request, context):
        if request.digest not in self.objects:
            raise NotFound(f"there is no object {request.digest}; put it first", reason="OBJECT_NOT_FOUND")
        return atlas_pb2.GetObjectResponse(content=self.objects[request.digest])


class Archive(archive_pb2_grpc.ArchiveServiceServicer):
    """The Atlas's checkpoints: what it was told."""

    def __init__(self) -> None:
        self.told: list[archive_pb2.PutCheckpointRequest] = []

    async def PutCheckpoint(self, request, context):
        self.told.append(request)
        return archive_pb2.PutCheckpointResponse()


class Client:
    def __init__(self, tmp_path: Path, channel: grpc.aio.Channel, atlas: Atlas, archive: Archive) -> None:
        self.tmp_path, self.stub = tmp_path, nvp_pb2_grpc.NvpServiceStub(channel)
        self.atlas, self.archive = atlas, archive

    def auth(self, role: str = "operator", tenant: str = "acme"):
        return metadata(token(self.tmp_path, roles=[role], tenant=tenant))

    async def predict(self, **request) -> nvp_pb2.PredictResponse:
        return await self.stub.Predict(nvp_pb2.PredictRequest(**request), metadata=self.auth())

    async def publish(self, trained: model.FieldModel) -> nvp_pb2.Model:
        content = model.dumps(trained)
        digest = hashlib.sha256(content).hexdigest()
        self.atlas.objects[digest] = content
        return (await self.stub.PutModel(nvp_pb2.PutModelRequest(digest=digest), metadata=self.auth())).model

    async def field(self, state: np.ndarray, inputs: np.ndarray, **more) -> nvp_pb2.PredictFieldResponse:
        request = nvp_pb2.PredictFieldRequest(
            domain="heat",
            state=[nvp_pb2.Grid(values=channel.ravel()) for channel in state],
            inputs=[nvp_pb2.Grid(values=channel.ravel()) for step in inputs for channel in step],
            **more,
        )
        return await self.stub.PredictField(request, metadata=self.auth())


@asynccontextmanager
async def serving(tmp_path):
    atlas, archive = Atlas(), Archive()  # pyright: ignore[reportAbstractUsage]
    clock = ManualClock(1_700_000_000_000_000)

    async def build_atlas(mesh):
        mesh.add("eil.atlas.v1.AtlasService", atlas_pb2_grpc.add_AtlasServiceServicer_to_server, atlas)
        register = archive_pb2_grpc.add_ArchiveServiceServicer_to_server
        mesh.add("eil.atlas.v1.ArchiveService", register, archive)

    async with (
        running(tmp_path, AtlasSettings, build_atlas, clock=clock),
        running(tmp_path, EconomySettings, build_economy, clock=clock),
        running(tmp_path, NvpSettings, build, clock=clock, budgets=True),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/nvp.sock") as channel,
    ):
        yield Client(tmp_path, channel, atlas, archive)


@pytest.fixture(scope="module")
def heat() -> model.FieldModel:
    made, about = datasets.generate(DOMAINS["heat"], seed=0, trajectories=8, steps=6, points=POINTS)
    how = model.FieldTraining("heat", 0, 8, 6, POINTS, NetworkTraining(updates=30, width=4))
    return model.train(how, made, about.digest)


def truth():
    return DOMAINS["heat"].simulate(np.random.default_rng(5), 1, 4, POINTS)


async def test_a_source_is_predicted_and_learnt_from_as_its_states_come(tmp_path):
    async with serving(tmp_path) as client:
        first = await client.predict(source="dc-01", horizon=3)
        assert [one.name for one in first.predictions] == ["energy", "entropy"]
        assert len(first.predictions[0].point) == 3
        assert first.HasField("trust")
        assert {finding.question for finding in first.findings} >= {"bounds", "ensemble", "persistence"}
        client.atlas.energies.append(1200.0)
        second = await client.predict(source="dc-01", horizon=3)
        assert second.predictions[0].point != first.predictions[0].point
        again = await client.predict(source="dc-01", horizon=3)
        assert again.predictions[0].point == second.predictions[0].point


async def test_history_in_the_request_needs_no_source(tmp_path):
    async with serving(tmp_path) as client:
        values = list(np.sin(np.arange(200) / 5.0))
        answer = await client.predict(history=[nvp_pb2.Series(name="load", values=values)], horizon=2)
        assert answer.method == "ridge"
        assert not answer.HasField("trust")


async def test_a_batch_answers_each_or_says_why_not(tmp_path):
    async with serving(tmp_path) as client:
        requests = [
            nvp_pb2.PredictRequest(source="dc-01"),
            nvp_pb2.PredictRequest(source="nowhere"),
            nvp_pb2.PredictRequest(),
        ]
        answer = await client.stub.PredictBatch(nvp_pb2.PredictBatchRequest(requests=requests), metadata=client.auth())
        assert answer.items[0].response.predictions
        assert [item.code for item in answer.items] == ["", "NOT_FOUND", "INVALID_ARGUMENT"]
        assert "knows no state" in answer.items[1].error


async def test_a_watcher_hears_of_each_new_state(tmp_path, monkeypatch):
    monkeypatch.setattr("eil_nvp.service.LOOK_EVERY_S", 0.02)
    async with serving(tmp_path) as client:
        request = nvp_pb2.WatchPredictionsRequest(source="dc-01")
        stream = client.stub.WatchPredictions(request, metadata=client.auth())
        told = aiter(stream)
        assert (await anext(told)).state_id == "s199"
        client.atlas.energies.append(1010.0)
        assert (await asyncio.wait_for(anext(told), 30)).state_id == "s200"
        stream.cancel()


async def test_an_explanation_names_members_and_drivers(tmp_path):
    async with serving(tmp_path) as client:
        request = nvp_pb2.ExplainRequest(request=nvp_pb2.PredictRequest(source="dc-01", horizon=2))
        answer = await client.stub.Explain(request, metadata=client.auth())
        energy = [one for one in answer.opinions if one.channel == "energy"]
        assert len(energy) == 5
        assert sum(one.weight for one in energy) == pytest.approx(1.0)
        assert answer.drivers[0].by in ("energy", "entropy")
        values = [5.0 + i % 7 for i in range(120)]
        own = nvp_pb2.PredictRequest(history=[nvp_pb2.Series(name="load", values=values)])
        answer = await client.stub.Explain(nvp_pb2.ExplainRequest(request=own), metadata=client.auth())
        assert answer.prediction.predictions[0].name == "load"


@pytest.mark.usefixtures("either_database")
async def test_a_model_is_published_lists_itself_and_predicts_fields(tmp_path, heat):
    async with serving(tmp_path) as client:
        told = await client.publish(heat)
        assert (told.domain, told.points, told.members[0].stage) == ("heat", POINTS, "champion")
        listed = await client.stub.ListModels(nvp_pb2.ListModelsRequest(), metadata=client.auth("viewer"))
        assert [one.digest for one in listed.models] == [told.digest]
        made = truth()
        answers = await asyncio.gather(
            *(client.field(made.states[0, 0], made.inputs[0], steps=4, every_step=True) for _ in range(8))
        )
        for answer in answers:
            assert answer.in_domain
            assert [state.step for state in answer.states] == [1, 2, 3, 4]
            last = np.array(answer.states[-1].channels[0].values).reshape(POINTS, POINTS)
            np.testing.assert_allclose(last, made.states[0, 4, 0], rtol=0, atol=1e-8)


async def test_a_foreign_field_gets_no_confident_number(tmp_path, heat):
    async with serving(tmp_path) as client:
        await client.publish(heat)
        made = truth()
        answer = await client.field(1e5 * made.states[0, 0], made.inputs[0])
        assert answer.abstained
        assert answer.states[0].relative_error == 1.0
        assert "outside what the model was trained on" in answer.reason


@pytest.mark.usefixtures("either_database")
async def test_models_belong_to_a_tenant_and_outlive_the_service(tmp_path, heat):
    async with serving(tmp_path) as client:
        await client.publish(heat)
        other = await client.stub.ListModels(nvp_pb2.ListModelsRequest(), metadata=client.auth(tenant="other"))
        assert not other.models
    async with serving(tmp_path) as client:
        made = truth()
        assert (await client.field(made.states[0, 0], made.inputs[0])).in_domain


@pytest.mark.parametrize(
    ("shape", "more", "code", "said"),
    [
        ((1, 8, 8), {}, "FAILED_PRECONDITION", "--points"),
        ((2, POINTS, POINTS), {}, "INVALID_ARGUMENT", "the domain has 1: temperature"),
        ((1, POINTS, POINTS), {"steps": 300}, "INVALID_ARGUMENT", "steps"),
    ],
)
async def test_a_wrong_field_is_refused(tmp_path, heat, shape, more, code, said):
    async with serving(tmp_path) as client:
        await client.publish(heat)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.field(np.zeros(shape), np.zeros((0, 1)), **more)
        assert refused.value.code().name == code
        assert said in (refused.value.details() or "")


async def test_a_model_put_into_service_is_a_checkpoint_with_its_data_and_figures(tmp_path, heat):
    async with serving(tmp_path) as client:
        served = await client.publish(heat)
        (told,) = client.archive.told
    assert (told.name, told.kind, told.digest, list(told.data)) == (
        "nvp/heat",
        "heat",
        served.digest,
        [heat.data_digest],
    )
    assert told.metrics == {
        f"{member.name}.{name}": value for member in served.members for name, value in member.metrics.items()
    }


async def test_values_that_are_not_finite_are_refused(tmp_path, heat):
    async with serving(tmp_path) as client:
        await client.publish(heat)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.field(np.full((1, POINTS, POINTS), np.nan), np.zeros((0, 1)))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_not_there_is_named(tmp_path):
    async with serving(tmp_path) as client:
        with pytest.raises(grpc.aio.AioRpcError, match="eil nvp train heat"):
            await client.field(np.zeros((1, POINTS, POINTS)), np.zeros((0, 1)))
        with pytest.raises(grpc.aio.AioRpcError, match="no object"):
            await client.stub.PutModel(nvp_pb2.PutModelRequest(digest="0" * 64), metadata=client.auth())
        client.atlas.objects["1" * 64] = b"no checkpoint at all"
        with pytest.raises(grpc.aio.AioRpcError, match="no checkpoint") as refused:
            await client.stub.PutModel(nvp_pb2.PutModelRequest(digest="1" * 64), metadata=client.auth())
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.PutModel(nvp_pb2.PutModelRequest(digest="1" * 64), metadata=client.auth("viewer"))
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.usefixtures("either_database")
async def test_proofs_that_fail_widen_a_sources_intervals(tmp_path):
    store = open_store(tmp_path, "nvp", feedback.SCHEMA, ManualClock(0))

    def event(held: bool, evidence: str = "measured") -> event_log_pb2.Event:
        checks = proof_pb2.TriCheck(energy=held)
        verdict = proof_pb2.Verdict(source="dc-01", response=proof_pb2.ProveResponse(evidence=evidence, checks=checks))
        return event_log_pb2.Event(tenant="acme", topic=feedback.TOPICS[0], payload=verdict.SerializeToString())

    async def widening() -> float:
        return await store.read(lambda conn: feedback.widening(conn, "acme", "dc-01"))

    async def told(*events: event_log_pb2.Event) -> float:
        for one in events:
            await store.write(lambda tx, one=one: feedback.handle(tx, one))
        return await widening()

    assert await widening() == 1.0
    assert await told(event(True), event(False, "self_reported")) == 1.0
    with pytest.raises(DecodeError):  # it becomes a dead letter
        await told(event_log_pb2.Event(payload=b"\xff"))
    failed = await told(event(False), event(False))
    assert failed == pytest.approx(np.exp(0.18))
    assert 1.0 < await told(*[event(True)] * 9) < failed
    assert await told(*[event(False)] * 40) == pytest.approx(feedback.WIDEST)
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        await store.read(lambda conn: feedback.learn(conn, "acme", "dc-01", True))
    store.close()


async def test_steps_are_paid_by_the_tokens_subject_and_nothing_is_predicted_without(tmp_path):
    history = [nvp_pb2.Series(name="energy", values=[1.0, 2.0, 3.0, 4.0])]
    async with serving(tmp_path) as client, grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel:
        economy = economy_pb2_grpc.EconomyServiceStub(channel)
        put = economy_pb2.PutBudgetRequest(principal="tester", capacity_u=4001)
        await economy.PutBudget(put, metadata=client.auth())
        await client.predict(history=history, horizon=4)  # 1 for the call, 4000 for its steps
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.predict(history=history, horizon=4)
        assert reason_of(refused.value) == "BUDGET_EXHAUSTED"
        budget = (await economy.GetBudget(economy_pb2.GetBudgetRequest(), metadata=client.auth())).budget
        assert budget.left_u == 0
