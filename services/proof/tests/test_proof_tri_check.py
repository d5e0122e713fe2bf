"""The tri-check as the blueprint words it."""

import math

import pytest
from eil_proof.domain.tri_check import Measured, State, contradicts, tri_check

COMMITTED = State(3200.0, 148.5)
MEASURED = State(3198.7, 148.9)


def test_the_blueprints_example():
    verdict = tri_check(COMMITTED, Measured(MEASURED))
    assert verdict.valid
    assert verdict.energy_error_percent == 0.04
    assert verdict.entropy_error_percent == 0.27


@pytest.mark.parametrize(
    ("share", "valid"), [(0.0, True), (0.049, True), (0.051, False), (-0.049, True), (-0.051, False)]
)
def test_energy_may_be_off_by_five_percent_of_the_measurement(share, valid):
    committed = State(3000.0 * (1 + share), 10.0)
    assert tri_check(committed, Measured(State(3000.0, 10.0))).valid is valid


def test_a_vague_meter_widens_the_tolerance_and_lowers_the_confidence():
    committed = State(3300.0, 10.0)
    sharp = tri_check(committed, Measured(State(3000.0, 10.0), u_energy_j=10.0))
    vague = tri_check(committed, Measured(State(3000.0, 10.0), u_energy_j=200.0))
    assert not sharp.valid
    assert vague.valid
    assert sharp.confidence < 0.01
    assert 0.9 < vague.confidence < 1


def test_the_outcome_must_lie_inside_of_the_committed_interval():
    measured = Measured(State(3000.0, 10.0))
    assert tri_check(State(3010.0, 10.0), measured, (2990.0, 3030.0)).valid
    outside = tri_check(State(3010.0, 10.0), measured, (3005.0, 3015.0))
    assert not outside.valid
    assert "interval" in outside.reason


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        (Measured(MEASURED, first_law_holds=False), "first law"),
        (Measured(MEASURED, second_law_holds=False), "second law"),
        (Measured(MEASURED, feasible=False), "not possible"),
    ],
)
def test_a_contradicted_check_refutes(measured, word):
    verdict = tri_check(COMMITTED, measured)
    assert not verdict.valid
    assert word in verdict.reason


def test_modelled_power_proves_nothing():
    verdict = tri_check(COMMITTED, Measured(MEASURED, untested=frozenset({"energy"})))
    assert not verdict.valid
    assert "modelled" in verdict.reason


def test_untested_checks_are_not_decided():
    verdict = tri_check(COMMITTED, Measured(MEASURED, untested=frozenset({"entropy", "feasibility"})))
    assert verdict.valid
    assert verdict.decided == {"energy"}


def test_confidence_is_the_share_of_meters_that_would_agree():
    """Half of all true values lie within tolerance when the error sits exactly on it."""
    verdict = tri_check(State(105.0, 1.0), Measured(State(100.0, 1.0), u_energy_j=1.0, coverage=0.9))
    assert math.isclose(verdict.confidence, 0.45, abs_tol=1e-6)


def test_a_report_may_differ_by_two_percent():
    measured = Measured(State(1000.0, 3.0), u_energy_j=1.0)
    assert not contradicts(State(1019.0, 3.0), measured)
    assert contradicts(State(1021.0, 3.0), measured)
    assert contradicts(State(0.0, 0.0), measured)
