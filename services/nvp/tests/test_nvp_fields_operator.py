"""The learned operator: linear domains exactly, nonlinear ones well, conserving, stable, symmetric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eil_nvp.domain.fields import operator
from eil_nvp.domain.fields.domain import FieldDomain
from eil_nvp.domain.fields.model import relative_error
from eil_nvp.domain.fields.registry import BENCHMARK, DOMAINS


def learned(domain: FieldDomain, points: int = 32) -> operator.SpectralOperator:
    made = domain.simulate(np.random.default_rng(0), 10, 10, points)
    return operator.fit(domain, torch.as_tensor(made.states), torch.as_tensor(made.inputs))


def unseen(domain: FieldDomain, steps: int = 10, points: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    made = domain.simulate(np.random.default_rng(9), 2, steps, points)
    return torch.as_tensor(made.states[:, :: domain.substeps]), torch.as_tensor(made.inputs)


@pytest.mark.parametrize(
    ("name", "worst"), [("heat", 1e-9), ("wave", 1e-9), ("power", 1e-5), ("relaxation", 0.01), ("fluid", 0.02)]
)
@torch.no_grad()
def test_a_step_is_learnt_and_conserves(name: str, worst: float) -> None:
    domain = DOMAINS[name]
    step, (states, inputs) = learned(domain), unseen(domain)
    before, after, given = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1), inputs.flatten(0, 1)
    predicted = step(before, given)
    assert float(relative_error(predicted, after).mean()) < worst < float(relative_error(before, after).mean())
    assert float(domain.imbalance(before, given, predicted).max()) < 1e-6


@pytest.mark.parametrize("name", ["heat", "wave"])
@torch.no_grad()
def test_energy_of_a_hundred_steps(name: str) -> None:
    domain = DOMAINS[name]
    step, (states, inputs) = learned(domain), unseen(domain, 100)
    for place, predicted in enumerate(step.rollout(states[:, 0], inputs)):
        energy = domain.energy(states[:, place + 1])
        assert float(((domain.energy(predicted) - energy).abs() / energy).max()) < 1e-3


@torch.no_grad()
def test_a_turbulent_rollout_stays_bounded() -> None:
    domain = DOMAINS["fluid"]
    step, (states, inputs) = learned(domain), unseen(domain, 100)
    for predicted in step.rollout(states[:, 0], inputs):
        assert float(domain.energy(predicted).max()) < 1.01 * float(domain.energy(states[:, 0]).max())


@torch.no_grad()
def test_burgers_beats_the_published_network() -> None:
    made = BENCHMARK.simulate(np.random.default_rng(0), 50, 50, 160)
    step = operator.fit(BENCHMARK, torch.as_tensor(made.states), torch.as_tensor(made.inputs))
    truth = torch.as_tensor(BENCHMARK.simulate(np.random.default_rng(773), 30, 100, 160).states)
    now, errors = truth[:, 0], []
    for place in range(100):
        now = step(now, now[:, :0])
        errors.append(float(relative_error(now, truth[:, place + 1]).mean()))
    assert np.exp(np.mean(np.log(errors))) < 0.0132


@torch.no_grad()
def test_a_mirrored_field_has_a_mirrored_future() -> None:
    step, (states, inputs) = learned(DOMAINS["heat"]), unseen(DOMAINS["heat"])
    turned = step(states[:, 0].transpose(2, 3), inputs[:, 0].transpose(2, 3))
    torch.testing.assert_close(turned, step(states[:, 0], inputs[:, 0]).transpose(2, 3))


def test_orbits_hold_mirror_images() -> None:
    place = operator.orbits((8, 8)).reshape(8, 5)
    assert place[0, 0] == 0
    assert place[1, 2] == place[7, 2] == place[2, 1] == place[6, 1] != place[2, 2]
    assert operator.orbits((8, 6)).reshape(8, 4)[1, 2] != operator.orbits((8, 6)).reshape(8, 4)[2, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@torch.no_grad()
def test_cuda_gives_the_same_numbers() -> None:
    step, (states, inputs) = learned(DOMAINS["fluid"]), unseen(DOMAINS["fluid"])
    there = step.to("cuda")(states[:, 0].cuda(), inputs[:, 0].cuda()).cpu()
    torch.testing.assert_close(there, step.to("cpu")(states[:, 0], inputs[:, 0]), rtol=1e-9, atol=1e-9)
