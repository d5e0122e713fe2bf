"""What a size of the fleet costs in the end: a receding horizon of stages over load scenarios, by dynamic programming.

The load of the next stages is a path of means that the forecast will revise as it learns more: from stage to stage its log moves by a
normal step of standard deviation `revision`, on a grid of NODES. About the mean a row's load is log-normal with `spread`, and so is the
risk that it exceeds what a size serves within the latency. From a size a move to any other costs the start-up energy of the servers started
and WEAR_S at peak power for each one moved; each stage costs its expected energy and VIOLATION times the idle power of the fleet for the
share of time that the constraint is broken. Backwards from the last stage this gives the expected cost of every size to go to, revisions
taken into account: what would be stopped now and started soon stays on.

It is exact on its grid. Assumptions: servers are alike, a started server serves from the next stage on, stopping is free.
"""

import math
from dataclasses import dataclass

import numpy as np
from eil_physics import normal_cdf
from numpy.typing import NDArray

from eil_decision.domain.plant import Plant

Vector = NDArray[np.float64]
STAGES, STAGE_S = 3, 300.0
"""Stages that the load is forecast for, and how long one is at least [s]."""
DEPTH = 6
"""Stages looked ahead, the load staying as it is after the last that is forecast: within so long a start or a stop has paid for itself."""
VIOLATION = 4.0
"""Price of a broken constraint, in times the idle power of the whole fleet for as long as it is broken."""
LEAST_IDLE = 0.1
"""Share of a server's peak power that it is taken to draw idle at least, whatever was learned."""
LEAST_FACTOR = 0.1
"""What a joule counts at least where a broken constraint is priced: the risk stays the same whatever energy costs."""
WEAR_S = 200.0
"""Price of moving a server, in seconds at peak power: wear, and the disruption of whoever runs it."""
NODES = 9
SIZES = 128
"""Sizes compared at most; of a larger fleet every so-manieth, the present one among them."""


@dataclass(frozen=True, slots=True)
class Path:
    """The load to come, in fully used servers."""

    means: tuple[float, ...]
    """Of each stage, all above 0."""
    spread: float
    """Standard deviation of the log of a row's load about its mean."""
    revision: float
    """Standard deviation of the log of the mean's revision from stage to stage."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """What counts how much."""

    energy: tuple[float, ...] = (1.0,) * DEPTH
    """Factor on the energy of each stage."""
    wear: float = 1.0
    """Factor on starts, wear and disruption."""
    wear_j: float = 0.0
    """Of moving one server, beside WEAR_S [J]."""
    caution: float = 1.0
    """Factor on the price of breaking the constraint."""


def grid(now: int, low: int, high: int, step: int = 1, reach: float = math.inf) -> NDArray[np.int64]:
    """Sizes to compare: low, low + step, … high as far as one decision reaches, evenly thinned to SIZES, `now` and its neighbours kept.

    From outside of the bounds `now` is kept only if nothing within them can be reached.
    """
    reach = min(reach, high + now)
    first, last = low + step * max(0, math.ceil((now - reach - low) / step)), min(high, math.floor(now + reach))
    sizes = np.arange(first, last + 1, step)
    if sizes.size > SIZES:
        near = sizes[np.abs(sizes - now) <= 4 * step]
        sizes = np.concatenate(
            [sizes[np.linspace(0, sizes.size - 1, SIZES - near.size).round().astype(np.int64)], near]
        )
    if low <= now <= high:
        return np.unique(np.append(sizes, now))
    return np.unique(sizes) if sizes.size else np.array([now + round(math.copysign(reach, low - now))])


def costs(
    plant: Plant,
    path: Path,
    limit: float,
    sizes: NDArray[np.int64],
    now: int,
    stage_s: float,
    pricing: Pricing = Pricing(),
) -> tuple[Vector, Vector]:
    """(N,) expected cost [J] of going to each size from `now` servers and on from there, and the risk of the first stage.

    `limit` is the utilisation above which the constraint is broken.
    """
    count, spread = sizes.astype(np.float64), max(path.spread, 1e-3)
    drift, between = _revisions(path)
    mean = np.array(path.means)[:, None] * np.exp(drift)
    counts = np.array(pricing.energy[: len(path.means)])[:, None, None]
    stage = _energy_j(plant, mean, spread, count, stage_s) * counts
    risk = normal_cdf(-np.log(count * max(limit, 1e-9) / mean[:, :, None]) / spread)
    stage += pricing.caution * _violation_w(plant, now) * np.maximum(np.abs(counts), LEAST_FACTOR) * stage_s * risk
    start_j = pricing.wear * pricing.energy[0] * plant.start_j
    each_j = pricing.wear * (WEAR_S * plant.price_w + pricing.wear_j)
    down, up = each_j * count, (each_j + start_j) * count
    ahead = np.zeros((drift.size, count.size))
    for k in range(len(path.means) - 1, 0, -1):
        there = stage[k] + ahead
        # A move costs so much for each server, so that the best size above (below) of every size is a running minimum.
        above = np.minimum.accumulate((there + up)[:, ::-1], axis=1)[:, ::-1] - up
        below = np.minimum.accumulate(there - down, axis=1) + down
        ahead = between @ np.minimum(above, below)
    middle = drift.size // 2
    first = np.maximum(count - now, 0.0) * start_j + each_j * np.abs(count - now)
    return first + stage[0, middle] + ahead[middle], risk[0, middle]


def _violation_w(plant: Plant, now: int) -> float:
    """Price of a constraint for as long as it is broken [W]: in proportion to what it is broken for, the idle power of servers spared.

    At the size that costs least a share a·n·spread / (price · φ) of the time breaks it, a being a server's idle power, n their number and φ
    nearly constant: priced by a·n that share is the same for plants with idle servers dear and cheap, and for small fleets and large.
    """
    return VIOLATION * max(plant.idle_w, LEAST_IDLE * plant.price_w) * (plant.fleet or now)


def _revisions(path: Path) -> tuple[Vector, Vector]:
    """Grid of revisions so far, and the chances of the next ones from each."""
    if path.revision <= 0.0 or len(path.means) == 1:
        return np.zeros(1), np.ones((1, 1))
    reach = 2.5 * path.revision * math.sqrt(len(path.means) - 1)
    drift = np.linspace(-reach, reach, NODES)
    chances = np.exp(-0.5 * ((drift[None, :] - drift[:, None]) / path.revision) ** 2)
    return drift, chances / chances.sum(axis=1, keepdims=True)


def _energy_j(plant: Plant, mean: Vector, spread: float, count: Vector, stage_s: float) -> Vector:
    """(K, G, N) expected energy of a stage [J]. Load beyond what a size serves counts too: not to serve it must not pass for saving."""
    loads = mean[:, :, None] * math.exp(0.5 * spread**2)
    return stage_s * (count * plant.idle_w + plant.slope_w * loads)
