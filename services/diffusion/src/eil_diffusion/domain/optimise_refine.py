"""Downhill from a configuration: along the projected gradient, and by an energy's own discrete moves."""

import math

from torch import Tensor

from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.optimise_abilities import Discrete
from eil_diffusion.domain.optimise_anneal import Judge

REFINEMENT_STEPS = 2000
# Refinement ends when no coordinate can still move by this share of the largest coordinate.
TOLERANCE = 1e-12
# Rounds of discrete moves, at most; each ends strictly lower than it began.
ROUNDS = 200
# A discrete move is taken when it gains at least this share.
GAIN = 1e-12
# Two descents that meet energies within this share of each other are taken to be at one configuration, or as good a one.
SAME = 1e-9


def refine(energy: Energy, allowed: Constraints, x: Tensor) -> Tensor:
    """Accelerated projected gradient with backtracking and restart (Beck & Teboulle 2009; O'Donoghue & Candès 2015)."""
    e = float(energy.energy(x[None]))
    lead, momentum, curvature = x, 1.0, 1.0
    for _ in range(REFINEMENT_STEPS):
        curvature /= 1.5
        moved, curvature = _descend(energy, allowed, lead, curvature)
        e_moved = float(energy.energy(moved[None]))
        if e_moved > e:
            if lead is x:
                break
            lead, momentum = x, 1.0
            continue
        shift = moved - x
        after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        lead = allowed.project((moved + (momentum - 1) / after * shift)[None])[0]
        x, e, momentum = moved, e_moved, after
        if float(shift.abs().max()) <= TOLERANCE * max(1.0, float(x.abs().max())):
            break
    return x


def _descend(energy: Energy, allowed: Constraints, x: Tensor, curvature: float) -> tuple[Tensor, float]:
    """One projected gradient step from x whose assumed curvature is doubled until the quadratic model bounds it."""
    e, g = float(energy.energy(x[None])), energy.gradient(x[None])[0]
    slack = 1e-14 * max(1.0, abs(e))
    while True:
        moved = allowed.project((x - g / curvature)[None])[0]
        shift = moved - x
        model = e + float((g * shift).sum()) + 0.5 * curvature * float((shift**2).sum())
        if float(energy.energy(moved[None])) <= model + slack or curvature > 1e300:
            return moved, curvature
        curvature *= 2


def step_through(energy: Discrete, judge: Judge, x: Tensor, met: list[float]) -> Tensor:
    """The best of x's neighbours, then the best of its neighbours, until none is better by `judge`.

    `met` gathers the energies on the way. A descent that comes to one of them ends there: it has run into an earlier one.
    """
    e = float(judge(x[None]))
    for _ in range(ROUNDS):
        near = energy.neighbours(x)
        if len(near) == 0:
            break
        energies = judge(near)
        k = int(energies.argmin())
        if float(energies[k]) >= e - GAIN * abs(e):
            break
        x, e = near[k], float(energies[k])
        if any(abs(e - known) <= SAME * abs(e) for known in met):
            break
        met.append(e)
    return x
