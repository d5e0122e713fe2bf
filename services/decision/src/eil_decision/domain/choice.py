"""Predict every size of the fleet under every setting of the other levers, price it, keep constraints and laws, choose."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eil_decision.domain import laws
from eil_decision.domain.conditions import Conditions
from eil_decision.domain.goal import Goal
from eil_decision.domain.load import Z90
from eil_decision.domain.lookahead import DEPTH, STAGE_S, Pricing, costs
from eil_decision.domain.plant import SAFE_CAP, UTILISATION_CAP, Plant

MAX_ALTERNATIVES = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A size of the fleet and a setting of the other levers, with what would follow from it."""

    servers: int
    energy_j: float
    energy_low_j: float
    energy_high_j: float
    run_j: float
    start_j: float
    latency_ms: float | None
    """Latency at the peak load that is planned for."""
    broken: tuple[str, ...]
    """Constraints that it does not keep, for people."""
    excess: float
    """How far it is from keeping them; 0 if it does."""
    cost_j: float
    """Expected cost of going there and on from there (`lookahead.py`, `conditions.py`)."""
    risk: float
    """Share of the time that the latency is expected to be broken."""
    setting: Mapping[str, float] = field(default_factory=dict)
    """Of every lever beside the fleet's size."""
    unlawful: Mapping[str, str] = field(default_factory=dict)
    """Laws that its prediction breaks, by name: a model's failure, for which it may not win."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The winner, doing nothing, the others by cost, and why."""

    chosen: Candidate
    hold: Candidate
    others: tuple[Candidate, ...]
    feasible: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """Sizes (N,) that may be chosen, the size now, and the bounds that it must keep."""

    sizes: np.ndarray
    now: int
    low: int = 1
    high: int = 1_000_000_000
    wear_j: float = 0.0
    """Wear of moving one, beside what every fleet's move costs [J]."""
    delay_s: float = 0.0
    """From the order of a start until the server serves [s]."""

    def delay(self, stage_s: float) -> int:
        """Whole stages that pass before a started server serves; within the first it is taken to come in time."""
        return max(math.ceil(self.delay_s / stage_s - 1e-9) - 1, 0)


def candidates(
    conditions: Conditions, goal: Goal, fleet: Fleet, ambient_k: float, rows: float, step_s: float
) -> list[Candidate]:
    """Every size of the fleet under the conditions. `rows` are the telemetry rows in the horizon, over which noise averages out."""
    stage_s = max(goal.horizon_s, STAGE_S)
    pricing = Pricing(
        tuple(goal.energy_factor((k + 0.5) * stage_s) for k in range(DEPTH)),
        goal.weights.irreversibility,
        fleet.wear_j,
        goal.caution,
    )
    path, limit = conditions.load.path(fleet.delay(stage_s)), utilisation_limit(conditions.plant, goal)
    cost, risk = costs(conditions.plant, path, limit, fleet.sizes, fleet.now, stage_s, pricing)
    peak, rows_ahead = (
        conditions.load.peak_within(fleet.delay(stage_s)),
        DEPTH * stage_s / step_s if step_s > 0 else 1.0,
    )
    weigh = _Weighing(conditions, goal, fleet, ambient_k, rows, limit, peak, rows_ahead)
    return [
        weigh.candidate(int(servers), float(cost[i]) + conditions.cost_j, float(risk[i]))
        for i, servers in enumerate(fleet.sizes)
    ]


def utilisation_limit(plant: Plant, goal: Goal) -> float:
    """Highest utilisation that keeps the latency: 1 − S/L_max where the law is known, else a cautious cap."""
    if goal.max_latency_ms is None:
        return SAFE_CAP
    if plant.service_ms is None:
        return UTILISATION_CAP
    return min(max(1 - plant.service_ms / goal.max_latency_ms, 0.0), SAFE_CAP)


