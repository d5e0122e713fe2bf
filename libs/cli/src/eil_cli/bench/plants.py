"""Identification of simulated plants with known parameters: how near the fitted thermal node comes to the truth."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from eil_physics import (
    ThermalNode,
    ThermalWindow,
    energy_fidelity,
    first_law,
    fit_node,
    integrate,
    observe_window,
    track_window,
)

from eil_cli.bench.plant import AMBIENT_STD_K, Plant, Record, Vector, decay, draw_plant, simulate
from eil_cli.bench.report import Measure, Report
from eil_cli.bench.statistics import percentile

Parameters = tuple[float, float, float]
"""C [J/K], UA [W/K], T_amb [K]; with an ambient channel the last is its mean."""

PLANTS_PER_CLASS = 12
STEPS_K = (0.0, 0.25, 1.0)
"""Quantisation of the temperature readings; 0 is none."""
SHARE = 0.9
"""The share of plants that a "worst" figure covers."""
JUDGED = 6
"""Windows after the fit on which a plant's energy fidelity is taken."""


@dataclass(frozen=True)
class Finding:
    """What became of one plant."""

    plant: Plant
    node: ThermalNode
    fit_ms: float
    truth: Parameters
    gain: float
    """Of the power meter."""
    estimates: Mapping[str, Parameters]
    """By method."""
    fidelity: Mapping[str, float]
    """Median over the windows judged, by method; empty where no window knows r within 1 %."""


def least_squares(record: Record, period_s: float) -> Parameters:
    """The trivial baseline: T' regressed on T, T_amb and P."""
    return _discrete(record, period_s, rounds=0)


def instrumental_variables(record: Record, period_s: float) -> Parameters:
    """The strong baseline: as `least_squares`, with simulated temperatures as instruments (Young 1976), five rounds."""
    return _discrete(record, period_s, rounds=5)


def _discrete(record: Record, period_s: float, rounds: int) -> Parameters:
    rows = slice(0, record.fitted)
    power, reading = record.power_w[rows][1:], record.temperature_k[rows]
    ambient = np.zeros(reading.size) if record.ambient_k is None else record.ambient_k[rows]
    excess = reading - ambient
    # With a channel the excess over it obeys the same equation without a constant.
    constant = [np.ones(power.size)] if record.ambient_k is None else []
    design = np.column_stack((excess[:-1], power, *constant))
    weights = np.linalg.lstsq(design, excess[1:], rcond=None)[0]
    for _ in range(rounds):
        keep = float(np.clip(weights[0], 0.0, 1 - 1e-9))
        drive = design[:, 1:] @ weights[1:]
        simulated = decay(drive, keep, float(excess[0]))
        instruments = np.column_stack((np.concatenate((excess[:1], simulated[:-1])), power, *constant))
        weights = np.linalg.lstsq(instruments.T @ design, instruments.T @ excess[1:], rcond=None)[0]
    keep, gain = float(weights[0]), float(weights[1])
    if not (0.0 < keep < 1.0 and gain > 0.0):
        return math.nan, math.nan, math.nan
    conductance = (1 - keep) / gain
    known = float(np.mean(ambient))
    return -period_s / math.log(keep) * conductance, conductance, float(weights[2]) / (1 - keep) if constant else known


OURS, EDGES, TRUTH = "eil", "edge readings", "true node"
METHODS: Mapping[str, Callable[[Record, float], Parameters]] = {
    "least squares": least_squares,
    "instrumental variables": instrumental_variables,
}


def examine(plant: Plant, record: Record, clock_s: Callable[[], float] = time.perf_counter) -> Finding:
    """Identify a plant by every method and judge the time after."""
    rows = slice(0, record.fitted)
    ambient = None if record.ambient_k is None else record.ambient_k[rows]
    began_s = clock_s()
    node = fit_node(
        record.time_s[rows],
        record.power_w[rows],
        record.temperature_k[rows],
        ambient_k=ambient,
        ambient_std_k=AMBIENT_STD_K,
        power_kind=plant.power_kind,
    )
    fit_ms = 1e3 * (clock_s() - began_s)
    estimates = {name: method(record, plant.period_s) for name, method in METHODS.items()}
    estimates[OURS] = (node.capacity_j_per_k, node.conductance_w_per_k, node.ambient_k)
    truth = (plant.capacity_j_per_k, plant.conductance_w_per_k, record.true_ambient_k)
    fidelity = _fidelities(plant, record, node, estimates) if node.identified else {}
    return Finding(plant, node, fit_ms, truth, record.gain, estimates, fidelity)


