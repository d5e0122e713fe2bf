"""Settings of the atlas service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings
from pydantic import Field


class AtlasSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "atlas"

    domain: str = "datacenter"
    """Domain of the states that this mesh measures."""
    lateness_s: float = 600.0
    """How far behind a source's clock a window still takes samples [s]; at least the regime service's lateness."""
    keep_states_days: float = 730.0
    """Days that states and shifts are kept after their window."""
    objects_url: str = Field(default="", pattern=r"^(s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[A-Za-z0-9_.-]+)*/?)?$")
    """Where objects lie: s3://bucket or s3://bucket/prefix; empty keeps them in a folder of the state."""
    s3_endpoint_url: str = Field(default="", pattern="^(https?://.+)?$")
    """S3 server of `objects_url`, http(s)://host:port; empty is Amazon's."""
    s3_region: str = "us-east-1"
    """Region of the S3 server."""
