"""Settings of the atlas service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class AtlasSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "atlas"

    domain: str = "datacenter"
    """Domain of the states that this mesh measures."""
    lateness_s: float = 600.0
    """How far behind a source's clock a window still takes samples [s]; at least the regime service's lateness."""
    keep_states_days: float = 730.0
    """Days that states and shifts are kept after their window."""
