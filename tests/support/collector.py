"""A real OTLP/gRPC receiver of traces, as a collector has one, that keeps what it was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was exported."""

    service: str
    name: str
    trace_id: str
    id: str
    parent: str
    links: tuple[str, ...]
    """Traces that it is linked to."""


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps spans by trace."""

    def __init__(self) -> None:
        self.address = ""
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        found = [
            Span(
                next((a.value.string_value for a in of.resource.attributes if a.key == "service.name"), ""),
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                tuple(link.trace_id.hex() for link in span.links),
            )
            for of in request.resource_spans
            for scope in of.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += found
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self, trace_id: str = "") -> list[Span]:
        """Those of a trace, or all."""
        with self._lock:
            return [span for span in self._spans if trace_id in ("", span.trace_id)]

    def await_spans(self, trace_id: str, enough: Callable[[list[Span]], bool], patience_s: float = 30.0) -> list[Span]:
        """Those of a trace once they are enough, or what there is at the end of patience."""
        deadline = time.monotonic() + patience_s
        while not enough(found := self.spans(trace_id)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0.5)
