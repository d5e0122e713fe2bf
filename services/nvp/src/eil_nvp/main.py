"""Wiring of the nvp service."""

from eil.atlas.v1 import archive_pb2_grpc, atlas_pb2_grpc
from eil.economy.v1 import economy_pb2_grpc
from eil.nvp.v1 import nvp_pb2_grpc
from eil_mesh import erasure
from eil_mesh.server import Mesh, serve

from eil_nvp import feedback, models
from eil_nvp.service import NvpService
from eil_nvp.settings import NvpSettings


async def build(mesh: Mesh[NvpSettings]) -> None:
    store = mesh.store(models.SCHEMA + feedback.SCHEMA)
    atlas = mesh.peers.stub(atlas_pb2_grpc.AtlasServiceStub, "atlas")
    archive = mesh.peers.stub(archive_pb2_grpc.ArchiveServiceStub, "atlas")
    economy = mesh.peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
    service = NvpService(atlas, archive, economy, mesh.meter, store, models.Models(store, mesh.settings.device))
    mesh.add("eil.nvp.v1.NvpService", nvp_pb2_grpc.add_NvpServiceServicer_to_server, service)
    mesh.follow(store, "proof", feedback.TOPICS, feedback.handle)
    mesh.follow(store, "regime", [erasure.TOPIC], erasure.erasing("feedback"))


def main() -> None:
    serve(NvpSettings, build)
