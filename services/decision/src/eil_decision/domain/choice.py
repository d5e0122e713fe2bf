"""Predict every size of the fleet, price it over the stages to come, keep the constraints, choose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eil_decision.domain.load import Z90, Load
from eil_decision.domain.lookahead import STAGE_S, costs, grid
from eil_decision.domain.plant import SAFE_CAP, UTILISATION_CAP, Plant

MAX_ALTERNATIVES = 64


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted: constraints (None is none) and horizon."""

    horizon_s: float
    max_latency_ms: float | None
    min_throughput: float | None
    caution: float = 1.0
    """Factor on the price of a broken latency (`plant.caution`)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A size of the fleet with what would follow from it."""

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
    """Expected cost of going there and on from there (`lookahead.py`): w₁ and w₃ are 1, and w₂ is 0 because in a steady state T₀·ΔS is ΔE
    once more."""
    risk: float
    """Share of the time that the latency is expected to be broken."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The winner, doing nothing, the others by cost, and why."""

    chosen: Candidate
    hold: Candidate
    others: tuple[Candidate, ...]
    feasible: bool
    reason: str


def candidates(plant: Plant, load: Load, goal: Goal, now: int, largest: int, rows: float) -> list[Candidate]:
    """Sizes from 1 to the largest seen. `rows` are the telemetry rows in the horizon, over which noise averages out."""
    sizes = grid(now, largest)
    stage_s = max(goal.horizon_s, STAGE_S)
    cost, risk = costs(plant, load.path(), utilisation_limit(plant, goal), sizes, now, stage_s, goal.caution)
    return [
        _candidate(plant, load, goal, now, int(servers), rows, float(cost[i]), float(risk[i]))
        for i, servers in enumerate(sizes)
    ]


def _candidate(
    plant: Plant, load: Load, goal: Goal, now: int, servers: int, rows: float, cost_j: float, risk: float
) -> Candidate:
    horizon_s = goal.horizon_s
    run_j = plant.power_w(servers, load.mean) * horizon_s
    started = max(servers - now, 0)
    start_j = started * plant.start_within_j(horizon_s)
    law_j = Z90 * plant.power_sd_w(servers, load.mean, rows) * horizon_s
    start_doubt_j = min(Z90 * started * plant.start_sd_j, start_j)
    below_j = math.hypot(run_j - plant.power_w(servers, load.low) * horizon_s, law_j, start_doubt_j)
    above_j = math.hypot(plant.power_w(servers, load.high) * horizon_s - run_j, law_j, start_doubt_j)
    energy_j = run_j + start_j
    broken, excess = _broken(plant, load, goal, servers)
    return Candidate(
        servers=servers,
        energy_j=energy_j,
        energy_low_j=max(energy_j - below_j, 0.0),
        energy_high_j=energy_j + above_j,
        run_j=run_j,
        start_j=start_j,
        latency_ms=plant.latency_ms(servers, load.peak),
        broken=tuple(broken),
        excess=excess,
        cost_j=cost_j,
        risk=risk,
    )


def utilisation_limit(plant: Plant, goal: Goal) -> float:
    """Highest utilisation that keeps the latency: 1 − S/L_max where the law is known, else a cautious cap."""
    if goal.max_latency_ms is None:
        return SAFE_CAP
    if plant.service_ms is None:
        return UTILISATION_CAP
    return min(max(1 - plant.service_ms / goal.max_latency_ms, 0.0), SAFE_CAP)


def _broken(plant: Plant, load: Load, goal: Goal, servers: int) -> tuple[list[str], float]:
    limit = utilisation_limit(plant, goal)
    peak = load.peak / servers
    broken: list[str] = []
    excess = max(peak - limit, 0.0)
    if excess > 0:
        broken.append(f"utilisation may reach {peak:.0%}, above the {limit:.0%} that keeps the latency")
    if goal.min_throughput is not None and plant.capacity is not None:
        servable = servers * plant.capacity * limit
        if servable < goal.min_throughput:
            broken.append(
                f"serves {servable:.0f}/s within the latency, less than the {goal.min_throughput:.0f}/s wanted"
            )
            excess += 1 - servable / goal.min_throughput
    return broken, excess


def choose(found: Sequence[Candidate], now: int) -> Choice:
    """The cheapest candidate that keeps the constraints, smaller moves first among equals; else the one nearest to keeping them."""
    by_move = sorted(found, key=lambda c: (c.cost_j, abs(c.servers - now)))
    hold = next(c for c in found if c.servers == now)
    keeping = [c for c in by_move if not c.broken]
    if keeping:
        chosen = keeping[0]
        saved_j = hold.energy_j - chosen.energy_j
        if chosen.servers == now:
            reason = f"{now} servers are the cheapest that keep the constraints"
        elif hold.broken:
            reason = f"{now} servers do not keep the constraints ({hold.broken[0]}); {chosen.servers} are the cheapest that do"
        else:
            reason = (
                f"{chosen.servers} servers keep the constraints and use {saved_j:.0f} J less than {now}"
                if saved_j > 0
                else f"{chosen.servers} servers cost less than {now} over the stages to come, broken constraints and later starts counted"
            )
    else:
        chosen = min(found, key=lambda c: (c.excess, c.cost_j))
        reason = (
            f"no size from 1 to {found[-1].servers} keeps the constraints; {chosen.servers} servers come nearest ({chosen.broken[0]}): "
            "allow more latency, ask for less throughput, or add servers"
        )
    others = tuple(c for c in by_move if c is not chosen)[:MAX_ALTERNATIVES]
    return Choice(chosen, hold, others, bool(keeping), reason)
