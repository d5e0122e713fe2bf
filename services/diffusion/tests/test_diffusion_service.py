"""The service over gRPC: every energy, streams, models, runs in the journal, and refusals that say what to do and cost nothing."""

import asyncio
import hashlib
import math
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ClassVar

import grpc
import numpy as np
import pytest
import torch
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc, atlas_pb2, atlas_pb2_grpc
from eil.diffusion.v1 import diffusion_pb2, diffusion_pb2_grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil_diffusion import engine, models, runs
from eil_diffusion.domain.energy_diffusion_core.model import dumps
from eil_diffusion.domain.energy_diffusion_core.physics_sets import rack_heat_map
from eil_diffusion.domain.energy_diffusion_core.training import Training, train
from eil_diffusion.domain.energy_guided_sampler import sampler
from eil_diffusion.main import build
from eil_diffusion.settings import DiffusionSettings
from eil_economy.main import build as build_economy
from eil_economy.settings import EconomySettings
from eil_mesh import metrics
from eil_mesh.clock import ManualClock
from eil_mesh.errors import NotFound
from eil_mesh.settings import MeshSettings
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token

FREE = diffusion_pb2.Energy(gaussian_free_field=diffusion_pb2.GaussianFreeField(side=8, mass2=0.5))
RACKS = diffusion_pb2.Energy(
    rack_heat_map=diffusion_pb2.RackHeatMap(rows=2, columns=3, power_w=[800, 900, 700, 1000, 0, 500], ambient_c=22)
)
FLEET = diffusion_pb2.Energy(
    fleet_placement=diffusion_pb2.FleetPlacement(
        idle_w=[100, 120, 90], dynamic_w=[150, 140, 160], capacity=[1, 1, 1], demand=1.2
    )
)
INDEFINITE = diffusion_pb2.Energy(quadratic=diffusion_pb2.Quadratic(matrix=[1, 0, 0, -1]))
SAMPLED = {
    "free field": FREE,
    "phi4": diffusion_pb2.Energy(phi4=diffusion_pb2.Phi4(side=4, mass2=-1, coupling=0.5)),
    "ising": diffusion_pb2.Energy(ising=diffusion_pb2.Ising(side=4, beta=0.3)),
    "racks": RACKS,
    "plate": diffusion_pb2.Energy(heat_plate=diffusion_pb2.HeatPlate(side=6, heat_w_per_m2=[100], supply_c=22)),
    "quadratic": diffusion_pb2.Energy(quadratic=diffusion_pb2.Quadratic(matrix=[2, 0.5, 0.5, 1], linear=[1, 2])),
    "graph": diffusion_pb2.Energy(
        graph=diffusion_pb2.Graph(edges=[diffusion_pb2.Edge(node=0, other=1, weight=2)], pull=[1, 0], target=[3, 0])
    ),
}


class AtlasSettings(MeshSettings):
    service: ClassVar[str] = "atlas"


class NvpSettings(MeshSettings):
    service: ClassVar[str] = "nvp"


