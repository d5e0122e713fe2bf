"""A packed column is the very message that its values make one by one."""

import numpy as np
import pytest
from eil.regime.v1 import regime_pb2
from eil_regime.batch import column


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 288, 2047, 2048, 10_000])
def test_it_is_the_same_message(size):
    values = np.random.default_rng(size).normal(size=(2, size))[1]
    if size:
        values[-1] = np.nan
    packed, plain = column("power_draw", values), regime_pb2.Column(name="power_draw", values=values.tolist())
    assert packed.SerializeToString() == plain.SerializeToString()
    np.testing.assert_array_equal(np.array(packed.values), values)
