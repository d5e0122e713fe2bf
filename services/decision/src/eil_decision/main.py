"""Wiring of the decision service."""

from eil.decision.v1 import decision_pb2_grpc
from eil.nvp.v1 import nvp_pb2_grpc
from eil.regime.v1 import regime_pb2_grpc
from eil_mesh import erasure
from eil_mesh.server import Mesh, serve
from externalscaler import externalscaler_pb2_grpc

from eil_decision import controls, decisions, declarations, emissions
from eil_decision.domain.trust import Limits
from eil_decision.drafting import Drafter, Drafts
from eil_decision.emission import Emitter
from eil_decision.planning import Planner
from eil_decision.scaler import ExternalScaler
from eil_decision.service import DecisionService
from eil_decision.settings import DecisionSettings
from eil_decision.webhook import Webhook, read_secret

SCHEMA = decisions.SCHEMA + controls.SCHEMA + declarations.SCHEMA + emissions.SCHEMA
OF_A_SOURCE = ("decisions", "fleets", "levers", "clocks", "modes", "stops", "emissions", "followings")
"""Tables whose rows go with their source."""


async def build(mesh: Mesh[DecisionSettings]) -> None:
    settings = mesh.settings
    planner = Planner(
        mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime"),
        mesh.peers.stub(nvp_pb2_grpc.NvpServiceStub, "nvp"),
        settings.history_rows,
        settings.forecast_deadline_s,
    )
    serve_decisions(mesh, Drafter(planner, mesh.clock, settings.horizon_s))


def serve_decisions(mesh: Mesh[DecisionSettings], drafts: Drafts) -> None:
    """Serve decisions that are drafted so: commit them, emit their actions, deliver those."""
    settings = mesh.settings
    secret = read_secret(settings.webhook_secret_file) if settings.webhook_url else b""
    store = mesh.store(SCHEMA)
    limits = Limits(settings.lease_s, settings.moved_per_hour, settings.follow_s, settings.missed_orders)
    mesh.follow(store, "regime", [erasure.TOPIC], erasure.erasing(*OF_A_SOURCE))
    service = DecisionService(store, drafts, Emitter(limits), mesh.clock)
    mesh.add("eil.decision.v1.DecisionService", decision_pb2_grpc.add_DecisionServiceServicer_to_server, service)
    mesh.add(
        "externalscaler.ExternalScaler",
        externalscaler_pb2_grpc.add_ExternalScalerServicer_to_server,
        ExternalScaler(store, mesh.clock),
    )
    if settings.webhook_url:
        webhook = Webhook(store, mesh.clock, settings.webhook_url, secret, settings.webhook_queue)
        mesh.background(webhook.run)


def main() -> None:
    serve(DecisionSettings, build)
