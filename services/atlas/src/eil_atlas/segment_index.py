"""The index of telemetry segments: a row for each, from which a read, a checksum and a standardisation know what to expect."""

import json
from dataclasses import dataclass

import numpy as np
from eil.atlas.v1 import archive_pb2
from eil_mesh.clock import from_us
from eil_mesh.store import Connection, Tx

from eil_atlas.domain.content import Content, content_of
from eil_atlas.domain.segments import Samples, Segment

SCHEMA = """
CREATE TABLE IF NOT EXISTS segments (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  hour_us INTEGER NOT NULL,
  through INTEGER NOT NULL,
  first_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  "rows" INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  channels TEXT NOT NULL,
  digest TEXT NOT NULL,
  size INTEGER NOT NULL,
  version INTEGER NOT NULL,
  content TEXT NOT NULL,
  own INTEGER NOT NULL,
  PRIMARY KEY (tenant, source, hour_us, through)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS segments_by_digest ON segments (tenant, digest);
CREATE INDEX IF NOT EXISTS segments_by_age ON segments (last_us);
"""
"""`through`: offset in the regime service's journal of the last record of this hour that it or a segment before it has."""
MEDIA_TYPE = "application/vnd.apache.parquet"
COLUMNS = 'tenant, source, hour_us, through, first_us, last_us, "rows", samples, channels, digest, size, version, content, own'


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment as the index has it. Times [µs]."""

    tenant: str
    source: str
    hour_us: int
    through: int
    first_us: int
    last_us: int
    rows: int
    samples: int
    channels: str
    """JSON: count, least, greatest, mean and population standard deviation by name; null where a figure is not finite."""
    digest: str
    size: int
    version: int
    content_digest: str
    own_credential: int
    """1 if every sample came from the credential that the source was enrolled with, else 0."""

    @property
    def content(self) -> Content:
        """Count and digest of its samples."""
        return Content.parse(self.samples, self.content_digest)

    @property
    def names(self) -> frozenset[str]:
        """Its channels."""
        return frozenset(json.loads(self.channels))

    def message(self) -> archive_pb2.SegmentInfo:
        """What is told of it."""
        return archive_pb2.SegmentInfo(
            source=self.source,
            hour=from_us(self.hour_us),
            first=from_us(self.first_us),
            last=from_us(self.last_us),
            rows=self.rows,
            samples=self.samples,
            channels=[
                archive_pb2.SegmentChannel(
                    name=name, count=figures[0], **dict(zip(FIGURES, map(_float, figures[1:]), strict=True))
                )
                for name, figures in json.loads(self.channels).items()
            ],
            digest=self.digest,
            size=self.size,
            version=self.version,
            content=self.content_digest,
            own_credential=bool(self.own_credential),
        )


FIGURES = ("least", "greatest", "mean", "deviation")


def _float(figure: float | None) -> float:
    return float("nan") if figure is None else figure


def entry(
    tenant: str, source: str, hour_us: int, through: int, samples: Samples, segment: Segment, own_credential: bool
) -> Entry:
    """What the index will have of a segment."""
    channels: dict[str, list[float | None]] = {}
    for name, summary in segment.summary.channels.items():
        values = samples.channels[name]
        with np.errstate(over="ignore", invalid="ignore"):
            figures = (summary.least, summary.greatest, float(np.nanmean(values)), float(np.nanstd(values)))
        channels[name] = [summary.count, *(figure if np.isfinite(figure) else None for figure in figures)]
    about, content = segment.summary, content_of(samples)
    return Entry(
        tenant,
        source,
        hour_us,
        through,
        about.first_us,
        about.last_us,
        about.rows,
        content.samples,
        json.dumps(channels, separators=(",", ":")),
        about.sha256,
        len(segment.content),
        about.version,
        content.digest,
        int(own_credential),
    )


def add(tx: Tx, new: Entry) -> None:
    """Put a segment into the index."""
    tx.conn.execute(
        f"INSERT INTO segments ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            new.tenant,
            new.source,
            new.hour_us,
            new.through,
            new.first_us,
            new.last_us,
            new.rows,
            new.samples,
            new.channels,
            new.digest,
            new.size,
            new.version,
            new.content_digest,
            new.own_credential,
        ),
    )


def through(conn: Connection, tenant: str, source: str, hour_us: int) -> int:
    """Up to where in the journal segments have the records of an hour; 0 if there are none."""
    return conn.execute(
        "SELECT coalesce(max(through), 0) FROM segments WHERE tenant = ? AND source = ? AND hour_us = ?",
        (tenant, source, hour_us),
    ).fetchone()[0]


def of_hour(conn: Connection, tenant: str, source: str, hour_us: int) -> list[Entry]:
    """The segments of an hour in order of arrival."""
    return _entries(conn, "WHERE tenant = ? AND source = ? AND hour_us = ? ORDER BY through", (tenant, source, hour_us))


def of_source(conn: Connection, tenant: str, source: str) -> list[Entry]:
    """All segments of a source."""
    return _entries(conn, "WHERE tenant = ? AND source = ?", (tenant, source))


def page(
    conn: Connection,
    tenant: str,
    source: str,
    span_us: tuple[int, int],
    after: tuple[str, int, int],
    size: int,
) -> list[Entry]:
    """Segments by source, hour and arrival behind a place; of one source, or of all (""); with samples in a span [µs]."""
    source_is, values = ("AND source = ?", [source]) if source else ("", [])
    return _entries(
        conn,
        f"WHERE tenant = ? {source_is} AND last_us >= ? AND first_us < ? AND (source, hour_us, through) > (?,?,?)"
        " ORDER BY source, hour_us, through LIMIT ?",
        (tenant, *values, *span_us, *after, size),
    )


def older(conn: Connection, before_us: int, limit: int) -> list[Entry]:
    """Segments whose last sample lies before a moment [µs], some of them."""
    return _entries(conn, "WHERE last_us < ? ORDER BY last_us LIMIT ?", (before_us, limit))


def named(conn: Connection, tenant: str, digest: str) -> bool:
    """Whether the index names an object."""
    query = "SELECT 1 FROM segments WHERE tenant = ? AND digest = ? LIMIT 1"
    return conn.execute(query, (tenant, digest)).fetchone() is not None


def drop(tx: Tx, old: Entry) -> None:
    """Take a segment out of the index."""
    tx.conn.execute(
        "DELETE FROM segments WHERE tenant = ? AND source = ? AND hour_us = ? AND through = ?",
        (old.tenant, old.source, old.hour_us, old.through),
    )


def _entries(conn: Connection, where: str, values: tuple[object, ...]) -> list[Entry]:
    return [Entry(*row) for row in conn.execute(f"SELECT {COLUMNS} FROM segments {where}", values)]
