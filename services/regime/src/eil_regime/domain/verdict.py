"""What the detector says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shift:
    """One regime gave way to another. `at_s` is the judged onset, `detected_s` the row that proved it."""

    at_s: float
    detected_s: float
    from_regime: str
    to_regime: str | None
    """A known regime that the new stretch looks like; None if it looks new."""
    channels: tuple[str, ...]
    """Strongest evidence first."""
    statistic: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a source after an update."""

    label: str
    """stable, drifting, transition or critical."""
    regime_id: str
    """Recurs when the behaviour recurs; provisional while the label is transition."""
    next_regime_id: str
    """The likeliest regime one horizon ahead."""
    next_label: str
    confidence: float
    """Probability that `next_regime_id` is right."""
    shift: Shift | None
    """Set on the update that reports it."""
    reason: str
    """One sentence."""
