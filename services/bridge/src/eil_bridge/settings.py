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
    streams: int = 256
    """Streams open at once."""
    streams_per_subject: int = 8
    """Streams that one token subject may have open."""
    stream_events: int = 1000
    """Events that may wait for a client; one that falls further behind is let go."""
    stream_bytes: int = 4 * 1024 * 1024
    """Bytes of payload that may wait for a client, if more than one event waits."""
    patience_s: float = 5.0
    """Seconds that a client which is let go may take to read why [s]."""
    ping_s: float = 20.0
    """Seconds between pings on a stream, and to answer one [s]."""