def _fidelities(
    plant: Plant, record: Record, node: ThermalNode, estimates: Mapping[str, Parameters]
) -> dict[str, float]:
    """Median energy fidelity over windows after the fit; every method is judged on the windows of the node."""
    nodes = {
        name: replace(node, capacity_j_per_k=c, conductance_w_per_k=ua, ambient_k=t, ambient_offset_k=0.0)
        for name, (c, ua, t) in estimates.items()
    }
    nodes[OURS] = nodes[EDGES] = node
    nodes[TRUTH] = replace(
        node,
        capacity_j_per_k=record.gain * plant.capacity_j_per_k,
        conductance_w_per_k=record.gain * plant.conductance_w_per_k,
        ambient_k=record.true_ambient_k,
        ambient_offset_k=record.ambient_offset_k,
    )
    found: dict[str, list[float]] = {}
    for end in np.linspace(record.fitted, record.time_s.size, JUDGED + 1)[1:].astype(int):
        rows = slice(0, int(end))
        seen = replace(
            record,
            time_s=record.time_s[rows],
            power_w=record.power_w[rows],
            temperature_k=record.temperature_k[rows],
            ambient_k=None if record.ambient_k is None else record.ambient_k[rows],
        )
        ours = energy_fidelity(
            node,
            seen.time_s,
            seen.power_w,
            seen.temperature_k,
            ambient_k=seen.ambient_k,
            power_kind=plant.power_kind,
            sensor_std_k=plant.reading_std_k,
        )
        if ours is None:
            continue
        found.setdefault(OURS, []).append(ours.fidelity)
        start_s = float(seen.time_s[-1]) - ours.window_s
        for name, rival in nodes.items():
            if name != OURS and rival.capacity_j_per_k > 0 and rival.conductance_w_per_k > 0:
                found.setdefault(name, []).append(_fidelity(rival, plant, seen, start_s, edges=name == EDGES))
    return {name: float(np.median(values)) for name, values in found.items()}


def _fidelity(node: ThermalNode, plant: Plant, seen: Record, start_s: float, *, edges: bool) -> float:
    """1 − |r| of a node on the window that ends with the last row; with `edges`, from the readings at its edges alone."""
    end_s = float(seen.time_s[-1])
    window: ThermalWindow | None
    if edges:
        window = observe_window(node, seen.time_s, seen.temperature_k, start_s, end_s, ambient_k=seen.ambient_k)
    else:
        window = track_window(
            node,
            seen.time_s,
            seen.power_w,
            seen.temperature_k,
            start_s,
            end_s,
            ambient_k=seen.ambient_k,
            power_kind=plant.power_kind,
        )
    residual = first_law(
        node, integrate(seen.time_s, seen.power_w, start_s, end_s, kind=plant.power_kind), window
    ).residual
    return math.nan if residual is None else 1 - abs(residual)


def findings(seed: int = 1, per_class: int = PLANTS_PER_CLASS) -> list[Finding]:
    """Every quantisation class with as many plants, half of them with an ambient channel."""
    found = []
    for index, step_k in enumerate(STEPS_K):
        for number in range(per_class):
            rng = np.random.default_rng([seed, index, number])
            plant = draw_plant(step_k, number % 2 == 1, rng)
            found.append(examine(plant, simulate(plant, rng)))
    return found


def constant_loads(seed: int = 1, count: int = 6) -> int:
    """Of so many plants under constant load, how many are identified all the same: none may be."""
    identified = 0
    for number in range(count):
        rng = np.random.default_rng([seed, 99, number])
        plant = replace(draw_plant(1.0, number % 2 == 1, rng), record_s=14_400.0)
        load = plant.mean_power_w * (1 + 0.005 * rng.standard_normal(25_000))
        identified += examine(plant, simulate(plant, rng, load_w=load)).node.identified
    return identified


