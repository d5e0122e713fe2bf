"""The detector keeps quiet when it should, finds shifts soon, and never takes a gap for one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from eil_regime.domain.config import DetectorConfig
from eil_regime.domain.detector import MAX_CHANNELS, Detector
from eil_regime.domain.stream import FORGOTTEN, SETTLING
from eil_regime.domain.verdict import Verdict

LABELS = {"stable", "drifting", "transition", "critical"}


def ar1(n: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    shock = rng.standard_normal(n) * math.sqrt(1.0 - rho * rho)
    x = np.empty(n)
    x[0] = rng.standard_normal()
    for i in range(1, n):
        x[i] = rho * x[i - 1] + shock[i]
    return x


def noise(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "ar(.9)":
        return ar1(n, 0.9, rng)
    if kind == "ar(.95) under measurement noise":
        return ar1(n, 0.95, rng) + rng.standard_normal(n)
    if kind == "student t, 3 degrees":
        return rng.standard_t(3, n)
    if kind == "quantised":
        return np.round(0.6 * rng.standard_normal(n)) + 20.0
    x = rng.standard_normal(n)
    return np.where(rng.random(n) < 0.01, x + 30.0, x) if kind == "spikes" else x


def feed(detector: Detector, rows: Iterable[dict[str, float]], start_s: float = 0.0) -> list[Verdict]:
    return [detector.update(start_s + i, row) for i, row in enumerate(rows)]


def column(x: np.ndarray, name: str = "a") -> list[dict[str, float]]:
    return [{name: float(v)} for v in x]


def shifts(verdicts: list[Verdict]) -> list[Verdict]:
    return [v for v in verdicts if v.shift is not None]


@pytest.mark.parametrize(
    ("kind", "most"),
    [("white", 2), ("ar(.9)", 5), ("student t, 3 degrees", 4), ("spikes", 5), ("quantised", 5)],
)
def test_noise_does_not_flood(kind: str, most: int) -> None:
    """Four sources of 4,000 samples each. A young source is quicker to report than one that has stood for long."""
    verdicts: list[Verdict] = []
    for seed in range(4):
        verdicts += feed(Detector(), column(noise(kind, 4000, np.random.default_rng(seed))))
    assert len(shifts(verdicts)) <= most
    assert sum(v.label == "stable" for v in verdicts) > 0.97 * len(verdicts)


def test_autocorrelation_hidden_under_measurement_noise_does_not_flood() -> None:
    found = 0
    for seed in range(4):
        x = noise("ar(.95) under measurement noise", 4000, np.random.default_rng(seed))
        found += len(shifts(feed(Detector(), column(x))))
    assert found <= 6


def test_false_alarms_are_shared_among_channels() -> None:
    x = np.random.default_rng(3).standard_normal((5000, 8))
    verdicts = feed(Detector(), [{f"c{j}": float(v) for j, v in enumerate(row)} for row in x])
    assert len(shifts(verdicts)) <= 1


@pytest.mark.parametrize(
    ("kind", "step", "longest"),
    [
        ("white", 2.0, 70),
        ("white", 5.0, 20),
        ("student t, 3 degrees", 4.0, 80),
        ("spikes", 5.0, 120),
        ("ar(.9)", 6.0, 160),
    ],
)
def test_level_shift_is_reported_soon_with_its_onset(kind: str, step: float, longest: int) -> None:
    for seed in range(5):
        x = noise(kind, 1000, np.random.default_rng(100 + seed))
        x[700:] += step
        found = [v.shift for v in feed(Detector(), column(x)) if v.shift is not None and v.shift.detected_s >= 700]
        assert found, f"seed {seed}: shift of {step} sd missed"
        assert found[0].detected_s - 700 <= longest
        assert abs(found[0].at_s - 700) <= max(2, 0.2 * longest)
        assert found[0].at_s <= found[0].detected_s
        assert found[0].statistic > found[0].threshold


def test_only_the_channel_that_moved_is_named_and_the_verdict_says_so() -> None:
    x = np.random.default_rng(1).standard_normal((900, 4))
    x[600:, 2] += 4.0
    (verdict,) = shifts(feed(Detector(), [{f"c{j}": float(v) for j, v in enumerate(row)} for row in x]))
    assert verdict.shift is not None
    assert verdict.shift.channels == ("c2",)
    assert verdict.label == "transition"
    assert "c2" in verdict.reason


def test_a_burst_shorter_than_a_regime_is_none() -> None:
    found = 0
    for seed in range(8):
        x = np.random.default_rng(seed).standard_normal(1500)
        x[700:704] += 12.0
        found += sum(690 <= v.shift.at_s < 900 for v in feed(Detector(), column(x)) if v.shift)
    assert found <= 1


def test_a_behaviour_that_returns_gets_its_id_back() -> None:
    rng = np.random.default_rng(8)
    levels = np.repeat([0.0, 6.0, 0.0, -6.0, 6.0, 0.0], 400)
    verdicts = feed(Detector(), column(levels + rng.standard_normal(levels.size)))
    ids = [verdicts[400 * k + 390].regime_id for k in range(6)]
    usual, high, _, low, _, _ = ids
    assert ids == [usual, high, usual, low, high, usual]
    assert len({usual, high, low}) == 3
    assert [v.shift.to_regime for v in shifts(verdicts) if v.shift] == [None, usual, None, high, usual]


def test_transition_lasts_while_the_new_regime_settles() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(1000) + 6.0 * (np.arange(1000) >= 500)
    verdicts = feed(Detector(), column(x))
    labels = [v.label for v in verdicts]
    (start,) = [i for i in range(1, 1000) if labels[i] == "transition" and labels[i - 1] != "transition"]
    assert 500 <= start <= 520
    assert labels.count("transition") == SETTLING
    assert verdicts[start].regime_id != verdicts[start - 1].regime_id
    assert labels.count("stable") > 900


def test_the_longer_a_regime_has_stood_the_surer_it_is_to_stand() -> None:
    verdicts = feed(Detector(), column(np.random.default_rng(1).standard_normal(4000)))
    assert not shifts(verdicts)
    assert verdicts[0].regime_id == "r1"
    assert verdicts[500].confidence < verdicts[1500].confidence < verdicts[-1].confidence
    assert verdicts[0].confidence <= 1 - 1 / 61  # one row says nothing about the next sixty
    assert all(0.0 <= v.confidence <= 1.0 for v in verdicts)


def test_a_ramp_is_called_drifting_or_shifted_within_its_course() -> None:
    rng = np.random.default_rng(6)
    ramp = np.concatenate([np.zeros(500), np.linspace(0, 6, 200), np.full(300, 6.0)])
    verdicts = feed(Detector(), column(ramp + rng.standard_normal(1000)))
    assert sum(v.label == "stable" for v in verdicts[:480]) > 440
    assert any(v.label in ("drifting", "transition") for v in verdicts[500:700])


def test_far_out_of_range_is_critical_before_it_is_a_regime() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal(500)
    x[400:] += 40.0
    verdicts = feed(Detector(), column(x))
    labels = [v.label for v in verdicts[400:430]]
    assert labels.index("critical") < labels.index("transition")


def test_rising_variance_and_autocorrelation_are_an_early_warning() -> None:
    rng = np.random.default_rng(12)
    n, x = 9000, np.zeros(9000)
    rho = np.concatenate([np.full(6000, 0.2), np.linspace(0.2, 0.97, 3000)])
    for i in range(1, n):
        x[i] = rho[i] * x[i - 1] + rng.standard_normal()
    verdicts = feed(Detector(), column(x))
    assert not any("early warning" in v.reason for v in verdicts[:6000])
    assert any(v.label == "critical" and "early warning" in v.reason for v in verdicts[6000:])


def test_nan_infinite_and_absent_values_are_counted_and_shift_nothing() -> None:
    rng = np.random.default_rng(9)
    detector, verdicts = Detector(), []
    for i in range(2000):
        row = {"a": float(rng.standard_normal()), "b": float(rng.standard_normal())}
        if rng.random() < 0.2:
            row["a"] = math.nan
        if 800 <= i < 1000:
            del row["b"]
        if i == 1500:
            row["b"] = math.inf
        verdicts.append(detector.update(float(i) if i < 1200 else i + 50_000.0, row))
    assert not shifts(verdicts)
    assert detector.missing["b"] == 201
    assert 300 < detector.missing["a"] < 500


def test_rows_without_any_value_are_no_shift() -> None:
    rng = np.random.default_rng(10)
    x = rng.standard_normal(600)
    rows = column(x)
    rows[300:420] = [{"a": math.nan}] * 60 + [{}] * 60
    assert not shifts(feed(Detector(), rows))
    assert Detector().update(0.0, {}).label == "stable"


def test_channels_may_appear_and_vanish() -> None:
    rng = np.random.default_rng(13)
    detector = Detector()
    rows = [{"a": float(rng.standard_normal())} for _ in range(1000)]
    for i in range(300, 600):
        rows[i]["b"] = 1e6 + float(rng.standard_normal())
    assert not shifts(feed(detector, rows))
    assert detector.missing == {"a": 0, "b": 400}


def test_channels_are_bounded_and_forgotten_ones_make_room() -> None:
    detector = Detector()
    size = []
    for i in range(300):  # a name a row, as from a label of endless values
        detector.update(float(i), {f"c{i}": 1.0, "kept": float(i % 2)})
        size.append(len(detector.dump()))
    assert len(detector.missing) == MAX_CHANNELS
    assert detector.ignored == 300 - (MAX_CHANNELS - 1)
    assert max(size) < 200_000
    for i in range(300, 300 + FORGOTTEN + 1):
        detector.update(float(i), {"kept": float(i % 2)})
    detector.update(3000.0, {"kept": 0.0, "late": 1.0})
    assert set(detector.missing) == {"kept", "late"}


def test_constant_channels_neither_alarm_nor_hide_a_later_step() -> None:
    rng = np.random.default_rng(14)
    rows = [{"flat": 22.0, "zero": 0.0, "live": float(rng.standard_normal())} for _ in range(800)]
    assert not shifts(feed(Detector(), rows))
    for row in rows[500:]:
        row["flat"] = 25.0
    (verdict,) = shifts(feed(Detector(), rows))
    assert verdict.shift is not None
    assert verdict.shift.channels == ("flat",)
    assert verdict.shift.at_s == 500.0


def test_time_must_go_forward_and_a_refused_row_changes_nothing() -> None:
    detector = Detector()
    first = detector.update(10.0, {"a": 1.0})
    before = detector.dump()
    for t_s in (10.0, 9.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="ascending order"):
            detector.update(t_s, {"a": 2.0})
    assert detector.dump() == before
    assert detector.verdict == first


def test_an_empty_detector_has_no_verdict_and_settings_are_checked() -> None:
    assert Detector().verdict is None
    with pytest.raises(ValueError, match="step_evidence"):
        DetectorConfig(step_evidence=math.nan)


def test_labels_and_ids_stay_within_their_vocabulary() -> None:
    rng = np.random.default_rng(15)
    levels = np.repeat(rng.normal(0, 8, 12), 250)
    verdicts = feed(Detector(), column(levels + rng.standard_normal(levels.size)))
    assert {v.label for v in verdicts} | {v.next_label for v in verdicts} <= LABELS
    assert all(v.regime_id.startswith("r") and v.next_regime_id.startswith("r") for v in verdicts)
    assert all(v.reason.endswith(".") for v in verdicts)
    assert len(shifts(verdicts)) >= 8
