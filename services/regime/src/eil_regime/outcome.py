"""What became of a batch, and what is told of it: answers, the verdict of both branches, the journal's record."""

import math
from dataclasses import dataclass, field

import numpy as np
from eil.regime.v1 import regime_pb2
from numpy.typing import NDArray

from eil_regime.domain.evidence import PhysicsEvidence
from eil_regime.domain.fusion import fuse
from eil_regime.domain.verdict import Verdict
from eil_regime.fresh import Fresh
from eil_regime.refusals import Refusal
from eil_regime.sources import Source


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
    accepted_rows: NDArray[np.bool_] | None = None
    """(n,): rows of the batch with a new value; None if none has."""
    refused_rows: NDArray[np.bool_] | None = None
    """(n,): rows refused; None if none was."""
    shifts: list[regime_pb2.RegimeShift] = field(default_factory=list)
    state: regime_pb2.EnergyState = field(default_factory=regime_pb2.EnergyState)
    prediction: regime_pb2.RegimePrediction = field(default_factory=regime_pb2.RegimePrediction)


def ingested(outcome: Outcome) -> regime_pb2.IngestResponse:
    """The answer to a batch."""
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


def predict(verdict: Verdict | None, evidence: PhysicsEvidence | None, outcome: Outcome) -> None:
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


def record_of(
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
