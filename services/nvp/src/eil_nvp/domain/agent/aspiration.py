"""The target, what could be reached, and how sharply the members' weights should follow their errors.

Bound: an online estimate of the irreducible error from above. Each member's error is averaged with discount SLOW together with its
variance; the best average, taken with its standard error, forms a lower envelope that follows down at once and up at the rate LEAK, so
that a bad hour does not lower the aspiration and a new regime does in the end. It bounds from above: a better model than any member may
exist.

Temperature T: soft weights ∝ (mean square error)^(-1/T); T -> ∞ is the plain mean, 1 inverse variance, below 1 almost the best member. Of
TEMPERATURES the one whose mixture erred least (discounted) is used, left only for one better by SWITCH.

Assumptions: errors are >= 0 and in one unit; averages use the effective sample of the discount as if errors were independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SLOW = 0.01
"""Forgetting a lesson of members' errors."""
QUICK = 0.05
"""Forgetting a lesson of the present error."""
LEAK = 0.002
"""Share of the gap by which the envelope rises a lesson."""
MIXING = 0.02
"""Forgetting a lesson of members' and mixtures' mean square errors."""
SWITCH = 0.01
"""Share by which another temperature must be better."""
ABSURD = 1000.0
"""Times the average at which one error is cut: it must not drown all others for hundreds of lessons."""
TEMPERATURES = np.array([0.25, 0.5, 1.0, 2.0, 4.0, np.inf])


@dataclass(frozen=True)
class Aspiration:
    """Where the agent wants to be, could be and is; errors in the unit of the lessons."""

    target: float
    """The error asked for, or the best baseline's; NaN when neither is known."""
    target_from: str
    """"asked", "baseline" or "none"."""
    bound: float
    """Best error that any member has held for long; NaN when none is known."""
    bound_error: float
    """Its standard error."""
    present: float
    """Discounted error now; NaN before the first lesson."""
    attainable: bool
    """Whether the target is not below bound - 2 · bound_error; False where unknown."""
    gap: float
    """present / bound - 1: 0 is all that is known to be possible."""
    sentence: str
    """For people."""


