"""Wiring of the diffusion service."""

from importlib import import_module

from eil.atlas.v1 import archive_pb2_grpc, atlas_pb2_grpc
from eil.diffusion.v1 import diffusion_pb2_grpc
from eil.nvp.v1 import nvp_pb2_grpc
from eil_mesh.server import Mesh, serve

from eil_diffusion import models, runs
from eil_diffusion.context import Sources
from eil_diffusion.service import ENGINE, DiffusionService
from eil_diffusion.settings import DiffusionSettings


async def build(mesh: Mesh[DiffusionSettings]) -> None:
    settings = mesh.settings
    store = mesh.store(models.SCHEMA + runs.SCHEMA)
    atlas = mesh.peers.stub(atlas_pb2_grpc.AtlasServiceStub, "atlas")
    archive = mesh.peers.stub(archive_pb2_grpc.ArchiveServiceStub, "atlas")
    nvp = mesh.peers.stub(nvp_pb2_grpc.NvpServiceStub, "nvp")
    service = DiffusionService(
        mesh.meter,
        models.Models(store),
        runs.Runs(store, settings.keep_runs_s),
        Sources(atlas, nvp),
        atlas,
        archive,
        settings.waiting,
        settings.threads,
    )
    mesh.add("eil.diffusion.v1.DiffusionService", diffusion_pb2_grpc.add_DiffusionServiceServicer_to_server, service)


def load(settings: DiffusionSettings) -> None:
    """Where replicas take turns the next one answers as fast as the last: torch is there before it is ready."""
    if settings.advertise:
        import_module(ENGINE)


def main() -> None:
    serve(DiffusionSettings, build, load)
