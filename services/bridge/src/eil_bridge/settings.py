"""Settings of the bridge."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class BridgeSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "bridge"

    listen: str = "unix:bridge-health.sock"
    """Address of gRPC, which here is health and reflection alone."""
    http: str = "unix:bridge.sock"
    """Address of HTTP and WebSocket: unix:PATH, or HOST:PORT (distributed)."""
    hosts: str = "localhost,127.0.0.1,[::1]"
    """Names that agents know the door by, separated by commas, on any port; `*` takes any (where the door checks them)."""
    streams: int = 2000
    """Streams open at once; one takes about 55 kB here."""
    streams_per_subject: int = 1000
    """Streams that one token subject may have open: a dashboard asks in one name for all who look at it."""
    stream_events: int = 4096
    """Recent events of a tenant that are kept for its clients; one that falls further behind is let go, or skips."""
    stream_bytes: int = 16 * 1024 * 1024
    """Bytes of JSON that these may have, if more than one event is kept."""
    feed_bytes: int = 128 * 1024 * 1024
    """Bytes of JSON kept of all tenants together; the tenant with the most gives way."""
    linger_s: float = 60.0
    """Seconds for which a tenant's recent events are kept after its last client has left [s]."""
    patience_s: float = 5.0
    """Seconds that a client which is let go may take to read why [s]."""
    ping_s: float = 20.0
    """Seconds between pings on a stream, and to answer one [s]."""
