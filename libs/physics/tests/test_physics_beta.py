"""Beta and Student's t within the accuracy that their module states."""

import math

import pytest
from eil_physics import beta_quantile, t_quantile
from eil_physics.beta import beta_cdf
from scipy import special

LEVELS = (0.001, 0.025, 0.05, 0.5, 0.95, 0.975, 0.999)
PARAMETERS = (0.5, 1.0, 1.5, 2.5, 10.5, 99.5, 1000.5, 10_000.0)
LARGE = (100_000.5, 1_000_000.0)
DEGREES = (1, 1.5, 2, 2.7, 3, 4, 6, 9, 15, 25.3, 80, 300, 999.5, 1000, 1000.1, 1500, 10_000, 1_000_000)


@pytest.mark.parametrize("a", PARAMETERS)
@pytest.mark.parametrize("b", PARAMETERS)
def test_betas_quantiles_and_probabilities_agree_with_scipy(a: float, b: float):
    for level in LEVELS:
        x = float(special.betaincinv(a, b, level))
        assert beta_quantile(level, a, b) == pytest.approx(x, rel=1e-12)
        assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-10)


@pytest.mark.parametrize("a", [*PARAMETERS, *LARGE])
@pytest.mark.parametrize("b", LARGE)
def test_large_parameters_keep_ten_digits(a: float, b: float):
    for level in LEVELS:
        assert beta_quantile(level, a, b) == pytest.approx(float(special.betaincinv(a, b, level)), rel=1e-10)
        assert beta_quantile(level, b, a) == pytest.approx(float(special.betaincinv(b, a, level)), rel=1e-10)


@pytest.mark.parametrize("dof", DEGREES)
def test_students_quantile_agrees_with_scipy(dof: float):
    for level in (0.55, 0.6, 0.75, 0.9, 0.95, 0.975, 0.99, 0.999):
        assert t_quantile(level, dof) == pytest.approx(float(special.stdtrit(dof, level)), rel=1e-11)
    assert t_quantile(0.5, dof) == 0.0


def test_closed_forms():
    assert beta_quantile(0.3, 1, 1) == pytest.approx(0.3, rel=1e-14)
    assert t_quantile(0.75, 1) == pytest.approx(1.0, rel=1e-14)
    assert t_quantile(0.95, 2) == pytest.approx(0.9 * math.sqrt(2 / (1 - 0.81)), rel=1e-14)
    assert (beta_cdf(-1, 2, 3), beta_cdf(0, 2, 3), beta_cdf(1, 2, 3), beta_cdf(2, 2, 3)) == (0, 0, 1, 1)


def test_bad_input_is_named():
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="probability"):
            beta_quantile(level, 1, 1)
    with pytest.raises(ValueError, match="two positive numbers"):
        beta_quantile(0.5, 0, 1)
    with pytest.raises(ValueError, match="probability"):
        t_quantile(0.4, 3)
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(0.9, math.nan)
