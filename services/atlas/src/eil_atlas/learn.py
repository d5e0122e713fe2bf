"""What the Atlas learns from the regime service's events: samples become states, shifts part them into stretches of one regime.

Each event is handled in the store's writing thread, in the transaction that also records the followed offset, and says what it changes in
the graph. Handling it again changes nothing. Telemetry and shifts may come in any order between them, since regimes follow from what is
known and not from when it came: the stretch before a shift has the name that the shift says was left; the stretch after the last shift
has the name that the telemetry with the highest offset gave, if it spoke of a moment after that shift, else the name that the shift says
was entered. A window belongs to the stretch of its last microsecond.
"""

import bisect
import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import structlog
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import MICROSECONDS, to_us
from eil_mesh.store import Tx
from google.protobuf.message import DecodeError

from eil_atlas import tables
from eil_atlas.changes import END_OF_TIME_US, Change, Place, Shift, StateRow, States, Stretch
from eil_atlas.domain.windows import LONGEST_PERIOD_S, WINDOW_US, window_energies, window_start_us
from eil_atlas.graph import Graph

log = structlog.get_logger("eil.atlas")
TELEMETRY_TOPIC = "eil.sense.telemetry"
SHIFTS_TOPIC = "eil.regime.shifts"
TOPICS = (TELEMETRY_TOPIC, SHIFTS_TOPIC)
POWER = "power_draw"
UTILISATION = "cpu_usage"
ROW, RACK = "row", "rack"
REACH_US = round(3 * LONGEST_PERIOD_S * MICROSECONDS)
"""Farthest that a sample can be joined to its neighbour [µs]."""


class Learner:
    """Handles events. `lateness_s`: windows that a source's clock has passed by more are settled and stand."""

    def __init__(self, graph: Graph, lateness_s: float) -> None:
        self._graph, self._lateness_us = graph, round(lateness_s * MICROSECONDS)

    def handle(self, tx: Tx, event: event_log_pb2.Event) -> None:
        """Learn from one event; what cannot be read is logged and passed over, so that it does not stop what follows it.

        Raises:
            Unavailable: the graph takes no more at present; the event is to be handled again.
        """
        if not event.payload:  # erased since
            return
        try:
            if event.topic == TELEMETRY_TOPIC:
                changes = self._telemetry(tx, event, regime_pb2.TelemetryRecord.FromString(event.payload))
            elif event.topic == SHIFTS_TOPIC:
                changes = _shift(tx, event.tenant, regime_pb2.RegimeShift.FromString(event.payload))
            else:
                return
        except DecodeError:
            log.error("event not understood", offset=event.offset, topic=event.topic)
            return
        if changes:
            self._graph.record(tx, event.tenant, changes)

    def _telemetry(self, tx: Tx, event: event_log_pb2.Event, record: regime_pb2.TelemetryRecord) -> list[Change]:
        source = tables.find_source(tx.conn, event.tenant, record.source)
        before, settled_us = replace(source), self._settled_us(source)
        columns = _columns(record)
        points = [point for point in power_points(record, columns, source) if point[0] >= settled_us]
        fresh = tables.add_power(tx.conn, source, points)
        windows = self._windows(tx, source, record, fresh, settled_us, event.offset)
        if event.offset > source.offset:
            state = record.energy_state
            source.regime, source.regime_us, source.offset = state.regime_id, to_us(state.time), event.offset
        _stand(source, columns)
        source.clock_us = max([source.clock_us, *record.times_us])
        last = tables.shift_before(tx.conn, source, END_OF_TIME_US)
        changes = _renamed(tx, before, source, last)
        if windows:
            changes.append(States(source.name, _state_rows(tx, source, last, windows)))
        if (source.place_row, source.place_rack) != (before.place_row, before.place_rack):
            changes.append(Place(source.name, source.place_row, source.place_rack))
        tables.save_source(tx.conn, source)
        now_settled_us = self._settled_us(source)
        tables.save_windows(tx.conn, source, (w for w in windows if w.start_us >= now_settled_us))
        if now_settled_us > settled_us:
            tables.settle(tx.conn, source, now_settled_us)
        return changes

    def _settled_us(self, source: tables.Source) -> int:
        """Windows that begin before this moment [µs] take no more samples: their neighbours may be forgotten."""
        return max(0, window_start_us(source.clock_us - self._lateness_us))

    def _windows(
        self,
        tx: Tx,
        source: tables.Source,
        record: regime_pb2.TelemetryRecord,
        fresh: list[int],
        settled_us: int,
        offset: int,
    ) -> list[tables.Window]:
        """Every unsettled window that the record has samples in, that its samples close, or that its energy state ends in: as it is now."""
        state = record.energy_state
        described_us, per_k = window_start_us(to_us(state.time)), _entropy_per_k(state)
        sampled = {window_start_us(time_us) for time_us in record.times_us if time_us >= settled_us}
        measured = _energies(tx, source, fresh, settled_us, record.power_kind)
        touched = sorted(sampled | measured.keys() | {described_us})
        known = tables.find_windows(tx.conn, source, touched[0], touched[-1])
        changed: list[tables.Window] = []
        for start_us in touched:
            window = known.get(start_us)
            if window is None:
                if start_us not in measured and start_us not in sampled:
                    continue
                window = tables.Window(start_us, power_method=state.power_method)
            if start_us in measured:
                window.energy_j, window.covered_s = measured[start_us]
            if not window.entropy_per_k:
                window.entropy_per_k = per_k
            if start_us == described_us and offset > window.offset:
                window.entropy_per_k = per_k or window.entropy_per_k
                window.power_method, window.offset = state.power_method, offset
            changed.append(window)
        return changed


