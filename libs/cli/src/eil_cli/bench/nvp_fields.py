"""Field predictors against the truth of trusted solvers, and the one-dimensional Burgers protocol of APEBench."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch
from eil_nvp.domain.agent.ensemble import aggregate, breakdown_point
from eil_nvp.domain.fields import datasets, model, operator
from eil_nvp.domain.fields.domain import FieldDomain, Trajectories
from eil_nvp.domain.fields.predictor import predict
from eil_nvp.domain.fields.registry import BENCHMARK, DOMAINS

from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure

POINTS = 64
TRAINING_SEED, TEST_SEED = 0, 773
TRAINED, TESTED, STEPS = 24, 8, 20
"""Trajectories to train on and to test on, and steps of each."""
LONG, ROLLOUT = 4, 100
MOVED = 0.1
"""nRMSE of persistence from which a step counts for the skill."""
BURGERS_SEEDS = range(5)
PUBLISHED_BURGERS = {"residual conv net": 0.0132, "FNO": 0.0731}
"""Geometric mean nRMSE over 100 steps, measured once with the benchmark's own training of 10,000 updates: 351 s and 244 s."""


@dataclass(frozen=True)
class FieldFigures:
    """What was measured of a domain."""

    error: float
    skill: float
    imbalance: float
    rollout_error: float
    rollout_energy: float
    persistence: float
    linear: float
    """One-step nRMSE of the same operator without products."""
    convolution: float
    ensemble: Mapping[str, float]
    """Error over the clean one's, by corruption of as many members as the breakdown point."""
    train_s: float
    step_ms: float
    """99th percentile of the champion's step ..."""
    prediction_ms: float
    """... and of one with all members and questions."""


def field_measures(begin: Begin) -> tuple[dict[str, Measure], dict[str, dict[str, float]]]:
    """Every measure of fields, and the baselines' values of the same."""
    measures: dict[str, Measure] = {}
    baselines: dict[str, dict[str, float]] = {name: {} for name in ("persistence", "linear", "convolution")}
    figures = {}
    step = begin("fields", len(DOMAINS) + 1)
    for name, domain in DOMAINS.items():
        found = figures[name] = measure_domain(domain)
        step()
        measures[f"{name}_accuracy"] = Measure(1.0 - found.error, "", 0.95, 0.99, "higher")
        measures[f"{name}_skill"] = Measure(found.skill, "", 0.5, 0.9, "higher")
        measures[f"{name}_imbalance"] = Measure(found.imbalance, "", 1e-3, 1e-6)
        measures[f"{name}_rollout_100"] = Measure(found.rollout_error, "")
        gates = (0.01, 0.001) if name in ("heat", "wave") else (None, None)
        measures[f"{name}_rollout_energy"] = Measure(found.rollout_energy, "", *gates)
        measures[f"{name}_train"] = Measure(found.train_s, "s")
        for other in baselines:
            baselines[other][f"{name}_accuracy"] = 1.0 - getattr(found, other)
    measures["field_step_p99"] = Measure(max(found.step_ms for found in figures.values()), "ms", 30.0, 5.0)
    measures["field_prediction_p99"] = Measure(max(found.prediction_ms for found in figures.values()), "ms", 30.0)
    worst = {kind: max(found.ensemble[kind] for found in figures.values()) for kind in CORRUPTIONS}
    measures["field_ensemble_corrupted"] = Measure(max(worst.values()), "", 2.0, 1.2)
    measures["burgers_nrmse"] = Measure(float(np.mean([burgers(seed) for seed in BURGERS_SEEDS])), "", 0.0132, 0.007)
    for name, value in PUBLISHED_BURGERS.items():
        baselines[name] = {"burgers_nrmse": value}
    return measures, baselines


def measure_domain(domain: FieldDomain) -> FieldFigures:
    """Train a domain's members on one data set and measure them on another of other starts."""
    how = model.FieldTraining(domain.name, TRAINING_SEED, TRAINED, STEPS, POINTS)
    made, about = datasets.generate(domain, seed=TRAINING_SEED, trajectories=TRAINED, steps=STEPS, points=POINTS)
    began_s = time.perf_counter()
    trained = model.train(how, made, about.digest)
    train_s = time.perf_counter() - began_s
    test, _ = datasets.generate(domain, seed=TEST_SEED, trajectories=TESTED, steps=STEPS, points=POINTS)
    states, inputs = torch.as_tensor(test.states[:, :: domain.substeps]), torch.as_tensor(test.inputs)
    before, after, given = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1), inputs.flatten(0, 1)
    flat = operator.fit(_linear(domain), torch.as_tensor(made.states), torch.as_tensor(made.inputs))
    with torch.no_grad():
        predicted = _batched(trained.champion, before, given)
        error, still = model.relative_error(predicted, after), model.relative_error(before, after)
        moved = still >= MOVED
        rollout, energy = _rollout(domain, trained)
        return FieldFigures(
            error=float(error.mean()),
            skill=float(1.0 - (error[moved] / still[moved]).mean()) if moved.any() else float("nan"),
            imbalance=float(domain.imbalance(before, given, predicted).max()),
            rollout_error=rollout,
            rollout_energy=energy,
            persistence=float(still.mean()),
            linear=float(model.relative_error(_batched(flat, before, given), after).mean()),
            convolution=float(
                model.relative_error(_batched(trained.members["convolution"], before, given), after).mean()
            ),
            ensemble=_corrupted(trained, before[::8], given[::8], after[::8]),
            train_s=train_s,
            step_ms=_slowest_ms(
                lambda field, given: trained.champion(*map(torch.as_tensor, (field[None], given))), test
            ),
            prediction_ms=_slowest_ms(lambda field, given: predict(trained, [field], [given], 1), test),
        )


