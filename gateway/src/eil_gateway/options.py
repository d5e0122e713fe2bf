"""What may be chosen about a door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eil_mesh.services import SERVICES


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Where the services are when they are distributed; connections are mutual TLS, in the name `gateway`.

    `tls` has ca.crt, tls.crt and tls.key, as `service_certificates` makes them. A server must show the name `eil-<service>`. Addresses are
    HOST:PORT; a name that stands for many addresses is balanced over all of them.
    """

    tls: Path
    grpc: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {name: (f"eil-{name}:7000",) for name in SERVICES}
    )
    """Of gRPC, by service; the bridge's is its health."""
    bridge: Sequence[str] = ("eil-bridge:7080",)
    """Of the bridge's HTTP."""


@dataclass(frozen=True, slots=True)
class Options:
    """A door."""

    port: int
    """TLS 1.3."""
    host: str = "127.0.0.1"
    """Address that it listens on."""
    cors_origins: Sequence[str] = ()
    """Origins whose pages may call, e.g. `https://portal.example`."""
    requests_per_s: int = 5000
    """Flood limit of the whole door."""
    tokens_per_s: int = 20
    """Requests for tokens, from one address and from all together ten times as many."""
    arrival_s: float = 30.0
    """What a request with its body may take to arrive [s]; streams excepted."""
    figures_host: str = "127.0.0.1"
    """Address of `/stats/prometheus` and `/ready`."""
    otlp: str = ""
    """OpenTelemetry collector of OTLP/gRPC, host:port or https://host:port; traces begin here. Empty: none begin."""
    traced: float = 0.01
    """Share of requests whose traces are recorded; of those that bring one, the caller decides."""
    upstreams: Upstreams | None = None
    """None: each service is on its Unix socket in the state folder (embedded profile)."""
