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
    segment_cells: int = Field(default=4_000_000, ge=1000)
    """Values of one source and hour from which a segment is cut before the hour is settled."""
    uncut_s: float = 7200.0
    """Longest time that samples of a silent source wait to be cut [s]."""
    keep_segments_days: float = 730.0
    """Days that samples are kept after they were taken."""
    expire_objects_days: dict[str, float] = Field(default={})
    """Days that objects of a media type are kept, as JSON, e.g. {"image/png": 30}; what a checkpoint names, and other types, stay."""
    largest_object: int = Field(default=17_179_869_184, ge=1)
    """Size of the largest object that a stream may put [byte]."""