def _shift(tx: Tx, tenant: str, shift: regime_pb2.RegimeShift) -> list[Change]:
    """Part the stretch that a shift was detected in; the first shift of a moment stands."""
    source, detected_us = tables.find_source(tx.conn, tenant, shift.source), to_us(shift.detected)
    following = tables.shifts_since(tx.conn, source, detected_us, 1)
    after, before = following[0] if following else None, tables.shift_before(tx.conn, source, detected_us)
    if after and after.detected_us == detected_us:
        return []
    found = tables.FoundShift(
        detected_us, shift.id, to_us(shift.onset), shift.from_regime, shift.to_regime, shift.to_regime
    )
    name = after.from_regime if after else _open_name(source, before)
    found.to_regime = after.from_regime if after else _open_name(source, found)
    start_us = window_start_us(before.detected_us) if before else 0
    middle_us, end_us = window_start_us(detected_us), window_start_us(after.detected_us) if after else END_OF_TIME_US
    tables.save_source(tx.conn, source)
    tables.add_shift(tx.conn, source, found)
    changes: list[Change] = [_put(source, found)]
    if before and before.to_regime != found.from_regime:
        before.to_regime = found.from_regime
        tables.enter_regime(tx.conn, source, before)
        changes.append(_put(source, before))
    if found.from_regime != name and start_us < middle_us:
        changes.append(Stretch(source.name, start_us, middle_us, found.from_regime))
    if found.to_regime != name and middle_us < end_us:
        changes.append(Stretch(source.name, middle_us, end_us, found.to_regime))
    return changes


def _renamed(tx: Tx, before: tables.Source, source: tables.Source, last: tables.FoundShift | None) -> list[Change]:
    """What follows if the newest telemetry gives the open stretch, after the last shift, another name."""
    name = _open_name(source, last)
    if _open_name(before, last) == name:
        return []
    start_us = window_start_us(last.detected_us) if last else 0
    changes: list[Change] = [Stretch(source.name, start_us, END_OF_TIME_US, name)] if before.clock_us else []
    if last:
        last.to_regime = name
        tables.enter_regime(tx.conn, source, last)
        changes.append(_put(source, last))
    return changes


def _open_name(source: tables.Source, last: tables.FoundShift | None) -> str:
    """The name of the stretch after the last shift; of everything, if there is none."""
    if last is None or (source.offset and source.regime_us >= last.detected_us):
        return source.regime
    return last.said_regime


