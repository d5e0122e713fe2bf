"""Settings: one typed class per service, read from the environment, refusing what it does not know."""

import os
import sys
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eil_mesh.services import SERVICES


class MeshSettings(BaseModel):
    """What every service needs to know. A service's own class extends it; variables are `EIL_<SERVICE>_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: ClassVar[str]
    """Name in the service table."""

    state: Path = Path(".")
    """Folder of everything that the embedded profile keeps, mode 0700; the process is started inside it."""
    database_url: str = ""
    """PostgreSQL server of this service's state, postgresql://…; empty keeps it in a SQLite file in the state folder (embedded profile)."""
    listen: str = ""
    """Address to serve on; empty is this service's Unix socket in the state folder."""
    peers: str = "unix:{service}.sock"
    """Address of a peer, `{service}` standing for its name; distributed: dns:///eil-{service}:7000."""
    tls_dir: Path | None = None
    """Folder with ca.crt, tls.crt and tls.key; set, every connection is mutual TLS (distributed profile)."""
    jwks: Path = Path("keys/jwks.json")
    """JSON Web Key Set that verifies tokens, relative to the state folder."""
    jwt_issuer: str = "eil"
    """Issuer that tokens must name."""
    jwt_audience: str = "eil"
    """Audience that tokens must name."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of /metrics on 127.0.0.1; 0 serves none."""
    otlp_endpoint: str = ""
    """OpenTelemetry collector, host:port of OTLP/gRPC; empty exports no traces."""
    log_level: str = Field(default="info", pattern="(?i)^(debug|info|warning|error)$")
    """debug, info, warning or error."""
    log_json: bool = True
    """Log as JSON lines; false is for people."""
    drain_s: float = Field(default=0.0, ge=0)
    """Seconds between telling load balancers that the service goes and refusing calls."""
    grace_s: float = Field(default=5.0, ge=0)
    """Seconds that calls in flight may still take."""
    deadline_s: float = Field(default=30.0, gt=0)
    """Longest time a unary call may take, if the caller set no shorter deadline."""
    anchor_s: float = Field(default=10.0, gt=0)
    """Seconds between signed journal heads."""
    kafka: str = ""
    """Kafka servers, host:port,…, that events go through; empty: services subscribe to each other's journals (embedded profile)."""
    kafka_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Before the name of every topic and transactional id, where meshes share a cluster."""
    kafka_partitions: int = Field(default=12, ge=1, le=10_000)
    """Partitions of topics that are made; those of topics that exist are left as they are."""
    kafka_replication: int = Field(default=-1, ge=-1, le=100)
    """Replicas of topics that are made; -1 is the cluster's own default."""
    kafka_ca: Path | None = None
    """Certificates that the servers' are checked against; set, connections are TLS."""
    kafka_cert: Path | None = None
    """Certificate of this client, with `kafka_key`."""
    kafka_key: Path | None = None
    """Its key."""
    kafka_user: str = ""
    """User name for SASL; empty uses none."""
    kafka_password_file: Path | None = None
    """File that holds the user's password and nothing else."""
    kafka_sasl: str = Field(default="SCRAM-SHA-512", pattern="^(SCRAM-SHA-512|SCRAM-SHA-256|PLAIN)$")
    """SASL mechanism."""
    relay_backlog: int = Field(default=1_000_000, ge=1)
    """Journal entries that Kafka may be behind before writes for users are refused."""

    def model_post_init(self, _context: object) -> None:
        if self.service not in SERVICES:
            raise ValueError(f"{self.service!r} is not in the service table")
        if bool(self.kafka_user) != bool(self.kafka_password_file):
            raise ValueError("kafka_user and kafka_password_file go together: set both, or none")
        if bool(self.kafka_cert) != bool(self.kafka_key):
            raise ValueError("kafka_cert and kafka_key go together: set both, or none")

    def address(self) -> str:
        """Address that this service listens on."""
        return self.listen or self.peers.format(service=self.service)

    def peer(self, service: str) -> str:
        """Address of another service."""
        return self.peers.format(service=service)


Settings = TypeVar("Settings", bound=MeshSettings)


def load_settings(kind: type[Settings], environ: dict[str, str] | None = None) -> Settings:
    """Settings of a service from its environment variables; exits with a message for people if one is unknown or malformed."""
    prefix = f"EIL_{kind.service.upper()}_"
    given = {
        name.removeprefix(prefix).lower(): value
        for name, value in (os.environ if environ is None else environ).items()
        if name.startswith(prefix)
    }
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        for problem in error.errors():
            field = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{prefix}{field}: {problem['msg']}", file=sys.stderr)
        print(f"known settings: {', '.join(prefix + name.upper() for name in kind.model_fields)}", file=sys.stderr)
        sys.exit(2)
