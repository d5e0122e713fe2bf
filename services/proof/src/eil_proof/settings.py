"""Settings of the proof service."""

from typing import ClassVar

from eil_mesh.reward import MICRO
from eil_mesh.settings import MeshSettings


class ProofSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "proof"

    daily_cap_u: int = 20_000 * MICRO
    """What one source may earn in 24 hours, 10⁻⁶ PFT."""
    settle_every_s: float = 5.0
    """Seconds between rounds of looks at the sources whose predictions nobody proved; a round takes 0.05 s for each of them."""
    verify_every_s: float = 60.0
    """Seconds between looks at verifications whose reporting period may be over."""
