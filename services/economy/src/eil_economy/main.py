"""Wiring of the economy service."""

from eil.economy.v1 import economy_pb2_grpc
from eil_mesh.server import Mesh, serve

from eil_economy.domain import schema
from eil_economy.entries import sweep
from eil_economy.service import EconomyService
from eil_economy.settings import EconomySettings


async def build(mesh: Mesh[EconomySettings]) -> None:
    store = mesh.store(schema.SCHEMA, sqlite=schema.REPLACE_GUARD)
    service = EconomyService(store, mesh.clock)
    mesh.add("eil.economy.v1.EconomyService", economy_pb2_grpc.add_EconomyServiceServicer_to_server, service)
    mesh.background(lambda: sweep(store, mesh.settings.sweep_every_s))


def main() -> None:
    serve(EconomySettings, build)
