"""What is asked and known, in the words of the domain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from eil.decision.v1 import decision_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import InvalidArgument
from eil_physics.thermal import DEFAULT_AMBIENT_K

from eil_decision.domain.goal import LEVEL, Goal, Tariff, Weights
from eil_decision.domain.levers import FLEET, Lever
from eil_decision.domain.plant import History, Vector, newest_settings

KELVIN = 273.15
SERIES_STEP_S = 3600.0
RESTS_ON = ("power_draw", "cpu_usage", "active_servers")
"""Channels that must not be old where a source sends them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A source's newest telemetry, oldest first."""

    times_s: Vector
    columns: Mapping[str, Vector]
    """Each as long as `times_s`, NaN where missing."""


def seen_of(known: regime_pb2.GetHistoryResponse) -> Seen:
    """The telemetry of an answer."""
    times_s = np.array(known.times_us, dtype=np.float64) / MICROSECONDS
    return Seen(times_s, {column.name: np.array(column.values, dtype=np.float64) for column in known.columns})


def history_of(seen: Seen, now: decision_pb2.CurrentState, levers: Sequence[Lever]) -> History:
    """The source's telemetry; servers that no row shows are those that serve now."""
    times_s, columns = seen.times_s, seen.columns

    def column(name: str) -> Vector:
        return columns.get(name, np.full(times_s.size, np.nan))

    servers = column("active_servers")
    return History(
        power_w=column("power_draw"),
        servers=np.where(np.isfinite(servers), servers, float(now.active_servers)),
        utilisation=column("cpu_usage"),
        request_rate=column("request_rate"),
        latency_ms=column("latency_ms"),
        step_s=float(np.median(np.diff(times_s))) if times_s.size > 1 else 0.0,
        settings={lever.name: columns[lever.shown_by] for lever in levers if lever.shown_by in columns},
        temperature_c=columns.get("temperature"),
        ambient_c=columns.get("ambient_temperature"),
    )


def settings_of(
    now: decision_pb2.CurrentState, levers: Sequence[Lever], history: History
) -> tuple[dict[str, float], tuple[Lever, ...]]:
    """Values of the levers beside the fleet's size as they are now, and the levers of which nobody said or saw a value.

    Raises:
        InvalidArgument: a value is given for a lever that is not declared.
    """
    movable = [lever for lever in levers if lever.kind not in FLEET]
    names = {lever.name for lever in movable}
    if unknown := sorted(set(now.settings) - names):
        raise InvalidArgument(
            f"current_state.settings names {', '.join(unknown)}, which the source does not declare as a lever beside its fleet's size; "
            "declare it with PUT /v1/levers/{source}, or leave it out",
            violations={f"current_state.settings[{name}]": "is not a declared lever" for name in unknown},
        )
    values = newest_settings(history, movable) | dict(now.settings)
    return values, tuple(lever for lever in movable if lever.name not in values)


def goal_of(request: decision_pb2.ActRequest, horizon_s: float) -> Goal:
    """What is wanted.

    Raises:
        InvalidArgument: the goal needs a series or weights that the request does not bring.
    """
    limits, wanted = request.constraints, request.goal
    return Goal(
        horizon_s=horizon_s,
        max_latency_ms=limits.max_latency_ms or None,
        min_throughput=limits.min_throughput or None,
        max_power_w=limits.max_power_w or None,
        max_temperature_c=limits.max_temperature_c or None,
        weights=_weights(request),
        tariff=_tariff(request),
        may_defer=wanted != "maximize_efficiency",
    )


def _weights(request: decision_pb2.ActRequest) -> Weights:
    if request.goal != "custom":
        return Weights()
    given = request.weights
    if given.energy + given.entropy <= 0:
        raise InvalidArgument(
            "goal `custom` needs weights, of which that of energy or of entropy is above 0; without either nothing tells a large "
            "fleet from a small one",
            violations={"weights": "energy + entropy must be above 0"},
        )
    return Weights(given.energy, given.entropy, given.irreversibility)


def _tariff(request: decision_pb2.ActRequest) -> Tariff:
    needed = {"minimize_cost": "price_per_kwh", "minimize_carbon": "carbon_g_per_kwh"}.get(request.goal)
    if needed is None:
        return LEVEL
    values = tuple(getattr(request, needed))
    if not values:
        raise InvalidArgument(
            f"goal {request.goal!r} needs {needed}: one value, or one for each series_step_s from now on",
            violations={needed: f"must be given for goal {request.goal}"},
        )
    return Tariff(values, request.series_step_s or SERIES_STEP_S)


def ambient_k(history: History) -> float:
    """Newest ambient temperature [K], or what is taken for one where none is sent."""
    ambient = np.empty(0) if history.ambient_c is None else history.ambient_c[np.isfinite(history.ambient_c)]
    return float(ambient[-1]) + KELVIN if ambient.size else DEFAULT_AMBIENT_K


def too_old(seen: Seen, horizon_s: float, levers: Sequence[Lever]) -> str:
    """Which channel that the decision rests on is older than the horizon on the source's clock, for people; "" if none is."""
    for name in (*RESTS_ON, *(lever.shown_by for lever in levers)):
        sent = np.flatnonzero(np.isfinite(seen.columns.get(name, np.empty(0))))
        age_s = float(seen.times_s[-1] - seen.times_s[sent[-1]]) if sent.size else 0.0
        if age_s > horizon_s:
            return f"{name!r} was last sent {age_s:.0f} s ago on the source's clock, longer than the horizon of {horizon_s:.0f} s"
    return ""
