"""Logs with trace and request ids, and traces where a collector is named."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from opentelemetry import trace
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from eil_mesh.call import current_call
from eil_mesh.settings import MeshSettings
from eil_mesh.version import VERSION

_TRACEBACK = ExceptionDictTransformer(show_locals=False)
"""Where, never with what: the values of variables are tokens and telemetry of callers."""


class Lossy:
    """A stream that loses what cannot be written, as on a full disk: the work that a line tells of must not fail for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or lose it."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, or lose it."""
        with suppress(OSError):
            self._stream.flush()


def _add_ids(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if call := current_call():
        event["request_id"] = call.request_id
        event["tenant"] = call.principal.tenant
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = f"{span.trace_id:032x}"
    return event


def start(settings: MeshSettings) -> Callable[[], None]:
    """Configure logs and traces; returns what flushes them at the end."""
    renderer = structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            _add_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            ExceptionRenderer(_TRACEBACK) if settings.log_json else ExceptionRenderer(),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    if not settings.otlp_endpoint:
        return lambda: None
    # Imported here: a service without a collector does not pay for the exporter.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

    about = {"service.name": f"eil-{settings.service}", "service.namespace": "eil", "service.version": VERSION}
    # The door alone begins traces; a library that would begin one here records nothing.
    provider = TracerProvider(resource=Resource(about), sampler=ParentBased(ALWAYS_OFF))
    exporter = OTLPSpanExporter(
        endpoint=settings.otlp_endpoint, insecure=not settings.otlp_endpoint.startswith("https://")
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown
