"""What the physics branch says: figures, how far each stands out, and what follows for the label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["none", "drifting", "critical"]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One figure, and how many standard deviations of its own null it stands out (one-sided, never negative)."""

    name: str
    value: float
    """NaN where it is not known yet."""
    unit: str
    z: float
    sentence: str
    """For people; says something worth reading only when `z` is large."""


@dataclass(frozen=True, slots=True)
class PhysicsEvidence:
    """What physics says after a block."""

    end_s: float
    """End of the block [s]."""
    until_s: float
    """What it says holds of the present until then [s]: as long as three blocks take to come."""
    level: Level
    sentence: str
    """Of the strongest indicator beyond its threshold; empty at level none."""
    strongest: str
    """Its name; empty at level none."""
    entropy_rate: Indicator
    """[W/K]; its null is the second law, which only wrong units or signs break."""
    balance: Indicator
    """First-law residual r over the newest blocks [1]."""
    u_residual: float
    """Standard uncertainty of r [1]; NaN without one."""
    speed: Indicator
    """Ψ [s⁻²] against the usual speed of change."""
    phi: Indicator
    """Φ [J/K²], which has no null: z is 0."""
    warning: Indicator
    """χ_m of the channel whose memory, variance and lag-one autocorrelation rise together most."""

    def indicators(self) -> tuple[Indicator, ...]:
        """All of them."""
        return self.entropy_rate, self.balance, self.speed, self.phi, self.warning

    @classmethod
    def of(cls, fields: dict[str, Any]) -> PhysicsEvidence:
        """Inverse of ``dataclasses.asdict``. Raises TypeError for other fields."""
        known: dict[str, Any] = {
            name: Indicator(**value) if isinstance(value, dict) else value for name, value in fields.items()
        }
        return cls(**known)
