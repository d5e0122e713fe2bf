"""Settings of the nvp service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class NvpSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "nvp"

    device: str = "cpu"
    """Where field models run: cpu, or cuda."""
