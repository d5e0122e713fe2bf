"""The plant, learned from telemetry.

Power of one server by Bayesian linear regression of `plant.py`'s law: the prior is a server whose idle power is half of its peak
(SPECpower: 40–60 %), within 30 %; α is 2 ± ½ until speeds were seen that differ. Of cooling 2 ± 1 % of the power is taken to go with each
kelvin that its set-point is raised (rule of thumb of chillers and CRAC fans), of other set-points a step to move a tenth of it either way,
until it was seen. What was not learned is assumed and named in `assumptions`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eil_decision.domain.levers import SET_POINTS, SPEED, Lever
from eil_decision.domain.plant import (
    ASSUMED_BOOT_S,
    ASSUMED_START_U,
    EXPONENT,
    EXPONENT_SD,
    IDLE_SHARE,
    UTILISATION_CAP,
    Gain,
    History,
    Plant,
    Vector,
    assumed_plant,
)
from eil_decision.domain.regression import MIN_ROWS, regress

LEAST_NOISE = 1e-3
"""Of a row's power about the law, as a share of the peak."""
EXPONENTS = np.linspace(1.0, 3.0, 9)
COOLING_SHARE, COOLING_SHARE_SD = -0.02, 0.01
"""Power for each kelvin that the cooling's set-point is raised, as a share of all power."""
UNKNOWN_SHARE = 0.1
"""Standard deviation of what a step of an unknown set-point does, as a share of all power."""


def learn_plant(history: History, levers: Sequence[Lever] = ()) -> Plant:
    """The plant that a history shows. Rows in which servers were started teach the start-up energy, the others the laws."""
    history = _without_parked(history, levers)
    known = np.isfinite(history.power_w) & np.isfinite(history.utilisation) & (history.servers > 0)
    started = np.zeros(known.shape, dtype=bool)
    started[1:] = np.diff(history.servers) > 0
    steady = known & ~started
    if not steady.any():
        return assumed_plant()
    per_server = history.power_w[steady] / history.servers[steady]
    used = np.clip(history.utilisation, 0.0, 1.0)
    peak_w = float(np.median(per_server / (IDLE_SHARE + (1 - IDLE_SHARE) * used[steady])))
    if peak_w <= 0:
        return assumed_plant()
    prior = assumed_plant(peak_w)
    law = _law(history, levers, prior, used, steady)
    (idle_w, slope_w), gains = law.mean[:2].tolist(), law.mean[2:]
    assumptions = [] if steady.sum() >= MIN_ROWS else ["the power law rests on few samples and on a typical server"]
    learned = _start_energy(history, known & started, law.expected_w)
    if learned is None:
        start_j = (idle_w + slope_w) * ASSUMED_BOOT_S
        learned = start_j, ASSUMED_START_U * start_j
        assumptions.append(f"a start costs {ASSUMED_BOOT_S:.0f} s at peak power")
    service_ms, capacity = _service(history), _capacity(history)
    if service_ms is None:
        assumptions.append(f"utilisation is kept below {UTILISATION_CAP:.0%} because the latency law is not known")
    sd = np.sqrt(np.diag(law.covariance)[2:])
    seen = [history.settings[lever.name] for lever in law.levers]
    return Plant(
        idle_w,
        slope_w,
        (float(law.covariance[0, 0]), float(law.covariance[0, 1]), float(law.covariance[1, 1])),
        law.noise_w,
        *learned,
        service_ms,
        capacity,
        tuple(assumptions),
        float(history.servers[known].mean()),
        law.exponent,
        law.exponent_sd,
        {
            lever.name: Gain(float(gains[i]), float(sd[i]), float(np.nanmin(seen[i])), float(np.nanmax(seen[i])))
            for i, lever in enumerate(law.levers)
        },
    )


def with_speeds(history: History, levers: Sequence[Lever]) -> History:
    """The history with the speed of its servers, where a lever sets it; rows that do not show it ran at full speed."""
    for lever in levers:
        values = history.settings.get(lever.name)
        if lever.kind not in SPEED or values is None:
            continue
        plant = learn_plant(history, levers)  # a cap's speed follows from the law at full speed, of which most rows are
        speeds = [speed_of(plant, lever, value) if math.isfinite(value) else 1.0 for value in values.tolist()]
        return replace(history, speed=np.array(speeds))
    return history


def speed_of(plant: Plant, lever: Lever, value: float) -> float:
    """The speed that a lever sets: under a cap the fastest at which a fully used server draws no more."""
    if lever.kind == "frequency":
        return value
    spare = max(value - plant.idle_w, 0.0) / max(plant.slope_w, 1e-9)
    return float(min(max(spare, 1e-3) ** (1 / plant.exponent), 1.0))


def learn_delay(orders: Sequence[tuple[float, int]], times_s: Vector, servers: Vector) -> float:
    """Longest time from an order of more servers until telemetry showed them [s]; 0 where none was carried out.

    Args:
        orders: (moment on the source's clock [s], servers ordered), oldest first.
        times_s, servers: (n,) rows.
    """
    longest = 0.0
    for moment, wanted in orders:
        before = servers[times_s <= moment]
        if before.size == 0 or not before[-1] < wanted:
            continue
        shown = times_s[(times_s > moment) & (servers >= wanted)]
        superseded = [later for later, other in orders if later > moment and other < wanted]
        if shown.size and not (superseded and superseded[0] < shown[0]):
            longest = max(longest, float(shown[0] - moment))
    return longest


