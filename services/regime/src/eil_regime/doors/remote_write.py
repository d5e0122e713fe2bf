"""Prometheus remote-write 1.0: a WriteRequest as readings."""

from eil.regime.v1.remote_write_pb2 import WriteRequest
from eil_mesh.errors import InvalidArgument
from google.protobuf.message import DecodeError

from eil_regime.doors.intake import Intake
from eil_regime.doors.names import metrics_of
from eil_regime.doors.parts import Reading


def request_of(body: bytes, content_type: str) -> WriteRequest:
    """A request as Prometheus sends it.

    Raises:
        InvalidArgument: it is of another version, or is no such request.
    """
    if "proto=io.prometheus.write.v2" in content_type:
        raise InvalidArgument(
            "this is remote-write 2.0, which is not read here; set `protobuf_message: prometheus.WriteRequest`, which is 1.0",
            reason="MALFORMED_REQUEST",
        )
    try:
        return WriteRequest.FromString(body)
    except DecodeError as error:
        raise InvalidArgument(f"the body is no prometheus.WriteRequest: {error}", reason="MALFORMED_REQUEST") from None


def intake_of(request: WriteRequest) -> Intake:
    """The request's readings. A series that ended is a NaN, which is missing.

    Raises:
        InvalidArgument: it has too many samples.
    """
    intake = Intake()
    for series in request.timeseries:
        points = len(series.samples) + len(series.histograms)
        intake.count(points)
        labels = {label.name.replace(".", "_"): label.value for label in series.labels}
        known = metrics_of(labels.get("__name__", "").replace(".", "_"))
        if not known or series.histograms:
            intake.tally.ignored += points
        elif place := intake.place(known, labels, points):
            metric, part, readings = place
            readings.extend(Reading(metric, part, sample.timestamp * 1000, sample.value) for sample in series.samples)
    return intake