class AspirationTracker:
    """Estimates all but the words of an `Aspiration`. Not thread-safe."""

    def __init__(self) -> None:
        self._numbers = np.array([np.nan, 0.0, np.nan, 0.0, np.nan, np.nan])
        """present error, its weight, baseline error, its weight, envelope, its standard error."""
        self._members = np.empty((3, 0))
        """(3, M): discounted mean, variance, weight."""

    @property
    def present(self) -> float:
        """Discounted error, NaN before the first."""
        return float(self._numbers[0])

    @property
    def baseline(self) -> float:
        """Discounted error of the best baseline, NaN before the first."""
        return float(self._numbers[2])

    def learn(self, error: float, baseline: float | None, members: Array | None) -> None:
        """Take one lesson; members (M,), not finite for those that failed."""
        _discount(self._numbers, 0, error)
        if baseline is not None:
            _discount(self._numbers, 2, baseline)
        errors = np.array([error]) if members is None else np.append(members, error)
        if self._members.shape[1] != len(errors):
            self._members = np.zeros((3, len(errors)))
        mean, variance, seen = self._members
        known = np.isfinite(errors)
        errors = np.where((seen >= 10) & (mean > 0), np.minimum(errors, ABSURD * mean), errors)
        seen += known
        step = np.where(known, np.maximum(SLOW, 1 / np.maximum(seen, 1)), 0.0)
        away = np.where(known, errors - mean, 0.0)
        mean += step * away
        variance += step * ((1 - step) * away**2 - variance)
        if (seen >= 10).any():
            self._follow(mean, variance, seen)

    def _follow(self, mean: Array, variance: Array, seen: Array) -> None:
        best = int(np.argmin(np.where(seen >= 10, mean, np.inf)))
        error = float(np.sqrt(variance[best] / min(seen[best], 2 / SLOW - 1)))
        old = self._numbers[4]
        # While averages are short the envelope would keep the luckiest of them for long.
        following = np.isnan(old) or mean[best] <= old or seen[best] < 1 / SLOW
        self._numbers[4] = mean[best] if following else old + LEAK * (mean[best] - old)
        self._numbers[5] = error

    def state(self, asked: float | None) -> Aspiration:
        """All of it, for an error `asked`, or the baseline's where that is None."""
        bound, spread = (float(number) for number in self._numbers[4:])
        source = "asked" if asked is not None else "baseline" if np.isfinite(self.baseline) else "none"
        target = asked if asked is not None else self.baseline
        attainable = bool(target >= bound - 2 * spread)
        gap = self.present / bound - 1 if bound > 0 else np.nan
        if not np.isfinite(bound):
            said = "too few lessons to say what is attainable"
        else:
            said = f"error {self.present:.3g}, attainable about {bound:.3g} ± {spread:.2g}"
            if source != "none":
                said += f", target {target:.3g} ({source}) {'is attainable' if attainable else 'is below what any member has held'}"
        return Aspiration(target, source, bound, spread, self.present, attainable, float(gap), said)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The state."""
        return {"numbers": self._numbers.copy(), "members": self._members.copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> AspirationTracker:
        """What `to_arrays` gave."""
        tracker = cls()
        tracker._numbers, tracker._members = (np.array(arrays[name], np.float64) for name in ("numbers", "members"))
        return tracker


class Mixer:
    """Members' soft weights at the temperature that has served best. Not thread-safe."""

    def __init__(self) -> None:
        self._members, self._mixtures = np.empty(0), np.zeros(len(TEMPERATURES))
        """(M,), (T,): discounted mean square errors."""
        self._counts = np.array([0, 2], np.int64)
        """Lessons; place of the temperature in force (1, inverse variance, at first)."""

    @property
    def temperature(self) -> float:
        """T in force."""
        return float(TEMPERATURES[self._counts[1]])

    def weights(self) -> Array:
        """(M,), sum 1, at the temperature in force; empty before the first lesson."""
        return _soft(self._members)[self._counts[1]] if len(self._members) else np.empty(0)

    def learn(
        self, members: Sequence[npt.ArrayLike] | Array, truth: npt.ArrayLike, scale: npt.ArrayLike = 1.0
    ) -> float:
        """Take the members' predictions (M, ...) and the truth (...); gives the temperature then in force.

        A prediction that is not finite is charged four times the worst finite member's error and mixed as the mean of the others.
        Raises ValueError where shapes differ or no member is finite.
        """
        target = np.asarray(truth, np.float64)
        stack = np.asarray(members, np.float64)
        if (
            stack.shape[1:] != target.shape
            or (len(self._members) and len(stack) != len(self._members))
            or not np.isfinite(target).all()
        ):
            raise ValueError(
                f"members {stack.shape} and truth {target.shape} do not fit each other, those before, or are not finite: "
                "errors would go to the wrong member; give (M, ...) and (...)"
            )
        away = ((stack - target) / np.asarray(scale, np.float64)).reshape(len(stack), -1)
        finite = np.isfinite(away).all(axis=1)
        if not finite.any():
            raise ValueError("no member has a finite prediction: there is nothing to weigh; skip this lesson")
        away[~finite] = away[finite].mean(axis=0)
        squares = np.mean(away**2, axis=1)
        squares[~finite] = 16.0 * squares[finite].max()
        step = max(MIXING, 1 / (self._counts[0] + 1))
        if self._counts[0]:
            mixed = np.mean((_soft(self._members) @ away) ** 2, axis=1)
            self._mixtures += max(MIXING, 1 / self._counts[0]) * (mixed - self._mixtures)
            best = int(np.argmin(self._mixtures))
            if self._counts[0] >= 10 and self._mixtures[best] < (1 - SWITCH) * self._mixtures[self._counts[1]]:
                self._counts[1] = best
        self._members = squares if not len(self._members) else self._members + step * (squares - self._members)
        self._counts[0] += 1
        return self.temperature

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The state."""
        return {"members": self._members.copy(), "mixtures": self._mixtures.copy(), "counts": self._counts.copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Mixer:
        """What `to_arrays` gave."""
        mixer = cls()
        mixer._members, mixer._mixtures, mixer._counts = (
            np.array(arrays[name]) for name in ("members", "mixtures", "counts")
        )
        return mixer


def _soft(squares: Array) -> Array:
    """(T, M) weights at every temperature."""
    logs = np.log(np.maximum(squares, np.finfo(float).tiny))
    powers = np.exp(-(logs - logs.min()) / TEMPERATURES[:, None])
    return powers / powers.sum(axis=1, keepdims=True)


def _discount(numbers: Array, place: int, error: float) -> None:
    """A discounted mean at `place` and its weight behind it."""
    numbers[place + 1] += 1
    old = 0.0 if np.isnan(numbers[place]) else numbers[place]
    if numbers[place + 1] > 10 and old > 0:
        error = min(error, ABSURD * old)
    numbers[place] = old + max(QUICK, 1 / numbers[place + 1]) * (error - old)
