"""Settings of the decision service."""

from pathlib import Path
from typing import ClassVar

from eil_mesh.settings import MeshSettings
from pydantic import Field


class DecisionSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "decision"

    history_rows: int = 288
    """Newest telemetry rows that a decision rests on."""
    horizon_s: float = 300.0
    """Horizon where the request names none [s]."""
    forecast_deadline_s: float = 2.0
    """How long a forecast may take before persistence stands in for it [s]."""
    lease_s: float = Field(default=900.0, gt=0)
    """How long an emitted action holds without renewal [s]; two horizons where that is longer."""
    moved_per_hour: float = Field(default=0.5, gt=0)
    """Largest share of a source's fleet that emitted actions may move in an hour of its clock; one server may always."""
    follow_s: float = Field(default=300.0, gt=0)
    """Time that the telemetry has to show an emitted move before it counts as not followed [s]."""
    missed_orders: int = Field(default=5, ge=1)
    """Emitted moves in a row that nothing followed, after which the source falls back to `advise`."""
    webhook_url: str = Field(default="", pattern="^$|^https?://")
    """Where each emitted action is POSTed as well; empty is nowhere."""
    webhook_secret_file: Path | None = None
    """File whose content, 16 bytes at least without white space around it, signs what is POSTed; needed with a URL."""
    webhook_queue: int = Field(default=1000, ge=1)
    """Sources whose newest action may wait for the webhook; more are dropped and counted."""
