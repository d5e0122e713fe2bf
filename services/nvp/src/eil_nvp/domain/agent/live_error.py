"""How wrong each member has been of late: the weights of an ensemble and the evidence of a slow drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FAST, SLOW = 0.2, 0.02
"""Forgetting a step of the two live errors: the larger counts, so distrust comes fast and trust returns slowly."""


@dataclass(frozen=True)
class LiveError:
    """Each member's discounted mean square error, fast and slow, in units of `scale`²."""

    fast: Array
    """(M,)."""
    slow: Array
    """(M,)."""
    seen: Array
    """(M,), float counts of errors seen."""

    @classmethod
    def fresh(cls, members: int) -> LiveError:
        """Nothing known of `members` >= 1 members."""
        if members < 1:
            raise ValueError(
                f"{members} members were asked for: an ensemble without members has no error; give at least one"
            )
        return cls(np.zeros(members), np.zeros(members), np.zeros(members))

    @property
    def rms(self) -> Array:
        """(M,), the larger of both root mean square errors; NaN for members never seen."""
        return np.where(self.seen > 0, np.sqrt(np.maximum(self.fast, self.slow)), np.nan)

    def updated(self, members: Sequence[npt.ArrayLike], truth: npt.ArrayLike, scale: npt.ArrayLike = 1.0) -> LiveError:
        """The record after the truth (...) of one prediction by all members is known; non-finite elements of `truth` are skipped.

        A member that was not finite or not of the truth's shape is charged four times the worst finite member's error.
        """
        target = np.asarray(truth, np.float64)
        known = np.isfinite(target)
        if len(members) != len(self.seen):
            raise ValueError(
                f"{len(members)} members for a record of {len(self.seen)}: errors would go to the wrong member; give all"
            )
        if not known.any():
            return self
        errors = np.array([_mean_square(member, target, known, scale) for member in members])
        finite = np.isfinite(errors)
        worst = errors[finite].max() if finite.any() else max(self.fast.max(), np.finfo(float).tiny)
        errors = np.where(finite, errors, 16.0 * worst)
        seen = self.seen + 1
        fast = self.fast + np.maximum(FAST, 1 / seen) * (errors - self.fast)
        slow = self.slow + np.maximum(SLOW, 1 / seen) * (errors - self.slow)
        return LiveError(fast, slow, seen)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """For storage; `from_arrays` restores it bit for bit."""
        return {"fast": self.fast.copy(), "slow": self.slow.copy(), "seen": self.seen.copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> LiveError:
        """What `to_arrays` gave."""
        return cls(*(np.array(arrays[name], np.float64) for name in ("fast", "slow", "seen")))


def _mean_square(member: npt.ArrayLike, target: Array, known: npt.NDArray[np.bool_], scale: npt.ArrayLike) -> float:
    values = np.asarray(member, np.float64)
    if values.shape != target.shape:
        return np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.mean(((values - target) / np.asarray(scale, np.float64))[known] ** 2))
