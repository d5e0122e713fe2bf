"""What the Atlas learns from the regime service's journal: samples become states, shifts are linked to them.

Each event is handled in the store's writing thread, in the transaction that also records the followed offset. Handling it again changes
nothing: samples, states and shifts are keyed by what they are about, and of two entries about one state the later stands.
"""

import bisect
import math
from collections.abc import Callable

import structlog
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh import erasure
from eil_mesh.clock import MICROSECONDS, to_us
from eil_mesh.store import Tx
from google.protobuf.message import DecodeError

from eil_atlas import tables
from eil_atlas.domain.windows import LONGEST_PERIOD_S, WINDOW_US, window_energies, window_start_us

log = structlog.get_logger("eil.atlas")
TELEMETRY_TOPIC = "eil.sense.telemetry"
SHIFTS_TOPIC = "eil.regime.shifts"
TOPICS = (TELEMETRY_TOPIC, SHIFTS_TOPIC, erasure.TOPIC)
POWER = "power_draw"
UTILISATION = "cpu_usage"
REACH_US = round(3 * LONGEST_PERIOD_S * MICROSECONDS)
"""Farthest that a sample can be joined to its neighbour [µs]."""


class Learner:
    """Handles events. `lateness_s`: windows that a source's clock has passed by more are settled and stand."""

    def __init__(self, lateness_s: float) -> None:
        self._lateness_us = round(lateness_s * MICROSECONDS)

    def handle(self, tx: Tx, event: event_log_pb2.Event) -> None:
        """Learn from one event; what cannot be read is logged and passed over, so that it does not stop what follows it."""
        if event.topic == erasure.TOPIC:
            erasure.erasing("power", "states", "shifts")(tx, event)
            tables.forget_source(tx.conn, event.tenant, event.key)
            return
        if not event.payload:  # erased since
            return
        try:
            if event.topic == TELEMETRY_TOPIC:
                self._telemetry(tx, event, regime_pb2.TelemetryRecord.FromString(event.payload))
            elif event.topic == SHIFTS_TOPIC:
                self._shift(tx, event, regime_pb2.RegimeShift.FromString(event.payload))
        except DecodeError:
            log.error("event not understood", offset=event.offset, topic=event.topic)

    def _shift(self, tx: Tx, event: event_log_pb2.Event, shift: regime_pb2.RegimeShift) -> None:
        # The shift stands in the journal before the samples it was found in: the state it was detected in is the one they will make.
        source = tables.find_source(tx.conn, event.tenant, shift.source)
        detected_us = to_us(shift.detected)
        _follow_regime(tx, source, shift.from_regime, detected_us - 1, event.offset)
        onset_us = to_us(shift.onset)
        tables.add_shift(tx.conn, source, detected_us, shift.id, onset_us, shift.from_regime, shift.to_regime)
        tables.save_source(tx.conn, source)

    def _telemetry(self, tx: Tx, event: event_log_pb2.Event, record: regime_pb2.TelemetryRecord) -> None:
        source = tables.find_source(tx.conn, event.tenant, record.source)
        settled_us = self._settled_us(source)
        points = power_points(record, source)
        fresh = tables.add_power(tx.conn, source, [point for point in points if point[0] >= settled_us])
        self._add_states(tx, source, record, fresh, settled_us)
        state, state_us = record.energy_state, to_us(record.energy_state.time)
        tables.describe_state(
            tx.conn,
            source,
            window_start_us(state_us),
            _entropy_per_k(state),
            state.power_method,
            state.regime_id,
            event.offset,
        )
        _follow_regime(tx, source, state.regime_id, state_us, event.offset)
        source.clock_us = max([source.clock_us, *record.times_us])
        tables.save_source(tx.conn, source)
        if (now_settled_us := self._settled_us(source)) > settled_us:
            tables.drop_power(tx.conn, source, now_settled_us)

    def _settled_us(self, source: tables.Source) -> int:
        """Windows that begin before this moment [µs] take no more samples: their neighbours may be forgotten."""
        return max(0, window_start_us(source.clock_us - self._lateness_us))

    def _add_states(
        self, tx: Tx, source: tables.Source, record: regime_pb2.TelemetryRecord, fresh: list[int], settled_us: int
    ) -> None:
        """Make or mend the states of every window that the record has samples in, or that its samples close."""
        state = record.energy_state
        sampled = {window_start_us(time_us) for time_us in record.times_us if time_us >= settled_us}
        energies = _energies(tx, source, fresh, settled_us, record.power_kind)
        measured = {start_us: figures for start_us, figures in energies.items() if figures[1] > 0}
        if not (starts := sampled | measured.keys()):
            return
        regime_at = _regimes(tx, source, min(starts), state.regime_id)

        def described(start_us: int) -> tables.State:
            energy_j, covered_s = measured.get(start_us, (0.0, 0.0))
            regime = regime_at(start_us + WINDOW_US)
            return tables.State(start_us, energy_j, covered_s, _entropy_per_k(state), state.power_method, regime)

        tables.add_states(tx.conn, source, map(described, sorted(measured)), measured=True)
        tables.add_states(tx.conn, source, map(described, sorted(sampled - measured.keys())), measured=False)


