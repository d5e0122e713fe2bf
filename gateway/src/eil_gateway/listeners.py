"""The door's listeners: TLS 1.3 for the world, and plain HTTP on loopback for Envoy's own figures."""

from collections.abc import Sequence

from eil_gateway.errors import local_replies
from eil_gateway.policy import jwt_filter, role_filter
from eil_gateway.routes import route_config
from eil_gateway.transcoding import BODY_BYTES, TRANSCODER, transcoder
from eil_gateway.xds import Json, extension, http_filter, typed

ACCESS_LOG = "gateway/access.log"
STRIPPED_PREFIXES = ("x-eil-", "x-envoy-", "x-jwt-", "x-forwarded-", "x-original-")
"""Headers that speak of identity or route: behind the door they are believed, so nobody may bring them."""
STRIPPED = ("x-request-id", "x-real-ip", "forwarded", "grpc-tags-bin", "grpc-trace-bin")


def _stripping() -> Json:
    prefixes = [{"remove_on_match": {"key_matcher": {"prefix": p, "ignore_case": True}}} for p in STRIPPED_PREFIXES]
    mutations = [*prefixes, *({"remove": name} for name in STRIPPED)]
    return extension(
        "envoy.http.early_header_mutation.header_mutation",
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=mutations,
    )


def _access_log() -> Json:
    fields = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
        "request_id": "%STREAM_ID%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",  # NQ: no query, which may carry a token
        "grpc_path": "%PATH(NQ:PATH)%",
        "protocol": "%PROTOCOL%",
        "code": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "ms": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "subject": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:jwt:sub)%",
        "tenant": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:jwt:tenant)%",
    }
    kind = "extensions.access_loggers.file.v3.FileAccessLog"
    return extension("envoy.access_loggers.file", kind, path=ACCESS_LOG, log_format={"json_format": fields})


def _flood_limit(requests_per_s: int) -> Json:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return http_filter(
        "local_ratelimit",
        "local_ratelimit",
        "LocalRateLimit",
        stat_prefix="flood",
        token_bucket={"max_tokens": requests_per_s, "tokens_per_fill": requests_per_s, "fill_interval": "1s"},
        filter_enabled={**always, "runtime_key": "door.flood.enabled"},
        filter_enforced={**always, "runtime_key": "door.flood.enforced"},
        rate_limited_as_resource_exhausted=True,
    )


def _filters(requests_per_s: int) -> list[Json]:
    """In this order: gRPC-Web and REST become gRPC before tokens and roles are judged, so that one policy covers them all."""
    body = http_filter("buffer", "buffer", "Buffer", max_request_bytes=BODY_BYTES)
    return [
        http_filter("cors", "cors", "Cors"),
        http_filter("grpc_web", "grpc_web", "GrpcWeb"),
        _flood_limit(requests_per_s),
        {**body, "disabled": True},  # a route switches it on
        {"name": TRANSCODER, "typed_config": transcoder()},
        jwt_filter(),
        role_filter(),
        http_filter("router", "router", "Router", suppress_envoy_headers=True),
    ]


def _connection_manager(prefix: str, filters: list[Json], **options: object) -> Json:
    return extension(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=prefix,
        http_filters=filters,
        **options,
    )


def _tls() -> Json:
    certificate = {
        "certificate_chain": {"filename": "keys/tls.crt"},
        "private_key": {"filename": "keys/tls.key"},
    }
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [certificate],
        },
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _socket(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def door(host: str, port: int, cors_origins: Sequence[str], requests_per_s: int) -> Json:
    """The listener that the world sees."""
    manager = _connection_manager(
        "door",
        _filters(requests_per_s),
        use_remote_address=True,
        early_header_mutation_extensions=[_stripping()],
        always_set_request_id_in_response=True,
        server_header_transformation="PASS_THROUGH",
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",  # `a%2Fb` is one segment: a source's name may hold a slash
        max_request_headers_kb=32,
        request_headers_timeout="10s",
        stream_idle_timeout="300s",
        common_http_protocol_options={
            "idle_timeout": "3600s",
            "max_headers_count": 100,
            "headers_with_underscores_action": "REJECT_REQUEST",  # some servers read x_eil_service as x-eil-service
        },
        http2_protocol_options={"max_concurrent_streams": 1024},
        upgrade_configs=[{"upgrade_type": "websocket", "enabled": False}],  # a route switches it on
        access_log=[_access_log()],
        local_reply_config=local_replies(),
        route_config=route_config(cors_origins),
    )
    return {
        "name": "door",
        "address": _socket(host, port),
        "filter_chains": [{"filters": [manager], "transport_socket": _tls()}],
    }


def figures(port: int) -> Json:
    """`/stats/prometheus` and `/ready` of Envoy's admin interface, which itself stays on a private socket: it can stop the process."""
    routes = [
        {"match": {"path": path}, "route": {"cluster": "admin", "timeout": "10s"}}
        for path in ("/stats/prometheus", "/ready")
    ]
    everything = {"name": "figures", "domains": ["*"], "routes": routes}
    manager = _connection_manager(
        "figures",
        [http_filter("router", "router", "Router")],
        route_config={"name": "figures", "virtual_hosts": [everything]},
    )
    return {"name": "figures", "address": _socket("127.0.0.1", port), "filter_chains": [{"filters": [manager]}]}
