"""A batch of rows becomes samples, an energy state, a verdict of statistics and physics, and journal entries, all in one transaction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from eil.regime.v1 import regime_pb2
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, from_us
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Tx

from eil_regime import deletion, physics, samples, segments, sources
from eil_regime.batch import Batch
from eil_regime.domain.bounds import BOUNDS, TEMPERATURE
from eil_regime.domain.detector import Detector
from eil_regime.domain.evidence import PhysicsEvidence
from eil_regime.domain.fusion import fuse
from eil_regime.domain.measurement import MEASURED, Series, measure
from eil_regime.domain.physics_branch import PhysicsBranch
from eil_regime.domain.verdict import Shift, Verdict
from eil_regime.fresh import Fresh, fresh_of
from eil_regime.refusals import Check, Limits, Refusal
from eil_regime.segments import Segment
from eil_regime.sources import Source

TELEMETRY_TOPIC = "eil.sense.telemetry"
SHIFTS_TOPIC = "eil.regime.shifts"
REMEMBERED_SOURCES = 4096
REMEMBERED_SAMPLES = 1024
"""Newest samples of a source kept in memory; where the window holds more, it is read from the segments."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: dict[str, int] = field(default_factory=dict)
    """Values that differ from stored ones, by channel."""
    refusals: list[Refusal] = field(default_factory=list)
    """The first rows refused."""
    refused: int = 0
    shifts: list[regime_pb2.RegimeShift] = field(default_factory=list)
    state: regime_pb2.EnergyState = field(default_factory=regime_pb2.EnergyState)
    prediction: regime_pb2.RegimePrediction = field(default_factory=regime_pb2.RegimePrediction)


@dataclass(slots=True)
class _Live:
    """What is remembered of a source between batches. Its state in the store stands for the same."""

    samples: int
    """The source's samples at that moment: after a transaction undone the number does not fit."""
    detector: Detector
    physics: PhysicsBranch
    recent: dict[str, Series] | None = None
    """The window that the energy state was last taken from."""


