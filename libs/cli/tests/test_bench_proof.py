"""The benchmark of verification, small."""

import numpy as np
from eil_cli.bench import proof_savings
from eil_cli.bench.progress import progress
from eil_cli.bench.proof import verification
from eil_cli.bench.proof_alterations import caught_share


def test_every_altered_record_is_caught():
    steps = []
    assert caught_share(30, lambda: steps.append(1)) == 1.0
    assert len(steps) == 30


def test_a_meter_is_what_it_says():
    load, law, noise = proof_savings.meter(np.random.default_rng(0), 50_000, 0.9)
    assert np.corrcoef(noise[1:], noise[:-1])[0, 1] > 0.88
    assert abs(noise.std() / law.mean() - proof_savings.NOISE) < 0.01
    assert load.min() < 60 < load.max(), "the break point lies within the load"


def test_a_report_has_every_kind():
    with progress() as begin:
        measures, baselines = verification(10, 6, begin)
    assert measures["altered_records_caught"].value == 1.0
    for rho in ("0", "0.5", "0.9"):
        for length_d in (7, 21):
            name = f"rho{rho}_{length_d}d"
            assert measures[f"insufficient_{name}"].value == 0.0
            assert measures[f"proven_{name}"].value >= 0.5
            assert baselines["independent"][f"width_{name}"] < 1.1
    assert measures["switchback_proven_rho0"].value == 1.0
