"""Tables of the regime service beside the samples: sources, their detectors and physics branches, shifts."""

import json
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from eil_mesh.store import Connection
from eil_physics import ThermalNode

from eil_regime.domain.measurement import SourceFacts

SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL DEFAULT 'unenrolled',
  credential TEXT NOT NULL DEFAULT '',
  nameplate_w REAL NOT NULL DEFAULT 0,
  power_u REAL NOT NULL DEFAULT 0,
  power_kind TEXT NOT NULL DEFAULT 'instant',
  channels TEXT NOT NULL DEFAULT '[]',
  clock_us INTEGER,
  samples INTEGER NOT NULL DEFAULT 0,
  shifts INTEGER NOT NULL DEFAULT 0,
  conflicts INTEGER NOT NULL DEFAULT 0,
  open_segment INTEGER,
  node TEXT,
  state BLOB,
  prediction BLOB,
  UNIQUE (tenant, name)
) STRICT;
CREATE TABLE IF NOT EXISTS detectors (
  source_id INTEGER PRIMARY KEY REFERENCES sources (id),
  state BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS physics (
  source_id INTEGER PRIMARY KEY REFERENCES sources (id),
  state BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS shifts (
  id INTEGER PRIMARY KEY,
  source_id INTEGER NOT NULL REFERENCES sources (id),
  detected_us INTEGER NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (source_id, detected_us)
) STRICT;
"""


@dataclass(slots=True)
class Source:
    """A row of `sources`. `clock_us` is None before the first sample."""

    id: int
    tenant: str
    name: str
    kind: str
    credential: str
    nameplate_w: float
    power_u: float
    power_kind: str
    channels: list[str]
    """In order of appearance, which never changes: segments know a channel by its place here."""
    clock_us: int | None
    samples: int
    shifts: int
    conflicts: int
    open_segment: int | None
    """The segment that small batches are added to."""
    node: ThermalNode | None
    state: bytes | None
    prediction: bytes | None

    def facts(self) -> SourceFacts:
        """What measurements need to know."""
        return SourceFacts(self.kind, self.power_kind, self.power_u, self.nameplate_w, self.node)


COLUMNS = ", ".join(part.name for part in fields(Source))


def source_of(row: Any) -> Source:
    """A row of `sources`, its `COLUMNS`."""
    source = Source(*row)
    source.channels = [*_names(str(source.channels))]
    source.node = _node(str(source.node)) if source.node else None
    return source


@lru_cache(4096)
def _names(channels: str) -> tuple[str, ...]:
    return tuple(json.loads(channels))


@lru_cache(4096)
def _text(channels: tuple[str, ...]) -> str:
    return json.dumps(channels)


@lru_cache(4096)
def _node(node: str) -> ThermalNode:
    return ThermalNode(**json.loads(node))


def find_source(conn: Connection, tenant: str, name: str) -> Source | None:
    """The tenant's source of that name."""
    row = conn.execute(f"SELECT {COLUMNS} FROM sources WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    return source_of(row) if row else None


def source_at(conn: Connection, source_id: int) -> Source:
    """The source of that id."""
    return source_of(conn.execute(f"SELECT {COLUMNS} FROM sources WHERE id = ?", (source_id,)).fetchone())


def open_source(conn: Connection, tenant: str, name: str) -> Source:
    """The tenant's source of that name, made if there is none. Ask `deletion.check_open` first."""
    conn.execute(
        "INSERT INTO sources (tenant, name) VALUES (?, ?) ON CONFLICT (tenant, name) DO NOTHING", (tenant, name)
    )
    source = find_source(conn, tenant, name)
    assert source is not None
    return source


def list_sources(conn: Connection, tenant: str, after: str, limit: int) -> list[Source]:
    """Sources that have sent samples, by name."""
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM sources WHERE tenant = ? AND name > ? AND state IS NOT NULL ORDER BY name LIMIT ?",
        (tenant, after, limit),
    )
    return [source_of(row) for row in rows]


def save_progress(conn: Connection, source: Source) -> None:
    """Write what a batch of samples changes in a source."""
    conn.execute(
        "UPDATE sources SET power_kind=?, channels=?, clock_us=?, samples=?, shifts=?, conflicts=?, open_segment=?, state=?,"
        " prediction=? WHERE id=?",
        (
            source.power_kind,
            _text(tuple(source.channels)),
            source.clock_us,
            source.samples,
            source.shifts,
            source.conflicts,
            source.open_segment,
            source.state,
            source.prediction,
            source.id,
        ),
    )


def detector_state(conn: Connection, source_id: int) -> bytes | None:
    """The detector of a source as it was saved with its newest samples."""
    row = conn.execute("SELECT state FROM detectors WHERE source_id = ?", (source_id,)).fetchone()
    return row[0] if row else None


def save_detector(conn: Connection, source_id: int, state: bytes) -> None:
    """Save a detector, in the transaction of the samples that it has seen."""
    conn.execute(
        "INSERT INTO detectors VALUES (?,?) ON CONFLICT (source_id) DO UPDATE SET state = excluded.state",
        (source_id, state),
    )


def physics_state(conn: Connection, source_id: int) -> bytes | None:
    """The physics branch of a source as it was saved with the newest window that it has seen."""
    row = conn.execute("SELECT state FROM physics WHERE source_id = ?", (source_id,)).fetchone()
    return row[0] if row else None


def save_physics(conn: Connection, source_id: int, state: bytes) -> None:
    """Save a physics branch, in the transaction of the samples that closed its newest window."""
    conn.execute(
        "INSERT INTO physics VALUES (?,?) ON CONFLICT (source_id) DO UPDATE SET state = excluded.state",
        (source_id, state),
    )
