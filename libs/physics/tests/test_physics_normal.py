"""The normal distribution within the accuracy that its module states."""

import numpy as np
from eil_physics import normal_cdf
from scipy.special import ndtr


def test_every_value_agrees_with_scipy():
    x = np.linspace(-12, 12, 200_001)
    np.testing.assert_allclose(normal_cdf(x), ndtr(x), rtol=0, atol=1e-15)
    np.testing.assert_allclose(normal_cdf(x[x > -8]), ndtr(x[x > -8]), rtol=1e-9)


def test_infinities_have_their_limits_and_any_shape_is_kept():
    assert np.allclose(normal_cdf(np.array([[-np.inf, 0.0, np.inf]])), [[0.0, 0.5, 1.0]], rtol=0, atol=1e-15)