def _linear(domain: FieldDomain) -> FieldDomain:
    """A domain without its products: what least squares alone can learn."""
    known = SimpleNamespace(
        products=lambda spectrum, inputs: spectrum[:, :0],
        mean_law=domain.mean_law,
        constrain=domain.constrain,
        substeps=domain.substeps,
        stages=1,
    )
    return cast(FieldDomain, known)


def _batched(member: torch.nn.Module, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    return torch.cat([member(x, i) for x, i in zip(states.split(64), inputs.split(64), strict=True)])


def _rollout(domain: FieldDomain, trained: model.FieldModel) -> tuple[float, float]:
    """nRMSE after 100 steps, mean over trajectories, and the largest relative error of the energy on the way."""
    long, _ = datasets.generate(domain, seed=TEST_SEED + 1, trajectories=LONG, steps=ROLLOUT, points=POINTS)
    states, inputs = torch.as_tensor(long.states[:, :: domain.substeps]), torch.as_tensor(long.inputs)
    now, worst = states[:, 0], 0.0
    for step in range(ROLLOUT):
        now = trained.champion(now, inputs[:, step])
        energy = domain.energy(states[:, step + 1])
        worst = max(worst, float(((domain.energy(now) - energy).abs() / energy).max()))
    return float(model.relative_error(now, states[:, -1]).mean()), worst


CORRUPTIONS = ("not a number", "constant", "sign", "tenfold", "noise", "collusion")


def _corrupted(
    trained: model.FieldModel, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor
) -> dict[str, float]:
    """Worst error over the clean one with as many members corrupted as the breakdown point allows; the best members first."""
    said = np.stack([_batched(member, before, inputs).numpy() for member in trained.members.values()], 1)
    truth, rng = after.numpy(), np.random.default_rng(0)
    size = np.sqrt(np.mean(truth**2, axis=(0, 2, 3), keepdims=True))[0]
    live = np.array([figures["error"] for figures in trained.metrics.values()])
    clean = _voted(said, truth, live, size)
    faulty = range(breakdown_point(said.shape[1]))
    wrong = {
        "not a number": lambda x: np.full_like(x, np.nan),
        "constant": lambda x: np.full_like(x, 3.0 * size.max()),
        "sign": lambda x: -x,
        "tenfold": lambda x: 10.0 * x,
        "noise": lambda x: x + size * rng.standard_normal(x.shape),
        "collusion": lambda x: x + 0.5 * size * collusion,
    }
    collusion = rng.standard_normal(truth.shape[1:])
    found = {}
    for kind, make in wrong.items():
        spoilt = said.copy()
        for member in faulty:
            spoilt[:, member] = make(said[:, member])
        found[kind] = _voted(spoilt, truth, live, size) / clean
    return found


def _voted(said: np.ndarray, truth: np.ndarray, live: np.ndarray, size: np.ndarray) -> float:
    values = [aggregate(members, live_rms=live, scale=size).value for members in said]
    return float(np.sqrt(np.mean((np.stack(values) - truth) ** 2) / np.mean(truth**2)))


def _slowest_ms(step: Callable[[np.ndarray, np.ndarray], object], test: Trajectories) -> float:
    """99th percentile of 200 steps of one field."""
    times = []
    for i in range(200):
        field, given = test.states[i % TESTED, 0], test.inputs[i % TESTED, :1]
        began_s = time.perf_counter()
        step(field, given)
        times.append(1e3 * (time.perf_counter() - began_s))
    return float(np.quantile(times, 0.99))


def burgers(seed: int) -> float:
    """Geometric mean over 100 steps of the mean nRMSE of 30 tests, after training on 50 trajectories of 50 steps drawn with `seed`."""
    made = BENCHMARK.simulate(np.random.default_rng(seed), 50, 50, 160)
    test = torch.as_tensor(BENCHMARK.simulate(np.random.default_rng(TEST_SEED), 30, 100, 160).states)
    learned = operator.fit(BENCHMARK, torch.as_tensor(made.states), torch.as_tensor(made.inputs))
    now, errors = test[:, 0], []
    with torch.no_grad():
        for step in range(100):
            now = learned(now, now[:, :0])
            errors.append(float(model.relative_error(now, test[:, step + 1]).mean()))
    return float(np.exp(np.mean(np.log(errors))))
