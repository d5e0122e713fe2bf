"""What the detector says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LABELS = ("stable", "drifting", "transition", "critical")


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
    """Evidence of the strongest channel [nat]."""
    threshold: float
    """Evidence at which it is reported here, the prior included [nat]."""
    reason: str
    """One sentence: what changed, where, how strongly, and whether it was seen before."""


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


@dataclass(frozen=True, slots=True)
class Trace:
    """What the detector said about each of n rows taken in one go, as columns of length n; and all shifts among them."""

    regime: NDArray[np.int32]
    """Number k of the regime "rk"."""
    next_regime: NDArray[np.int32]
    """Number of the likeliest regime one horizon ahead."""
    confidence: NDArray[np.float32]
    """Probability that `next_regime` is right."""
    label: NDArray[np.uint8]
    """Place in `LABELS`."""
    shifts: tuple[Shift, ...]
    verdict: Verdict
    """After the last row."""
