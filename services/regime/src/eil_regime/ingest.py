"""A batch of rows becomes samples, a regime verdict, an energy state and journal entries, all in one transaction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eil.regime.v1 import regime_pb2
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, from_us, iso
from eil_mesh.store import Tx

from eil_regime import samples
from eil_regime.domain.bounds import AMBIENT, BOUNDS, POWER, TEMPERATURE, UTILISATION, violation
from eil_regime.domain.detector import Detector
from eil_regime.domain.measurement import measure
from eil_regime.domain.verdict import Shift, Verdict

TELEMETRY_TOPIC = "eil.sense.telemetry"
SHIFTS_TOPIC = "eil.regime.shifts"
STATE_CHANNELS = (POWER, TEMPERATURE, AMBIENT, UTILISATION)
MAX_CHANNELS = 256
"""Channels of one source; rows that would add more are refused."""
REMEMBERED_DETECTORS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What timestamps are accepted, and the accounting window; all in seconds."""

    window_s: float
    future_s: float
    lateness_s: float
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of telemetry; channels without a value are left out."""

    time_us: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was not stored. `out_of_range` is about its time, otherwise its values are at fault."""

    row: int
    reason: str
    message: str
    out_of_range: bool
    violations: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    shifts: list[regime_pb2.RegimeShift] = field(default_factory=list)
    state: regime_pb2.EnergyState = field(default_factory=regime_pb2.EnergyState)
    prediction: regime_pb2.RegimePrediction = field(default_factory=regime_pb2.RegimePrediction)


