"""The change-point model beside OpenDSM's daily model on OpenDSM's own sample meters. Left out where OpenDSM is not installed:

uv venv .venv/oracle && uv pip install --python .venv/oracle opendsm 'multimethod<2' pytest
export PYTHONPATH=services/proof/src:libs/physics/src
.venv/oracle/bin/python -m pytest -o addopts= -p no:cacheprovider services/proof/tests/test_proof_oracle.py
"""

import logging
from datetime import timedelta

import pytest

opendsm = pytest.importorskip("opendsm", reason="OpenDSM is not installed")

from eil_proof.domain.mv.baseline import fit_baseline  # noqa: E402
from eil_proof.domain.mv.intervals import Intervals  # noqa: E402

DAY_S = 86_400


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("sample", "shape"),
    [
        ("il-electricity-cdd-hdd-daily", "below+above"),
        ("il-electricity-cdd-only-daily", "above"),
        ("il-gas-hdd-only-daily", "below"),
        ("il-gas-intercept-only-daily", "mean"),
    ],
)
def test_the_fit_is_as_good_and_of_the_same_shape(sample, shape):
    logging.disable(logging.CRITICAL)
    from opendsm import eemeter  # pyright: ignore[reportMissingImports]

    meter, temperature, about = eemeter.load_sample(sample)
    meter = meter[meter.index < about["blackout_start_date"]].iloc[-366:-1]
    within = (temperature.index >= meter.index[0]) & (temperature.index < meter.index[-1] + timedelta(days=1))
    electric = "electricity" in sample
    data = eemeter.DailyBaselineData.from_series(meter["value"], temperature[within], is_electricity_data=electric)
    theirs = eemeter.DailyModel().fit(data, ignore_disqualification=True)
    start_us = int(data.df.index[0].timestamp() * 1e6)
    energy, driver = (data.df[name].to_numpy() for name in ("observed", "temperature"))
    ours = fit_baseline(Intervals(start_us, DAY_S, energy, driver), "change_point", 30)
    assert ours.cv == pytest.approx(theirs.baseline_metrics.cvrmse_adj, rel=0.06)
    assert set(shape.split("+")) <= {part.split(":")[0] for part in ours.fit.candidate.name.split("+")}
    if sample == "il-electricity-cdd-hdd-daily":
        _same_lines(ours, next(iter(theirs.params.submodels.values())).coefficients)


def _same_lines(ours, theirs):
    """Break points within the grid's step, slopes within 10 %."""
    rising, falling = ours.fit.candidate.columns[1:]
    knots = ours.spec.knots
    step, span = knots[1] - knots[0], ours.spec.high - ours.spec.low
    assert abs(knots[rising - 2] - theirs.cdd_bp) < step
    assert abs(knots[falling - 2 - len(knots)] - theirs.hdd_bp) < step
    assert ours.fit.coefficients[1] / span == pytest.approx(theirs.cdd_beta, rel=0.1)
    assert ours.fit.coefficients[2] / span == pytest.approx(theirs.hdd_beta, rel=0.1)
