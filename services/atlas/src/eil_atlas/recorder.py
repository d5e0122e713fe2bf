"""What arrives: every record of telemetry is kept, by hour of its samples' times, until the cutter made a segment of it.

A record that spans hours is divided. Each part is keyed by its place in the regime service's journal: what arrives again, even after it
was cut, changes nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import structlog
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh.store import Connection, Tx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from eil_atlas import segment_index
from eil_atlas.domain.content import HOUR_US, Content, by_hour, content_of, merge
from eil_atlas.domain.segments import Samples

log = structlog.get_logger("eil.atlas")
SCHEMA = """
CREATE TABLE IF NOT EXISTS arrivals (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  hour_us INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  cells INTEGER NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (tenant, source, hour_us, "offset")
) STRICT;
CREATE TABLE IF NOT EXISTS open_hours (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  hour_us INTEGER NOT NULL,
  cells INTEGER NOT NULL,
  since_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, source, hour_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recorded (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  clock_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""
"""Arrivals as TelemetryRecords; the hours that have any, with when the first of them came; every source's clock. A cell is a value or its
absence in a row."""
TELEMETRY_TOPIC = "eil.sense.telemetry"


@dataclass(frozen=True, slots=True, order=True)
class Hour:
    """An hour of a source."""

    tenant: str
    source: str
    begin_us: int


@dataclass(frozen=True, slots=True)
class Told:
    """Samples, and whether every one of them came from the credential that its source was enrolled with."""

    samples: Samples
    own_credential: bool


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Records of an hour in order of arrival, each with its place in the journal."""

    offsets: list[int]
    payloads: list[bytes]

    @property
    def through(self) -> int:
        """Place of the last; 0 without any."""
        return self.offsets[-1] if self.offsets else 0

    def after(self, through: int) -> "Arrivals":
        """Those behind a place in the journal."""
        first = bisect_right(self.offsets, through)
        return Arrivals(self.offsets[first:], self.payloads[first:])

    def read(self) -> Told:
        """What they hold, in order of time; of two for one moment the first stands."""
        records = [regime_pb2.TelemetryRecord.FromString(payload) for payload in self.payloads]
        return Told(merge(map(_columns, records)), all(told.own_credential for told in records))


def record(tx: Tx, event: event_log_pb2.Event) -> None:
    """Keep an event of the regime service's journal, if it is telemetry; what cannot be read is logged and passed over."""
    if event.topic != TELEMETRY_TOPIC or not event.payload:  # erased since
        return
    try:
        told = regime_pb2.TelemetryRecord.FromString(event.payload)
    except DecodeError:
        log.error("event not understood", offset=event.offset, topic=event.topic)
        return
    times = np.array(told.times_us, np.int64)
    if any(len(column.values) != times.size for column in told.columns):
        log.error("columns of unequal length", offset=event.offset, topic=event.topic)
        return
    hours = by_hour(times)
    for begin_us, rows in hours.items():
        payload = event.payload if len(hours) == 1 else _part(told, rows).SerializeToString()
        _keep(tx, Hour(event.tenant, told.source, begin_us), event.offset, rows.size * len(told.columns), payload)
    if times.size:
        _tick(tx, event.tenant, told.source, int(times.max()))


def put_back(tx: Tx, hour: Hour, arrived: Arrivals, clock_us: int) -> None:
    """Keep records of an hour that were lost, at their places in the journal; the source's clock [µs] goes on if it was lost, too."""
    for offset, payload in zip(arrived.offsets, arrived.payloads, strict=True):
        told = regime_pb2.TelemetryRecord.FromString(payload)
        _keep(tx, hour, offset, len(told.times_us) * len(told.columns), payload)
    _tick(tx, hour.tenant, hour.source, clock_us)


def _tick(tx: Tx, tenant: str, source: str, clock_us: int) -> None:
    tx.conn.execute(
        "INSERT INTO recorded VALUES (?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET clock_us ="
        " CASE WHEN excluded.clock_us > recorded.clock_us THEN excluded.clock_us ELSE recorded.clock_us END",
        (tenant, source, clock_us),
    )


def _part(told: regime_pb2.TelemetryRecord, rows: NDArray[np.intp]) -> regime_pb2.TelemetryRecord:
    """Some rows of a record."""
    places = rows.tolist()
    part = regime_pb2.TelemetryRecord(
        source=told.source, power_kind=told.power_kind, own_credential=told.own_credential
    )
    part.times_us.extend(told.times_us[place] for place in places)
    for column in told.columns:
        values = column.values
        part.columns.add(name=column.name, values=[values[place] for place in places])
    return part


def _keep(tx: Tx, hour: Hour, offset: int, cells: int, payload: bytes) -> None:
    key = (hour.tenant, hour.source, hour.begin_us)
    if offset <= segment_index.through(tx.conn, *key):
        return
    kept = tx.conn.execute(
        'INSERT INTO arrivals VALUES (?,?,?,?,?,?) ON CONFLICT (tenant, source, hour_us, "offset") DO NOTHING',
        (*key, offset, cells, payload),
    ).rowcount
    if kept:
        tx.conn.execute(
            "INSERT INTO open_hours VALUES (?,?,?,?,?) ON CONFLICT (tenant, source, hour_us)"
            " DO UPDATE SET cells = open_hours.cells + excluded.cells",
            (*key, cells, tx.now_us),
        )


def _columns(told: regime_pb2.TelemetryRecord) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    columns = {column.name: np.array(column.values, np.float64) for column in told.columns}
    return np.array(told.times_us, np.int64), columns


def content_of_records(records: Iterable[regime_pb2.TelemetryRecord]) -> dict[int, Content]:
    """Count and digest by hour [µs] of one source's records in the journal's order: what the archive must hold of them."""
    samples = merge(map(_columns, records))
    return {
        begin_us: content_of(
            Samples(samples.times_us[rows], {name: values[rows] for name, values in samples.channels.items()})
        )
        for begin_us, rows in by_hour(samples.times_us).items()
    }


def waiting(conn: Connection, hour: Hour, most_cells: int | None = None) -> Arrivals:
    """The records of an hour, or the first of them: until they have `most_cells`, one at least."""
    offsets: list[int] = []
    payloads: list[bytes] = []
    cells = 0
    rows = conn.execute(
        'SELECT "offset", cells, payload FROM arrivals WHERE tenant = ? AND source = ? AND hour_us = ? ORDER BY "offset"',
        (hour.tenant, hour.source, hour.begin_us),
    )
    for row in rows:
        if most_cells is not None and payloads and cells + row[1] > most_cells:
            break
        cells += row[1]
        offsets.append(row[0])
        payloads.append(row[2])
    return Arrivals(offsets, payloads)


def due(conn: Connection, lateness_us: int, most_cells: int, older_than_us: int, limit: int) -> list[Hour]:
    """Hours to cut, those that wait longest first: the source's clock has passed them by the lateness, they have grown over
    `most_cells`, or what waits came before `older_than_us`."""
    rows = conn.execute(
        "SELECT o.tenant, o.source, o.hour_us FROM open_hours o JOIN recorded r ON r.tenant = o.tenant AND r.source = o.source"
        " WHERE o.hour_us + ? <= r.clock_us OR o.cells >= ? OR o.since_us <= ? ORDER BY o.since_us, o.hour_us LIMIT ?",
        (HOUR_US + lateness_us, most_cells, older_than_us, limit),
    )
    return [Hour(*row) for row in rows]


def forget(tx: Tx, hour: Hour, through: int) -> None:
    """Drop the records of an hour up to a place in the journal: a segment has them."""
    key = (hour.tenant, hour.source, hour.begin_us)
    where = "WHERE tenant = ? AND source = ? AND hour_us = ?"
    tx.conn.execute(f'DELETE FROM arrivals {where} AND "offset" <= ?', (*key, through))
    left = tx.conn.execute(f"SELECT coalesce(sum(cells), 0), count(*) FROM arrivals {where}", key).fetchone()
    if left[1]:
        tx.conn.execute(f"UPDATE open_hours SET cells = ?, since_us = ? {where}", (left[0], tx.now_us, *key))
    else:
        tx.conn.execute(f"DELETE FROM open_hours {where}", key)


def forget_source(conn: Connection, tenant: str, source: str) -> None:
    """Drop everything that arrived of a source and is not cut yet."""
    for table in ("arrivals", "open_hours", "recorded"):
        conn.execute(f"DELETE FROM {table} WHERE tenant = ? AND source = ?", (tenant, source))
