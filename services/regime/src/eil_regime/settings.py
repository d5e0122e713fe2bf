"""Settings of the regime service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class RegimeSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "regime"

    window_s: float = 60.0
    """Accounting window of the energy state [s]."""
    future_s: float = 300.0
    """How far a timestamp may lie ahead of the wall clock [s]."""
    lateness_s: float = 600.0
    """How far a timestamp may lie behind the source's clock [s]."""
    keep_samples_days: float = 30.0
    """Days that samples, and the journal's copies of them, are kept after their receipt; at most a day longer."""
    keep_states_days: float = 730.0
    """Age beyond which a timestamp is refused: its state would not be kept [days]."""
    fit_every_s: float = 30.0
    """Seconds between attempts to identify the thermal nodes of sources."""
    sense_inbox: str = ""
    """Tenants, separated by commas, whose telemetry is read from Kafka as well, topics `eil.sense.inbox.<tenant>`; empty: of none."""
    door_part_w: float = 1e6
    """Largest power that OTLP or remote-write may say one part of a source draws: more is a wrong unit [W]."""
    door_sources: int = 100_000
    """Sources of a tenant, beyond which OTLP and remote-write open no more."""

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.sense_inbox and not self.kafka:
            raise ValueError("sense_inbox reads from Kafka: set kafka, too")

    def inbox_tenants(self) -> list[str]:
        """`sense_inbox` as a list."""
        return [tenant for part in self.sense_inbox.split(",") if (tenant := part.strip())]
