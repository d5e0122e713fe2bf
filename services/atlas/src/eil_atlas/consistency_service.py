"""gRPC ⇄ the comparison of log, graph and segments."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
from eil.atlas.v1 import consistency_pb2, consistency_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.clock import from_us

from eil_atlas.consistency import Finding, Part, Progress, Scope, Validator
from eil_atlas.consistency_schedule import note


class ConsistencyService(consistency_pb2_grpc.ConsistencyServiceServicer):
    """See the contract for what the method promises."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    async def Verify(  # noqa: N802 - the contract's name
        self, request: consistency_pb2.VerifyRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[consistency_pb2.VerifyResponse]:
        scope = Scope(caller().tenant, request.source, request.deep, request.repair)
        async with aclosing(self._validator.run(scope)) as parts:
            async for part in parts:
                note(part)
                yield _message(part)


def _message(part: Part) -> consistency_pb2.VerifyResponse:
    match part:
        case Progress():
            progress = consistency_pb2.VerifyProgress(stage=part.stage, done=part.done, total=part.total)
            return consistency_pb2.VerifyResponse(progress=progress)
        case Finding():
            finding = consistency_pb2.Finding(
                kind=f"FINDING_KIND_{part.kind.name}",
                source=part.hour.source,
                hour=from_us(part.hour.begin_us),
                expected=part.expected,
                found=part.found,
                message=part.message,
                repaired=part.repaired,
            )
            return consistency_pb2.VerifyResponse(finding=finding)
        case _:
            figures = {name: getattr(part, name) for name in part.__slots__}
            return consistency_pb2.VerifyResponse(summary=consistency_pb2.VerifySummary(**figures))
