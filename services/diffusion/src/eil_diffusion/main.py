"""Wiring of the diffusion service."""

from eil.diffusion.v1 import diffusion_pb2_grpc
from eil_mesh.metering import CeuMeter
from eil_mesh.server import Mesh, serve

from eil_diffusion.service import DiffusionService
from eil_diffusion.settings import DiffusionSettings


async def build(mesh: Mesh[DiffusionSettings]) -> None:
    settings = mesh.settings
    meter = CeuMeter(mesh.peers, "diffusion", settings.lease_u, settings.lease_s, mesh.clock)
    mesh.on_drain(meter.close)
    service = DiffusionService(meter, settings.threads, settings.waiting)
    mesh.add("eil.diffusion.v1.DiffusionService", diffusion_pb2_grpc.add_DiffusionServiceServicer_to_server, service)


def main() -> None:
    serve(DiffusionSettings, build)
