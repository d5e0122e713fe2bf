"""A dumped detector goes on exactly where it stood, and foreign bytes are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eil_regime.domain.codec import decode, encode
from eil_regime.domain.config import DetectorConfig
from eil_regime.domain.detector import STATE_VERSION, Detector


def telemetry(n: int, seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 8))
    x[:, 1] = 0.1 * x[:, 1].cumsum()
    x += (np.arange(n) // 300 % 3)[:, None] * np.array([0, 0, 3, 0, 5, 0, -4, 0])
    x[rng.random(x.shape) < 0.03] = math.nan
    return [{f"channel_{j}": float(v) for j, v in enumerate(row) if rng.random() > 0.01} for row in x]


def test_restored_detectors_give_the_same_verdicts_bit_for_bit() -> None:
    rows = telemetry(1600, seed=1)
    whole, resumed = Detector(), Detector()
    for i, row in enumerate(rows):
        expected, got = whole.update(float(i), row), resumed.update(float(i), row)
        assert got == expected
        if i % 7 == 0:  # through every phase: burn-in, shift, transition, drift
            resumed = Detector.load(resumed.dump())
            assert resumed.verdict == expected
    assert resumed.dump() == whole.dump()
    assert resumed.missing == whole.missing


def test_one_channel_drifting_and_retiring_values_restores_exactly() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(1500) + np.linspace(0, 4, 1500)
    whole, resumed = Detector(), Detector()
    for i, v in enumerate(x):
        expected = whole.update(float(i), {"a": float(v)})
        resumed = Detector.load(resumed.dump())
        assert resumed.update(float(i), {"a": float(v)}) == expected


def test_an_unused_detector_and_its_settings_survive() -> None:
    config = DetectorConfig(burn_in=32, horizon=10)
    restored = Detector.load(Detector(config).dump())
    assert restored.verdict is None
    assert restored.dump() == Detector(config).dump()


def test_a_dump_of_eight_channels_and_a_full_library_stays_small() -> None:
    rng = np.random.default_rng(2)
    detector = Detector(DetectorConfig(max_regimes=64))
    t_s = 0.0
    for _ in range(80):
        level = rng.normal(0, 30, 8)
        for row in rng.standard_normal((90, 8)):
            t_s += 1.0
            detector.update(t_s, {f"channel_{j}": float(v) for j, v in enumerate(level + row)})
    state = decode(detector.dump(), STATE_VERSION)
    assert len(state["library"]["regimes"]) == 64
    assert len(state["anticipation"]["samples"]) <= 66
    assert len(detector.dump()) < 30_000


@pytest.mark.parametrize("cut", [0, 5, 40, 400])
def test_truncated_state_is_refused(cut: int) -> None:
    detector = Detector()
    for i, row in enumerate(telemetry(100, seed=3)):
        detector.update(float(i), row)
    blob = detector.dump()
    with pytest.raises(ValueError, match="truncated"):
        Detector.load(blob[:cut])
    with pytest.raises(ValueError, match="truncated"):
        Detector.load(blob[: len(blob) - 8])


def test_foreign_or_newer_or_damaged_state_is_refused() -> None:
    with pytest.raises(ValueError, match="no detector state"):
        Detector.load(b"\x80\x04pickle, or anything else")
    with pytest.raises(ValueError, match=f"version {STATE_VERSION + 1}"):
        Detector.load(encode({}, STATE_VERSION + 1))
    with pytest.raises(ValueError, match="damaged"):
        Detector.load(encode({"config": {}}, STATE_VERSION))
    with pytest.raises(TypeError):
        encode({"a": object()}, STATE_VERSION)
