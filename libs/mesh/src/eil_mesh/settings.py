"""Settings: one typed class per service, read from the environment, refusing what it does not know."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eil_mesh.services import SERVICES


class ProcessSettings(BaseModel):
    """Settings of one process of the mesh; variables are `EIL_<SERVICE>_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: ClassVar[str]
    """Name in the service table, or `gateway`."""


class MeshSettings(ProcessSettings):
    """What every service needs to know. A service's own class extends it."""

    state: Path = Path(".")
    """Folder of everything that the embedded profile keeps, mode 0700; the process is started inside it."""
    database_url: str = ""
    """PostgreSQL server of this service's state, postgresql://…; empty keeps it in a SQLite file in the state folder (embedded profile)."""
    listen: str = ""
    """Address to serve on; empty is this service's Unix socket in the state folder."""
    advertise: str = ""
    """Host at which this service's other processes reach this one, at the port of `listen`. Set, several may run over one `database_url`:
    one writes, the others hand calls on to it, and one of them takes over when it goes. Empty: a second process refuses to start."""
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
    """Port of /metrics; 0 serves none."""
    metrics_host: str = "127.0.0.1"
    """Address that /metrics is served on."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """Port of grpc.health.v1 alone, without TLS, for probes; 0 serves none."""
    otlp_endpoint: str = ""
    """OpenTelemetry collector of OTLP/gRPC, host:port or https://host:port for TLS; empty exports no traces."""
    core_w: float = Field(default=3.5, gt=0)
    """Power of one busy core [W], from which the process's own energy is modelled; see `self_energy`."""
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
    head_key: Path | None = None
    """Key that signs journal heads; none: keys/<service>.ed25519 in the state folder, made at first run."""
    anchor_s: float = Field(default=10.0, gt=0)
    """Seconds between signed journal heads."""
    budgets: bool = True
    """Charge callers' budgets, and inference at all; off, nothing costs anything."""
    lease_u: int = Field(default=10_000_000, ge=1)
    """Most compute credits that are leased for a payer ahead of use, 10⁻⁶ CEU (1000 are one inference step); leases begin small."""
    lease_s: float = Field(default=600.0, gt=0, le=3600)
    """Life of a lease [s]; what a service that died held returns then."""
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
        if self.advertise and not (self.database_url and self.listen):
            raise ValueError("advertise needs database_url, whose lock passes on, and listen, with a port")

    def address(self) -> str:
        """Address that this service listens on."""
        return self.listen or self.peers.format(service=self.service)

    def advertised(self) -> str:
        """Address at which this service's other processes reach this one; empty: there are none."""
        host = f"[{self.advertise}]" if ":" in self.advertise else self.advertise
        return f"{host}:{self.listen.rpartition(':')[2]}" if host else ""

    def signing_key(self) -> Path:
        """File of the key that signs what this service says: journal heads, records."""
        return self.head_key or self.state / "keys" / f"{self.service}.ed25519"

    def peer(self, service: str) -> str:
        """Address of another service."""
        return self.peers.format(service=service)


Settings = TypeVar("Settings", bound=ProcessSettings)
COMMON: Final = "EIL_MESH_"
"""Begin of variables that hold for every service."""


def _beginning(variables: Mapping[str, str], prefix: str) -> dict[str, str]:
    """What is said by variables that begin so, by field."""
    return {name.removeprefix(prefix).lower(): value for name, value in variables.items() if name.startswith(prefix)}


def load_settings(kind: type[Settings], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables; exits with a message for people if one is unknown or malformed.

    `EIL_MESH_<FIELD>` says for every service what `EIL_<SERVICE>_<FIELD>` says for one, which outranks it.

    Args:
        kind: the class of the settings.
        environ: variables; None are the process's.
    """
    prefix = f"EIL_{kind.service.upper()}_"
    variables = os.environ if environ is None else environ
    common = _beginning(variables, COMMON) if issubclass(kind, MeshSettings) else {}
    if unknown := sorted(common.keys() - MeshSettings.model_fields.keys()):
        print(f"{COMMON}{unknown[0].upper()}: no setting that every service has", file=sys.stderr)
        sys.exit(2)
    given = {**common, **_beginning(variables, prefix)}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        for problem in error.errors():
            field = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{prefix}{field}: {problem['msg']}", file=sys.stderr)
        print(f"known settings: {', '.join(prefix + name.upper() for name in kind.model_fields)}", file=sys.stderr)
        sys.exit(2)
