"""A field from readings at a few spots: Gaussian-process regression with a heat kernel as the covariance.

A reading is y = μ + f(x) + ε: an unknown mean μ without prior, a smooth field f ~ N(0, s²K_t), and what a single source differs from its
neighbourhood by, ε ~ N(0, s²ν + u²), u the reading's own standard uncertainty. The mean is integrated out everywhere, so that the
uncertainty of a map holds that of its level.

How far heat spreads (t), the local share ν and the amplitude s are not known either, and by few readings the likeliest values would be far
too sure of themselves. A map is therefore the mean over what they may be: over fixed lists of values, each counting by its restricted
marginal likelihood. No chance is in it: a map is the same whenever and wherever it is drawn. The frames of one map share one belief.

C. Rasmussen, C. Williams: Gaussian Processes for Machine Learning, 2006, §2.2, §2.7 and §5.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eil_atlas.domain.heat_kernel import Kernel, Spots, Times

LOCAL_SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""What ν may be."""
VARIANCE_RATIOS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""What s² may be over the readings' own variance: below it where ε explains much, above where f is wide."""
FEWEST_TO_LEARN = 3
"""Fewer readings have no spread to learn from: sources are then taken to differ by as much as they read."""
MEMBERS = 64
"""Draws that stand for a belief, evenly spaced over its weight; what is drawn twice counts twice and is computed once."""
MOST_JUDGES = 256
"""Readings of a frame that a belief rests on; of more, evenly many of them."""
MOST_FRAMES = 4
"""Frames that a belief rests on; of more, evenly many of them."""
MOST_WORK = 3e10
"""Floating-point operations of all frames; readings are thinned evenly until they suffice. A few seconds of one core."""
BLOCK = 64
"""Rows of a triangle that are solved at once."""
JITTER = 1e-9
"""Added to ν: what keeps the decomposition of rounded matrices possible."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of a frame, each (n,): spots, values and their standard uncertainties."""

    spots: Spots
    values: NDArray[np.float64]
    uncertainties: NDArray[np.float64]

    def thinned(self, most: int) -> "Readings":
        """At most so many of them, evenly spread over their order."""
        if self.values.size <= most:
            return self
        kept = np.unique(np.linspace(0, self.values.size - 1, most).round().astype(np.intp))
        return Readings(self.spots[kept], self.values[kept], self.uncertainties[kept])


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a field's covariance is made of."""

    times: Times
    amplitude: float
    """s, standard deviation of the field before any reading."""
    local_share: float
    """ν, variance of single sources about the field over s²."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What the parameters may be, and by what weights, which add up to 1."""

    members: tuple[tuple[float, Parameters], ...]

    @property
    def times(self) -> Times:
        """The diffusion times of the largest weight."""
        total: dict[Times, float] = {}
        for weight, each in self.members:
            total[each.times] = total.get(each.times, 0.0) + weight
        return max(total, key=lambda times: total[times])

    @property
    def amplitude(self) -> float:
        """Standard deviation of the field before any reading."""
        return sum(weight * each.amplitude**2 for weight, each in self.members) ** 0.5

    @property
    def local_spread(self) -> float:
        """Standard deviation of single sources about the field."""
        return sum(weight * each.amplitude**2 * each.local_share for weight, each in self.members) ** 0.5


@dataclass(frozen=True, slots=True)
class Field:
    """The field at spots, each (m,)."""

    values: NDArray[np.float64]
    uncertainties: NDArray[np.float64]


def believe(kernel: Kernel, frames: Sequence[Readings], times: Times | None = None) -> Belief:
    """What the parameters may be by frames of one reading at least each; `times` fixes the diffusion times.

    Here alone, every reading counts with the frame's mean u²: one decomposition then serves all ν and s².

    Raises:
        ValueError: there is no frame.
    """
    if not frames:
        raise ValueError("a field rests on readings, and there are none: choose a window in which sources sent samples")
    judges = [frames[i].thinned(MOST_JUDGES) for i in _evenly(len(frames), MOST_FRAMES)]
    variance = float(np.mean([_variance(frame) for frame in judges]))
    tried = [times] if times else list(kernel.times)
    learnt = max(frame.values.size for frame in judges) >= FEWEST_TO_LEARN
    tried_ratios = VARIANCE_RATIOS if learnt else (1.0,)
    shares, ratios = (grid.ravel() for grid in np.meshgrid(LOCAL_SHARES, tried_ratios, indexing="ij"))
    likelihood = np.array(
        [sum(_log_likelihoods(kernel, frame, each, shares, ratios * variance) for frame in judges) for each in tried]
    ).ravel()
    weights = np.exp(likelihood - likelihood.max())
    below = np.cumsum(weights) / weights.sum()
    drawn, often = np.unique(np.searchsorted(below, (np.arange(MEMBERS) + 0.5) / MEMBERS), return_counts=True)
    members = []
    for one, count in zip(drawn.tolist(), often.tolist(), strict=True):
        at, pair = divmod(one, shares.size)
        share, ratio = float(shares[pair]), float(ratios[pair])
        members.append((count / MEMBERS, Parameters(tried[at], (ratio * variance) ** 0.5, share)))
    return Belief(tuple(members))


