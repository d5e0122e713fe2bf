"""Wiring of the market service."""

from eil.economy.v1 import economy_pb2_grpc
from eil.market.v1 import market_pb2_grpc
from eil.proof.v1 import proof_pb2_grpc
from eil_mesh.server import Mesh, serve

from eil_market.exchange import Exchange
from eil_market.oracle import Oracle
from eil_market.service import MarketService
from eil_market.settings import MarketSettings
from eil_market.tables import SCHEMA


async def build(mesh: Mesh[MarketSettings]) -> None:
    settings, clock = mesh.settings, mesh.clock
    economy = mesh.peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
    proof = mesh.peers.stub(proof_pb2_grpc.ProofServiceStub, "proof")
    store = mesh.store(SCHEMA)
    exchange = Exchange(store, economy, clock)
    service = MarketService(store, exchange, Oracle(economy, proof, store, settings, clock), settings, clock)
    mesh.add("eil.market.v1.MarketService", market_pb2_grpc.add_MarketServiceServicer_to_server, service)
    mesh.background(lambda: exchange.run(settings.resume_every_s))


def main() -> None:
    serve(MarketSettings, build)
