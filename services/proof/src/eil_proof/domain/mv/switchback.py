"""Switchback tests of a lever that can be toggled: on and off by blocks, the order within each pair drawn from a committed seed.

The saving is the mean over pairs of (off − on), by Student's t over pairs. Drift slower than a pair cancels, whatever its cause;
what is left is random by design, so that neither a model of the plant nor of its errors is needed. The first intervals of each
block are left out (wash-out). With a driver the pairs' differences are adjusted by least squares: d = β₀ + β₁·(x_off − x_on), the
saving is β₀, one degree of freedom is spent. Blocks should last three autocorrelation times or more.
"""

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
from eil_physics import t_quantile
from numpy.typing import NDArray

from eil_proof.domain.mv.baseline import MAX_MISSING
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.placebo import MIN_PRESENT
from eil_proof.domain.mv.savings import INSUFFICIENT_DATA, LEVEL, verdict

MIN_PAIRS = 6
"""Pairs that must count."""


@dataclass(frozen=True, slots=True)
class Switching:
    """How the lever is toggled: pairs of blocks, one on and one off."""

    pairs: int
    block: int
    """Intervals of a block."""
    washout: int
    """Intervals at the start of a block that do not count."""
    seed: str

    def __post_init__(self) -> None:
        if self.pairs < MIN_PAIRS:
            raise ValueError(f"{self.pairs} pairs of blocks: a switchback needs {MIN_PAIRS} or more")
        if not 0 <= self.washout < self.block:
            raise ValueError(f"a wash-out of {self.washout} intervals leaves nothing of a block of {self.block}")

    @property
    def length(self) -> int:
        """Intervals of the whole test."""
        return 2 * self.pairs * self.block

    @property
    def on_first(self) -> tuple[bool, ...]:
        """Of each pair, whether the lever is on in its first block: a bit of SHA-256 of the seed and the pair's number."""
        return tuple(bool(hashlib.sha256(f"{self.seed}:{pair}".encode()).digest()[0] & 1) for pair in range(self.pairs))


@dataclass(frozen=True, slots=True)
class SwitchbackSaving:
    """What a switchback found, [J] over the intervals with the lever on that count."""

    saving_j: float
    half_width_j: float
    on_j: float
    """Measured with the lever on."""
    pairs: int
    """Pairs that count."""
    adjusted: bool
    """Differences were adjusted for the driver."""
    missing: float
    """Share of the pairs that do not count."""
    state: str
    reason: str

    @property
    def low_j(self) -> float:
        """Lower end of the interval: what may be credited."""
        return self.saving_j - self.half_width_j

    @property
    def high_j(self) -> float:
        """Its upper end."""
        return self.saving_j + self.half_width_j


def switchback(
    measured: Intervals, switching: Switching, excluded: NDArray[np.bool_], *, adjust: bool
) -> SwitchbackSaving:
    """The saving of a switchback test over its whole length.

    Args:
        measured: the intervals of the test.
        switching: how the lever was toggled.
        excluded: (n,) intervals that do not count.
        adjust: adjust for the driver.

    Raises:
        ValueError: the intervals are not those of the test.
    """
    if len(measured) != switching.length or excluded.shape != (len(measured),):
        raise ValueError(f"{len(measured)} intervals, but the test has {switching.length}")
    held = measured.present(driver=adjust) & ~excluded
    off, on, counts = _blocks(measured.energy_j, held, switching)
    x_off, x_on, _ = _blocks(measured.driver, held, switching)
    valid = (counts >= MIN_PRESENT * (switching.block - switching.washout)).all(axis=1)
    used, on_intervals = int(valid.sum()), int(counts[valid, 1].sum())
    x = x_off[valid] - x_on[valid] if adjust else np.zeros(used)
    adjusted = adjust and used >= MIN_PAIRS and bool(np.ptp(x) > 0)
    mean, half = _paired_t(off[valid] - on[valid], x if adjusted else None)
    found = SwitchbackSaving(
        saving_j=mean * on_intervals,
        half_width_j=half * on_intervals,
        on_j=float((on * counts[:, 1])[valid].sum()),
        pairs=used,
        adjusted=adjusted,
        missing=1 - used / switching.pairs,
        state="",
        reason="",
    )
    if found.missing > MAX_MISSING or used < MIN_PAIRS:
        text = f"{used} of {switching.pairs} pairs were measured; {MIN_PAIRS} or more and all but {MAX_MISSING:.0%} must be"
        return replace(found, state=INSUFFICIENT_DATA, reason=text)
    state, reason = verdict(found.low_j, found.high_j)
    return replace(found, state=state, reason=reason)


def _blocks(
    values: NDArray[np.float64], held: NDArray[np.bool_], switching: Switching
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Means (pairs,) of the off and the on blocks after their wash-out, and how many intervals (pairs, 2) count in each, off first."""
    shape = (switching.pairs, 2, switching.block)
    counted = held.reshape(shape)[:, :, switching.washout :]
    part = np.where(counted, values.reshape(shape)[:, :, switching.washout :], 0.0)
    counts = counted.sum(axis=2)
    means = part.sum(axis=2) / np.maximum(counts, 1)
    order = np.array(switching.on_first)
    off_place = np.where(order, 1, 0)
    pair = np.arange(switching.pairs)
    ordered = np.stack((counts[pair, off_place], counts[pair, 1 - off_place]), axis=1)
    return means[pair, off_place], means[pair, 1 - off_place], ordered


def _paired_t(d: NDArray[np.float64], x: NDArray[np.float64] | None) -> tuple[float, float]:
    """Mean of differences (n,), or their value at x = 0, and the half width of its interval."""
    design = np.ones((d.size, 1)) if x is None else np.stack((np.ones(d.size), x / np.abs(x).max()), axis=1)
    free = d.size - design.shape[1]
    if free < 1:
        return math.nan, math.nan
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ (design.T @ d)
    variance = float(((d - design @ coefficients) ** 2).sum()) / free
    half = t_quantile(0.5 + LEVEL / 2, free) * math.sqrt(variance * inverse[0, 0])
    return float(coefficients[0]), half