class Atlas(atlas_pb2_grpc.AtlasServiceServicer):
    """An Atlas with a state of one source and some objects."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def ListStates(self, request, context):
        state = atlas_pb2.StateRecord(
            id="s", source="dc-01", energy=60_000, covered_s=60, regime="critical", resolution_s=60
        )
        return atlas_pb2.ListStatesResponse(states=[state] if request.source == "dc-01" else [])

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


class Nvp(nvp_pb2_grpc.NvpServiceServicer):
    async def Predict(self, request, context):
        return nvp_pb2.PredictResponse(predictions=[nvp_pb2.Prediction(name="energy", point=[72_000.0])])


class Client:
    def __init__(self, tmp_path: Path, channel: grpc.aio.Channel, atlas: Atlas, archive: Archive, mesh) -> None:
        self.tmp_path, self.atlas, self.archive, self.mesh = tmp_path, atlas, archive, mesh
        self.stub = diffusion_pb2_grpc.DiffusionServiceStub(channel)

    def auth(self, role: str = "operator", tenant: str = "acme"):
        return metadata(token(self.tmp_path, roles=[role], tenant=tenant))

    async def sample(self, energy: diffusion_pb2.Energy, tenant: str = "acme", **how) -> diffusion_pb2.SampleResponse:
        request = diffusion_pb2.SampleRequest(energy=energy, **how)
        return await self.stub.Sample(request, metadata=self.auth(tenant=tenant))

    async def optimize(self, energy: diffusion_pb2.Energy, **how) -> diffusion_pb2.OptimizeResponse:
        return await self.stub.Optimize(diffusion_pb2.OptimizeRequest(energy=energy, **how), metadata=self.auth())

    async def refused(self, energy: diffusion_pb2.Energy, **how) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.sample(energy, **how)
        return refused.value


@asynccontextmanager
async def serving(tmp_path, **settings):
    atlas, archive = Atlas(), Archive()  # pyright: ignore[reportAbstractUsage]
    clock = ManualClock(1_700_000_000_000_000)

    async def build_atlas(mesh):
        mesh.add("eil.atlas.v1.AtlasService", atlas_pb2_grpc.add_AtlasServiceServicer_to_server, atlas)
        register = archive_pb2_grpc.add_ArchiveServiceServicer_to_server
        mesh.add("eil.atlas.v1.ArchiveService", register, archive)

    async def build_nvp(mesh):
        nvp = Nvp()  # pyright: ignore[reportAbstractUsage]
        mesh.add("eil.nvp.v1.NvpService", nvp_pb2_grpc.add_NvpServiceServicer_to_server, nvp)

    async with (
        running(tmp_path, AtlasSettings, build_atlas, clock=clock),
        running(tmp_path, NvpSettings, build_nvp, clock=clock),
        running(tmp_path, EconomySettings, build_economy, clock=clock),
        running(tmp_path, DiffusionSettings, build, clock=clock, budgets=True, **settings) as mesh,
        grpc.aio.insecure_channel(f"unix:{tmp_path}/diffusion.sock") as channel,
    ):
        yield Client(tmp_path, channel, atlas, archive, mesh)


@pytest.mark.parametrize("name", SAMPLED)
async def test_every_energy_is_sampled_with_its_weights_and_laws(tmp_path, name):
    async with serving(tmp_path) as client:
        answer = await client.sample(SAMPLED[name], count=16, steps=10, seed=3)
        assert len(answer.configurations) == 16
        assert all(len(one.values) == math.prod(answer.shape) for one in answer.configurations)
        assert answer.mean_energy == pytest.approx(np.mean([one.energy for one in answer.configurations]))
        assert answer.laws.verdict in ("held", "untestable")
        assert 1 <= answer.ess <= 16 + 1e-9
        assert math.isfinite(answer.log_z)
        assert answer.method == ("annealing" if name in ("phi4", "ising") else "diffusion")


async def test_a_quadratic_energy_is_weighed_exactly(tmp_path):
    async with serving(tmp_path) as client:
        answer = await client.sample(SAMPLED["quadratic"], count=16, steps=4)
        # E = ½xᵀQx + bᵀx: log Z = log 2π - ½ log det Q + ½ bᵀQ⁻¹b, det Q = 1.75.
        exact = (
            math.log(2 * math.pi)
            - 0.5 * math.log(1.75)
            + 0.5 * float(np.array([1, 2]) @ np.linalg.inv([[2, 0.5], [0.5, 1]]) @ np.array([1, 2]))
        )
        assert answer.log_z == pytest.approx(exact, abs=1e-6)
        assert answer.laws.verdict == "held"


async def test_sensors_pull_what_is_sampled_to_what_they_read(tmp_path):
    async with serving(tmp_path) as client:
        energy = diffusion_pb2.Energy(
            gaussian_free_field=FREE.gaussian_free_field,
            observations=[diffusion_pb2.Observation(site=9, value=5.0, sigma=0.01)],
        )
        answer = await client.sample(energy, count=32, steps=5)
        read = np.array([one.values[9] for one in answer.configurations])
        assert abs(read.mean() - 5.0) < 4 * 0.01 / math.sqrt(32) + 0.001
        other = diffusion_pb2.Energy(
            gaussian_free_field=FREE.gaussian_free_field,
            observations=[diffusion_pb2.Observation(site=64, value=5, sigma=1)],
        )
        assert "sites 0 to 63" in str((await client.refused(other)).details())


async def test_requests_that_share_a_batch_get_what_each_alone_gets(tmp_path):
    async with serving(tmp_path) as client:
        alone = [await client.sample(FREE, count=3, steps=5, seed=seed) for seed in (1, 2, 3)]
        together = await asyncio.gather(*(client.sample(FREE, count=3, steps=5, seed=seed) for seed in (1, 2, 3)))
        assert [one.configurations for one in together] == [one.configurations for one in alone]


async def test_a_run_is_written_once_and_answers_for_its_values(tmp_path, either_database):
    async with serving(tmp_path) as client:
        answer = await client.sample(FREE, count=9, steps=5, seed=1)
        again = await client.sample(FREE, count=9, steps=5, seed=1)
        assert again.run_id == answer.run_id
        request = diffusion_pb2.GetRunRequest(run_id=answer.run_id)
        run = (await client.stub.GetRun(request, metadata=client.auth("viewer"))).run
        values = b"".join(np.asarray(one.values, "<f4").tobytes() for one in answer.configurations)
        assert run.values_digest == hashlib.sha256(values).hexdigest()
        assert (run.method, run.energy, run.count, run.steps) == ("sample", "gaussian_free_field", 9, 45)
        assert run.mean_energy == answer.mean_energy
        assert run.laws == answer.laws
        told = await client.mesh._stores[0].read(
            lambda conn: conn.execute("SELECT payload FROM journal WHERE topic = ?", (runs.TOPIC,)).fetchall()
        )
        assert [diffusion_pb2.Run.FromString(payload) for (payload,) in told] == [run]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.stub.GetRun(request, metadata=client.auth("viewer", tenant="other"))
        assert reason_of(refused.value) == "RUN_NOT_FOUND"


async def test_an_answer_is_held_against_its_run(tmp_path):
    async with serving(tmp_path) as client:
        asked = diffusion_pb2.SampleRequest(energy=RACKS, count=9, steps=5, kt=400)
        answer = await client.stub.Sample(asked, metadata=client.auth())

        async def failed(**changed) -> list[str]:
            shown = {"sample": asked, "configurations": answer.configurations} | changed
            request = diffusion_pb2.VerifyRunRequest(run_id=answer.run_id, **shown)
            verdict = await client.stub.VerifyRun(request, metadata=client.auth("viewer"))
            bad = [one.name for one in verdict.checks if not one.held]
            assert verdict.valid == (not bad)
            assert all(one.detail for one in verdict.checks)
            return bad

        assert await failed() == []
        other = diffusion_pb2.SampleRequest(energy=RACKS, count=9, steps=6, kt=400)
        assert await failed(sample=other) == ["request"]
        dearer = [
            diffusion_pb2.Configuration(values=one.values, energy=1.001 * one.energy) for one in answer.configurations
        ]
        assert await failed(configurations=dearer) == ["energies"]
        moved = [
            diffusion_pb2.Configuration(values=[v + 0.01 for v in one.values], energy=one.energy)
            for one in answer.configurations
        ]
        assert await failed(configurations=moved) == ["values", "energies"]
        assert await failed(configurations=answer.configurations[:8]) == ["values"]
        best = await client.optimize(FLEET, steps=10)
        request = diffusion_pb2.VerifyRunRequest(
            run_id=best.run_id,
            optimize=diffusion_pb2.OptimizeRequest(energy=FLEET, steps=10),
            configurations=[best.best],
        )
        assert (await client.stub.VerifyRun(request, metadata=client.auth("viewer"))).valid


async def test_optimising_keeps_constraints_and_is_never_worse_than_the_start(tmp_path):
    async with serving(tmp_path) as client:
        best = await client.optimize(RACKS, steps=20)
        assert best.best.energy <= best.start_energy
        assert best.bounded
        assert best.gap < 1e-9
        bounds = diffusion_pb2.Constraints(lower=[-1], upper=[2])
        corner = await client.optimize(INDEFINITE, constraints=bounds, steps=20)
        assert corner.best.energy == pytest.approx(-2.0)
        total = diffusion_pb2.Constraints(weights=[1], total=1.0)
        shared = await client.optimize(SAMPLED["graph"], constraints=total, steps=5)
        assert sum(shared.best.values) == pytest.approx(1.0, abs=1e-6)


async def test_a_fleet_carries_its_load_on_the_servers_that_cost_least(tmp_path):
    async with serving(tmp_path) as client:
        placed = await client.optimize(FLEET, steps=30)
        assert sum(placed.best.values) == pytest.approx(1.2)
        # By hand: two of three must run. Servers 1 and 3: 190 + .2·160 + 150 beats the other pairs.
        assert placed.best.energy == pytest.approx(100 + 90 + 150 * 1.0 + 160 * 0.2)
        assert "optimised, not sampled" in str((await client.refused(FLEET)).details())


async def test_a_stream_tells_its_steps_and_ends_with_the_same_answer(tmp_path):
    async with serving(tmp_path) as client:
        wanted = diffusion_pb2.SampleRequest(energy=FREE, count=2, steps=10, seed=4)
        request = diffusion_pb2.StreamSampleRequest(request=wanted, every=5)
        told = [one async for one in client.stub.StreamSample(request, metadata=client.auth())]
        stages = [one.stage for one in told[:-1]]
        assert [one.WhichOneof("kind") for one in told] == ["stage"] * len(stages) + ["response"]
        assert [(one.name, one.done) for one in stages] == [
            ("diffusion", 5), ("diffusion", 10), ("correction", 5), ("correction", 10), ("correction", 15), ("correction", 16),
        ]  # fmt: skip
        assert all(len(one.first.values) == 64 for one in stages)
        assert told[-1].response == await client.sample(FREE, count=2, steps=10, seed=4)
        ways = diffusion_pb2.StreamOptimizeRequest(
            request=diffusion_pb2.OptimizeRequest(energy=RACKS, steps=20), every=10
        )
        steps = [one async for one in client.stub.StreamOptimize(ways, metadata=client.auth())]
        assert [one.stage.done for one in steps[:-1]] == [10, 20]
        assert steps[-1].response.best.energy <= steps[0].stage.best_energy


SMALL = diffusion_pb2.SampleRequest(energy=FREE, steps=1), diffusion_pb2.OptimizeRequest(energy=FREE, steps=1)
FIRST = {
    "Sample": SMALL[0],
    "Optimize": SMALL[1],
    "StreamSample": diffusion_pb2.StreamSampleRequest(request=SMALL[0]),
    "StreamOptimize": diffusion_pb2.StreamOptimizeRequest(request=SMALL[1]),
    "VerifyRun": diffusion_pb2.VerifyRunRequest(
        run_id=f"run_{0:032x}", sample=SMALL[0], configurations=[diffusion_pb2.Configuration()]
    ),
}


@pytest.mark.parametrize("method", FIRST)
async def test_torch_is_loaded_beside_the_loop_on_which_others_are_answered(tmp_path, loading, method):
    async with serving(tmp_path) as client:
        threads = loading("eil_diffusion.engine")
        call = getattr(client.stub, method)(FIRST[method], metadata=client.auth())
        with suppress(grpc.aio.AioRpcError):  # there is no run yet that could be verified
            [_ async for _ in call] if method.startswith("Stream") else await call
    assert [thread is threading.main_thread() for thread in threads] == [False]


async def test_who_leaves_a_stream_is_not_worked_for_any_more(tmp_path, monkeypatch):
    ended = []
    sample = sampler.sample

    def watched(*args, **how):
        try:
            return sample(*args, **how)
        except engine.Cancelled:
            ended.append(True)
            raise

    monkeypatch.setattr(engine, "sample", watched)
    async with serving(tmp_path) as client:
        long = diffusion_pb2.SampleRequest(energy=FREE, count=64, steps=1000, corrections=1000)
        call = client.stub.StreamSample(
            diffusion_pb2.StreamSampleRequest(request=long, every=1), metadata=client.auth()
        )
        await call.read()
        call.cancel()
        short = await client.sample(FREE, steps=2)  # waits for its turn: the long one is over by then
        assert short.configurations
        assert ended == [True]


async def test_a_full_device_is_tried_with_fewer_chains_then_says_so(tmp_path, monkeypatch):
    drawn = []
    sample = sampler.sample

    def crowded(energy, noise, **how):
        drawn.append(noise.count)
        if noise.count > limit:
            raise torch.OutOfMemoryError("out of memory")
        return sample(energy, noise, **how)

    monkeypatch.setattr(engine, "sample", crowded)
    async with serving(tmp_path) as client:
        limit = 3
        answer = await client.sample(FREE, count=8, steps=2)
        assert len(answer.configurations) == 8
        assert drawn == [8, 4, 2, 2, 4, 2, 2]
        assert len({one.energy for one in answer.configurations}) == 8
        limit = 0
        refused = await client.refused(FREE, count=2, steps=2)
        assert refused.code() == grpc.StatusCode.UNAVAILABLE
        assert reason_of(refused) == "DEVICE_FULL"
        assert "smaller field" in str(refused.details())


@pytest.mark.parametrize(
    ("energy", "how", "message"),
    [
        (INDEFINITE, {}, "smallest eigenvalue"),
        (diffusion_pb2.Energy(phi4=diffusion_pb2.Phi4(side=4, mass2=-1)), {}, "nothing confines"),
        (diffusion_pb2.Energy(quadratic=diffusion_pb2.Quadratic(matrix=[1e308, 0, 0, 1e308])), {}, ""),
        (diffusion_pb2.Energy(quadratic=diffusion_pb2.Quadratic(matrix=[1, 2, 3])), {}, "3"),
        (
            diffusion_pb2.Energy(rack_heat_map=diffusion_pb2.RackHeatMap(rows=2, columns=2, power_w=[1, 2, 3])),
            {},
            "2 × 2",
        ),
        (diffusion_pb2.Energy(graph=diffusion_pb2.Graph(pull=[0, 1])), {}, "node 0"),
        (SAMPLED["ising"], {"kt": 2.0}, "temperature is its beta"),
        (FREE, {"kt": -1.0}, "kt"),
        (FREE, {"kt": 0.0}, "kt"),
        (FREE, {"kt": math.nan}, "kt"),
        (FREE, {"count": 257}, "count"),
        (FREE, {"steps": 1001}, "steps"),
        (diffusion_pb2.Energy(gaussian_free_field=diffusion_pb2.GaussianFreeField(side=257, mass2=1)), {}, "side"),
        (
            diffusion_pb2.Energy(gaussian_free_field=diffusion_pb2.GaussianFreeField(side=256, mass2=1)),
            {"count": 65},
            "at most",
        ),
        (diffusion_pb2.Energy(), {}, "kind"),
        (FREE, {"schedule": "linear-ish"}, "schedule"),
        (RACKS, {"model": "phi4", "context": diffusion_pb2.Context(regime="odd")}, "regime"),
    ],
)
async def test_bad_requests_are_refused_with_a_reason_and_cost_nothing(tmp_path, energy, how, message):
    before = metrics.INFERENCE_STEPS.labels("diffusion")._value.get()
    async with serving(tmp_path) as client:
        refused = await client.refused(energy, **how)
        assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert message in str(refused.details()) + str(refused.trailing_metadata())
        assert metrics.INFERENCE_STEPS.labels("diffusion")._value.get() == before


async def test_a_model_drafts_and_its_drafts_are_weighed_and_corrected(tmp_path):
    async with serving(tmp_path) as client:
        energy = diffusion_pb2.Energy(phi4=diffusion_pb2.Phi4(side=8, mass2=-1, coupling=0.5))
        answer = await client.sample(energy, count=64, steps=10, model="phi4", seed=1)
        exact = await client.sample(energy, count=64, steps=200, seed=2)
        assert answer.method == "diffusion"
        assert len(answer.model_digest) == 64
        assert abs(answer.log_z - exact.log_z) < 5 * math.hypot(answer.log_z_se, exact.log_z_se)
        assert abs(answer.mean_energy - exact.mean_energy) < 5 * math.hypot(answer.mean_energy_se, exact.mean_energy_se)
        refused = await client.refused(SAMPLED["graph"], model="phi4")
        assert "on a grid" in str(refused.details())
        assert reason_of(await client.refused(FREE, model="nobody")) == "MODEL_NOT_FOUND"


async def test_the_models_that_come_with_the_package_are_the_very_ones(tmp_path):
    async with serving(tmp_path) as client:
        listed = await client.stub.ListModels(diffusion_pb2.ListModelsRequest(), metadata=client.auth("viewer"))
        assert {one.name: one.digest for one in listed.models} == dict(models.BUILT_IN)
        assert {one.name: one.networked for one in listed.models} == {
            "gaussian_free_field": False,
            "phi4": True,
            "rack_heat_map": True,
        }


async def test_a_published_model_is_its_tenants_and_is_told_the_context(tmp_path, either_database):
    small = Training(updates=5, width=4)
    model = train(rack_heat_map(32, 0), small, lambda *_: None)
    content = dumps(model)
    digest = hashlib.sha256(content).hexdigest()
    async with serving(tmp_path) as client:
        client.atlas.objects |= {digest: content, "0" * 64: b"nonsense"}
        put = diffusion_pb2.PutModelRequest(digest=digest)
        served = (await client.stub.PutModel(put, metadata=client.auth())).model
        assert (served.name, served.digest, served.built_in) == ("rack_heat_map", digest, False)
        assert client.archive.told[0].data == [model.card.data_digest]
        listed = await client.stub.ListModels(diffusion_pb2.ListModelsRequest(), metadata=client.auth("viewer"))
        assert {one.name: one.digest == digest for one in listed.models}["rack_heat_map"]
        others = await client.stub.ListModels(
            diffusion_pb2.ListModelsRequest(), metadata=client.auth("viewer", "other")
        )
        assert all(one.built_in for one in others.models)
        told = diffusion_pb2.Context(source="dc-01", signals={"cpu_usage": 0.5})
        answer = await client.sample(RACKS, count=4, steps=5, model="rack_heat_map", context=told)
        assert answer.model_digest == digest
        assert (
            list(answer.assumed) == []
        )  # the source says the regime and what is predicted, the energy fans and ambient
        unsaid = await client.sample(RACKS, count=4, steps=5, model="rack_heat_map")
        assert list(unsaid.assumed) == [
            "cpu_usage",
            *(f"regime_{name}" for name in ("stable", "drifting", "transition", "critical")),
        ]
        missing = await client.refused(RACKS, model="rack_heat_map", context=diffusion_pb2.Context(source="nobody"))
        assert reason_of(missing) == "SOURCE_UNKNOWN"
        assert "power [W]" in str((await client.refused(FREE, model="rack_heat_map")).details())
        for wrong in ("0" * 64, "1" * 64):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await client.stub.PutModel(diffusion_pb2.PutModelRequest(digest=wrong), metadata=client.auth())
            assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


async def test_steps_are_paid_by_the_tokens_subject_before_they_are_made(tmp_path):
    async with serving(tmp_path) as client, grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel:
        economy = economy_pb2_grpc.EconomyServiceStub(channel)
        put = economy_pb2.PutBudgetRequest(principal="tester", capacity_u=2 * 3 * 1000 + 2)
        await economy.PutBudget(put, metadata=client.auth())
        energy = next(iter(SAMPLED.values()))
        await client.sample(energy, count=2, steps=3)
        refused = await client.refused(energy, count=2, steps=3)
        assert reason_of(refused) == "BUDGET_EXHAUSTED"