class Ingest:
    """Takes batches inside the store's writing thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._live: dict[int, _Live] = {}

    def take(
        self,
        tx: Tx,
        tenant: str,
        name: str,
        batch: Batch,
        power_kind: str,
        sender: str,
        request: regime_pb2.IngestRequest | None = None,
    ) -> Outcome:
        """Store the rows that are good and say what became of each. `request` is what the batch was read from, if it is one.

        Raises:
            FailedPrecondition: the source was deleted a short while ago.
        """
        known = sources.find_source(tx.conn, tenant, name)
        if known is None:
            deletion.check_open(tx, tenant, name)
        check = Check(
            batch, self._limits, tx.now_us, known.clock_us if known else None, known.channels if known else ()
        )
        good = int(check.good.sum())
        outcome = Outcome(refused=check.good.size - good, refusals=check.refusals())
        _count("rejected", outcome.refused)
        if not good:
            return outcome
        source = known or sources.open_source(tx.conn, tenant, name)
        fresh = fresh_of(
            batch.rows(check.good) if outcome.refused else batch,
            source.clock_us,
            lambda times_us: samples.stored_at(tx.conn, source, batch.channels, times_us),
        )
        outcome.accepted, outcome.duplicates = fresh.accepted, good - fresh.accepted
        outcome.conflicts = fresh.conflicts
        source.conflicts += sum(fresh.conflicts.values())
        _count("accepted", outcome.accepted)
        _count("duplicate", outcome.duplicates)
        _count("conflicting", sum(fresh.conflicts.values()))
        if not fresh.accepted:
            outcome.state.ParseFromString(source.state or b"")
            outcome.prediction.ParseFromString(source.prediction or b"")
            sources.save_progress(tx.conn, source)
            return outcome
        source.power_kind = power_kind
        own = source.kind != "metered" or source.credential == sender
        _store(tx, source, fresh.batch, own=own)
        live = self._recall(tx, source)
        source.samples += fresh.accepted
        before_us = source.clock_us
        verdict = _advance(tx, source, live.detector, fresh.batch, outcome)
        channels = self._window(tx, source, live, fresh.batch)
        self._measure(source, channels, outcome)
        _predict(verdict, self._watch(tx, source, live.physics, fresh.batch, before_us), outcome)
        self._remember(source, live)
        source.state = outcome.state.SerializeToString()
        source.prediction = outcome.prediction.SerializeToString()
        sources.save_progress(tx.conn, source)
        record = _record(source, fresh, outcome, request, own=own)
        tx.journal.append(tx.now_us, source.tenant, TELEMETRY_TOPIC, source.name, record)
        return outcome

    def answer(
        self, tx: Tx, tenant: str, request: regime_pb2.IngestRequest, rows: Batch, sender: str
    ) -> regime_pb2.IngestResponse:
        """Take a request, once for its request id. `rows` are what `batch.of_request` made of it."""
        if known := replayed(tx.conn, tenant, request, regime_pb2.IngestResponse):
            return known
        kind = request.power_kind or "instant"
        response = _ingested(self.take(tx, tenant, request.source, rows, kind, sender, request))
        remember(tx, tenant, request, response)
        return response

    def _recall(self, tx: Tx, source: Source) -> _Live:
        """What is known of the source, taken out of memory: it is remembered anew once all went well."""
        live = self._live.pop(source.id, None)
        if live is not None and live.samples == source.samples:
            return live
        state, physics_state = sources.detector_state(tx.conn, source.id), sources.physics_state(tx.conn, source.id)
        return _Live(
            source.samples,
            Detector.load(state) if state else Detector(),
            PhysicsBranch.load(physics_state) if physics_state else PhysicsBranch(),
        )

    def _remember(self, source: Source, live: _Live) -> None:
        live.samples = source.samples
        self._live[source.id] = live
        if len(self._live) > REMEMBERED_SOURCES:
            self._live.pop(next(iter(self._live)))

    def _window(self, tx: Tx, source: Source, live: _Live, batch: Batch) -> Mapping[str, Series]:
        """Series of the channels that make the energy state, over the window that ends at the source's clock, which a batch moves."""
        before_us = source.clock_us
        source.clock_us = max(before_us or 0, int(batch.times_us[-1]))
        start_us = source.clock_us - round(self._limits.window_s * MICROSECONDS)
        if live.recent is not None and before_us is not None and batch.times_us[0] > before_us:
            recent = samples.extended(live.recent, batch, MEASURED, start_us)
        else:
            recent = samples.window(tx.conn, source, MEASURED, start_us, source.clock_us).series
        live.recent = recent if sum(series.time_s.size for series in recent.values()) <= REMEMBERED_SAMPLES else None
        return recent

    def _watch(
        self, tx: Tx, source: Source, branch: PhysicsBranch, batch: Batch, before_us: int | None
    ) -> PhysicsEvidence | None:
        """Show the physics branch the windows that the batch closed, save it with them; returns what it says of the present."""
        clock_us, window_us = source.clock_us or 0, round(self._limits.window_s * MICROSECONDS)
        ends_us = physics.closed(batch.times_us, before_us, clock_us, window_us)
        if physics.watch(tx.conn, source, branch, ends_us, window_us):
            sources.save_physics(tx.conn, source.id, branch.dump())
        evidence = branch.evidence
        return evidence if evidence and clock_us / MICROSECONDS <= evidence.until_s else None

    def _measure(self, source: Source, channels: Mapping[str, Series], outcome: Outcome) -> None:
        clock_us = source.clock_us or 0
        start_us = clock_us - round(self._limits.window_s * MICROSECONDS)
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


def _ingested(outcome: Outcome) -> regime_pb2.IngestResponse:
    return regime_pb2.IngestResponse(
        accepted=outcome.accepted,
        duplicates=outcome.duplicates,
        conflicting=sum(outcome.conflicts.values()),
        rejected=[
            regime_pb2.RejectedRow(row=refusal.row, reason=refusal.reason, message=refusal.message)
            for refusal in outcome.refusals
        ],
        rejected_count=outcome.refused,
        energy_state=outcome.state,
        regime_prediction=outcome.prediction,
        shifts=outcome.shifts,
    )


