"""The services behind the door, each on its Unix socket in the state folder."""

from eil_mesh.services import SERVICES

from eil_gateway.xds import Json, http2_upstream

ADMIN_SOCKET = "gateway-admin.sock"
NOWHERE = "nowhere"
"""A cluster without endpoints."""
LIMIT = 4096
"""Requests under way at one service; more are refused."""


def _endpoint(name: str, socket: str) -> Json:
    """The endpoints of a cluster on one Unix socket."""
    address = {"pipe": {"path": socket}}
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _cluster(name: str, socket: str, **options: object) -> Json:
    limits = {
        "max_connections": LIMIT,
        "max_pending_requests": LIMIT,
        "max_requests": LIMIT,
        "retry_budget": {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 16},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _endpoint(name, socket),
        "circuit_breakers": {"thresholds": [limits]},
        **options,
    }


def _grpc(name: str, socket: str) -> Json:
    # One endpoint: while it fails its check Envoy sends to it all the same (panic mode), so that a service that comes back serves at
    # once. The check feeds the health figures in /stats.
    check = {
        "timeout": "1s",
        "interval": "5s",
        "no_traffic_interval": "5s",
        "unhealthy_interval": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }
    return _cluster(name, socket, typed_extension_protocol_options=http2_upstream(), health_checks=[check])


def clusters() -> list[Json]:
    """Every service that speaks gRPC, the bridge's HTTP and gRPC health, Envoy's own admin interface, and nowhere."""
    services = [_grpc(name, f"{name}.sock") for name, service in SERVICES.items() if service.grpc]
    return [
        *services,
        _cluster("bridge", "bridge.sock"),
        _grpc("bridge-health", "bridge-health.sock"),
        _cluster("admin", ADMIN_SOCKET),
        {"name": NOWHERE, "type": "STATIC", "load_assignment": {"cluster_name": NOWHERE}},
    ]