def _put(source: tables.Source, shift: tables.FoundShift) -> Shift:
    return Shift(source.name, shift.detected_us, shift.id, shift.onset_us, shift.from_regime, shift.to_regime)


def _state_rows(
    tx: Tx, source: tables.Source, last: tables.FoundShift | None, windows: list[tables.Window]
) -> list[StateRow]:
    """The states of windows (oldest first), each with the regime of its last microsecond; `last` is the source's last shift."""
    name, since = _open_name(source, last), windows[0].start_us
    parted = tables.shifts_since(tx.conn, source, since) if last and last.detected_us >= since else []
    left = [shift.detected_us for shift in parted]
    names = [*(shift.from_regime for shift in parted), name]
    return [
        StateRow(
            window.start_us,
            window.energy_j,
            window.covered_s,
            window.energy_j * window.entropy_per_k,
            window.power_method,
            names[bisect.bisect_left(left, window.start_us + WINDOW_US)],
        )
        for window in windows
    ]


def _columns(record: regime_pb2.TelemetryRecord) -> dict[str, list[tuple[int, float]]]:
    """(time [µs], value) of each channel's finite values."""
    return {
        column.name: [(t, v) for t, v in zip(record.times_us, column.values, strict=False) if math.isfinite(v)]
        for column in record.columns
    }


def _stand(source: tables.Source, columns: dict[str, list[tuple[int, float]]]) -> None:
    """Note the newest row and rack."""
    row, rack = (max(columns.get(name, ()), key=_time, default=None) for name in (ROW, RACK))
    if row and row[0] > source.row_us:
        source.row_us, source.place_row = row
    if rack and rack[0] > source.rack_us:
        source.rack_us, source.place_rack = rack


def _time(point: tuple[int, float]) -> int:
    return point[0]


def power_points(
    record: regime_pb2.TelemetryRecord, columns: dict[str, list[tuple[int, float]]], source: tables.Source
) -> list[tuple[int, float]]:
    """Power samples (time [µs], power [W]) of a record; notes on the source whether it sends power.

    Where the source never sent power, the regime service models it as P = P_max·(0.5 + 0.5u) from utilisation u; the record then states
    the newest power alone, and the other rows follow from the ratio of their utilisations.
    """
    if power := columns.get(POWER):
        source.sends_power = True
        return power
    used, state = columns.get(UTILISATION), record.energy_state
    newest = dict(used or ()).get(to_us(state.time))
    if source.sends_power or not used or newest is None or not state.power_method:
        return []
    return [(time_us, state.power * (1 + u) / (1 + newest)) for time_us, u in used]


def _entropy_per_k(state: regime_pb2.EnergyState) -> float:
    """S/E of an energy state [1/K]: exactly 1/T_amb by the method ambient_ratio, first order in the window by thermal_node."""
    return state.entropy / state.total_energy if state.total_energy > 0 else 0.0


def _energies(
    tx: Tx, source: tables.Source, fresh: Iterable[int], settled_us: int, power_kind: str
) -> dict[int, tuple[float, float]]:
    """Energy [J] and covered time [s] of every window that new samples touch and that anything covers, by the window's begin [µs]."""
    times = np.fromiter(fresh, dtype=np.int64)
    if times.size == 0:
        return {}
    low_us, high_us = int(times.min()), int(times.max())
    before_us, after_us = tables.neighbours_us(tx.conn, source, low_us, high_us)
    first_us = window_start_us(max(before_us, low_us - REACH_US, settled_us))
    end_us = window_start_us(min(after_us, high_us + REACH_US)) + WINDOW_US
    times_us, power_w = tables.power_around(tx.conn, source, first_us, end_us)
    windows = (end_us - first_us) // WINDOW_US
    kind = "mean" if power_kind == "mean" else "instant"
    found = window_energies(times_us, power_w, first_us, windows, kind)
    covered = np.flatnonzero(found.covered_s > 0)
    figures = zip(found.energy_j[covered].tolist(), found.covered_s[covered].tolist(), strict=True)
    return dict(zip((first_us + covered * WINDOW_US).tolist(), figures, strict=True))
