"""A batch of rows becomes samples, an energy state, a verdict of statistics and physics, and journal entries, all in one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from eil.regime.v1 import regime_pb2
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, from_us
from eil_mesh.errors import FailedPrecondition
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Tx
from numpy.typing import NDArray

from eil_regime import deletion, physics, samples, segments, sources, tails
from eil_regime.batch import Batch
from eil_regime.domain.bounds import BOUNDS, TEMPERATURE
from eil_regime.domain.detector import Detector
from eil_regime.domain.evidence import PhysicsEvidence
from eil_regime.domain.measurement import MEASURED, Series, measure
from eil_regime.domain.physics_branch import PhysicsBranch
from eil_regime.domain.verdict import Shift, Verdict
from eil_regime.fresh import fresh_of
from eil_regime.live import REMEMBERED_SAMPLES, Live, Memory, show
from eil_regime.outcome import Outcome, ingested, predict, record_of
from eil_regime.recent import Recent
from eil_regime.refusals import Check, Limits, Refusal
from eil_regime.segments import Segment
from eil_regime.sources import Source
from eil_regime.tails import Tail

TELEMETRY_TOPIC = "eil.sense.telemetry"
SHIFTS_TOPIC = "eil.regime.shifts"
_COUNTED = {
    outcome: metrics.SAMPLES.labels(outcome) for outcome in ("accepted", "duplicate", "conflicting", "rejected")
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows of one source, as a door hands them over."""

    source: str
    """A name that the contract allows."""
    rows: Batch
    power_kind: str = "instant"
    """instant or mean."""


class Ingest:
    """Takes batches inside the store's writing thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._memory = Memory()

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
        check = Check(batch, self._limits, tx.now_us, known, self._memory.newest(known, TEMPERATURE) if known else None)
        outcome = Outcome()
        if not check.sound:
            outcome.refusals, outcome.refused_rows = check.refusals(), ~check.good
            outcome.refused = int(np.count_nonzero(outcome.refused_rows))
        good = batch.times_us.size - outcome.refused
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
        outcome.accepted_rows = _among(fresh.rows, check)
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
        live = self._memory.recall(tx.conn, source)
        whole = _store(tx, source, live, fresh.batch, own=own)
        source.samples += fresh.accepted
        before_us = source.clock_us
        verdict = _advance(tx, source, live.detector, fresh.batch, outcome)
        if whole:
            sources.save_detector(tx.conn, source.id, live.detector.dump())
        channels = self._window(tx, source, live, fresh.batch)
        self._measure(source, channels, outcome)
        predict(verdict, self._watch(tx, source, live.physics, fresh.batch, before_us), outcome)
        self._memory.keep(source, live)
        source.state = outcome.state.SerializeToString()
        source.prediction = outcome.prediction.SerializeToString()
        sources.save_progress(tx.conn, source)
        record = record_of(source, fresh, outcome, request, own=own)
        tx.journal.append(tx.now_us, source.tenant, TELEMETRY_TOPIC, source.name, record)
        return outcome

    def take_many(self, tx: Tx, tenant: str, deliveries: Iterable[Delivery], sender: str) -> list[Outcome]:
        """Take batches of a tenant's sources; an outcome each, in their order. One of a name that is closed is refused whole.

        It costs by the delivery, hardly by the row: join a source's rows where they come together.
        """
        outcomes: list[Outcome] = []
        for delivery in deliveries:
            try:
                taken = self.take(tx, tenant, delivery.source, delivery.rows, delivery.power_kind, sender)
            except FailedPrecondition as error:
                refusal = Refusal(0, error.reason, error.message, False)
                every = np.ones(delivery.rows.times_us.size, np.bool_)
                taken = Outcome(refused=every.size, refused_rows=every, refusals=[refusal])
                _count("rejected", taken.refused)
            outcomes.append(taken)
        return outcomes

    def settle(self, tx: Tx, received_before_us: int, limit: int) -> int:
        """Put tails into segments to which nothing came since a moment, at most `limit`; returns how many."""
        found = tails.idle(tx.conn, received_before_us, limit)
        for source_id in found:
            source = sources.source_at(tx.conn, source_id)
            live = self._memory.recall(tx.conn, source)
            segments.add(tx.conn, source, segments.merge(live.tail.pieces()))
            tails.drop(tx.conn, source.id)
            sources.save_detector(tx.conn, source.id, live.detector.dump())
            sources.save_progress(tx.conn, source)  # not kept: nothing would tell that it is wrong if this is undone
        return len(found)

    def answer(
        self, tx: Tx, tenant: str, request: regime_pb2.IngestRequest, rows: Batch, sender: str
    ) -> regime_pb2.IngestResponse:
        """Take a request, once for its request id. `rows` are what `batch.of_request` made of it."""
        if known := replayed(tx.conn, tenant, request, regime_pb2.IngestResponse):
            return known
        kind = request.power_kind or "instant"
        response = ingested(self.take(tx, tenant, request.source, rows, kind, sender, request))
        remember(tx, tenant, request, response)
        return response

    def _window(self, tx: Tx, source: Source, live: Live, batch: Batch) -> Mapping[str, Series]:
        """Series of the channels that make the energy state, over the window that ends at the source's clock, which a batch moves."""
        before_us = source.clock_us
        source.clock_us = max(before_us or 0, int(batch.times_us[-1]))
        start_us = source.clock_us - round(self._limits.window_s * MICROSECONDS)
        if live.recent is not None and before_us is not None and batch.times_us[0] > before_us:
            channels = live.recent.extend(batch, MEASURED, start_us)
        else:
            channels = samples.window(tx.conn, source, MEASURED, start_us, source.clock_us).series
            live.recent = Recent(channels)
        if live.recent.samples > REMEMBERED_SAMPLES:
            live.recent = None
        return channels

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


