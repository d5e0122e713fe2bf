"""Where requests go: gRPC paths to the services, a few HTTP paths to the bridge, nothing else anywhere.

REST requests match twice: at first by their own path, for how a stream is written; then, transcoded, by the gRPC path. No filter of
the access policy may be switched off in a route: filters are chosen at the first match, which a REST request leaves behind.
"""

from collections.abc import Sequence

from eil_mesh.services import SERVICES

from eil_gateway.clusters import NOWHERE
from eil_gateway.contract import Method, all_methods, raw_posts
from eil_gateway.options import Options
from eil_gateway.policy import DOCS_FILES, MCP, OPEN, STREAM, TOKEN
from eil_gateway.transcoding import BODY_BYTES, NDJSON, SSE, TELEMETRY_BYTES, TRANSCODER, transcoder
from eil_gateway.xds import Json, extension, typed

BRIDGE_S = 5
"""Seconds that the bridge may take for what it answers by itself."""
MCP_S = 90
"""Seconds that a tool may take: it may ask several services."""
UNARY_S = 31
"""Seconds a unary call may take: one more than the services' own deadline, whose message says more."""
STREAM_IDLE_S = 3600
"""Seconds without a byte after which a stream ends."""
GRPC_HEALTH = "/grpc.health.v1.Health/Check"
"""Watch is left out: anybody could hold streams open without a token; clients take its absence as healthy."""
BUFFER = "envoy.filters.http.buffer"
LINES = "envoy.filters.http.lua"
LIMIT = "envoy.filters.http.local_ratelimit"
FORM_BYTES = 8 * 1024
"""Largest request for a token."""
CORS = "envoy.filters.http.cors"


def _seconds(value: float) -> str:
    return f"{value}s"


NEVER_SENT = "connect-failure,reset-before-request,refused-stream"
"""Failures of requests that no service has begun: a replica that is gone, or goes."""
RETRIES: Json = {
    "retry_on": NEVER_SENT,
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
    "retry_host_predicate": [
        extension(
            "envoy.retry_host_predicates.previous_hosts",
            "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        )
    ],
    "host_selection_retry_max_attempts": 3,
}
"""A service that restarts is back within this time, and another replica is asked before the same one again."""


def _within(options: Options, timeout_s: float) -> Json:
    """Limits of a request: to arrive, and to be answered."""
    whole = {"max_stream_duration": _seconds(options.arrival_s + timeout_s)}
    return {"timeout": _seconds(timeout_s), "max_stream_duration": whole}


def _grpc(options: Options, method: Method) -> Json:
    fronted = options.upstreams is None and method.path in SERVICES[method.service].fronted
    action: Json = {"cluster": f"{method.service}-front" if fronted else method.service}
    if method.streaming:
        action |= {"timeout": "0s", "idle_timeout": _seconds(STREAM_IDLE_S)}
    else:
        action |= _within(options, UNARY_S)
        # What may have been done is repeated only where the protos declare the method idempotent.
        action["retry_policy"] = (
            RETRIES | {"retry_on": f"{NEVER_SENT},unavailable"} if method.access.idempotent else RETRIES
        )
    return {"match": {"path": method.path}, "route": action}


def token_bucket(name: str, per_s: int) -> Json:
    """Fields of a limit of so many requests a second."""
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "stat_prefix": name,
        "token_bucket": {"max_tokens": per_s, "tokens_per_fill": per_s, "fill_interval": "1s"},
        "filter_enabled": {**always, "runtime_key": f"door.{name}.enabled"},
        "filter_enforced": {**always, "runtime_key": f"door.{name}.enforced"},
        "rate_limited_as_resource_exhausted": True,
    }


def _disabled(*filters: str) -> Json:
    return {name: typed("config.route.v3.FilterConfig", disabled=True) for name in filters}


def _bridge(match: Json, action: Json, body_bytes: int = BODY_BYTES) -> Json:
    return {
        "match": match,
        "route": {"cluster": "bridge"} | action,
        "typed_per_filter_config": _disabled(TRANSCODER) | _limited_body(body_bytes),
    }


def _limited_body(most_bytes: int) -> Json:
    kind = "extensions.filters.http.buffer.v3.BufferPerRoute"
    return {BUFFER: typed(kind, buffer={"max_request_bytes": most_bytes})}


