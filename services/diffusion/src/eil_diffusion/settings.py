"""Settings of the diffusion service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings


class DiffusionSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "diffusion"

    threads: int = 1
    """Threads that torch may use on the CPU."""
    waiting: int = 32
    """Requests that may wait for the engine; more are refused with RESOURCE_EXHAUSTED."""
    keep_runs_s: float = 30 * 86400.0
    """How long GetRun answers for a run [s]; the journal keeps them for ever."""
