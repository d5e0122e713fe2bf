"""Wiring of the nvp service."""

from eil.atlas.v1 import atlas_pb2_grpc
from eil.nvp.v1 import nvp_pb2_grpc
from eil_mesh.metering import CeuMeter
from eil_mesh.server import Mesh, serve

from eil_nvp.service import NvpService
from eil_nvp.settings import NvpSettings


async def build(mesh: Mesh[NvpSettings]) -> None:
    settings = mesh.settings
    meter = CeuMeter(mesh.peers, "nvp", settings.lease_u, settings.lease_s, mesh.clock)
    mesh.on_drain(meter.close)
    service = NvpService(mesh.peers.stub(atlas_pb2_grpc.AtlasServiceStub, "atlas"), meter)
    mesh.add("eil.nvp.v1.NvpService", nvp_pb2_grpc.add_NvpServiceServicer_to_server, service)


def main() -> None:
    serve(NvpSettings, build)
