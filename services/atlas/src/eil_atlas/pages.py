"""Records of telemetry that arrive together, joined source by source: what is learned of each by itself is learned of them at once.

To the bit, since what is learned is compared with what a second reading of the journal learns record by record. So only those are joined
that change nothing but one window and see nothing but its samples: records of one source, with the same channels and power sent in the
same way, each newer than all before it and in the window of the one before. The first goes by itself: it may reach into windows before.
"""

import math
from collections.abc import Iterator, Sequence

from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import to_us
from google.protobuf.message import DecodeError

from eil_atlas.domain.windows import window_start_us
from eil_atlas.learn import POWER, TELEMETRY_TOPIC

MOST_ROWS = 10_000
"""Rows of a joined record."""


def joined(events: Sequence[event_log_pb2.Event]) -> Iterator[event_log_pb2.Event]:
    """The same events with some made one, whose offset is the last's. Those of one source keep their order."""
    runs: dict[tuple[str, str], _Run] = {}
    for event in events:
        key = (event.tenant, event.key)
        record, run = _record(event), runs.get(key)
        if run is not None and record is not None and run.takes(record):
            run.add(event, record)
            continue
        if run is not None:
            yield from runs.pop(key).events()
        yield event
        if record is not None:
            runs[key] = _Run(record)
    for run in runs.values():
        yield from run.events()


class _Run:
    """Records of one source that follow a first one."""

    def __init__(self, first: regime_pb2.TelemetryRecord) -> None:
        self._channels, self._power_kind = _channels(first), first.power_kind
        self._newest_us = first.times_us[-1]
        self._rows: regime_pb2.TelemetryRecord | None = None
        self._last: event_log_pb2.Event | None = None

    def takes(self, record: regime_pb2.TelemetryRecord) -> bool:
        """Whether this record changes nothing but the window of those before it."""
        rows = len(self._rows.times_us) if self._rows else 0
        return (
            min(record.times_us) > self._newest_us
            and window_start_us(record.times_us[-1]) == window_start_us(self._newest_us)
            and record.power_kind == self._power_kind
            and rows + len(record.times_us) <= MOST_ROWS
            and _channels(record) == self._channels
        )

    def add(self, event: event_log_pb2.Event, record: regime_pb2.TelemetryRecord) -> None:
        self._newest_us = record.times_us[-1]
        self._last = event
        if self._rows is None:
            self._rows = record
            return
        self._rows.times_us.extend(record.times_us)
        for mine, other in zip(self._rows.columns, record.columns, strict=True):
            mine.values.extend(other.values)
        self._rows.energy_state.CopyFrom(record.energy_state)

    def events(self) -> Iterator[event_log_pb2.Event]:
        """What they are together, without the first."""
        last = self._last
        if last is None or self._rows is None:
            return
        yield event_log_pb2.Event(
            offset=last.offset,
            time=last.time,
            tenant=last.tenant,
            topic=last.topic,
            key=last.key,
            payload=self._rows.SerializeToString(),
        )


def _channels(record: regime_pb2.TelemetryRecord) -> list[str]:
    return [column.name for column in record.columns]


def _record(event: event_log_pb2.Event) -> regime_pb2.TelemetryRecord | None:
    """The record of an event, if it may be joined.

    Its last sample is its source's newest, with power measured; and its entropy is known, so that a later record's describes the window.
    """
    if event.topic != TELEMETRY_TOPIC or not event.payload:
        return None
    try:
        record = regime_pb2.TelemetryRecord.FromString(event.payload)
    except DecodeError:
        return None
    state, rows = record.energy_state, len(record.times_us)
    newest = rows > 0 and record.times_us[-1] == to_us(state.time)
    sound = newest and all(len(column.values) == rows for column in record.columns)
    measured = sound and any(column.name == POWER and math.isfinite(column.values[-1]) for column in record.columns)
    return record if measured and state.total_energy > 0 and state.entropy else None
