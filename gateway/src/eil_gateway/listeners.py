"""The door's listeners: TLS 1.3 for the world, and plain HTTP on loopback for Envoy's own figures."""

from eil_gateway.clusters import COLLECTOR, from_file, secret
from eil_gateway.errors import local_replies
from eil_gateway.options import Options
from eil_gateway.policy import JWT, RBAC, origin_filter
from eil_gateway.routes import LINES, route_config, token_bucket
from eil_gateway.transcoding import BODY_BYTES, TRANSCODER, transcoder
from eil_gateway.xds import Json, extension, http_filter, typed

ACCESS_LOG = "gateway/access.log"
BUFFERED_BYTES = 1024 * 1024
"""Bytes that wait in a connection before its sender is slowed down, where nothing larger has to be held whole."""
JWT_FILE, ROLES_FILE = "gateway/jwt.json", "gateway/roles.json"
"""The configuration of the filters that judge tokens and roles."""
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
    limit = token_bucket("flood", requests_per_s)
    return http_filter("local_ratelimit", "local_ratelimit", "LocalRateLimit", **limit)


def _lines() -> Json:
    """Names the type of newline-delimited JSON, which the transcoder calls JSON."""
    script = """
        function envoy_on_response(response)
          local headers = response:headers()
          if headers:get(":status") == "200" and headers:get("content-type") == "application/json" then
            headers:replace("content-type", "application/x-ndjson")
          end
        end"""
    return {**extension(LINES, "extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": script})}


def _policy_filter(name: str, file: str, kind: str) -> Json:
    """A filter whose configuration is replaced while the door stands: keys and issuers come and go."""
    types = [f"envoy.extensions.filters.http.{kind}"]
    return {"name": name, "config_discovery": {"config_source": from_file(file), "type_urls": types}}


def _filters(options: Options) -> list[Json]:
    """In this order: gRPC-Web and REST become gRPC before tokens and roles are judged, so that one policy covers them all."""
    body = http_filter("buffer", "buffer", "Buffer", max_request_bytes=BODY_BYTES)
    return [
        http_filter("cors", "cors", "Cors"),
        {**_lines(), "disabled": True},  # routes switch on this
        http_filter("grpc_web", "grpc_web", "GrpcWeb"),
        _flood_limit(options.requests_per_s),
        origin_filter(options),
        {**body, "disabled": True},  # and this
        {"name": TRANSCODER, "typed_config": transcoder()},
        _policy_filter(JWT, JWT_FILE, "jwt_authn.v3.JwtAuthentication"),
        _policy_filter(RBAC, ROLES_FILE, "rbac.v3.RBAC"),
        http_filter("router", "router", "Router", suppress_envoy_headers=True),
    ]


def _tracing(options: Options) -> Json:
    """Where a trace begins. Who brings one decides whether it is recorded: agents and tests follow theirs through the mesh."""
    samplers = "envoy.tracers.opentelemetry.samplers"
    kinds = "extensions.tracers.opentelemetry.samplers.v3"
    share = {"numerator": round(options.traced * 1_000_000), "denominator": "MILLION"}
    begun = extension(
        f"{samplers}.trace_id_ratio_based", f"{kinds}.TraceIdRatioBasedSamplerConfig", sampling_percentage=share
    )
    config = typed(
        "config.trace.v3.OpenTelemetryConfig",
        grpc_service={"envoy_grpc": {"cluster_name": COLLECTOR}, "timeout": "1s"},
        service_name="eil-gateway",
        sampler=extension(f"{samplers}.parent_based", f"{kinds}.ParentBasedSamplerConfig", wrapped_sampler=begun),
    )
    return {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config}}


def _connection_manager(prefix: str, filters: list[Json], **options: object) -> Json:
    return extension(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=prefix,
        http_filters=filters,
        **options,
    )


def _tls() -> Json:
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificate_sds_secret_configs": [secret("door")],
        },
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _socket(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def door(options: Options) -> Json:
    """The listener that the world sees."""
    manager = _connection_manager(
        "door",
        _filters(options),
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
        http2_protocol_options={
            "max_concurrent_streams": 1024,
            "initial_stream_window_size": BUFFERED_BYTES,
            "initial_connection_window_size": 4 * BUFFERED_BYTES,
        },
        upgrade_configs=[{"upgrade_type": "websocket", "enabled": False}],  # a route switches it on
        access_log=[_access_log()],
        local_reply_config=local_replies(),
        route_config=route_config(options),
        **({"tracing": _tracing(options)} if options.otlp else {}),
    )
    return {
        "name": "door",
        "address": _socket(options.host, options.port),
        "per_connection_buffer_limit_bytes": BUFFERED_BYTES,
        # A client that shakes no hands holds a connection no longer than this.
        "filter_chains": [
            {"filters": [manager], "transport_socket": _tls(), "transport_socket_connect_timeout": "10s"}
        ],
    }


def figures(host: str, port: int) -> Json:
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
    return {"name": "figures", "address": _socket(host, port), "filter_chains": [{"filters": [manager]}]}