def affordable(fields: int, targets: int) -> int:
    """Readings that so many fields at `targets` spots may rest on, to stay within MOST_WORK: n²(n/3 + targets) operations each."""
    most = int((3 * MOST_WORK / fields) ** (1 / 3))
    while most > 1 and fields * most**2 * (most / 3 + targets) > MOST_WORK:
        most = int(most * 0.95)
    return max(1, most)


def estimate(kernel: Kernel, belief: Belief, readings: Readings, targets: Spots) -> Field:
    """Posterior mean and standard deviation of μ + f at spots (m,), by readings (n,), n ≥ 1."""
    mean, square = np.zeros(targets.size), np.zeros(targets.size)
    origin = float(readings.values.mean())  # squares of differences from it do not cancel
    for weight, parameters in belief.members:
        values, variance = _posterior(kernel, parameters, readings, targets)
        mean += weight * (values - origin)
        square += weight * (variance + (values - origin) ** 2)
    return Field(origin + mean, np.sqrt(np.maximum(square - mean**2, 0.0)))


def _posterior(
    kernel: Kernel, parameters: Parameters, readings: Readings, targets: Spots
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance (m,) under one set of parameters; the level μ by generalised least squares."""
    s2, times = parameters.amplitude**2, parameters.times
    noise = s2 * (parameters.local_share + JITTER) + readings.uncertainties**2
    among = s2 * kernel.covariance(times, readings.spots, readings.spots)
    lower = np.linalg.cholesky(among + np.diag(noise))
    ones, values = _forward(lower, np.stack((np.ones_like(readings.values), readings.values), 1)).T
    across = _forward(lower, s2 * kernel.covariance(times, readings.spots, targets))
    precision = ones @ ones
    level = (ones @ values) / precision
    lacking = 1.0 - across.T @ ones
    variance = s2 * kernel.variance(times, targets) - np.sum(across**2, axis=0) + lacking**2 / precision
    return level + across.T @ (values - level * ones), np.maximum(variance, 0.0)


def _forward(lower: NDArray[np.floating], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """L⁻¹·right (n, m) of a lower triangle L (n, n), by blocks of rows: nearly all of it is products of matrices.

    A block is inverted: ν ≥ 0.003 keeps L's condition below 10³, and that of its blocks.
    """
    solved = np.empty_like(right)
    for first in range(0, len(lower), BLOCK):
        rows = slice(first, first + BLOCK)
        solved[rows] = np.linalg.inv(lower[rows, rows]) @ (right[rows] - lower[rows, :first] @ solved[:first])
    return solved


def _evenly(count: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _variance(frame: Readings) -> float:
    """Scale of a frame's variance: the readings' own, never so small that equal readings leave no doubt."""
    size = float(np.mean(np.abs(frame.values)))
    if frame.values.size < FEWEST_TO_LEARN:
        return max(size**2, 1e-12)
    return max(float(np.var(frame.values, ddof=1)), (1e-3 * size) ** 2, 1e-12)


def _log_likelihoods(
    kernel: Kernel, frame: Readings, times: Times, shares: NDArray[np.float64], s2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Restricted log-likelihoods (p,) of a frame for p pairs of ν and s², up to a constant."""
    rates, modes = np.linalg.eigh(kernel.covariance(times, frame.spots, frame.spots))
    noise = s2 * (shares + JITTER) + float(np.mean(frame.uncertainties**2))
    spectrum = s2[:, None] * np.maximum(rates, 0.0) + noise[:, None]
    ones, values = modes.sum(axis=0), (frame.values - frame.values.mean()) @ modes
    precision, cross = (ones**2 / spectrum).sum(axis=1), (ones * values / spectrum).sum(axis=1)
    misfit = (values**2 / spectrum).sum(axis=1) - cross**2 / precision
    return -0.5 * (np.log(spectrum).sum(axis=1) + np.log(precision) + misfit)
