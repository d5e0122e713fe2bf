"""The services behind the door: each on its Unix socket in the state folder, or behind mutual TLS; and where issuers publish keys."""

import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from eil_mesh.issuers import Issuer
from eil_mesh.services import FRONTS, SERVICES

from eil_gateway.options import Upstreams
from eil_gateway.xds import Json, http2_upstream, typed

ADMIN_SOCKET = "gateway-admin.sock"
COLLECTOR = "collector"
"""Where traces go."""
NOWHERE = "nowhere"
"""A cluster without endpoints."""
LIMIT = 4096
"""Requests under way at one service; more are refused."""
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep the certificates that they trust."""


def _load(name: str, addresses: Sequence[Json]) -> Json:
    endpoints = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def _socket_address(address: str) -> Json:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _cluster(name: str, **options: object) -> Json:
    limits = {
        "max_connections": LIMIT,
        "max_pending_requests": LIMIT,
        "max_requests": LIMIT,
        "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 16},
    }
    return {"name": name, "connect_timeout": "1s", "circuit_breakers": {"thresholds": [limits]}, **options}


def _private(name: str, socket: str, **options: object) -> Json:
    return _cluster(name, type="STATIC", load_assignment=_load(name, [{"pipe": {"path": socket}}]), **options)


def _distributed(name: str, service: str, addresses: Sequence[str], tls: Path, alpn: str, **options: object) -> Json:
    """A cluster behind mutual TLS. An endpoint that fails five times in a row gets no requests for a while; never more than half do."""
    validation = {
        "trusted_ca": {"filename": str(tls / "ca.crt")},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": f"eil-{service}"}}],
    }
    context = typed(
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni=f"eil-{service}",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": [alpn],
            "tls_certificate_sds_secret_configs": [secret("upstream")],
            "validation_context": validation,
        },
    )
    return _cluster(
        name,
        type="STRICT_DNS",
        dns_lookup_family="V4_PREFERRED",
        lb_policy="LEAST_REQUEST",
        load_assignment=_load(name, [_socket_address(address) for address in addresses]),
        transport_socket={"name": "envoy.transport_sockets.tls", "typed_config": context},
        outlier_detection={
            # Failures of the way alone: a service that answers INTERNAL does so for the request, wherever it is sent.
            "enforcing_consecutive_5xx": 0,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 50,
            # It says that it serves, or it would get no requests anyway: what it says does not end the while.
            "successful_active_health_check_uneject_host": False,
        },
        common_lb_config={"update_merge_window": "0s"},  # known at once, not with what else changes within a second
        **options,
    )


def secret(name: str) -> Json:
    """A certificate in `gateway/<name>.json`, which is read again when the files that it names are replaced."""
    return {"name": name, "sds_config": from_file(f"gateway/{name}.json")}


def from_file(path: str) -> Json:
    """Configuration in a file of its own, in force as soon as the file is replaced."""
    source = {"path": path, "watched_directory": {"path": str(Path(path).parent)}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _checked(every: str) -> Json:
    # Embedded there is one endpoint: while it fails its check Envoy sends to it all the same (panic mode), so that a service that comes
    # back serves at once. The check feeds the health figures in /stats.
    check = {
        "timeout": "1s",
        "interval": every,
        "no_traffic_interval": every,
        "unhealthy_interval": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }
    return {"typed_extension_protocol_options": http2_upstream(), "health_checks": [check]}


def clusters(upstreams: Upstreams | None = None) -> list[Json]:
    """Every service that speaks gRPC, the bridge's HTTP and gRPC health, Envoy's own admin interface, and nowhere."""
    names = {name: name if service.grpc else f"{name}-health" for name, service in SERVICES.items()}
    # A replica that is to go must be known as such while it lingers, which takes two failed checks.
    if upstreams is None:
        services = [_private(name, f"{name}.sock", **_checked("5s")) for name in (*names.values(), *FRONTS)]
        bridge = _private("bridge", "bridge.sock")
    else:
        services = [
            _distributed(name, service, upstreams.grpc[service], upstreams.tls, "h2", **_checked("1s"))
            for service, name in names.items()
        ]
        bridge = _distributed("bridge", "bridge", upstreams.bridge, upstreams.tls, "http/1.1")
    return [
        *services,
        bridge,
        _private("admin", ADMIN_SOCKET),
        {"name": NOWHERE, "type": "STATIC", "load_assignment": {"cluster_name": NOWHERE}},
    ]


def collector(otlp: str) -> list[Json]:
    """Where traces go, if anywhere."""
    if not otlp:
        return []
    scheme, _, address = otlp.rpartition("://")
    host = address.rpartition(":")[0].strip("[]")
    secured = {"transport_socket": _verified(host, _system_certificates())} if scheme == "https" else {}
    return [
        _cluster(
            COLLECTOR,
            type="STRICT_DNS",
            load_assignment=_load(COLLECTOR, [_socket_address(address)]),
            typed_extension_protocol_options=http2_upstream(),
            **secured,
        )
    ]


def issuer_cluster(issuer: Issuer) -> str:
    """Name of the cluster that an issuer's keys come from."""
    return f"keys of {issuer.issuer}"


def issuer_clusters(issuers: Sequence[Issuer]) -> list[Json]:
    """Where issuers publish their keys."""
    return [_keys_of(issuer) for issuer in issuers if issuer.jwks_url]


def _keys_of(issuer: Issuer) -> Json:
    url, name = urlsplit(issuer.jwks_url), issuer_cluster(issuer)
    host = url.hostname or ""
    address = {"socket_address": {"address": host, "port_value": url.port or 443}}
    return {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "ALL",  # it connects to whichever address answers first
        "connect_timeout": "5s",
        "load_assignment": _load(name, [address]),
        "transport_socket": _verified(host, f"keys/{issuer.ca_file}" if issuer.ca_file else _system_certificates()),
    }


def _verified(host: str, ca: str) -> Json:
    """TLS to a server outside of the mesh, whose certificate must carry its name or address and be of a CA in this file."""
    by_name = not _is_address(host)
    context = typed(
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={
            "validation_context": {
                "trusted_ca": {"filename": ca},
                "match_typed_subject_alt_names": [
                    {"san_type": "DNS" if by_name else "IP_ADDRESS", "matcher": {"exact": host}}
                ],
            }
        },
        **({"sni": host} if by_name else {}),
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _system_certificates() -> str:
    own = ssl.get_default_verify_paths().cafile
    return own or next((path for path in CERTIFICATES if Path(path).exists()), CERTIFICATES[0])
