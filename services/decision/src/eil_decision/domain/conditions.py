"""What a setting of the levers beside the fleet's size makes of the plant, the load and the cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eil_decision.domain.goal import Goal
from eil_decision.domain.learning import speed_of
from eil_decision.domain.levers import SET_POINTS, SPEED, Lever
from eil_decision.domain.load import Load
from eil_decision.domain.lookahead import DEPTH, STAGE_S
from eil_decision.domain.plant import Plant
from eil_decision.domain.thermal import ThermalLaw

OPTIMISM = 0.4
"""Of a normal unknown of mean 0 and deviation 1 the better half is worth 1/√(2π) on average: what exploring may gain."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which the size of the fleet is chosen."""

    plant: Plant
    """With its servers at the speed that is set."""
    load: Load
    """What has to be served, in servers of that speed."""
    setting: Mapping[str, float] = field(default_factory=dict)
    """Of every lever beside the fleet's size."""
    overhead_w: float = 0.0
    """What set-points add to the servers' power over the horizon, or spare [W]."""
    overhead_sd_w: float = 0.0
    cost_j: float = 0.0
    """Of going there, of what set-points draw, and of what is put off [J]."""
    thermal: ThermalLaw | None = None
    broken: tuple[str, ...] = ()
    """Bounds that the setting does not keep, for people."""
    excess: float = 0.0
    """How far it is from keeping them, as a share of their range."""


def under(
    plant: Plant,
    load: Load,
    thermal: ThermalLaw | None,
    goal: Goal,
    levers: Sequence[Lever],
    setting: Mapping[str, float],
    now: Mapping[str, float],
    limit: float,
) -> Conditions:
    """The conditions of a setting.

    Args:
        plant, load: at nominal speed, with nothing put off.
        levers: beside the fleet's size.
        setting, now: values of every lever wanted, and now.
        limit: highest utilisation that may be planned for, at which what is put off is taken to be served.
    """
    nominal, offered, ahead_s = plant, load, DEPTH * max(goal.horizon_s, STAGE_S)
    overhead_w, variance, cost_j, excess, broken = 0.0, 0.0, 0.0, 0.0, []
    for lever in levers:
        value, moved = setting[lever.name], setting[lever.name] - now[lever.name]
        cost_j += goal.weights.irreversibility * lever.wear_j * abs(moved)
        if not lever.inside(value):
            excess += max(lever.low - value, value - lever.high) / max(lever.high - lever.low, 1e-9)
            broken.append(f"{lever.name} stays outside of {lever.low:g} … {lever.high:g} however fast it may move")
        if lever.kind in SPEED:
            speed = speed_of(nominal, lever, value)
            plant, load = plant.at_speed(speed), load.scaled(1 / speed)
        elif lever.kind == "deferral":
            # A share of the load as it comes now, without what waits already.
            share = 1.0 - (1.0 - value) / max(1.0 - now[lever.name], 1e-3)
            cost_j += _later_j(nominal, offered, goal, lever, share, limit)
            load = load.put_off(share)
        elif gain := nominal.gains.get(lever.name):
            soon_s = max(goal.horizon_s - lever.delay_s, 0.0)
            lasting_s = max(ahead_s - max(lever.delay_s, goal.horizon_s), 0.0)
            overhead_w += gain.w_per_unit * moved * soon_s / goal.horizon_s
            variance += (gain.sd_w_per_unit * moved * soon_s / goal.horizon_s) ** 2
            hoped_w = OPTIMISM * gain.sd_w_per_unit * abs(moved) if lever.explore else 0.0
            counts_s = goal.energy_factor(0.0) * soon_s + goal.energy_factor(0.5 * ahead_s) * lasting_s
            cost_j += (gain.w_per_unit * moved - hoped_w) * counts_s
    return Conditions(plant, load, dict(setting), overhead_w, variance**0.5, cost_j, thermal, tuple(broken), excess)


def _later_j(plant: Plant, load: Load, goal: Goal, lever: Lever, share: float, limit: float) -> float:
    """Cost [J] of serving what is put off at the cheapest time within its deadline, by servers as well used as they may be."""
    work = share * load.mean * max(goal.horizon_s, STAGE_S)
    each_j = plant.slope_w + plant.idle_w / max(limit, 1e-3)
    cheapest = goal.tariff.least(goal.horizon_s, goal.horizon_s + lever.within_s)
    return work * each_j * cheapest * (goal.weights.energy + goal.weights.entropy)


def movable(lever: Lever, plant: Plant, now: float) -> tuple[float, float]:
    """Narrowest bounds within which a set-point's effect is known, or may be tried: for `Lever.reachable`.

    The value stays where the sign of its effect is not known at 90 %; beyond what was seen it goes by a step at a time.
    """
    if lever.kind not in SET_POINTS:
        return lever.low, lever.high
    gain = plant.gains.get(lever.name)
    if gain is None:
        return now, now
    known = abs(gain.w_per_unit) > 1.645 * gain.sd_w_per_unit
    if not known and not lever.explore:
        return now, now
    return min(gain.low, now) - lever.unit_step, max(gain.high, now) + lever.unit_step
