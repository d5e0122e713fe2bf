"""A small model end to end: data, training, checkpoint, and predictions that know where they hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from eil_nvp.domain.fields import datasets, model
from eil_nvp.domain.fields.network import NetworkTraining, train_network
from eil_nvp.domain.fields.predictor import FieldForecast, predict
from eil_nvp.domain.fields.registry import DOMAINS

POINTS = 16
HOW = model.FieldTraining("heat", 0, 8, 6, POINTS, NetworkTraining(updates=60, width=8))


@pytest.fixture(scope="module")
def heat() -> model.FieldModel:
    made, about = datasets.generate(DOMAINS["heat"], seed=0, trajectories=8, steps=6, points=POINTS)
    return model.train(HOW, made, about.digest)


def fields(count: int = 2, steps: int = 6):
    return DOMAINS["heat"].simulate(np.random.default_rng(5), count, steps, POINTS)


def one(heat: model.FieldModel, state: np.ndarray, inputs: np.ndarray, steps: int = 1) -> FieldForecast:
    return predict(heat, [state], [inputs], steps)[0]


def test_members_differ_and_the_champion_is_the_best(heat: model.FieldModel) -> None:
    assert len(heat.members) >= 5
    assert min(heat.metrics, key=lambda name: heat.metrics[name]["error"]).startswith("spectral")
    assert heat.metrics["convolution"]["error"] > 10.0 * heat.metrics[model.CHAMPION]["error"]
    assert heat.metrics["convolution"]["skill"] > 0.0


def test_a_checkpoint_restores_every_bit(heat: model.FieldModel, tmp_path: Path) -> None:
    path = tmp_path / "heat.safetensors"
    path.write_bytes(model.dumps(heat))
    again = model.load(path)
    truth = fields()
    for name, member in heat.members.items():
        with torch.no_grad():
            given = torch.as_tensor(truth.states[:, 0]), torch.as_tensor(truth.inputs[:, 0])
            torch.testing.assert_close(again.members[name](*given), member(*given), rtol=0, atol=0)
    assert (again.training, again.data_digest, again.metrics) == (heat.training, heat.data_digest, heat.metrics)


@pytest.mark.parametrize("content", [b"", b"nonsense that is longer than eight bytes", b"\x02\0\0\0\0\0\0\0{}"])
def test_what_is_no_checkpoint_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        model.loads(content)


def test_another_version_is_refused(heat: model.FieldModel) -> None:
    with pytest.raises(ValueError, match="format is 9"):
        model.loads(model.dumps(heat).replace(b'\\"format\\": 1', b'\\"format\\": 9'))


def test_an_interrupted_training_ends_as_it_would_have(tmp_path: Path) -> None:
    truth = fields(4)
    data = DOMAINS["heat"], torch.as_tensor(truth.states), torch.as_tensor(truth.inputs)
    how = NetworkTraining(updates=60, width=4, noise=0.1, boltzmann=1.0)
    kept = tmp_path / "training"

    def stop(update: int) -> None:
        if update == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_network(*data, how, stop, kept)
    heard: list[int] = []
    resumed = train_network(*data, how, heard.append, kept)
    assert heard[0] == 26
    assert not kept.exists()
    for value, wanted in zip(resumed.parameters(), train_network(*data, how).parameters(), strict=True):
        torch.testing.assert_close(value, wanted, rtol=0, atol=0)


def test_a_data_set_says_where_it_comes_from_and_whether_it_was_altered(tmp_path: Path) -> None:
    made, about = datasets.generate(DOMAINS["power"], seed=4, trajectories=2, steps=2, points=16)
    path = tmp_path / "power.h5"
    datasets.write(path, made, about)
    again, told = datasets.read(path)
    np.testing.assert_array_equal(again.states, made.states)
    assert told == about
    assert "AC power flow" in told.method
    datasets.write(path, dataclasses.replace(made, states=made.states + 1e-9), about)
    with pytest.raises(ValueError, match="altered"):
        datasets.read(path)
    path.write_bytes(b"no data")
    with pytest.raises(ValueError, match="no data set"):
        datasets.read(path)


def test_predictions_hold_and_say_how_well(heat: model.FieldModel) -> None:
    truth = fields()
    answers = predict(heat, list(truth.states[:, 0]), list(truth.inputs), 6, every_step=True)
    for i, answer in enumerate(answers):
        assert answer.in_domain
        assert answer.steps == (1, 2, 3, 4, 5, 6)
        for step, state in zip(answer.steps, answer.states, strict=True):
            np.testing.assert_allclose(state, truth.states[i, step], rtol=0, atol=1e-8)
        assert all(finding.verdict == "kept" for finding in answer.findings)


def test_together_or_alone_is_the_same(heat: model.FieldModel) -> None:
    truth = fields()
    together = predict(heat, list(truth.states[:, 0]), list(truth.inputs), 3)
    for i, answer in enumerate(together):
        alone = one(heat, truth.states[i, 0], truth.inputs[i], 3).states[0]
        np.testing.assert_allclose(answer.states[0], alone, rtol=0, atol=1e-12, err_msg="but for rounding")


def test_a_foreign_field_is_not_predicted(heat: model.FieldModel) -> None:
    state, inputs = fields().states[0, 0], fields().inputs[0]
    huge = one(heat, 1e4 * state, inputs)
    assert huge.abstained
    assert huge.relative_errors == (1.0,)
    np.testing.assert_array_equal(huge.states[0], 1e4 * state)
    rough = one(heat, 10.0 * np.random.default_rng(0).standard_normal(state.shape), inputs)
    assert not rough.in_domain
    assert rough.relative_errors[0] > 3.0 * one(heat, state, inputs).relative_errors[0]
    assert "outside what the model was trained on" in rough.reason


def test_beyond_the_steps_measured_the_error_grows_and_is_said(heat: model.FieldModel) -> None:
    state, inputs = fields().states[0, 0], fields().inputs[0]
    near, far = one(heat, state, inputs, 6), one(heat, state, inputs, 60)
    assert far.relative_errors[0] > 50.0 * near.relative_errors[0]
    assert "60 steps are more than the 6" in far.reason


@pytest.mark.parametrize(
    ("state", "inputs", "message"),
    [
        (np.zeros((1, 8, 8)), np.zeros((1, 1, 16, 16)), "has shape"),
        (np.full((1, 16, 16), np.nan), np.zeros((1, 1, 16, 16)), "256 values of the state are not finite"),
        (np.zeros((1, 16, 16)), np.zeros((1, 2, 16, 16)), "inputs of a step"),
        (np.zeros((1, 16, 16)), np.full((1, 1, 16, 16), np.inf), "inputs of a step"),
    ],
)
def test_bad_fields_are_refused(heat: model.FieldModel, state: np.ndarray, inputs: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one(heat, state, inputs)
