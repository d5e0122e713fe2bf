"""Settings of the atlas service."""

from pathlib import Path
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
    keep_states_days: float = Field(default=730.0, gt=0)
    """Days that states are kept after their window."""
    keep_hours_days: float = Field(default=730.0, gt=0)
    """Days that roll-ups of an hour are kept; at least as long as states."""
    keep_days_days: float = Field(default=730.0, gt=0)
    """Days that roll-ups of a day are kept; at least as long as those of an hour. Shifts are kept as long."""
    neo4j_url: str = Field(default="", pattern=r"^((bolt|neo4j)(\+s|\+ssc)?://[^@/?#]+)?$")
    """Neo4j server of the graph, bolt://host:port; empty keeps the graph in this service's own state."""
    neo4j_user: str = "neo4j"
    """User there."""
    neo4j_password_file: Path | None = None
    """File with that user's password; none: the server asks for none."""
    neo4j_database: str = "neo4j"
    """Database there."""
    neo4j_connect_s: float = Field(default=5.0, gt=0)
    """Longest time to get a connection to Neo4j, and to try a transaction anew [s]."""
    neo4j_query_s: float = Field(default=5.0, gt=0)
    """Longest time that a question to Neo4j may take [s]; an answer may ask several, and the door waits 15 s."""
    neo4j_write_s: float = Field(default=30.0, gt=0)
    """Longest time that a batch of writes to Neo4j may take [s]."""
    neo4j_outbox_entries: int = Field(default=200_000, gt=0)
    """Entries that may wait for Neo4j; when so many do, following pauses until there is room."""
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

    verify_every_s: float = Field(default=21_600.0, ge=0)
    """Time between two comparisons of log, graph and segments [s]; 0: only when an operator asks for one."""
    verify_since_s: float = Field(default=93_600.0, gt=0)
    """How far back in the journal such a comparison begins [s]; longer than the time between two."""
    verify_repair: bool = True
    """Whether it repairs what is missing, damaged or differs. Only an operator's takes away what the journal does not have."""

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if not self.keep_states_days <= self.keep_hours_days <= self.keep_days_days:
            raise ValueError(
                "roll-ups must be kept at least as long as what they are made of: raise keep_hours_days or keep_days_days"
            )
