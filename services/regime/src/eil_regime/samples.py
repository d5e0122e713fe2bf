"""Tables of the regime service: sources, samples, shifts, thermal nodes."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from eil_mesh.clock import MICROSECONDS
from eil_physics import ThermalNode

from eil_regime.domain.measurement import Series, SourceFacts

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
  detector BLOB,
  node TEXT,
  state BLOB,
  prediction BLOB,
  UNIQUE (tenant, name)
) STRICT;
CREATE TABLE IF NOT EXISTS samples (
  source_id INTEGER NOT NULL REFERENCES sources (id),
  channel TEXT NOT NULL,
  time_us INTEGER NOT NULL,
  value REAL NOT NULL,
  received_us INTEGER NOT NULL,
  own INTEGER NOT NULL,
  PRIMARY KEY (source_id, channel, time_us)
) STRICT, WITHOUT ROWID;
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
    clock_us: int | None
    samples: int
    shifts: int
    conflicts: int
    detector: bytes | None
    node: ThermalNode | None
    state: bytes | None
    prediction: bytes | None

    def facts(self) -> SourceFacts:
        """What measurements need to know."""
        return SourceFacts(self.kind, self.power_kind, self.power_u, self.nameplate_w, self.node)


def source_of(row: sqlite3.Row) -> Source:
    fields = dict(row)
    fields["channels"] = json.loads(fields["channels"])
    fields["node"] = ThermalNode(**json.loads(fields["node"])) if fields["node"] else None
    return Source(**fields)


def find_source(conn: sqlite3.Connection, tenant: str, name: str) -> Source | None:
    """The tenant's source of that name."""
    row = conn.execute("SELECT * FROM sources WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    return source_of(row) if row else None


def open_source(conn: sqlite3.Connection, tenant: str, name: str) -> Source:
    """The tenant's source of that name, made if there is none."""
    conn.execute("INSERT INTO sources (tenant, name) VALUES (?, ?) ON CONFLICT DO NOTHING", (tenant, name))
    source = find_source(conn, tenant, name)
    assert source is not None
    return source


def list_sources(conn: sqlite3.Connection, tenant: str, after: str, limit: int) -> list[Source]:
    """Sources that have sent samples, by name."""
    rows = conn.execute(
        "SELECT * FROM sources WHERE tenant = ? AND name > ? AND state IS NOT NULL ORDER BY name LIMIT ?",
        (tenant, after, limit),
    )
    return [source_of(row) for row in rows]


def save_progress(conn: sqlite3.Connection, source: Source) -> None:
    """Write what a batch of samples changes in a source."""
    conn.execute(
        "UPDATE sources SET power_kind=?, channels=?, clock_us=?, samples=?, shifts=?, conflicts=?, detector=?, state=?, prediction=?"
        " WHERE id=?",
        (
            source.power_kind,
            json.dumps(source.channels),
            source.clock_us,
            source.samples,
            source.shifts,
            source.conflicts,
            source.detector,
            source.state,
            source.prediction,
            source.id,
        ),
    )


def window(
    conn: sqlite3.Connection,
    source: Source,
    channels: Iterable[str],
    start_us: int,
    end_us: int,
    *,
    received_after_us: int = 0,
    before: int = 32,
) -> dict[str, Series]:
    """Samples of a window and its neighbours: up to `before` earlier ones (they tell the sample period) and one later.

    With `received_after_us`, samples inside the window count only if they were received after it; earlier neighbours always do.
    """
    found: dict[str, Series] = {}
    for channel in channels:
        key = (source.id, channel)
        earlier = conn.execute(
            "SELECT time_us, value FROM samples WHERE source_id=? AND channel=? AND time_us<=? ORDER BY time_us DESC LIMIT ?",
            (*key, start_us, before),
        ).fetchall()[::-1]
        inside = conn.execute(
            "SELECT time_us, value FROM samples WHERE source_id=? AND channel=? AND time_us>? AND time_us<=? AND received_us>?"
            " ORDER BY time_us",
            (*key, start_us, end_us, received_after_us),
        ).fetchall()
        later = conn.execute(
            "SELECT time_us, value FROM samples WHERE source_id=? AND channel=? AND time_us>? ORDER BY time_us LIMIT 1",
            (*key, end_us),
        ).fetchall()
        rows = earlier + inside + later
        if rows:
            table = np.array([(row[0] / MICROSECONDS, row[1]) for row in rows], dtype=np.float64)
            # A sample left out must not make its neighbours look further apart: then a gap would be bridged.
            period_s = _period_s(conn, key, end_us, before) if received_after_us else None
            found[channel] = Series(table[:, 0], table[:, 1], period_s)
    return found


def _period_s(conn: sqlite3.Connection, key: tuple[int, str], end_us: int, count: int) -> float | None:
    """Median spacing [s] of a channel's newest samples up to `end_us`, whenever they were received."""
    times = conn.execute(
        "SELECT time_us FROM samples WHERE source_id=? AND channel=? AND time_us<=? ORDER BY time_us DESC LIMIT ?",
        (*key, end_us, count),
    ).fetchall()
    return float(-np.median(np.diff([row[0] for row in times]))) / MICROSECONDS if len(times) > 1 else None


def provenance(
    conn: sqlite3.Connection, source: Source, channel: str, start_us: int, end_us: int, received_after_us: int
) -> tuple[bool, float]:
    """Whether every sample of a window came from the source's own credential, and the largest |receipt − timestamp| [s]."""
    row = conn.execute(
        "SELECT min(own), max(abs(received_us - time_us)) FROM samples"
        " WHERE source_id=? AND channel=? AND time_us>? AND time_us<=? AND received_us>?",
        (source.id, channel, start_us, end_us, received_after_us),
    ).fetchone()
    return (False, 0.0) if row[0] is None else (bool(row[0]), row[1] / MICROSECONDS)


def newest_rows(conn: sqlite3.Connection, source: Source, rows: int) -> tuple[list[int], dict[str, list[float]]]:
    """The newest timestamps [µs], oldest first, and every channel's value at each, NaN where missing."""
    times: set[int] = set()
    values: dict[str, dict[int, float]] = {}
    for channel in source.channels:
        values[channel] = dict(
            conn.execute(
                "SELECT time_us, value FROM samples WHERE source_id=? AND channel=? ORDER BY time_us DESC LIMIT ?",
                (source.id, channel, rows),
            ).fetchall()
        )
        times.update(values[channel])
    kept = sorted(times)[-rows:]
    nan = float("nan")
    return kept, {channel: [known.get(time, nan) for time in kept] for channel, known in values.items()}
