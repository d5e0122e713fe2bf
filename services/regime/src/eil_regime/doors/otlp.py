"""OTLP's metrics: an ExportMetricsServiceRequest, in binary or in JSON, as readings; and its answer."""

import math
from collections.abc import Iterable, Sequence

from eil_mesh.errors import InvalidArgument
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from eil_regime.doors.intake import Intake
from eil_regime.doors.names import metrics_of
from eil_regime.doors.parts import Reading, Tally

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_NO_VALUE = metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA


def request_of(body: bytes, content_type: str) -> ExportMetricsServiceRequest:
    """A request as OTLP/HTTP carries it.

    Raises:
        InvalidArgument: it is of another type, or is no such request.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == PROTOBUF:
            return ExportMetricsServiceRequest.FromString(body)
        if kind == JSON:
            # Its ids are hexadecimal where protobuf's JSON has base64: they stand in exemplars alone, which are not read.
            return json_format.Parse(body, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(
            f"the body is no ExportMetricsServiceRequest: {error}", reason="MALFORMED_REQUEST"
        ) from None
    raise InvalidArgument(
        f"content-type {content_type!r} is not read here; send {PROTOBUF} or {JSON}", reason="MALFORMED_REQUEST"
    )


def intake_of(request: ExportMetricsServiceRequest) -> Intake:
    """The request's readings.

    Raises:
        InvalidArgument: it has too many points.
    """
    intake = Intake()
    for resource in request.resource_metrics:
        about = _labels(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _read(metric, about, intake)
    return intake


def answer_of(tally: Tally) -> ExportMetricsServiceResponse:
    """What OTLP says of it: how many points were refused, if any, and why."""
    if not tally.refused:
        return ExportMetricsServiceResponse()
    return ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(rejected_data_points=tally.refused, error_message=tally.message)
    )


def encoded(answer: ExportMetricsServiceResponse, content_type: str) -> bytes:
    """An answer in the encoding of its request."""
    if content_type.partition(";")[0].strip().lower() == JSON:
        return json_format.MessageToJson(answer, indent=None).encode()
    return answer.SerializeToString()


def _read(metric: metrics_pb2.Metric, about: dict[str, str], intake: Intake) -> None:
    kind = metric.WhichOneof("data")
    if kind not in ("gauge", "sum"):
        unread = len(getattr(metric, kind).data_points) if kind else 0
        intake.count(unread)
        if unread:
            intake.tally.refuse(f"{metric.name} is a {kind}, and only gauges and sums are read; leave it out", unread)
        return
    points: Sequence[metrics_pb2.NumberDataPoint] = getattr(metric, kind).data_points
    intake.count(len(points))
    known = metrics_of(metric.name.replace(".", "_"))
    if not known:
        intake.tally.ignored += len(points)
        return
    delta = kind == "sum" and metric.sum.aggregation_temporality == _DELTA
    for point in points:
        labels = {**about, **_labels(point.attributes)} if point.attributes else about
        if place := intake.place(known, labels, 1):
            found, part, readings = place
            time_us, start_us = point.time_unix_nano // 1000, point.start_time_unix_nano // 1000
            readings.append(Reading(found, part, time_us, _value(point), start_us, delta))


def _value(point: metrics_pb2.NumberDataPoint) -> float:
    if point.flags & _NO_VALUE:
        return math.nan
    kind = point.WhichOneof("value")
    return float(getattr(point, kind)) if kind else math.nan


def _labels(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes that hold one thing, as labels."""
    labels: dict[str, str] = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        if kind in ("string_value", "int_value", "bool_value"):
            labels[attribute.key.replace(".", "_")] = str(getattr(attribute.value, kind))
    return labels