def power_points(record: regime_pb2.TelemetryRecord, source: tables.Source) -> list[tuple[int, float]]:
    """Power samples (time [µs], power [W]) of a record; notes on the source whether it sends power.

    Where the source never sent power, the regime service models it as P = P_max·(0.5 + 0.5u) from utilisation u; the record then states
    the newest power alone, and the other rows follow from the ratio of their utilisations.
    """
    columns = {
        column.name: [(t, v) for t, v in zip(record.times_us, column.values, strict=False) if math.isfinite(v)]
        for column in record.columns
    }
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
    tx: Tx, source: tables.Source, fresh: list[int], settled_us: int, power_kind: str
) -> dict[int, tuple[float, float]]:
    """Energy [J] and covered time [s] of every window that new samples touch, by the window's begin [µs]."""
    if not fresh:
        return {}
    before_us, after_us = tables.neighbours_us(tx.conn, source, min(fresh), max(fresh))
    first_us = window_start_us(max(before_us, min(fresh) - REACH_US, settled_us))
    end_us = window_start_us(min(after_us, max(fresh) + REACH_US)) + WINDOW_US
    times_us, power_w = tables.power_around(tx.conn, source, first_us, end_us)
    windows = (end_us - first_us) // WINDOW_US
    kind = "mean" if power_kind == "mean" else "instant"
    found = window_energies(times_us, power_w, first_us, windows, kind)
    figures = zip(found.energy_j.tolist(), found.covered_s.tolist(), strict=True)
    return {first_us + i * WINDOW_US: pair for i, pair in enumerate(figures)}


def _regimes(tx: Tx, source: tables.Source, since_us: int, newest: str) -> Callable[[int], str]:
    """What regime a moment [µs] belongs to: the one that the next shift left, else the newest."""
    left = tables.regimes_left(tx.conn, source, since_us)

    def regime_at(time_us: int) -> str:
        following = bisect.bisect_left(left, (time_us, ""))
        return left[following][1] if following < len(left) else newest

    return regime_at


def _follow_regime(tx: Tx, source: tables.Source, regime: str, time_us: int, offset: int) -> None:
    """Note the regime that the newest entry names for a moment [µs]. A name that changes without a shift was provisional: all since the
    last shift was of that regime."""
    if offset <= source.offset:
        return
    entered_us = tables.enter_regime(tx.conn, source, time_us, regime)
    if regime != source.regime and entered_us <= source.regime_us:
        tables.rename_regime(tx.conn, source, window_start_us(entered_us), source.regime, regime)
    source.regime, source.regime_us, source.offset = regime, time_us, offset