def _tokens(options: Options) -> Json:
    """Requests for tokens: few from one address, so that nobody's keep the others' from being heard."""
    route = _bridge({"path": TOKEN}, _within(options, BRIDGE_S), FORM_BYTES)
    every = {"tokens_per_fill": options.tokens_per_s, "fill_interval": "1s", "max_tokens": options.tokens_per_s}
    route["typed_per_filter_config"][LIMIT] = typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        **token_bucket("tokens", 10 * options.tokens_per_s),
        rate_limits=[{"actions": [{"remote_address": {}}]}],
        descriptors=[{"entries": [{"key": "remote_address"}], "token_bucket": every}],
    )
    return route


def _stream() -> Json:
    action = {
        "timeout": "0s",
        "idle_timeout": _seconds(STREAM_IDLE_S),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    route = _bridge({"path": STREAM}, action)
    del route["typed_per_filter_config"][BUFFER]  # what goes in on a WebSocket has no end
    return route


def _bridge_routes(options: Options) -> list[Json]:
    return [
        _stream(),
        _tokens(options),
        *(_bridge({"path": path}, _within(options, BRIDGE_S)) for path in OPEN if path != TOKEN),
        _bridge({"safe_regex": {"regex": DOCS_FILES}}, _within(options, BRIDGE_S)),
        _bridge({"path": MCP}, _within(options, MCP_S)),
        {
            "match": {"path": GRPC_HEALTH, "grpc": {}},
            "route": {"cluster": "bridge-health", "timeout": "5s"},
        },
    ]


def _first_match(options: Options, match: Json, stream: Json | None = None, body_bytes: int = BODY_BYTES) -> Json:
    """Where REST requests match before they are transcoded: limits bodies, chooses how streams are written, leads nowhere.

    A request that has not wholly arrived stays here, and no longer than it may.
    """
    config = _limited_body(body_bytes)
    if stream is not None or body_bytes != BODY_BYTES:
        config[TRANSCODER] = transcoder(stream, body_bytes)
    if stream is NDJSON:
        config[LINES] = typed("config.route.v3.FilterConfig", config={})
    # A direct response would do, but the CORS filter answers for routes to clusters alone.
    action = {"cluster": NOWHERE, "max_stream_duration": {"max_stream_duration": _seconds(options.arrival_s)}}
    return {"match": match, "route": action, "typed_per_filter_config": config}


def _accepts(media_type: str) -> Json:
    return {"prefix": "/", "headers": [{"name": "accept", "string_match": {"contains": media_type}}]}


def _cors(origins: Sequence[str]) -> Json:
    allowed = (
        "authorization,content-type,idempotency-key,x-grpc-web,x-user-agent,grpc-timeout,traceparent,"
        "mcp-protocol-version,mcp-session-id,last-event-id,baggage,accept,cache-control"
    )
    exposed = "grpc-status,grpc-message,grpc-status-details-bin,x-request-id,retry-after,x-eil-budget-left,etag"
    policy = typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"exact": origin} for origin in origins],
        allow_methods="GET,POST,PUT,DELETE,OPTIONS",
        allow_headers=allowed,
        expose_headers=exposed,
        max_age="600",
    )
    return {CORS: policy}


def route_config(options: Options) -> Json:
    """The routing table. A method without roles has no route: the policy denies it, and nothing would carry it on."""
    methods = [_grpc(options, method) for method in all_methods() if method.access.roles]
    everything: Json = {
        "name": "everything",
        "domains": ["*"],
        "typed_per_filter_config": _cors(options.cors_origins),
        "routes": [
            *_bridge_routes(options),
            *methods,
            {"match": {"prefix": "/", "grpc": {}}, "direct_response": {"status": 404}},
            *(_first_match(options, {"path": path}, body_bytes=TELEMETRY_BYTES) for path in raw_posts()),
            _first_match(options, _accepts("text/event-stream"), SSE),
            _first_match(options, _accepts("application/x-ndjson"), NDJSON),
            _first_match(options, {"prefix": "/"}),
        ],
    }
    return {"name": "door", "virtual_hosts": [everything]}
