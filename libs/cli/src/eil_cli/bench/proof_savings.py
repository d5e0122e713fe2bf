"""Meters whose savings are known, and what verification makes of them."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from eil_proof.domain.mv.baseline import Baseline, fit_baseline
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.savings import INSUFFICIENT_DATA, PROVEN, Saving, save
from eil_proof.domain.mv.switchback import Switching, switchback
from numpy.typing import NDArray
from scipy.signal import lfilter

RHOS = (0.0, 0.5, 0.9)
"""Lag-1 autocorrelation of an hour's noise."""
LENGTHS_D = (7, 21)
BASELINE_D = 90
HOUR_S = 3600
START_US = 1_767_571_200_000_000
"""Monday, 5 January 2026."""
SAVING = 0.1
NOISE = 0.1
"""Standard deviation over the mean."""
MEAN_J = 1.25e6
PAIRS, BLOCK_H, WASHOUT_H = 14, 24, 3


@dataclass(frozen=True)
class Found:
    """Shares over the seeds."""

    false_proven: float
    """PROVEN where nothing was done."""
    coverage: float
    """Intervals that hold the true saving."""
    proven: float
    """PROVEN where 10 % were saved."""
    insufficient: float
    width: float = 0.0
    """Mean half width over the AR(1)-exact one's."""
    fit_ms: float = 0.0
    """Median time to commit and evaluate."""
    others: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """False PROVEN, coverage and width of other intervals."""


def meter(
    rng: np.random.Generator, hours: int, rho: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Load, law and noise of a meter, (hours,) each: the law rises with load above a break point, the noise is a first-order
    autoregression."""
    hour = np.arange(hours, dtype=np.float64)
    wander = 4 * np.asarray(lfilter([1], [1, -0.9], rng.normal(size=hours)), np.float64)
    load = 100 + 40 * np.sin(2 * np.pi * hour / 24) - 25 * (hour // 24 % 7 >= 5) + wander
    law = 1e6 * (1 + 0.006 * np.maximum(load - 60, 0))
    shocks = rng.normal(size=hours) * np.sqrt(1 - rho**2)
    shocks[0] = rng.normal()
    return load, law, NOISE * MEAN_J * np.asarray(lfilter([1], [1, -rho], shocks))


def regressions(rho: float, seeds: int, step: Callable[[], None]) -> list[Found]:
    """What regressions find, for each reporting length."""
    hours = BASELINE_D * 24
    nulls: list[list[Saving]] = [[] for _ in LENGTHS_D]
    saved: list[list[tuple[Saving, float]]] = [[] for _ in LENGTHS_D]
    times_ms: list[list[float]] = [[] for _ in LENGTHS_D]
    for seed in range(seeds):
        load, law, noise = meter(np.random.default_rng((seed, round(100 * rho))), hours + max(LENGTHS_D) * 24, rho)
        baseline = Intervals(START_US, HOUR_S, (law + noise)[:hours], load[:hours])
        for place, length_d in enumerate(LENGTHS_D):
            m = length_d * 24
            part = slice(hours, hours + m)
            began_s = time.perf_counter()
            fitted = fit_baseline(baseline, "change_point", m)
            nulls[place].append(_save(fitted, (law + noise)[part], load[part]))
            times_ms[place].append(1e3 * (time.perf_counter() - began_s))
            less = _save(fitted, ((1 - SAVING) * law + noise)[part], load[part])
            saved[place].append((less, SAVING * float(law[part].sum())))
        step()
    return [_found(*found) for found in zip(nulls, saved, times_ms, strict=True)]


def _save(fitted: Baseline, energy_j: NDArray[np.float64], load: NDArray[np.float64]) -> Saving:
    start_us = START_US + BASELINE_D * 24 * HOUR_S * 1_000_000
    return save(fitted, Intervals(start_us, HOUR_S, energy_j, load), np.zeros(load.size, np.bool_))


def _found(nulls: list[Saving], saved: list[tuple[Saving, float]], times_ms: list[float]) -> Found:
    halves = {
        "AR(1)+HAC": np.array([one.ar1_half_width_j for one, _ in saved]),
        "Guideline 14": np.array([one.guideline14_half_width_j for one, _ in saved]),
        "independent": np.array([one.iid_half_width_j for one, _ in saved]),
    }
    error = np.array([abs(one.saving_j - true) for one, true in saved])
    null = np.array([one.saving_j for one in nulls])
    reference = float(halves["AR(1)+HAC"].mean())
    half = np.array([one.half_width_j for one, _ in saved])
    return Found(
        false_proven=_share(one.state == PROVEN for one in nulls),
        coverage=float(np.mean(error <= half)),
        proven=_share(one.state == PROVEN for one, _ in saved),
        insufficient=_share(one.state == INSUFFICIENT_DATA for one in nulls),
        width=float(half.mean()) / reference,
        fit_ms=float(np.median(times_ms)),
        others={
            name: (float(np.mean(null > width)), float(np.mean(error <= width)), float(width.mean()) / reference)
            for name, width in halves.items()
        },
    )


def switchbacks(rho: float, seeds: int, step: Callable[[], None]) -> Found:
    """What switchback tests of two weeks of pairs of days find, adjusted for load."""
    hours = 2 * PAIRS * BLOCK_H
    false, proven, covered, lacking = [], [], [], []
    for seed in range(seeds):
        load, law, noise = meter(np.random.default_rng((seed, 1000 + round(100 * rho))), hours, rho)
        switching = Switching(PAIRS, BLOCK_H, WASHOUT_H, f"seed {seed}")
        on = np.concatenate([np.repeat([first, not first], BLOCK_H) for first in switching.on_first])
        counted = on & (np.arange(hours) % BLOCK_H >= WASHOUT_H)
        nothing = np.zeros(hours, np.bool_)
        null = switchback(Intervals(START_US, HOUR_S, law + noise, load), switching, nothing, adjust=True)
        less = law * (1 - SAVING * on) + noise
        found = switchback(Intervals(START_US, HOUR_S, less, load), switching, nothing, adjust=True)
        false.append(null.state == PROVEN)
        proven.append(found.state == PROVEN)
        lacking.append(null.state == INSUFFICIENT_DATA)
        covered.append(found.low_j <= SAVING * float(law[counted].sum()) <= found.high_j)
        step()
    return Found(_share(false), _share(covered), _share(proven), _share(lacking))


def _share(held: Iterable[bool]) -> float:
    return float(np.mean([*held]))
