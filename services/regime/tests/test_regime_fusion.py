"""Two branches, one verdict: the worse label stands and the reason names who found what."""

import dataclasses
import math

import pytest
from eil_regime.domain.evidence import Indicator, PhysicsEvidence
from eil_regime.domain.fusion import fuse
from eil_regime.domain.verdict import LABELS, Shift, Verdict

SHIFT = Shift(10.0, 20.0, "r1", "r2", ("latency_ms",), 21.0, 15.0, "The level of latency_ms changed 10 s ago.")


def statistics(label="stable", next_label=None):
    return Verdict(label, "r2", "r3", next_label or label, 0.8, SHIFT, "latency_ms leans.")


def physics(level, z=6.25):
    def figure(name, unit):
        return Indicator(name, math.nan, unit, 0.0, "")

    said = level != "none"
    return PhysicsEvidence(
        600.0,
        780.0,
        level,
        "heat balance off by -20.0 % ± 3.2 %: airflow" if said else "",
        "heat balance" if said else "",
        figure("entropy rate", "W/K"),
        Indicator("heat balance", -0.2, "1", z, "heat balance off by -20.0 % ± 3.2 %: airflow"),
        0.032,
        figure("speed of change", "s⁻²"),
        figure("Φ", "J/K²"),
        figure("early warning", "1"),
    )


@pytest.mark.parametrize("evidence", [None, physics("none")])
@pytest.mark.parametrize("label", LABELS)
def test_silent_physics_changes_nothing(label, evidence):
    assert fuse(statistics(label), evidence) == statistics(label)


@pytest.mark.parametrize(
    ("label", "level", "fused"),
    [
        ("stable", "drifting", "drifting"),
        ("stable", "critical", "critical"),
        ("drifting", "drifting", "drifting"),
        ("drifting", "critical", "critical"),
        ("transition", "drifting", "transition"),
        ("transition", "critical", "critical"),
        ("critical", "drifting", "critical"),
        ("critical", "critical", "critical"),
    ],
)
def test_the_worse_label_stands_and_all_else_is_of_statistics(label, level, fused):
    found = fuse(statistics(label), physics(level))
    assert found.label == fused
    assert dataclasses.replace(found, label=label, next_label=label, reason="latency_ms leans.") == statistics(label)


@pytest.mark.parametrize(
    ("ahead", "level", "fused"),
    [
        ("stable", "drifting", "drifting"),
        ("transition", "drifting", "transition"),
        ("transition", "critical", "critical"),
    ],
)
def test_what_physics_finds_is_expected_to_last(ahead, level, fused):
    assert fuse(statistics(next_label=ahead), physics(level)).next_label == fused


def test_the_reason_names_branch_and_strength_and_the_worse_speaks_first():
    heat = "Physics: heat balance off by -20.0 % ± 3.2 %: airflow (6.2 σ)."
    leans = "Statistics: latency_ms leans."
    assert fuse(statistics("stable"), physics("drifting")).reason == heat
    assert fuse(statistics("drifting"), physics("critical")).reason == f"{heat} {leans}"
    assert fuse(statistics("transition"), physics("drifting")).reason == f"{leans} {heat}"
