"""Traces: W3C trace context carried through calls, bundles and events, so that one trace goes from a sample to what was minted for it.

The door alone begins traces, and decides which are recorded: what comes without a recorded trace costs nothing here. Without a collector
nothing is exported; ids still stand in logs.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

HEADER: Final = "traceparent"
tracer = trace.get_tracer("eil")


def is_recorded(traceparent: str) -> bool:
    """Whether a trace is to be recorded: the last bit of what W3C Trace Context calls its flags."""
    return bool(traceparent) and traceparent[-1] in "13579bdf"


def trace_id_of(traceparent: str) -> str:
    """The 32 hexadecimal digits that name the trace."""
    return traceparent[3:35]


def carried() -> str:
    """The trace that goes on here, as a header; "" where none is recorded."""
    span = trace.get_current_span().get_span_context()
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-01" if span.is_valid and span.trace_flags.sampled else ""


def served(method: str, traceparent: str) -> AbstractContextManager[object]:
    """The span of a call that came with a recorded trace; nothing otherwise."""
    if not is_recorded(traceparent):
        return nullcontext()
    return tracer.start_as_current_span(method.removeprefix("/"), context=_context(traceparent), kind=SpanKind.SERVER)


def followed(topic: str, traceparents: Iterable[str]) -> AbstractContextManager[object]:
    """The span of handling events: it goes on the first one's trace, and is linked to the others'. Nothing where none is recorded."""
    recorded = list(dict.fromkeys(filter(is_recorded, traceparents)))
    if not recorded:
        return nullcontext()
    others = (trace.get_current_span(_context(one)).get_span_context() for one in recorded[1:])
    return tracer.start_as_current_span(
        topic, context=_context(recorded[0]), kind=SpanKind.CONSUMER, links=[Link(one) for one in others]
    )


def _context(traceparent: str) -> Context:
    return propagate.extract({HEADER: traceparent})
