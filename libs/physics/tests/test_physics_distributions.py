"""χ² within the accuracy that its module states."""

import numpy as np
import pytest
from eil_physics import chi2_quantile, chi2_sf
from scipy import stats

DEGREES = (1, 2, 3, 5, 14, 100, 999, 10_000)


@pytest.mark.parametrize("dof", DEGREES)
def test_survival_and_quantile_agree_with_scipy(dof):
    for level in (1e-6, 0.01, 0.5, 0.9, 0.99, 0.999, 1 - 1e-9):
        x = float(stats.chi2.ppf(level, dof))
        assert chi2_sf(x, dof) == pytest.approx(stats.chi2.sf(x, dof), rel=1e-10)
        assert chi2_quantile(level, dof) == pytest.approx(x, rel=1e-9 if level < 0.9999 else 1e-7)
    for x in np.geomspace(dof, dof + 1200, 20):
        assert chi2_sf(x, dof) == pytest.approx(stats.chi2.sf(x, dof), rel=1e-10)


def test_all_of_the_probability_lies_above_zero():
    assert chi2_sf(0.0, 3) == chi2_sf(-1.0, 3) == 1.0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="degrees of freedom"):
        chi2_sf(1.0, 0)
    with pytest.raises(ValueError, match="degrees of freedom"):
        chi2_quantile(0.5, -1)
    with pytest.raises(ValueError, match="probability"):
        chi2_quantile(1.0, 3)
