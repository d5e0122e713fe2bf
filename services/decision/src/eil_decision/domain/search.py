"""Which settings of the levers are weighed: all that can be reached where they are few, else one lever after the other.

Under every setting the fleet's size is chosen by the receding horizon of `lookahead.py`, exact on its grid; the setting itself is held over
those stages and chosen anew with the next decision.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from eil_physics.thermal import DEFAULT_AMBIENT_K

from eil_decision.domain.choice import Candidate, Choice, Fleet, candidates, choose, utilisation_limit
from eil_decision.domain.conditions import movable, under
from eil_decision.domain.goal import Goal
from eil_decision.domain.learning import learn_plant
from eil_decision.domain.levers import FLEET, Lever, fleet_lever
from eil_decision.domain.load import Load
from eil_decision.domain.lookahead import grid
from eil_decision.domain.plant import History, Plant
from eil_decision.domain.thermal import ThermalLaw, learn_thermal

EXACT = 48
"""Settings that are all weighed; of more, one lever is moved after the other."""
ROUNDS = 3
"""Rounds over the levers, at most."""

Setting = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a choice rests on."""

    plant: Plant
    load: Load
    goal: Goal
    servers: int
    """That serve now."""
    largest: int
    """Largest number of servers seen."""
    levers: tuple[Lever, ...] = ()
    """Declared ones; none is `servers`, from 1 to the largest seen."""
    now: Mapping[str, float] = field(default_factory=dict)
    """Values of the levers beside the fleet's size; one that is not named stays as it is."""
    thermal: ThermalLaw | None = None
    ambient_k: float = DEFAULT_AMBIENT_K
    rows: float = 1.0
    """Telemetry rows in the horizon."""
    step_s: float = 0.0
    """Time between rows [s]."""
    start_delay_s: float = 0.0
    """From the order of a start until the server was seen to serve [s]."""


def situation_of(
    history: History,
    goal: Goal,
    load: Load,
    levers: Sequence[Lever],
    now: Mapping[str, float],
    *,
    servers: int,
    largest: int,
    ambient_k: float = DEFAULT_AMBIENT_K,
    start_delay_s: float = 0.0,
) -> Situation:
    """What a history shows of a plant, beside what is wanted. How often the latency was broken lately sets the goal's caution."""
    return Situation(
        plant=learn_plant(history, levers),
        load=load,
        goal=replace(goal, caution=history.caution(goal.max_latency_ms)),
        servers=servers,
        largest=largest,
        levers=tuple(levers),
        now=now,
        thermal=learn_thermal(history, levers) if goal.max_temperature_c is not None else None,
        ambient_k=ambient_k,
        rows=float(history.rows_in(goal.horizon_s)),
        step_s=history.step_s,
        start_delay_s=start_delay_s,
    )


def decide(situation: Situation) -> Choice:
    """The cheapest action within reach that keeps laws and constraints."""
    return _Search(situation).run()


class _Search:
    def __init__(self, situation: Situation) -> None:
        self._situation, goal = situation, situation.goal
        self._levers = [lever for lever in situation.levers if lever.name in situation.now]
        self._now: Setting = {lever.name: situation.now[lever.name] for lever in self._levers}
        self._fleet, mover = _fleet(situation)
        self._plant = situation.plant.moved_by(mover) if mover else situation.plant
        self._parked_w = mover.parked_w * mover.high if mover else 0.0
        self._values = [self._reachable(lever) for lever in self._levers]
        self._limit = utilisation_limit(self._plant, goal)
        self._seen: dict[tuple[float, ...], list[Candidate]] = {}

    def run(self) -> Choice:
        hold = next(
            c for c in self._under(tuple(self._now.values()), hold=True) if c.servers == self._situation.servers
        )
        for setting in self._all() if math.prod(map(len, self._values)) <= EXACT else self._one_by_one():
            self._under(setting)
        found = [candidate for group in self._seen.values() for candidate in group]
        return choose(found, next((c for c in found if (c.servers, c.setting) == (hold.servers, hold.setting)), hold))

    def _reachable(self, lever: Lever) -> Sequence[float]:
        now, goal = self._now[lever.name], self._situation.goal
        if lever.kind == "deferral" and not goal.may_defer:
            return [min(max(0.0, lever.low), lever.high)]
        return lever.reachable(now, goal.horizon_s, *movable(lever, self._plant, now)).tolist()

    def _all(self) -> Iterator[tuple[float, ...]]:
        return itertools.product(*self._values)

    def _one_by_one(self) -> Iterator[tuple[float, ...]]:
        """Each lever's values with the others at the best found so far, until no lever moves any more."""
        best = [
            min(values, key=lambda value, now=now: abs(value - now))
            for values, now in zip(self._values, self._now.values(), strict=True)
        ]
        for _ in range(ROUNDS):
            before = list(best)
            for i, values in enumerate(self._values):
                tried = [(*best[:i], value, *best[i + 1 :]) for value in values]
                best = list(min(tried, key=lambda setting: min(map(_rank, self._under(setting)))))
                yield from tried
            if best == before:
                return

    def _under(self, setting: tuple[float, ...], *, hold: bool = False) -> list[Candidate]:
        """Every size under a setting, weighed once. To hold is weighed even where the bounds forbid it, but not to be chosen then."""
        if setting in self._seen:
            return self._seen[setting]
        situation, values = self._situation, dict(zip(self._now, setting, strict=True))
        conditions = under(
            self._plant, situation.load, situation.thermal, situation.goal, self._levers, values, self._now, self._limit
        )
        conditions = replace(conditions, overhead_w=conditions.overhead_w + self._parked_w)
        fleet = self._fleet
        if hold and situation.servers not in fleet.sizes:
            fleet = replace(fleet, sizes=np.append(fleet.sizes, situation.servers))
        found = candidates(conditions, situation.goal, fleet, situation.ambient_k, situation.rows, situation.step_s)
        if not hold or all(value in values for value, values in zip(setting, self._values, strict=True)):
            self._seen[setting] = [c for c in found if c.servers in self._fleet.sizes]
        return found


def _rank(candidate: Candidate) -> tuple[bool, float, float]:
    kept = not candidate.broken and not candidate.unlawful
    return not kept, 0.0 if kept else candidate.excess, candidate.cost_j


def _fleet(situation: Situation) -> tuple[Fleet, Lever | None]:
    """Sizes within reach and the lever that moves them; the present one alone where levers are declared and none of them does."""
    servers, horizon_s = situation.servers, situation.goal.horizon_s
    declared = [lever for lever in situation.levers if lever.kind in FLEET]
    if situation.levers and not declared:
        return Fleet(np.array([servers]), servers), None
    lever = declared[0] if declared else fleet_lever(max(situation.largest, servers))
    reach = math.inf if math.isinf(lever.ramp_per_s) else math.floor(lever.ramp_per_s * horizon_s + 1e-9)
    low, high, delay_s = int(lever.low), int(lever.high), max(lever.delay_s, situation.start_delay_s)
    return Fleet(
        grid(servers, low, high, max(int(lever.step), 1), reach), servers, low, high, lever.wear_j, delay_s
    ), lever
