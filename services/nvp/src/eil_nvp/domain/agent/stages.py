"""How much evidence a change of stage takes, and what is said of one; the method is in promotion.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PromotionConfig:
    """How much evidence each step up or down takes."""

    block: int = 8
    """Predictions to a block; at least the correlation length of losses, the horizon for overlapping ones."""
    margin: float = 0.02
    """Share of the champion's loss by which a challenger must be better."""
    enter: float = 1e4
    """Detector level to become canary: mean blocks between false entries of a member that is not better."""
    promote: float = 100.0
    """Evidence from the canary's own time to become champion."""
    demote: float = 20.0
    """Evidence of being worse that ends a canary."""
    ruin: float = 10.0
    """Ratio of losses that needs no further evidence."""
    share: float = 0.1
    """Predictions that the canary answers, of 1."""
    patience: int = 500
    """Blocks a canary may take."""
    rest: int = 50
    """Blocks a member waits after a fall."""
    forget: float = 0.02
    """Forgetting a block of the discounted losses."""

    def __post_init__(self) -> None:
        if (
            self.block < 1
            or not 0.0 <= self.margin < 1.0
            or not 0.0 < self.share <= 0.5
            or not 0.0 < self.forget <= 1.0
        ):
            raise ValueError(
                f"{self}: block must be >= 1, margin in [0, 1), share in (0, 0.5], forget in (0, 1]; correct the settings"
            )
        if min(self.enter, self.promote, self.demote, self.ruin) <= 1.0:
            raise ValueError(
                f"{self}: evidence of 1 or less is none, every member would move at once; set enter, promote, demote, ruin > 1"
            )


DEFAULTS = PromotionConfig()


@dataclass(frozen=True)
class Event:
    """One change of stage."""

    step: int
    """Losses seen when it happened."""
    kind: str
    """"canary", "promoted", "demoted" or "rolled_back"."""
    member: int
    sentence: str
    """For people."""
