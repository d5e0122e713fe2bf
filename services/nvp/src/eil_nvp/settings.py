"""Settings of the nvp service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class NvpSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "nvp"

    lease_u: int = 10_000_000
    """Compute credits leased for a tenant at once, 10⁻⁶ CEU (1000 are one inference step)."""
    lease_s: float = 600.0
    """Life of a lease [s]."""
    device: str = "cpu"
    """Where field models run: cpu, or cuda."""