def _predict(verdict: Verdict | None, evidence: PhysicsEvidence | None, outcome: Outcome) -> None:
    """Where the source is and goes, from both branches."""
    prediction = outcome.prediction
    if evidence:
        prediction.physics.CopyFrom(_evidence(evidence))
    if verdict:
        fused = fuse(verdict, evidence)
        outcome.state.regime, outcome.state.regime_id = fused.label, fused.regime_id
        prediction.current, prediction.next_likely = fused.label, fused.next_label
        prediction.regime_id, prediction.next_regime_id = fused.regime_id, fused.next_regime_id
        prediction.confidence, prediction.reason = fused.confidence, fused.reason


def _evidence(evidence: PhysicsEvidence) -> regime_pb2.PhysicsEvidence:
    """The figures that are known."""
    figures = {
        "entropy_rate": evidence.entropy_rate.value,
        "residual": evidence.balance.value,
        "residual_uncertainty": evidence.u_residual,
        "psi": evidence.speed.value,
        "phi": evidence.phi.value,
        "chi": evidence.warning.value,
    }
    known = {name: value for name, value in figures.items() if math.isfinite(value)}
    return regime_pb2.PhysicsEvidence(level=evidence.level, sentence=evidence.sentence, **known)


def _count(outcome: str, rows: int) -> None:
    if rows:
        metrics.SAMPLES.labels(outcome).inc(rows)


def _store(tx: Tx, source: Source, batch: Batch, *, own: bool) -> None:
    source.channels.extend(name for name in batch.channels if name not in source.channels)
    places = [source.channels.index(name) for name in batch.channels]
    order = sorted(range(len(places)), key=places.__getitem__)
    rows = batch.times_us.size
    segment = Segment(
        batch.times_us,
        np.full(rows, tx.now_us),
        np.full(rows, own),
        bytes(sorted(places)),
        batch.values if order == [*range(len(places))] else batch.values[order],
    )
    segments.add(tx.conn, source, segment)


def _advance(tx: Tx, source: Source, detector: Detector, batch: Batch, outcome: Outcome) -> Verdict | None:
    """Show the detector the rows that are ahead of the source's clock, and save it with them."""
    clock_us = source.clock_us
    begin = 0 if clock_us is None else int(np.searchsorted(batch.times_us, clock_us, side="right"))
    if begin == batch.times_us.size:
        return detector.verdict
    columns = {name: column[begin:] for name, column in zip(batch.channels, batch.values, strict=True)}
    gaps, ignored = detector.gaps, detector.ignored
    trace = detector.advance(batch.times_us[begin:] / MICROSECONDS, columns)
    metrics.REGIME_GAPS.inc(detector.gaps - gaps)
    metrics.REGIME_IGNORED.inc(detector.ignored - ignored)
    outcome.shifts.extend(_record_shift(tx, source, shift) for shift in trace.shifts)
    sources.save_detector(tx.conn, source.id, detector.dump())
    return trace.verdict


def _record_shift(tx: Tx, source: Source, shift: Shift) -> regime_pb2.RegimeShift:
    """Store a shift and append it to the journal."""
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
        reason=shift.reason,
    )
    tx.conn.execute(
        "INSERT INTO shifts (source_id, detected_us, body) VALUES (?,?,?)",
        (source.id, detected_us, record.SerializeToString()),
    )
    tx.journal.append(tx.now_us, source.tenant, SHIFTS_TOPIC, source.name, record)
    source.shifts += 1
    metrics.REGIME_TRANSITIONS.inc()
    return record


def _record(
    source: Source, fresh: Fresh, outcome: Outcome, request: regime_pb2.IngestRequest | None, *, own: bool
) -> regime_pb2.TelemetryRecord:
    """What goes to the journal: the new values and the state that they led to."""
    batch = fresh.batch
    record = regime_pb2.TelemetryRecord(
        source=source.name, energy_state=outcome.state, power_kind=source.power_kind, own_credential=own
    )
    whole = request if fresh.whole and not outcome.refused else None  # copied without a Python object a value
    if whole is not None:
        record.columns.MergeFrom(whole.columns)
        record.times_us.MergeFrom(whole.times_us)
    else:
        record.columns.extend(
            regime_pb2.Column(name=name, values=column)
            for name, column in zip(batch.channels, batch.values.tolist(), strict=True)
        )
    if not record.times_us:
        record.times_us.extend(batch.times_us.tolist())
    return record