def _count(outcome: str, rows: int) -> None:
    if rows:
        _COUNTED[outcome].inc(rows)


def _among(chosen: NDArray[np.bool_] | None, check: Check) -> NDArray[np.bool_]:
    """A choice (None: all) of a batch's good rows as one of all its rows."""
    good = check.good
    if chosen is None or check.sound:
        return good if chosen is None else chosen
    rows = np.zeros(good.size, np.bool_)
    rows[good] = chosen
    return rows


def _store(tx: Tx, source: Source, live: Live, batch: Batch, *, own: bool) -> bool:
    """Store rows; whether they went into a segment, and what had gathered with them: then the detector is to be saved."""
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
    tail = live.tail.grown(segment)
    if len(tail.body) <= tails.MOST_BYTES and tail.opened_us > tx.now_us - segments.OPEN_US:
        tails.save(tx.conn, source.id, tail, tx.now_us)
        live.tail = tail
        return False
    gathered = live.tail.pieces()
    if gathered and live.tail.opened_us <= tx.now_us - segments.OPEN_US:
        segments.add(tx.conn, source, segments.merge(gathered))
        gathered = []
    segments.add(tx.conn, source, segments.merge([*gathered, segment]))
    if live.tail.body:
        tails.drop(tx.conn, source.id)
        live.tail = Tail()
    return True


def _advance(tx: Tx, source: Source, detector: Detector, batch: Batch, outcome: Outcome) -> Verdict | None:
    """Show the detector the rows, and record the shifts that it finds."""
    gaps, ignored = detector.gaps, detector.ignored
    trace = show(detector, batch)
    if trace is None:
        return detector.verdict
    if detector.gaps > gaps:
        metrics.REGIME_GAPS.inc(detector.gaps - gaps)
    if detector.ignored > ignored:
        metrics.REGIME_IGNORED.inc(detector.ignored - ignored)
    outcome.shifts.extend(_record_shift(tx, source, shift) for shift in trace.shifts)
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
