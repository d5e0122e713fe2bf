"""What must never happen, whatever is searched."""

from __future__ import annotations

from dataclasses import dataclass

from eil_diffusion.domain.optimise import Optimum


@dataclass
class Tally:
    """What must never happen, over all searches."""

    worse: int = 0
    """Ended above their start."""
    broken: int = 0
    """Bounds above a known optimum."""

    def check(self, found: Optimum, truth: float | None = None) -> None:
        """Count one search."""
        lowest = found.energy if truth is None else min(truth, found.energy)
        self.worse += found.energy > found.start_energy
        self.broken += found.lower_bound is not None and found.lower_bound > lowest + 1e-9 * abs(lowest)
