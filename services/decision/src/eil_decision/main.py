"""Wiring of the decision service."""

from eil.decision.v1 import decision_pb2_grpc
from eil.nvp.v1 import nvp_pb2_grpc
from eil.regime.v1 import regime_pb2_grpc
from eil_mesh.server import Mesh, serve

from eil_decision.decisions import SCHEMA
from eil_decision.planning import Planner
from eil_decision.service import DecisionService
from eil_decision.settings import DecisionSettings


async def build(mesh: Mesh[DecisionSettings]) -> None:
    settings = mesh.settings
    planner = Planner(
        mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime"),
        mesh.peers.stub(nvp_pb2_grpc.NvpServiceStub, "nvp"),
        settings.history_rows,
        settings.forecast_deadline_s,
    )
    service = DecisionService(mesh.store(SCHEMA), planner, mesh.clock, settings.horizon_s)
    mesh.add("eil.decision.v1.DecisionService", decision_pb2_grpc.add_DecisionServiceServicer_to_server, service)


def main() -> None:
    serve(DecisionSettings, build)
