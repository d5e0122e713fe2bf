"""Settings of the decision service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class DecisionSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "decision"

    history_rows: int = 288
    """Newest telemetry rows that a decision rests on."""
    horizon_s: float = 300.0
    """Horizon where the request names none [s]."""
    forecast_deadline_s: float = 2.0
    """How long a forecast may take before persistence stands in for it [s]."""
