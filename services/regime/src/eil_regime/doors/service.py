"""gRPC ⇄ doors: OTLP over gRPC and over HTTP, and Prometheus remote-write."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from eil.regime.v1 import doors_pb2, doors_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import caller
from eil_mesh.errors import InvalidArgument
from eil_mesh.metering import CeuMeter
from eil_mesh.server import Mesh
from google.api.httpbody_pb2 import HttpBody
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

from eil_regime.doors import otlp, remote_write
from eil_regime.doors.bodies import plain
from eil_regime.doors.intake import Intake
from eil_regime.doors.parts import Tally
from eil_regime.doors.store import Doors

Take = Callable[[Intake, str], Awaitable[Tally]]
"""Charges for what was read by the door of that name, and stores it."""


class OtlpMetrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    """OTLP over gRPC."""

    def __init__(self, take: Take) -> None:
        self._take = take

    async def Export(
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: grpc.aio.ServicerContext
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        intake = await asyncio.to_thread(otlp.intake_of, request)
        return otlp.answer_of(await self._take(intake, "otlp_grpc"))


class TelemetryDoor(doors_pb2_grpc.TelemetryDoorServiceServicer):
    """The doors over HTTP; see the contract for what each promises."""

    def __init__(self, take: Take) -> None:
        self._take = take

    async def ExportMetrics(self, request: HttpBody, context: grpc.aio.ServicerContext) -> HttpBody:
        encoding = _encoding(context)

        def read() -> Intake:
            return otlp.intake_of(otlp.request_of(plain(request.data, encoding), request.content_type))

        answer = otlp.answer_of(await self._take(await asyncio.to_thread(read), "otlp_http"))
        return HttpBody(content_type=request.content_type, data=otlp.encoded(answer, request.content_type))

    async def RemoteWrite(self, request: HttpBody, context: grpc.aio.ServicerContext) -> HttpBody:
        encoding = _encoding(context)

        def read() -> Intake:
            return remote_write.intake_of(remote_write.request_of(plain(request.data, encoding), request.content_type))

        intake = await asyncio.to_thread(read)
        tally = await self._take(intake, "remote_write")
        if tally.refused:  # remote-write has no other way to say so, and Prometheus logs this and goes on
            raise InvalidArgument(
                f"{tally.refused} of {intake.points} samples were refused, the others are taken; the first: {tally.message}"
            )
        return HttpBody()


def serve_doors(mesh: Mesh[Any], doors: Doors) -> None:
    """Serve every door."""
    take = partial(_taken, doors, mesh.meter)
    own = doors_pb2.DESCRIPTOR.services_by_name["TelemetryDoorService"].full_name
    mesh.add(own, doors_pb2_grpc.add_TelemetryDoorServiceServicer_to_server, TelemetryDoor(take))
    otlp_metrics = metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"].full_name
    mesh.add(otlp_metrics, metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server, OtlpMetrics(take))


async def _taken(doors: Doors, meter: CeuMeter, intake: Intake, door: str) -> Tally:
    principal = caller()
    await meter.charge(samples=intake.rows)
    tally = await doors.take(principal.tenant, principal.subject, intake)
    for outcome in ("taken", "repeated", "missing", "reset", "ignored", "refused"):
        if count := getattr(tally, outcome):
            metrics.DOOR_POINTS.labels(door, outcome).inc(count)
    return tally


def _encoding(context: grpc.aio.ServicerContext) -> str:
    """The body's content encoding, which the gateway passes on as it came."""
    metadata: Any = dict(context.invocation_metadata() or ())
    return str(metadata.get("content-encoding", "")).strip().lower()
