"""Fleets against enumeration and, where they are too large for it, against the proven bound."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.optimise import optimise

from eil_cli.bench.diffusion_optimise.fleets import (
    draw_fleet,
    enumerate_optimum,
    even_spread,
    greedy,
    mixed_integer,
    multistart,
    power_w,
    random_search,
)
from eil_cli.bench.diffusion_optimise.tally import Tally
from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure

FLEETS, LARGER, LARGEST = 48, 4, 6
"""Of 4 to 12 servers, of 16 and of 64. Seeds from 0; constants were chosen on seeds from 1000 on."""
PROVEN = 1e-8
"""Share of the optimum within which a bound proves it."""


@dataclass
class Counted:
    """A fleet that counts the configurations that were evaluated; without its moves where `smooth`."""

    fleet: FleetPlacement
    evaluations: int = 0

    def __getattr__(self, name: str):
        return getattr(self.fleet, name)

    def to(self, device: str) -> Counted:
        """Itself, for it is on the CPU."""
        return self

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        """As the fleet's."""
        self.evaluations += len(x)
        return self.fleet.energy(x)

    def neighbours(self, x: torch.Tensor) -> torch.Tensor:
        """As the fleet's."""
        near = self.fleet.neighbours(x)
        self.evaluations += len(near)
        return near


@dataclass(frozen=True)
class Smooth:
    """A fleet as any smooth energy with jumps: without moves of its own."""

    fleet: FleetPlacement
    names: tuple[str, ...] = field(default=("shape", "lower", "upper", "constraints", "energy", "gradient", "exact"))

    def __getattr__(self, name: str):
        if name not in self.names:
            raise AttributeError(name)
        return getattr(self.fleet, name)

    def to(self, device: str) -> Smooth:
        """Itself, for it is on the CPU."""
        return self


def placement_measures(begin: Begin, tally: Tally) -> tuple[dict[str, Measure], dict[str, dict[str, float]]]:
    """Gaps of the search, of its halves and of others."""
    step = begin("placements", FLEETS + LARGER + LARGEST)
    gaps: dict[str, list[float]] = {}
    proven, times, larger = [], [], []
    for seed in range(FLEETS):
        rng = np.random.default_rng(seed)
        fleet = draw_fleet(rng, int(rng.integers(4, 13)))
        truth, counted = enumerate_optimum(fleet), Counted(fleet)
        start = fleet.constraints.project(torch.from_numpy(rng.random((1, *fleet.shape))))[0]
        began_s = time.perf_counter()
        found = optimise(counted, start, seed=seed)  # type: ignore[arg-type]
        times.append(1e3 * (time.perf_counter() - began_s))
        tally.check(found, truth)
        proven.append((found.gap or 0.0) <= PROVEN * truth)
        powers = {
            "": found.energy,
            "annealing alone": optimise(Smooth(fleet), start, seed=seed).energy,  # type: ignore[arg-type]
            "moves alone": optimise(fleet, start, seed=seed, steps=0).energy,
            "greedy": power_w(fleet, greedy(fleet)),
            "even spread": power_w(fleet, even_spread(fleet)),
            "MILP": power_w(fleet, mixed_integer(fleet)),
            "SLSQP": power_w(fleet, multistart(fleet, counted.evaluations, rng)),
            "random search": power_w(fleet, random_search(fleet, counted.evaluations, rng)),
        }
        for name, power in powers.items():
            gaps.setdefault(name, []).append(power / truth - 1)
        step()
    for seed in range(LARGER):
        fleet = draw_fleet(np.random.default_rng(seed), 16)
        larger.append(optimise(fleet, seed=seed).energy / enumerate_optimum(fleet) - 1)
        step()
    at_64, times_64 = _largest(step, tally)
    measures = {
        "placement_gap": Measure(max(gaps[""]), "", 0.02, 0.001),
        "placement_gap_mean": Measure(float(np.mean(gaps[""])), ""),
        "placement_16_gap": Measure(max(larger), ""),
        "placement_proven": Measure(float(np.mean(proven)), "", better="higher"),
        "placement_64_bound_gap": Measure(max(at_64[""]), ""),
        "optimise_12_ms": Measure(float(np.median(times)), "ms"),
        "optimise_64_ms": Measure(float(np.median(times_64)), "ms"),
    }
    baselines = {
        name: {"placement_gap": max(values), "placement_gap_mean": float(np.mean(values))}
        for name, values in gaps.items()
        if name
    }
    for name, values in at_64.items():
        if name:
            baselines[name]["placement_64_bound_gap"] = max(values)
    return measures, baselines


def _largest(step: Callable[[], None], tally: Tally) -> tuple[dict[str, list[float]], list[float]]:
    """Power over the proven bound of fleets of 64, less one, of the search and of others; and its times [ms]."""
    over: dict[str, list[float]] = {}
    times = []
    for seed in range(LARGEST):
        fleet = draw_fleet(np.random.default_rng(seed), 64)
        began_s = time.perf_counter()
        found = optimise(fleet, seed=seed)
        times.append(1e3 * (time.perf_counter() - began_s))
        tally.check(found)
        powers = {
            "": found.energy,
            "annealing alone": optimise(Smooth(fleet), seed=seed).energy,  # type: ignore[arg-type]
            "moves alone": optimise(fleet, seed=seed, steps=0).energy,
            "greedy": power_w(fleet, greedy(fleet)),
            "even spread": power_w(fleet, even_spread(fleet)),
            "MILP": power_w(fleet, mixed_integer(fleet)),
        }
        for name, power in powers.items():
            over.setdefault(name, []).append(power / (found.lower_bound or math.nan) - 1)
        step()
    return over, times
