"""gRPC ⇄ domain of the proof service."""

import asyncio

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil.decision.v1 import decision_pb2
from eil.proof.v1 import proof_pb2, proof_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.errors import FailedPrecondition, NotFound
from eil_mesh.paging import newest_page_of
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Store

from eil_proof import verdicts, verifications
from eil_proof.domain.mv.rows import to_csv
from eil_proof.domain.tri_check import State
from eil_proof.judge import Judge
from eil_proof.signing import signed
from eil_proof.verification_form import loaded
from eil_proof.verifier import Verifier


class ProofService(proof_pb2_grpc.ProofServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, judge: Judge, verifier: Verifier, key: Ed25519PrivateKey) -> None:
        self._store, self._judge, self._verifier, self._key = store, judge, verifier, key

    async def Prove(
        self, request: proof_pb2.ProveRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.ProveResponse:
        tenant = caller().tenant
        answered, known = await self._store.read(
            lambda conn: (
                replayed(conn, tenant, request, proof_pb2.ProveResponse),
                verdicts.find(conn, tenant, request.prediction_id),
            )
        )
        if answered is not None:
            return answered
        decision = await self._judge.commitment(request.prediction_id)
        _compare(request.predicted_state, decision.response.predicted_state)
        if known is not None:
            known.response.already_proven = True
            return known.response
        reported = State(request.actual_state.energy, request.actual_state.entropy)
        verdict = await self._judge.prove(tenant, decision, reported)
        if request.request_id:
            await self._store.write(lambda tx: remember(tx, tenant, request, verdict.response))
        return verdict.response

    async def GetProof(
        self, request: proof_pb2.GetProofRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.GetProofResponse:
        tenant = caller().tenant
        verdict = await self._store.read(lambda conn: verdicts.find(conn, tenant, request.prediction_id))
        if verdict is None:
            raise NotFound(
                f"there is no verdict on {request.prediction_id!r}; prove it with POST /v1/proof",
                reason="PROOF_UNKNOWN",
            )
        return proof_pb2.GetProofResponse(verdict=verdict)

    async def ListProofs(
        self, request: proof_pb2.ListProofsRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.ListProofsResponse:
        tenant = caller().tenant
        size, before = newest_page_of(request)
        found = await self._store.read(lambda conn: verdicts.newest(conn, tenant, request.source, before, size))
        return proof_pb2.ListProofsResponse(
            verdicts=[verdict for _, verdict in found],
            next_page_token=str(found[-1][0]) if len(found) == size else "",
        )

    async def GetRecord(
        self, request: proof_pb2.GetRecordRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.GetRecordResponse:
        tenant = caller().tenant
        return await self._store.read(lambda conn: verdicts.record(conn, tenant, request.source))

    async def BeginVerification(
        self, request: proof_pb2.BeginVerificationRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.BeginVerificationResponse:
        principal = caller()
        return await self._verifier.begin(principal.tenant, principal.subject, request)

    async def EvaluateVerification(
        self, request: proof_pb2.EvaluateVerificationRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.EvaluateVerificationResponse:
        found, before = await self._verifier.evaluate(caller().tenant, request.verification_id)
        return proof_pb2.EvaluateVerificationResponse(verification=found, already_evaluated=before)

    async def DisputeVerification(
        self, request: proof_pb2.DisputeVerificationRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.DisputeVerificationResponse:
        principal = caller()
        return await self._verifier.dispute(principal.tenant, principal.subject, request)

    async def GetVerification(
        self, request: proof_pb2.GetVerificationRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.GetVerificationResponse:
        stored = await self._verifier.stored(caller().tenant, request.verification_id)
        return proof_pb2.GetVerificationResponse(verification=stored.verification)

    async def ListVerifications(
        self, request: proof_pb2.ListVerificationsRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.ListVerificationsResponse:
        tenant = caller().tenant
        size, before = newest_page_of(request)
        found = await self._store.read(lambda conn: verifications.newest(conn, tenant, request.source, before, size))
        return proof_pb2.ListVerificationsResponse(
            verifications=[verification for _, verification in found],
            next_page_token=str(found[-1][0]) if len(found) == size else "",
        )

    async def ExportVerification(
        self, request: proof_pb2.ExportVerificationRequest, context: grpc.aio.ServicerContext
    ) -> proof_pb2.ExportVerificationResponse:
        stored = await self._verifier.stored(caller().tenant, request.verification_id)
        if stored.record is None:
            raise FailedPrecondition(
                f"verification {request.verification_id} is {stored.verification.state}: it has no record to export",
                reason="NOT_YET_EVALUATED",
            )
        record = loaded(stored.record)
        csv = await asyncio.to_thread(to_csv, record)
        return proof_pb2.ExportVerificationResponse(record=signed(record, self._key), csv=csv)


def _compare(claimed: proof_pb2.State, committed: decision_pb2.PredictedState) -> None:
    """The echo must be the commitment, to the digit."""
    altered = {
        f"predicted_state.{name}": f"is {getattr(claimed, name)} but {getattr(committed, name)} was committed"
        for name in ("energy", "entropy")
        if getattr(claimed, name) != getattr(committed, name)
    }
    if altered:
        raise FailedPrecondition(
            "predicted_state is not what was committed; send the figures that /v1/act answered. Nothing was judged",
            reason="PREDICTION_ALTERED",
            violations=altered,
        )
