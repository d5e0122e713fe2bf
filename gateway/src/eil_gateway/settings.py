"""Settings of a door that stands by itself, `EIL_GATEWAY_<FIELD>`."""

from pathlib import Path
from typing import ClassVar

from eil_mesh.settings import ProcessSettings
from pydantic import Field


class GatewaySettings(ProcessSettings):
    """What the door of the distributed profile needs to know."""

    service: ClassVar[str] = "gateway"

    state: Path = Path(".")
    """Folder that Envoy runs in: `keys` with jwks.json, tls.crt and tls.key stands there, `gateway` is written."""
    port: int = Field(default=8443, ge=1, le=65535)
    """TLS 1.3 for the world."""
    host: str = "0.0.0.0"
    """Address that it listens on."""
    figures_port: int = Field(default=9090, ge=0, le=65535)
    """Port of /stats/prometheus and /ready; 0 serves none."""
    figures_host: str = "0.0.0.0"
    """Its address."""
    tls_dir: Path
    """Folder with ca.crt, tls.crt and tls.key, in the name `eil-gateway`, that the services know the door by."""
    upstream: str = "eil-{service}:7000"
    """Address of a service, `{service}` standing for its name."""
    bridge: str = "eil-bridge:7080"
    """Address of the bridge's HTTP."""
    cors_origins: str = ""
    """Origins whose pages may call, with commas between them."""
    requests_per_s: int = Field(default=5000, ge=1)
    """Flood limit of this replica."""
    otlp: str = ""
    """OpenTelemetry collector of OTLP/gRPC, host:port or https://host:port; empty exports no traces."""
    traced: float = Field(default=0.01, ge=0, le=1)
    """Share of requests whose traces are recorded."""
    drain_s: float = Field(default=5.0, ge=0)
    """Seconds between telling load balancers that the door goes, and its end."""