def _without_parked(history: History, levers: Sequence[Lever]) -> History:
    """The history without what vacated servers draw."""
    for lever in levers:
        if lever.parked_w > 0:
            return replace(
                history, power_w=history.power_w - lever.parked_w * np.maximum(lever.high - history.servers, 0.0)
            )
    return history


@dataclass(frozen=True, slots=True)
class _Law:
    """Posterior of (a, b, g…)."""

    mean: Vector
    covariance: Vector
    noise_w: float
    levers: tuple[Lever, ...]
    """Whose gains were fitted, in order."""
    expected_w: Vector
    """Power of a server by the law in every row [W]."""
    exponent: float = EXPONENT
    exponent_sd: float = EXPONENT_SD


def _law(history: History, levers: Sequence[Lever], prior: Plant, used: Vector, steady: NDArray[np.bool_]) -> _Law:
    """Fit the law to the steady rows; α is the best of EXPONENTS where speeds differ."""
    per_server, power_w = history.power_w / history.servers, float(np.median(history.power_w[steady]))
    moved = tuple(
        lever
        for lever in levers
        if lever.kind in SET_POINTS and np.isfinite(history.settings.get(lever.name, np.nan)).any()
    )
    mean, deviation = [prior.idle_w, prior.slope_w], [math.sqrt(prior.covariance[0]), math.sqrt(prior.covariance[2])]
    columns = []
    for lever in moved:
        share, sd = (
            (COOLING_SHARE, COOLING_SHARE_SD)
            if lever.kind == "cooling"
            else (0.0, UNKNOWN_SHARE / (lever.unit_step or 1.0))
        )
        mean.append(share * power_w)
        deviation.append(sd * power_w)
        columns.append(_excursion(history, lever) / history.servers)

    def fit(exponent: float) -> tuple[float, _Law]:
        speed = 1.0 if history.speed is None else history.speed**exponent
        design = np.column_stack([np.ones_like(used), used * speed, *columns])
        expected = np.array(mean), np.array(deviation)
        found = regress(design[steady], per_server[steady], *expected, prior.noise_w, LEAST_NOISE * prior.peak_w)
        return found.loss, _Law(found.mean, found.covariance, found.noise, moved, design @ found.mean, exponent)

    if history.speed is None or np.ptp(history.speed[steady]) < 0.01:
        return fit(EXPONENT)[1]
    fits = [fit(float(exponent)) for exponent in EXPONENTS]
    losses = np.array([loss for loss, _ in fits]) + 0.5 * ((EXPONENTS - EXPONENT) / EXPONENT_SD) ** 2
    weights = np.exp(losses.min() - losses)
    weights /= weights.sum()
    sd = math.sqrt(float(weights @ (EXPONENTS - weights @ EXPONENTS) ** 2) + np.diff(EXPONENTS)[0] ** 2 / 12)
    return replace(fits[int(losses.argmin())][1], exponent_sd=sd)


def _excursion(history: History, lever: Lever) -> Vector:
    """How far a set-point was from its newest value in each row, as far as it had taken effect; 0 where that is not known."""
    values = history.settings[lever.name]
    late = min(round(lever.delay_s / history.step_s) if history.step_s > 0 else 0, values.size - 1)
    effective = np.concatenate([np.full(late, values[0]), values[: values.size - late]])
    newest = values[np.isfinite(values)][-1]
    return np.where(np.isfinite(effective), effective - newest, 0.0)


def _start_energy(history: History, started: NDArray[np.bool_], expected_w: Vector) -> tuple[float, float] | None:
    """Energy to start one server and its standard deviation [J], from what such rows used above the law; None if there are none."""
    rows = np.flatnonzero(started)
    if rows.size == 0:
        return None
    excess_j = (history.power_w[rows] - history.servers[rows] * expected_w[rows]) * history.step_s
    each_j = excess_j / (history.servers[rows] - history.servers[rows - 1])
    middle_j = max(float(np.median(each_j)), 0.0)
    spread_j = float(np.std(each_j)) if rows.size > 2 else ASSUMED_START_U * middle_j
    return middle_j, spread_j


def _service(history: History) -> float | None:
    """S [ms] such that S/f/(1−u) is not exceeded by 95 % of the latencies seen."""
    seen = np.isfinite(history.latency_ms) & (history.utilisation < 0.95) & (history.latency_ms > 0)
    if not seen.any():
        return None
    speed = 1.0 if history.speed is None else history.speed[seen]
    return float(np.quantile(history.latency_ms[seen] * (1 - history.utilisation[seen]) * speed, 0.95))


def _capacity(history: History) -> float | None:
    work = history.work()
    seen = np.isfinite(history.request_rate) & (history.request_rate > 0) & (work > 0.01)
    return float(np.median(history.request_rate[seen] / work[seen])) if seen.any() else None