class Ingest:
    """Takes batches inside the store's writing thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._detectors: dict[int, tuple[int, Detector]] = {}
        """Detector of each source with the number of samples it stands at: a transaction undone leaves a number that does not fit."""

    def take(self, tx: Tx, tenant: str, name: str, rows: Sequence[Row], power_kind: str, sender: str) -> Outcome:
        """Store the rows that are good and say what became of each."""
        outcome = Outcome()
        known = samples.find_source(tx.conn, tenant, name)
        good = self._good_rows(tx, known, rows, outcome)
        if not good:
            return outcome
        source = known or samples.open_source(tx.conn, tenant, name)
        detector = self._detector(source)
        own = source.kind != "metered" or source.credential == sender
        fresh = [row for row in good if self._store(tx, source, row, own, outcome)]
        if not fresh and source.state is not None:
            outcome.state.ParseFromString(source.state)
            outcome.prediction.ParseFromString(source.prediction or b"")
            samples.save_progress(tx.conn, source)
            return outcome
        source.power_kind = power_kind
        ahead = sorted((row for row in fresh if row.time_us > (source.clock_us or 0)), key=lambda row: row.time_us)
        verdict = detector.verdict
        for row in ahead:
            verdict = detector.update(row.time_us / MICROSECONDS, row.values)
            if verdict.shift is not None:
                outcome.shifts.append(self._record_shift(tx, source, verdict, verdict.shift))
        source.clock_us = max([source.clock_us or 0, *(row.time_us for row in fresh)])
        source.samples += len(fresh)
        source.detector = detector.dump()
        self._remember(source, detector)
        self._describe(tx, source, verdict, outcome)
        source.state = outcome.state.SerializeToString()
        source.prediction = outcome.prediction.SerializeToString()
        samples.save_progress(tx.conn, source)
        self._journal(tx, source, fresh, outcome)
        return outcome

    def _good_rows(self, tx: Tx, source: samples.Source | None, rows: Sequence[Row], outcome: Outcome) -> list[Row]:
        clock_us = source.clock_us if source else None
        channels = set(source.channels) if source else set()
        good: list[Row] = []
        for index, row in enumerate(rows):
            refusal = self._refusal(index, row, tx.now_us, clock_us, channels)
            if refusal:
                outcome.refusals.append(refusal)
            else:
                good.append(row)
                channels |= row.values.keys()
        return good

    def _refusal(self, index: int, row: Row, now_us: int, clock_us: int | None, channels: set[str]) -> Refusal | None:
        limits = self._limits
        ahead_s, age_s = (row.time_us - now_us) / MICROSECONDS, (now_us - row.time_us) / MICROSECONDS
        if ahead_s > limits.future_s:
            text = (
                f"timestamp {iso(row.time_us)} lies {ahead_s:.0f} s in the future; "
                f"at most {limits.future_s:.0f} s are allowed: check the clock"
            )
            return Refusal(index, "TIMESTAMP_IN_FUTURE", text, True)
        if age_s > limits.oldest_s:
            text = (
                f"timestamp {iso(row.time_us)} is older than the {limits.oldest_s / 86400:.0f} days that states are kept; "
                "move the recording to newer times"
            )
            return Refusal(index, "TIMESTAMP_TOO_OLD", text, True)
        if clock_us is not None and row.time_us < clock_us - limits.lateness_s * MICROSECONDS:
            text = (
                f"timestamp {iso(row.time_us)} is more than {limits.lateness_s:.0f} s behind the source's clock {iso(clock_us)}; "
                "its window is settled: send older telemetry under another source name"
            )
            return Refusal(index, "SAMPLE_TOO_LATE", text, True)
        violations = {
            f"telemetry[{channel}]": wrong
            for channel, value in row.values.items()
            if (wrong := violation(channel, value))
        }
        if violations:
            where, wrong = next(iter(violations.items()))
            text = f"{where} {wrong}; nothing of this sample was stored"
            return Refusal(index, "PHYSICALLY_IMPOSSIBLE", text, False, violations)
        if not row.values:
            return Refusal(index, "NO_VALUES", "the row holds no value; leave it out", False)
        if len(channels | row.values.keys()) > MAX_CHANNELS:
            text = (
                f"a source has at most {MAX_CHANNELS} channels; name channels by what they measure, not by label values"
            )
            return Refusal(index, "TOO_MANY_CHANNELS", text, False)
        return None

    def _store(self, tx: Tx, source: samples.Source, row: Row, own: bool, outcome: Outcome) -> bool:
        """Store a row's new values; whether there were any."""
        fresh = False
        for channel, value in row.values.items():
            key = (source.id, channel, row.time_us)
            stored = tx.conn.execute(
                "INSERT INTO samples VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING", (*key, value, tx.now_us, own)
            )
            if stored.rowcount:
                fresh = True
                if channel not in source.channels:
                    source.channels.append(channel)
                continue
            known = tx.conn.execute(
                "SELECT value FROM samples WHERE source_id=? AND channel=? AND time_us=?", key
            ).fetchone()[0]
            if known != value:
                outcome.conflicts.append(channel)
                source.conflicts += 1
                metrics.SAMPLES.labels("conflicting").inc()
        metrics.SAMPLES.labels("accepted" if fresh else "duplicate").inc()
        if fresh:
            outcome.accepted += 1
        else:
            outcome.duplicates += 1
        return fresh

    def _detector(self, source: samples.Source) -> Detector:
        held = self._detectors.get(source.id)
        if held and held[0] == source.samples:
            return held[1]
        return Detector.load(source.detector) if source.detector else Detector()

    def _remember(self, source: samples.Source, detector: Detector) -> None:
        self._detectors.pop(source.id, None)
        self._detectors[source.id] = (source.samples, detector)
        if len(self._detectors) > REMEMBERED_DETECTORS:
            self._detectors.pop(next(iter(self._detectors)))

    def _record_shift(self, tx: Tx, source: samples.Source, verdict: Verdict, shift: Shift) -> regime_pb2.RegimeShift:
        detected_us = round(shift.detected_s * MICROSECONDS)
        record = regime_pb2.RegimeShift(
            id=f"{source.name}@{detected_us}",
            source=source.name,
            onset=from_us(round(shift.at_s * MICROSECONDS)),
            detected=from_us(detected_us),
            from_regime=shift.from_regime,
            to_regime=shift.to_regime or "",
            channels=shift.channels,
            statistic=shift.statistic,
            threshold=shift.threshold,
            reason=verdict.reason,
        )
        tx.conn.execute(
            "INSERT INTO shifts (source_id, detected_us, body) VALUES (?,?,?)",
            (source.id, detected_us, record.SerializeToString()),
        )
        tx.journal.append(tx.now_us, source.tenant, SHIFTS_TOPIC, source.name, record)
        source.shifts += 1
        metrics.REGIME_TRANSITIONS.inc()
        return record

    def _describe(self, tx: Tx, source: samples.Source, verdict: Verdict | None, outcome: Outcome) -> None:
        clock_us = source.clock_us or 0
        start_us = clock_us - round(self._limits.window_s * MICROSECONDS)
        known = [channel for channel in STATE_CHANNELS if channel in source.channels]
        channels = samples.window(tx.conn, source, known, start_us, clock_us)
        state = outcome.state
        state.window_s = self._limits.window_s
        state.missing.extend(channel for channel in BOUNDS if channel not in source.channels)
        state.time.CopyFrom(from_us(clock_us))
        if TEMPERATURE in channels:
            state.temperature = float(channels[TEMPERATURE].value[-1])
        measured = measure(channels, source.facts(), start_us / MICROSECONDS, clock_us / MICROSECONDS)
        if measured:
            state.total_energy = measured.energy.energy_j
            state.energy_uncertainty = measured.energy.u_energy_j
            state.covered_s = measured.energy.covered_s
            state.entropy = measured.entropy_j_per_k
            state.entropy_method = measured.entropy_method
            state.power_method = measured.power_method
            state.power = measured.newest_power_w
        if verdict:
            state.regime, state.regime_id = verdict.label, verdict.regime_id
            prediction = outcome.prediction
            prediction.current, prediction.next_likely = verdict.label, verdict.next_label
            prediction.regime_id, prediction.next_regime_id = verdict.regime_id, verdict.next_regime_id
            prediction.confidence, prediction.reason = verdict.confidence, verdict.reason

    def _journal(self, tx: Tx, source: samples.Source, rows: Sequence[Row], outcome: Outcome) -> None:
        names = sorted({channel for row in rows for channel in row.values})
        record = regime_pb2.TelemetryRecord(
            source=source.name,
            times_us=[row.time_us for row in rows],
            columns=[
                regime_pb2.Column(name=name, values=[row.values.get(name, math.nan) for row in rows]) for name in names
            ],
            energy_state=outcome.state,
            power_kind=source.power_kind,
        )
        tx.journal.append(tx.now_us, source.tenant, TELEMETRY_TOPIC, source.name, record)
