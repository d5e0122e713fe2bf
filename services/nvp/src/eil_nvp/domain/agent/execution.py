"""When to speak: rules, in order, each with a reason that a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["predict", "fall_back", "abstain"]


@dataclass(frozen=True)
class ACEConfig:
    """When to doubt."""

    level: float = 0.9
    """Share of errors that the half-width shall hold."""
    fall_back_novelty: float = 3.0
    """Novelty (1 is the edge of the usual) from which not to rely on the model ..."""
    abstain_novelty: float = 10.0
    """... and from which on nothing."""
    fall_back_reliability: float = 0.3
    """Reliability below which not to rely on the model ..."""
    abstain_reliability: float = 0.02
    """... and on nothing."""
    worse_by: float = 1.1
    """Ratio of the error expected here to the baseline's from which the baseline is the better answer."""
    step: float = 0.04
    """Floor of η."""
    recent: float = 1 / 16
    """Forgetting a lesson of the recent misses."""

    def __post_init__(self) -> None:
        if (
            not 0.5 <= self.level < 1
            or not 0 < self.step < 1
            or not 0 < self.recent < 1
            or self.abstain_novelty < self.fall_back_novelty
        ):
            raise ValueError(
                f"{self}: level in [0.5, 1), step and recent in (0, 1), abstain_novelty >= fall_back_novelty; correct the settings"
            )


DEFAULTS = ACEConfig()


@dataclass(frozen=True)
class Execution:
    """What to do with one prediction."""

    action: Action
    reason: str
    """For people."""
    radius: float
    """Half-width at the level, in units of the error; inf while nothing is known."""
    expected_error: float
    """Typical (geometric mean) error in this context; NaN while nothing is known."""
    expected_baseline: float
    """The same of the baseline; NaN where none was given."""
    trust: float
    """[0, 1]."""
    novelty: float
    """1 is the edge of the contexts met; inf while nothing is known."""
    temperature: float
    """Of the ensemble's soft weights."""


def verdict(
    config: ACEConfig, novelty: float, reliability: float, expected: float, baseline: float
) -> tuple[Action, str]:
    """The action and its reason; `expected` and `baseline` are the errors expected here, NaN where unknown."""
    if novelty >= config.abstain_novelty:
        return (
            "abstain",
            f"nothing like this context was met before (novelty {novelty:.1f}; {config.abstain_novelty:g} is too much)",
        )
    if reliability < config.abstain_reliability:
        return "abstain", f"recent errors are far outside their intervals (reliability {reliability:.2f})"
    if novelty >= config.fall_back_novelty:
        return "fall_back", f"the context is beyond those met (novelty {novelty:.1f}; 1 is the edge)"
    if reliability < config.fall_back_reliability:
        return "fall_back", f"recent errors left their intervals too often (reliability {reliability:.2f})"
    if expected > config.worse_by * baseline:
        return "fall_back", f"the baseline errs less in this context ({baseline:.3g} against {expected:.3g} expected)"
    return "predict", f"expected error {expected:.3g}, reliability {reliability:.2f}, novelty {novelty:.1f}"
