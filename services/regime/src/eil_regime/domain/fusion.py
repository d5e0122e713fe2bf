"""Statistics and physics in one verdict: the worse label stands, and the reason says which branch speaks."""

from __future__ import annotations

import dataclasses

from eil_regime.domain.evidence import PhysicsEvidence
from eil_regime.domain.verdict import LABELS, Verdict


def fuse(statistical: Verdict, physics: PhysicsEvidence | None) -> Verdict:
    """One verdict of both branches.

    The worse of the two labels stands, in the order of `LABELS`; so a transition stays one unless physics is critical. What physics
    finds lasts, so that it is expected next as well. Regimes, confidence and shift are those of statistics alone: physics knows no ids.
    """
    if physics is None or physics.level == "none":
        return statistical
    z = next(indicator.z for indicator in physics.indicators() if indicator.name == physics.strongest)
    finding, said = f"Physics: {physics.sentence} ({z:.1f} σ).", f"Statistics: {statistical.reason}"
    if statistical.label == "stable":
        reason = finding
    elif LABELS.index(statistical.label) > LABELS.index(physics.level):
        reason = f"{said} {finding}"
    else:
        reason = f"{finding} {said}"
    return dataclasses.replace(
        statistical,
        label=_worst(statistical.label, physics.level),
        next_label=_worst(statistical.next_label, physics.level),
        reason=reason,
    )


def _worst(one: str, other: str) -> str:
    return max(one, other, key=LABELS.index)
