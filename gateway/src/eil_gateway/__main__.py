"""The door by itself, `python -m eil_gateway`: Envoy before services on other machines. The embedded profile's is run by `eil up`."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from eil_mesh.services import SERVICES
from eil_mesh.settings import load_settings

from eil_gateway.envoy import envoy_command, refresh, write_config
from eil_gateway.options import Upstreams
from eil_gateway.settings import GatewaySettings

LOOK_S = 0.2
"""Seconds between looks at the keys."""


def _stamps(keys: Path) -> Mapping[str, int]:
    """When each file of the keys was replaced last; mounted secrets are links that are moved as a whole."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(keys.glob("*")) if path.is_file()}


def main() -> int:
    """Write Envoy's configuration and run it until SIGTERM; what follows from keys is written anew when they change."""
    settings = load_settings(GatewaySettings)
    os.chdir(settings.state)
    state = Path()
    config = write_config(
        state,
        port=settings.port,
        admin_port=settings.figures_port or None,
        host=settings.host,
        figures_host=settings.figures_host,
        cors_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
        requests_per_s=settings.requests_per_s,
        otlp=settings.otlp,
        traced=settings.traced,
        upstreams=Upstreams(
            tls=settings.tls_dir,
            grpc={name: (settings.upstream.format(service=name),) for name in SERVICES},
            bridge=(settings.bridge,),
        ),
    )
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: asked_to_stop.append(received))
    seen = _stamps(state / "keys")
    envoy = subprocess.Popen(envoy_command(config))
    while envoy.poll() is None and not asked_to_stop:
        time.sleep(LOOK_S)
        if (now := _stamps(state / "keys")) != seen:
            seen = now
            refresh(state)
    if not asked_to_stop:
        return envoy.returncode
    time.sleep(settings.drain_s)  # load balancers see that the pod goes; the door serves meanwhile
    envoy.terminate()
    ended = envoy.wait()
    return 0 if ended == -signal.SIGTERM else ended


if __name__ == "__main__":
    raise SystemExit(main())
