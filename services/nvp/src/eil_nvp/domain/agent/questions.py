"""The questions that every prediction is asked, and what follows from each answer.

* conservation: is the imbalance within tolerance? If not, project (changed); if the projection does not help, doubt.
* bounds: does every element lie within what physics allows? If not, clip (changed).
* ensemble: is an element farther than `reach` spreads from the robust ensemble? Then it is drawn back to that distance (changed), and
  the interval widened by as much; if more than `crowd` of the elements are, the whole is doubted too.
* persistence: is a move from the last value larger than any seen at this horizon? Then the interval is widened until it holds the largest
  move seen (doubted); beyond `leap` times the largest, abstain.

Arrays have the prediction's shape (...) or are broadcast to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .socratic import SETTLED, Array, Finding, Prediction, change, doubt, kept


@dataclass(frozen=True)
class Conservation:
    """Is what must be conserved conserved?"""

    imbalance: Callable[[Array], float]
    """Relative violation of a value (...); 0 is exact."""
    project: Callable[[Array], Array]
    """The nearest value that conserves."""
    tolerance: float = 1e-6

    def ask(self, prediction: Prediction, asked_of: str) -> tuple[Prediction, Finding]:
        """See the module's text."""
        size = abs(float(self.imbalance(prediction.value)))
        if size <= self.tolerance:
            return prediction, kept("conservation", asked_of, size, prediction, f"conserved to {size:.2g}")
        value = np.asarray(self.project(prediction.value), np.float64)
        left = (
            abs(float(self.imbalance(value)))
            if value.shape == prediction.value.shape and np.isfinite(value).all()
            else np.inf
        )
        if not left <= max(self.tolerance, 0.5 * size):
            said = f"not conserved ({size:.2g}), and the projection leaves {left:.2g}: not to be relied on"
            return doubt("conservation", asked_of, size, prediction, prediction.radius, said, abstain=True)
        return change(
            "conservation", asked_of, size, prediction, value, f"not conserved ({size:.2g}), projected to {left:.2g}"
        )


@dataclass(frozen=True)
class Bounds:
    """Is every element possible?"""

    low: npt.ArrayLike
    """Broadcast to (...); -inf where there is none."""
    high: npt.ArrayLike
    """Broadcast to (...); inf where there is none."""

    def __post_init__(self) -> None:
        if (
            np.isnan(self.low).any()
            or np.isnan(self.high).any()
            or (np.asarray(self.low) > np.asarray(self.high)).any()
        ):
            raise ValueError(
                f"bounds {self.low} to {self.high}: no value can lie within; give low <= high, infinite where there is none"
            )

    def ask(self, prediction: Prediction, asked_of: str) -> tuple[Prediction, Finding]:
        """See the module's text."""
        value = np.clip(prediction.value, self.low, self.high)
        moved = np.abs(value - prediction.value)
        size = float(moved.max(initial=0.0))
        if size == 0.0:
            return prediction, kept("bounds", asked_of, size, prediction, "within physical bounds")
        said = f"{int((moved > 0).sum())} of {moved.size} elements broke physical bounds by up to {size:.3g} and were clipped"
        return change("bounds", asked_of, size, prediction, value, said)


@dataclass(frozen=True)
class Ensemble:
    """Does it lie where the members agree?"""

    value: Array
    """(...), the robust ensemble (`Vote.value`)."""
    spread: Array
    """(...), its spread (`Vote.spread`)."""
    reach: float = 3.0
    """Spreads within which nothing is asked."""
    crowd: float = 0.5
    """Share of elements out of reach from which the whole is doubted."""
    floor: npt.ArrayLike = 0.0
    """Least spread, broadcast to (...): members that agree by chance must not rule; the measurement noise is a good choice."""

    def ask(self, prediction: Prediction, asked_of: str) -> tuple[Prediction, Finding]:
        """See the module's text."""
        allowed = self.reach * np.maximum(self.spread, self.floor)
        away = prediction.value - self.value
        excess = np.maximum(np.abs(away) - allowed, 0.0)
        outside = excess > SETTLED * np.maximum(np.abs(prediction.value), np.abs(self.value))
        if not outside.any():
            return prediction, kept("ensemble", asked_of, 0.0, prediction, "within the members' agreement")
        size = float(excess.max())
        value = np.where(outside, self.value + np.clip(away, -allowed, allowed), prediction.value)
        share = float(outside.mean())
        said = f"{share:.0%} of the elements lay over {self.reach:g} spreads from the ensemble, by up to {size:.3g}, and were drawn back"
        if share > self.crowd:
            said += "; so many that it abstains"
        radius = np.maximum(prediction.radius, np.where(outside, excess, 0.0))
        changed, finding = change("ensemble", asked_of, size, prediction, value, said)
        return replace(changed, radius=radius, abstained=prediction.abstained or share > self.crowd), finding


@dataclass(frozen=True)
class Persistence:
    """Has anything ever moved so far in so short a time?"""

    last: Array
    """(...), the newest value."""
    largest: npt.ArrayLike
    """Broadcast to (...): the largest absolute move seen at this horizon, >= 0; 0 is taken for "none seen"."""
    leap: float = 3.0
    """Times the largest move beyond which it abstains."""

    def ask(self, prediction: Prediction, asked_of: str) -> tuple[Prediction, Finding]:
        """See the module's text."""
        move = np.abs(prediction.value - self.last)
        largest = np.broadcast_to(np.asarray(self.largest, np.float64), move.shape)
        excess = np.maximum(move - largest, 0.0)
        beyond = excess > SETTLED * np.maximum(np.abs(self.last), np.abs(prediction.value))
        if not beyond.any():
            return prediction, kept("persistence", asked_of, 0.0, prediction, "no larger move than seen before")
        ratio = np.divide(move, largest, out=np.full(move.shape, np.inf), where=largest > 0)
        size = float(ratio[beyond].max())
        radius = np.maximum(prediction.radius, np.where(beyond, excess, 0.0))
        said = f"{int(beyond.sum())} of {beyond.size} elements move up to {size:.3g} times the largest move seen; widened to hold that"
        abstain = bool((beyond & (ratio > self.leap) & (largest > 0)).any())
        return doubt(
            "persistence",
            asked_of,
            size,
            prediction,
            radius,
            said + ("; it abstains" if abstain else ""),
            abstain=abstain,
        )
