"""KEDA's external scaler: a ScaledObject follows the size that was ordered for a source.

What it serves is the newest emitted action. So it knows nothing of its own about modes, stops and leases: what may not leave was not
emitted, and a stop or a lowered mode has ended the lease, after which the size to go back to is served.
"""

from collections.abc import AsyncIterator

import grpc
from eil_mesh.clock import Clock
from eil_mesh.errors import FailedPrecondition, InvalidArgument, Unavailable
from eil_mesh.identity import DEFAULT_TENANT
from eil_mesh.store import Store
from externalscaler import externalscaler_pb2, externalscaler_pb2_grpc

from eil_decision import emissions
from eil_decision.emissions import Emission

METRIC = "eil-target-servers"


class ExternalScaler(externalscaler_pb2_grpc.ExternalScalerServicer):
    """See the contract. Its caller stands outside of the mesh and has no tenant: scalerMetadata names tenant and source."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def IsActive(  # noqa: N802 - the contract's name
        self, request: externalscaler_pb2.ScaledObjectRef, context: grpc.aio.ServicerContext
    ) -> externalscaler_pb2.IsActiveResponse:
        """True, or FAILED_PRECONDITION: an inactive scaler would let KEDA scale to zero."""
        await self._existing(*_whose(request))
        return externalscaler_pb2.IsActiveResponse(result=True)

    async def StreamIsActive(  # noqa: N802
        self, request: externalscaler_pb2.ScaledObjectRef, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[externalscaler_pb2.IsActiveResponse]:
        """True whenever the size in force may have changed: KEDA asks for the metric at once."""
        tenant, source = _whose(request)
        committed, told = self._store.watch(), None
        try:
            while True:
                committed.clear()
                if self._store.released:
                    break
                found = await self._newest(tenant, source)
                if found and found != told:
                    told = found
                    yield externalscaler_pb2.IsActiveResponse(result=True)
                await committed.wait()
        finally:
            self._store.unwatch(committed)
        raise Unavailable("the service is stopping; ask again", retry_after_s=1.0)

    async def GetMetricSpec(  # noqa: N802
        self, request: externalscaler_pb2.ScaledObjectRef, context: grpc.aio.ServicerContext
    ) -> externalscaler_pb2.GetMetricSpecResponse:
        """One metric, of which a replica carries 1."""
        _whose(request)
        spec = externalscaler_pb2.MetricSpec(metricName=METRIC, targetSize=1, targetSizeFloat=1.0)
        return externalscaler_pb2.GetMetricSpecResponse(metricSpecs=[spec])

    async def GetMetrics(  # noqa: N802
        self, request: externalscaler_pb2.GetMetricsRequest, context: grpc.aio.ServicerContext
    ) -> externalscaler_pb2.GetMetricsResponse:
        """The size in force."""
        found = await self._existing(*_whose(request.scaledObjectRef))
        servers = found.servers(self._clock.now_us())
        value = externalscaler_pb2.MetricValue(metricName=METRIC, metricValue=servers, metricValueFloat=float(servers))
        return externalscaler_pb2.GetMetricsResponse(metricValues=[value])

    async def _newest(self, tenant: str, source: str) -> Emission | None:
        return await self._store.read(lambda conn: emissions.newest(conn, tenant, source))

    async def _existing(self, tenant: str, source: str) -> Emission:
        found = await self._newest(tenant, source)
        if found is None:
            raise FailedPrecondition(
                f"no action was ever emitted for source {source!r} of tenant {tenant!r}, so there is no size to follow; "
                "set its mode to `auto` (or approve a decision) and ask /v1/act",
                reason="NOTHING_EMITTED",
            )
        return found


def _whose(reference: externalscaler_pb2.ScaledObjectRef) -> tuple[str, str]:
    """Tenant and source that a trigger's metadata names."""
    given = dict(reference.scalerMetadata)
    source = given.get("source", "")
    if not source:
        raise InvalidArgument(
            f"the trigger's metadata of ScaledObject {reference.namespace}/{reference.name} name no `source`; "
            "add the source whose size it shall follow",
            violations={"scalerMetadata.source": "must be the name of a source"},
        )
    return given.get("tenant", "") or DEFAULT_TENANT, source
