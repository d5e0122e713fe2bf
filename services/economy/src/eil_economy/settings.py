"""Settings of the economy service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class EconomySettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "economy"

    sweep_every_s: float = 1.0
    """Seconds between looks for reservations whose time is past, and for claims that wait."""
