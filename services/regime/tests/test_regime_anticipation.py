"""Confidence is the exact beta-binomial probability, and it is calibrated on geometric dwells."""

from __future__ import annotations

import numpy as np
import pytest
from eil_regime.domain.anticipation import Anticipation


def test_stay_probability_is_the_mean_of_the_geometric_survival_under_the_posterior() -> None:
    anticipation = Anticipation(horizon=60, prior_dwell=1000.0)
    for _ in range(300):
        anticipation.stood("r1")
    anticipation.left("r1")
    hazard = (1 + 1) / (1000 + 300)
    draws = np.random.default_rng(0).beta(1 + 1, 1 / hazard + 300, 400_000)
    assert anticipation.outlook("r1").stay == pytest.approx(float(((1 - draws) ** 60).mean()), abs=2e-3)


def test_longer_stays_raise_and_departures_lower_confidence() -> None:
    anticipation = Anticipation(horizon=60, prior_dwell=1000.0)
    fresh = anticipation.outlook("r1").confidence
    for _ in range(3000):
        anticipation.stood("r1")
    steady = anticipation.outlook("r1").confidence
    for _ in range(20):
        anticipation.left("r1")
    assert fresh < steady
    assert anticipation.outlook("r1").confidence < steady


def test_a_short_lived_regime_announces_its_usual_successor() -> None:
    anticipation = Anticipation(horizon=60, prior_dwell=50.0)
    for _ in range(50):
        for regime, successor in (("r1", "r2"), ("r2", "r1")):
            for _ in range(10):
                anticipation.stood(regime)
            anticipation.left(regime)
            anticipation.followed(regime, successor)
    outlook = anticipation.outlook("r1")
    assert outlook.regime_id == "r2"
    assert outlook.confidence > 0.9
    assert outlook.stay < 0.05


def test_renamed_and_forgotten_regimes_leave_no_trace() -> None:
    anticipation = Anticipation(horizon=60, prior_dwell=1000.0)
    anticipation.stood("r9")
    anticipation.rename("r9", "r1")
    anticipation.followed("r2", "r1")
    assert anticipation.state()["samples"] == {"r1": 1}
    anticipation.forget("r1")
    assert anticipation.state()["samples"] == {}
    assert anticipation.state()["following"] == {"r2": {}}
    assert anticipation.outlook("r2").regime_id == "r2"


def test_confidence_is_calibrated_on_regimes_with_geometric_dwell() -> None:
    rng = np.random.default_rng(1)
    regimes = np.repeat(rng.integers(0, 3, 400), rng.geometric(1 / 200, 400))
    anticipation = Anticipation(horizon=60, prior_dwell=1000.0)
    said, held = [], []
    for i in range(regimes.size - 60):
        name = f"r{regimes[i]}"
        if i and regimes[i] != regimes[i - 1]:
            anticipation.left(f"r{regimes[i - 1]}")
            anticipation.followed(f"r{regimes[i - 1]}", name)
        anticipation.stood(name)
        said.append(anticipation.outlook(name).stay)
        held.append(bool((regimes[i : i + 61] == regimes[i]).all()))
    assert float(np.mean(said)) == pytest.approx(float(np.mean(held)), abs=0.05)
