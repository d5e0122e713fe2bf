"""How wide to be and how far to be trusted, from realised errors.

The logarithm of |error| / base is regressed on the context (`context_model.py`); the half-width is

    base · exp(predicted log error) · q · √(1 + leverage),

giving way beyond the usual contexts, by 1 - 1 / novelty, to the half-width for all contexts together where that is larger,
with ln q moved by the rate η · (missed - (1 - level)) after each lesson (online quantile tracking: Gibbs and Candès 2021; Angelopoulos,
Barber and Bates 2024), so the long-run coverage is the level whatever the sequence, while log errors stay bounded, and the context only
shares the width out. η falls as 1/√n to a floor, and rises while trust is low. Trust = reliability · familiarity: reliability falls as
a normal density when the recent misses, weighted by how far they missed, exceed what the level allows; familiarity is 1 / novelty
beyond the edge of the usual contexts.

Assumptions: errors and their `base` are in one unit; that log errors are those of a normal law, stretched, is used for a start and in new
contexts only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from .execution import ACEConfig

Array = npt.NDArray[np.float64]

LIMIT = 50.0
"""Of ln q: a half-width must stay a number."""
REACH = 5.0
"""Logarithms by which an error may differ from the mean and still count in full. Fixed: one that grew with the spread would run away."""


@dataclass(frozen=True)
class Calibration:
    """How the agent now sees itself."""

    width: float
    """q: half-width over the error expected in a context."""
    temperature: float
    """Of the ensemble's soft weights."""
    reliability: float
    """[0, 1]: trust, but for the context."""
    recent_misses: float
    """Discounted share of errors outside, weighted by how far."""
    coverage: float
    """Share of all lessons inside since the map was fixed; NaN before."""
    lessons: int


class Calibrator:
    """The scalars of an agent's calibration; ratios are |error| / base. Not thread-safe."""

    def __init__(self, config: ACEConfig) -> None:
        self._config = config
        self.numbers = np.array([0.0, 1 - config.level, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        """ln q, recent misses, lessons judged, hits, log errors seen, their mean, their variance, whether a baseline was ever given."""

    @property
    def compares(self) -> bool:
        """Whether a baseline's error was ever given."""
        return bool(self.numbers[7])

    @property
    def reliability(self) -> float:
        """[0, 1], from recent misses against what the level allows."""
        allowed, recent = 1 - self._config.level, self._config.recent
        deviation = math.sqrt(allowed * self._config.level * recent / (2 - recent))
        excess = max(0.0, (self.numbers[1] - allowed) / deviation - 1.5)
        return math.exp(-(excess**2) / 8)

    def state(self, temperature: float, lessons: int) -> Calibration:
        """All of it, with what others know."""
        width, misses, judged, hits = (float(number) for number in self.numbers[:4])
        coverage = hits / judged if judged else math.nan
        return Calibration(math.exp(width), temperature, self.reliability, misses, coverage, lessons)

    def logs(self, ratio: float, baseline: float | None) -> Array:
        """(2,) ln of the model's and the baseline's ratio, within REACH of the model's running mean, which moves; NaN where unknown.

        An exact zero must not be -inf; zeros before all others say nothing of the scale and are NaN.
        """
        numbers = self.numbers
        if baseline is not None:
            numbers[7] = 1.0
        if not numbers[4]:
            if ratio == 0:
                return np.full(2, np.nan)
            numbers[5] = math.log(ratio)
        log = self._near(ratio)
        other = math.nan if baseline is None else self._near(baseline)
        numbers[4] += 1
        step = max(0.005, 1 / numbers[4])
        away = log - numbers[5]
        numbers[5] += step * away
        numbers[6] += step * ((1 - step) * away**2 - numbers[6])
        return np.array([log, other])

    def start(self) -> None:
        """The first q, when the map has just been fixed."""
        self.numbers[0] = self._everywhere()

    def expected(self, log: float, novelty: float) -> float:
        """A predicted log error, kept to where such errors have been, and giving way to the mean beyond the edge of the usual."""
        mean, reach = self.numbers[5], 3 * math.sqrt(max(self.numbers[6], 0.01))
        kept = min(max(log, mean - reach), mean + reach)
        return float(kept if novelty <= 1 else mean + (kept - mean) / novelty)

    def log_radius(self, log: float, leverage: float, novelty: float) -> float:
        """ln of half-width / base. Beyond the edge of the usual a small predicted error is no evidence: all contexts' width stands in."""
        radius = self.expected(log, 1.0) + self.numbers[0]
        if novelty > 1:
            everywhere = self.numbers[5] + self._everywhere()
            radius = max(radius, radius / novelty + (1 - 1 / novelty) * everywhere)
        return float(radius + 0.5 * math.log1p(leverage))

    def judge(self, ratio: float, log_radius: float) -> None:
        """Move q and the recent misses by one ratio and the half-width that had been given."""
        numbers, config = self.numbers, self._config
        beyond = math.log(max(ratio, 1e-300)) - log_radius
        missed = beyond > 0
        rate = max(config.step, 0.5 / math.sqrt(numbers[2] + 25)) * (1 + 2 * (1 - self.reliability))
        numbers[0] = min(max(numbers[0] + rate * (missed - (1 - config.level)), -LIMIT), LIMIT)
        weight = 1 + min(beyond, 2.0) if missed else 0.0
        numbers[1] += config.recent * (weight - numbers[1])
        numbers[2] += 1
        numbers[3] += not missed

    def _everywhere(self) -> float:
        """ln of the level's quantile over the geometric mean of errors in all contexts, for a normal law stretched to their variance."""
        quantile = math.log(NormalDist().inv_cdf(0.5 + self._config.level / 2))
        # The logarithm of a standard normal's absolute value has mean -0.635 and deviation 1.11.
        return (quantile + 0.635) * math.sqrt(max(self.numbers[6], 0.1)) / 1.11

    def _near(self, ratio: float) -> float:
        return float(min(max(math.log(max(ratio, 1e-300)), self.numbers[5] - REACH), self.numbers[5] + REACH))
