"""Wiring of the proof service."""

from eil.atlas.v1 import archive_pb2_grpc
from eil.decision.v1 import decision_pb2_grpc
from eil.economy.v1 import economy_pb2_grpc
from eil.proof.v1 import proof_pb2_grpc
from eil.regime.v1 import regime_pb2_grpc
from eil_mesh import erasure
from eil_mesh.anchor import signing_key
from eil_mesh.server import Mesh, serve

from eil_proof.bonus import Bonus
from eil_proof.erased import erase_source
from eil_proof.judge import Judge
from eil_proof.minter import Minter
from eil_proof.service import ProofService
from eil_proof.settings import ProofSettings
from eil_proof.settlement import Settlement, note_prediction
from eil_proof.verdicts import ACTIONS_TOPIC, SCHEMA
from eil_proof.verifications import SCHEMA as VERIFICATIONS_SCHEMA
from eil_proof.verifier import Verifier


async def build(mesh: Mesh[ProofSettings]) -> None:
    settings, peers = mesh.settings, mesh.peers
    store = mesh.store(SCHEMA + VERIFICATIONS_SCHEMA)
    economy = peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
    minter, bonus = Minter(store, economy), Bonus(store, economy, mesh.clock)
    regime = peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime")
    judge = Judge(
        store,
        regime,
        peers.stub(decision_pb2_grpc.DecisionServiceStub, "decision"),
        minter,
        settings.daily_cap_u,
    )
    settlement = Settlement(store, judge, minter, settings.settle_every_s)
    archive = peers.stub(archive_pb2_grpc.ArchiveServiceStub, "atlas")
    verifier = Verifier(store, regime, archive, bonus, mesh.clock, settings.verify_every_s)
    key = signing_key(settings.signing_key())
    service = ProofService(store, judge, verifier, key)
    mesh.add("eil.proof.v1.ProofService", proof_pb2_grpc.add_ProofServiceServicer_to_server, service)
    mesh.follow(store, "decision", [ACTIONS_TOPIC], note_prediction)
    mesh.follow(store, "regime", [erasure.TOPIC], erase_source)
    mesh.background(settlement.run)
    mesh.background(verifier.run)
    mesh.background(lambda: bonus.run(settings.verify_every_s))


def main() -> None:
    serve(ProofSettings, build)