@dataclass(frozen=True, slots=True)
class _Weighing:
    """What all sizes under the same conditions share."""

    conditions: Conditions
    goal: Goal
    fleet: Fleet
    ambient_k: float
    rows: float
    limit: float
    """Highest utilisation that keeps the latency."""
    peak: float
    """Load to be planned for, in fully used servers."""
    rows_ahead: float

    def candidate(self, servers: int, cost_j: float, risk: float) -> Candidate:
        plant, load, horizon_s = self.conditions.plant, self.conditions.load, self.goal.horizon_s
        started = max(servers - self.fleet.now, 0)
        serving = servers - started if self.fleet.delay_s > horizon_s else servers
        power_w = plant.power_w(serving, load.mean)
        run_j, overhead_j = power_w * horizon_s, self.conditions.overhead_w * horizon_s
        start_j = started * plant.start_within_j(horizon_s)
        law_j = Z90 * plant.power_sd_w(serving, load.mean, self.rows) * horizon_s
        doubt_j = math.hypot(
            law_j, min(Z90 * started * plant.start_sd_j, start_j), Z90 * self.conditions.overhead_sd_w * horizon_s
        )
        below_j = math.hypot(run_j - plant.power_w(serving, load.low) * horizon_s, doubt_j)
        above_j = math.hypot(plant.power_w(serving, load.high) * horizon_s - run_j, doubt_j)
        energy_j = run_j + start_j + overhead_j
        broken, excess = self._broken(servers, doubt_j / horizon_s)
        unlawful = {
            "energy_conservation": laws.energy_conserved(plant, serving, load.mean, run_j + overhead_j, horizon_s),
            "entropy_valid": laws.entropy_valid(energy_j / self.ambient_k),
        }
        return Candidate(
            servers=servers,
            energy_j=energy_j,
            energy_low_j=max(energy_j - below_j, 0.0),
            energy_high_j=energy_j + above_j,
            run_j=run_j,
            start_j=start_j,
            latency_ms=plant.latency_ms(servers, self.peak),
            broken=tuple(broken),
            excess=excess,
            cost_j=cost_j,
            risk=risk,
            setting=self.conditions.setting,
            unlawful={law: why for law, why in unlawful.items() if why},
        )

    def _broken(self, servers: int, power_doubt_w: float) -> tuple[list[str], float]:
        """Constraints that are not kept with a chance of 95 %, for people, and how far they are from it."""
        plant, goal = self.conditions.plant, self.goal
        broken, excess = list(self.conditions.broken), self.conditions.excess
        limit, peak = self.limit, self.peak / servers
        if limit <= 0:
            broken.append(f"even without load a request takes {plant.service_ms:.3g} ms")
            excess += 1 + peak
        elif peak > limit:
            broken.append(f"utilisation may reach {peak:.0%}, above the {limit:.0%} that keeps the latency")
            excess += peak - limit
        if goal.min_throughput is not None and plant.capacity is not None:
            servable = servers * plant.capacity * limit
            if servable < goal.min_throughput:
                broken.append(
                    f"serves {servable:.0f}/s within the latency, less than the {goal.min_throughput:.0f}/s wanted"
                )
                excess += 1 - servable / goal.min_throughput
        power_w = plant.power_w(servers, self.peak) + self.conditions.overhead_w + power_doubt_w
        if goal.max_power_w is not None and power_w > goal.max_power_w:
            broken.append(f"may draw {power_w:.0f} W, above the {goal.max_power_w:.0f} W allowed")
            excess += power_w / goal.max_power_w - 1
        if goal.max_temperature_c is not None and self.conditions.thermal is not None:
            upper_c = self.conditions.thermal.upper_c(power_w, self.conditions.setting, self.rows_ahead)
            if upper_c > goal.max_temperature_c:
                broken.append(f"may warm up to {upper_c:.1f} °C, above the {goal.max_temperature_c:g} °C allowed")
                excess += (upper_c - goal.max_temperature_c) / 100
        if not self.fleet.low <= servers <= self.fleet.high:
            broken.append(f"{servers} servers lie outside of {self.fleet.low} … {self.fleet.high}")
            excess += abs(servers - min(max(servers, self.fleet.low), self.fleet.high))
        return broken, excess


def choose(found: Sequence[Candidate], hold: Candidate) -> Choice:
    """The cheapest candidate that keeps laws and constraints, smaller moves first among equals; else the one nearest to keeping them."""
    by_move = sorted(found, key=lambda c: (c.cost_j, _moved(c, hold)))
    keeping = [c for c in by_move if not c.broken and not c.unlawful]
    if keeping:
        chosen = keeping[0]
        reason = _why(chosen, hold)
    else:
        chosen = min(found, key=lambda c: (len(c.unlawful), c.excess, c.cost_j))
        why = next(iter([*chosen.broken, *chosen.unlawful.values()]))
        reason = (
            f"nothing within reach keeps the constraints; {named(chosen)} comes nearest ({why}): allow more latency, ask for less "
            "throughput, raise the limit that is named, or add servers"
        )
    others = tuple(c for c in by_move if c is not chosen)[:MAX_ALTERNATIVES]
    return Choice(chosen, hold, others, bool(keeping), reason)


def _moved(candidate: Candidate, hold: Candidate) -> float:
    return abs(candidate.servers - hold.servers) + sum(
        abs(value - hold.setting[name]) for name, value in candidate.setting.items()
    )


def named(candidate: Candidate) -> str:
    """A candidate in words."""
    setting = [f"{name} {value:g}" for name, value in candidate.setting.items()]
    return " with ".join(
        [f"{candidate.servers} servers", ", ".join(setting)] if setting else [f"{candidate.servers} servers"]
    )


def _why(chosen: Candidate, hold: Candidate) -> str:
    saved_j, what, now = hold.energy_j - chosen.energy_j, named(chosen), named(hold)
    if chosen is hold:
        return f"{now} are the cheapest that keep the constraints"
    if hold.broken:
        return f"{now} do not keep the constraints ({hold.broken[0]}); {what} are the cheapest that do"
    if saved_j > 0:
        return f"{what} keep the constraints and use {saved_j:.0f} J less than {now}"
    return f"{what} cost less than {now} over the stages to come, broken constraints and later starts counted"
