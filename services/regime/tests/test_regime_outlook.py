"""Confidence: regular excursions are learnt per channel and direction, irregular ones leave the base rate alone, and it is calibrated."""

from __future__ import annotations

import numpy as np
from eil_regime.domain.detector import Detector
from eil_regime.domain.outlook import HORIZON


def excursions(lengths: np.ndarray, pauses: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """A level that leaves for `lengths` rows after `pauses` rows, and the rows at which it changes."""
    pieces, changes, at = [], [], 0
    for pause, length in zip(pauses, lengths, strict=True):
        pieces += [np.zeros(pause), np.full(length, 6.0)]
        changes += [at + pause, at + pause + length]
        at += pause + length
    level = np.concatenate(pieces)
    return level + rng.standard_normal(level.size), changes


def confidence_of(x: np.ndarray) -> np.ndarray:
    return Detector().advance(np.arange(float(x.size)), {"a": x}).confidence.astype(float)


def test_a_return_that_always_takes_as_long_is_foreseen() -> None:
    rng = np.random.default_rng(3)
    x, changes = excursions(np.full(25, 300), rng.integers(300, 900, 25), rng)
    said = confidence_of(x)
    starts, ends = np.array(changes[30::2]), np.array(changes[31::2])
    in_the_middle = np.mean([said[start + 150] for start in starts])
    just_before = np.mean([said[end - 25] for end in ends])
    assert in_the_middle > 0.9
    assert just_before < in_the_middle - 0.25


def test_without_regularity_the_base_rate_stands() -> None:
    rng = np.random.default_rng(4)
    x, _ = excursions(rng.exponential(400, 25).astype(int) + 60, rng.exponential(400, 25).astype(int) + 60, rng)
    said = confidence_of(x)[4000:]
    assert 0.6 < said.mean() < 0.97
    assert said.std() < 0.15


def test_confidence_is_calibrated_on_telemetry_made_with_other_seeds() -> None:
    said, held = [], []
    for seed in range(6):
        rng = np.random.default_rng(100 + seed)
        x, changes = excursions(rng.integers(200, 1500, 12), rng.integers(200, 1500, 12), rng)
        changing = np.zeros(x.size, bool)
        for change in changes:
            changing[max(0, change - HORIZON) : change] = True
        said.append(confidence_of(x)[1000:-HORIZON])
        held.append(~changing[1000:-HORIZON])
    confidence, true = np.concatenate(said), np.concatenate(held)
    assert abs(confidence.mean() - true.mean()) < 0.05
    edges = np.quantile(confidence, [0.2, 0.4, 0.6, 0.8])
    place = np.searchsorted(edges, confidence)
    error = sum(abs((confidence - true)[place == k].sum()) for k in range(5)) / true.size
    assert error < 0.06