def plant_measures(seed: int = 1, per_class: int = PLANTS_PER_CLASS) -> Report:
    """Median and nine-in-ten errors by quantisation, of the plants that are identified; the others are counted.

    Beside them stand least squares on the discrete model, instrumental variables, and for energy fidelity the true node (the best
    that any identification allows) and the node judged by the readings at the window's edges alone.
    """
    found = findings(seed, per_class)
    measures: dict[str, Measure] = {}
    baselines: dict[str, dict[str, float]] = {}
    for step_k in STEPS_K:
        group = [finding for finding in found if finding.plant.step_k == step_k]
        _class_measures(f"step_{step_k:g}k", group, measures, baselines)
    scores = np.concatenate([_scores(finding) for finding in found if finding.node.identified])
    measures["plants_error_over_se"] = Measure(float(np.sqrt(np.mean(scores**2))), "", gate=1.5, goal=1.1)
    measures["plants_beyond_3_se"] = Measure(100 * float(np.mean(np.abs(scores) > 3)), "%", gate=5.0, goal=0.5)
    measures["plants_constant_load_identified"] = Measure(float(constant_loads(seed)), "plants", gate=0.0)
    measures["plants_fit_ms"] = Measure(percentile([finding.fit_ms for finding in found], 0.5), "ms")
    refused = sum(not finding.node.identified for finding in found)
    unsure = sum(finding.node.identified and not finding.fidelity for finding in found)
    notes = (
        f"{len(found)} plants: {refused} not identified, {unsure} identified whose record has no window that knows r within 1 %; "
        "errors are against the true C and UA, so the meter's gain (1–2 %) is in them",
    )
    return Report("plants", measures, baselines, notes)


def _class_measures(
    name: str, group: Sequence[Finding], measures: dict[str, Measure], baselines: dict[str, dict[str, float]]
) -> None:
    identified = [finding for finding in group if finding.node.identified]
    measures[f"plants_{name}_identified"] = Measure(100 * len(identified) / len(group), "%")
    fitted = [finding for finding in identified if not finding.plant.channel]
    coarse = group[0].plant.step_k >= 1.0
    parts = (("capacity", identified, 0, "%", 10.0, 3.0), ("conductance", identified, 1, "%", 10.0, 3.0))
    for what, chosen, index, unit, gate, goal in (*parts, ("ambient", fitted, 2, "K", 1.0 if coarse else None, 0.3)):
        for method in (OURS, *METHODS):
            errors = [_error(finding, method, index) for finding in chosen]
            for label, share in (("median", 0.5), ("worst", SHARE)):
                key, value = f"plants_{name}_{what}_{label}", percentile(errors, share)
                if method == OURS:
                    measures[key] = Measure(value, unit, gate=gate, goal=goal)
                else:
                    baselines.setdefault(method, {})[key] = value
    for method in (OURS, *METHODS, EDGES, TRUTH):
        values = [finding.fidelity[method] for finding in identified if method in finding.fidelity]
        for label, share in (("median", 0.5), ("worst", 1 - SHARE)):
            key, value = f"plants_{name}_fidelity_{label}", percentile(values, share)
            if method == OURS:
                # What a window's own noise leaves to the worst of them is no matter of identification: the true node has it too.
                measures[key] = Measure(value, "", gate=0.99 if share == 0.5 else None, goal=0.999, better="higher")
            else:
                baselines.setdefault(method, {})[key] = value


def _error(finding: Finding, method: str, index: int) -> float:
    """Error of a parameter [%, or K of the ambient]; infinite where a method found none."""
    found, true = finding.estimates[method][index], finding.truth[index]
    error = abs(found - true) if index == 2 else 100 * abs(found / true - 1)
    return error if math.isfinite(error) else math.inf


def _scores(finding: Finding) -> Vector:
    """Errors of C, UA and T_amb over their standard errors. The gain, which they leave out, is taken off."""
    node = finding.node
    capacity, conductance, ambient = finding.truth
    return np.array(
        [
            (node.capacity_j_per_k - finding.gain * capacity) / node.se_capacity_j_per_k,
            (node.conductance_w_per_k - finding.gain * conductance) / node.se_conductance_w_per_k,
            (node.ambient_k - ambient) / node.se_ambient_k,
        ]
    )
