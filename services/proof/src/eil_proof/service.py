"""gRPC ⇄ domain of the proof service."""

import grpc
from eil.decision.v1 import decision_pb2
from eil.proof.v1 import proof_pb2, proof_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.errors import FailedPrecondition, NotFound
from eil_mesh.paging import newest_page_of
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Store

from eil_proof import verdicts
from eil_proof.domain.tri_check import State
from eil_proof.judge import Judge


class ProofService(proof_pb2_grpc.ProofServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, judge: Judge) -> None:
        self._store, self._judge = store, judge

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
