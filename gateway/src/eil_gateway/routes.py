"""Where requests go: gRPC paths to the services, a few HTTP paths to the bridge, nothing else anywhere.

REST requests match twice: at first by their own path, for how a stream is written; then, transcoded, by the gRPC path. No filter of
the access policy may be switched off in a route: filters are chosen at the first match, which a REST request leaves behind.
"""

from collections.abc import Sequence
from typing import Any

from eil_gateway.clusters import NOWHERE
from eil_gateway.contract import Method, all_methods
from eil_gateway.policy import HEALTH, MCP, STREAM
from eil_gateway.transcoding import BODY_BYTES, NDJSON, SSE, TRANSCODER, transcoder
from eil_gateway.xds import Json, typed

UNARY_S = 31
"""Seconds a unary call may take: one more than the services' own deadline, whose message says more."""
STREAM_IDLE_S = 3600
"""Seconds without a byte after which a stream ends."""
GRPC_HEALTH = "/grpc.health.v1.Health/Check"
"""Watch is left out: anybody could hold streams open without a token; clients take its absence as healthy."""
BUFFER = "envoy.filters.http.buffer"
CORS = "envoy.filters.http.cors"


def _seconds(value: float) -> str:
    return f"{value}s"


RETRIES: Json = {
    "retry_on": "connect-failure,reset-before-request,unavailable",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
}
"""For methods that the protos declare idempotent: a service that restarts is back within this time."""


def _grpc(method: Method) -> Json:
    action: Json = {"cluster": method.service, "timeout": _seconds(UNARY_S)}
    if method.streaming:
        action |= {"timeout": "0s", "idle_timeout": _seconds(STREAM_IDLE_S)}
    elif method.access.idempotent:
        action["retry_policy"] = RETRIES
    return {"match": {"path": method.path}, "route": action}


def _disabled(*filters: str) -> Json:
    return {name: typed("config.route.v3.FilterConfig", disabled=True) for name in filters}


def _bridge(path: str, **action: Any) -> Json:
    return {
        "match": {"path": path},
        "route": {"cluster": "bridge", **action},
        "typed_per_filter_config": _disabled(TRANSCODER),
    }


def _limited_body() -> Json:
    kind = "extensions.filters.http.buffer.v3.BufferPerRoute"
    return {BUFFER: typed(kind, buffer={"max_request_bytes": BODY_BYTES})}


def _bridge_routes() -> list[Json]:
    mcp = _bridge(MCP, timeout="0s", idle_timeout=_seconds(STREAM_IDLE_S))
    mcp["typed_per_filter_config"] |= _limited_body()
    websocket = [{"upgrade_type": "websocket"}]
    return [
        _bridge(HEALTH, timeout="5s"),
        _bridge(STREAM, timeout="0s", idle_timeout=_seconds(STREAM_IDLE_S), upgrade_configs=websocket),
        mcp,
        {
            "match": {"path": GRPC_HEALTH, "grpc": {}},
            "route": {"cluster": "bridge-health", "timeout": "5s"},
        },
    ]


def _first_match(match: Json, stream: Json | None = None) -> Json:
    """Where REST requests match before they are transcoded: limits bodies, chooses how streams are written, leads nowhere."""
    config = _limited_body()
    if stream is not None:
        config[TRANSCODER] = transcoder(stream)
    # A direct response would do, but the CORS filter answers for routes to clusters alone.
    return {"match": match, "route": {"cluster": NOWHERE}, "typed_per_filter_config": config}


def _accepts(media_type: str) -> Json:
    return {"prefix": "/", "headers": [{"name": "accept", "string_match": {"contains": media_type}}]}


def _cors(origins: Sequence[str]) -> Json:
    allowed = (
        "authorization,content-type,idempotency-key,x-grpc-web,x-user-agent,grpc-timeout,traceparent,"
        "mcp-protocol-version,mcp-session-id"
    )
    exposed = "grpc-status,grpc-message,grpc-status-details-bin,x-request-id"
    policy = typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": origin} for origin in origins],
        allow_methods="GET,POST,PUT,DELETE,OPTIONS",
        allow_headers=allowed,
        expose_headers=exposed,
        max_age="600",
    )
    return {CORS: policy}


def route_config(cors_origins: Sequence[str]) -> Json:
    """The routing table. A method without roles has no route: the policy denies it, and nothing would carry it on."""
    methods = [_grpc(method) for method in all_methods() if method.access.roles]
    everything: Json = {
        "name": "everything",
        "domains": ["*"],
        "typed_per_filter_config": _cors(cors_origins),
        "routes": [
            *_bridge_routes(),
            *methods,
            {"match": {"prefix": "/", "grpc": {}}, "direct_response": {"status": 404}},
            _first_match(_accepts("text/event-stream"), SSE),
            _first_match(_accepts("application/x-ndjson"), NDJSON),
            _first_match({"prefix": "/"}),
        ],
    }
    return {"name": "door", "virtual_hosts": [everything]}
