"""REST ⇄ gRPC, from the `google.api.http` rules in the protos."""

from eil_gateway.contract import interfaces
from eil_gateway.xds import Json, typed

TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
DESCRIPTORS = "gateway/descriptors.pb"
BODY_BYTES = 1024 * 1024
"""Largest body of a REST request."""
TELEMETRY_BYTES = 16 * 1024 * 1024
"""Largest body of telemetry as its agents send it, by HTTP."""
ANSWER_BYTES = 64 * 1024 * 1024
"""Largest answer in one piece: the services' own limit."""
NDJSON: Json = {"stream_newline_delimited": True}
SSE: Json = {"stream_newline_delimited": True, "stream_sse_style_delimited": True}


def transcoder(stream: Json | None = None, body_bytes: int = BODY_BYTES) -> Json:
    """The transcoder's configuration; `stream` says how a server's stream is written, by default as one JSON array."""
    return typed(
        "extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=DESCRIPTORS,
        services=interfaces(),
        convert_grpc_status=True,
        url_unescape_spec="ALL_CHARACTERS",
        max_request_body_size=body_bytes,
        max_response_body_size=ANSWER_BYTES,
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        print_options={
            "preserve_proto_field_names": True,
            "always_print_primitive_fields": True,
            **(stream or {}),
        },
    )
