"""χ_m: exact for an AR(1), and estimated within its standard error."""

import numpy as np
import pytest
from eil_physics import chi_m, chi_m_ar1
from scipy.signal import lfilter


def ar1(rng, rho, trials, samples):
    shocks = rng.standard_normal((trials, samples))
    shocks[:, 1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], shocks, axis=1))


@pytest.mark.parametrize(("rho", "value"), [(0.0, 1.0), (0.5, 2.75), (0.9, 9.83)])
def test_the_closed_form_is_the_double_sum_of_autocorrelations(rho, value):
    lag = np.abs(np.subtract.outer(np.arange(16), np.arange(16)))
    assert chi_m_ar1(rho, 16) == pytest.approx(np.sum(rho**lag) / 16, rel=1e-12)
    assert chi_m_ar1(rho, 16) == pytest.approx(value, abs=0.01)


def test_long_blocks_tend_to_the_limit():
    assert chi_m_ar1(0.9, 100_000) == pytest.approx(19, rel=1e-3)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_estimate_lies_within_its_standard_error(rho):
    found = [chi_m(x, 16) for x in ar1(np.random.default_rng(21), rho, 400, 8192)]
    values, errors = np.array([f.value for f in found]), np.array([f.standard_error for f in found])
    exact = chi_m_ar1(rho, 16)
    assert values.mean() == pytest.approx(exact, rel=0.02)
    score = (values - exact) / errors
    assert np.std(score) == pytest.approx(1, abs=0.15)
    assert np.mean(np.abs(score) < 2) > 0.92


def test_a_trend_is_not_slowing_down():
    x = np.random.default_rng(22).standard_normal(4096) + np.linspace(0, 10, 4096)
    assert chi_m(x).value == pytest.approx(1, abs=0.3)
    assert chi_m(x, detrend=False).value > 5


def test_it_does_not_depend_on_unit_or_level():
    x = np.random.default_rng(23).standard_normal(1000)
    assert chi_m(1e-3 * x + 300).value == pytest.approx(chi_m(x).value, rel=1e-6)


@pytest.mark.parametrize(
    ("values", "block", "words"),
    [
        (np.zeros(100), 16, "at least 8 blocks"),
        (np.full(200, 7.0), 16, "constant"),
        (np.arange(200.0), 1, "at least 2"),
        (np.full(200, np.nan), 16, "finite"),
    ],
)
def test_bad_input_is_named(values, block, words):
    with pytest.raises(ValueError, match=words):
        chi_m(values, block)
    with pytest.raises(ValueError, match="stationary"):
        chi_m_ar1(1.0, 16)
