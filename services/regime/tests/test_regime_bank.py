"""A bank says of every stream what a detector of its own would say, within the memory that is promised."""

from __future__ import annotations

import numpy as np
import pytest
from eil_regime.domain.bank import Bank
from eil_regime.domain.detector import Detector


def streams(count: int, rows: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((count, rows, channels))
    x[1, rows // 2 :] += 5.0
    x[2, rows // 3 :] *= 4.0
    x[0, 40:60] = np.nan
    return x


@pytest.mark.parametrize("channels", [1, 3])
def test_a_bank_and_detectors_agree(channels: int) -> None:
    x = streams(3, 1200, channels)
    bank = Bank(3, channels)
    traces = [bank.advance(np.ascontiguousarray(x[:, start : start + 100])) for start in range(0, 1200, 100)]
    for i in range(3):
        whole = Detector().advance(
            np.arange(1200.0), {f"c{c}": np.ascontiguousarray(x[i, :, c]) for c in range(channels)}
        )
        for field in ("regime", "next_regime", "confidence", "label"):
            np.testing.assert_array_equal(np.concatenate([getattr(t, field)[i] for t in traces]), getattr(whole, field))
        found = [100 * k + shift[1] for k, t in enumerate(traces) for shift in t.shifts if shift[0] == i]
        assert found == [shift.detected_s for shift in whole.shifts]
    assert sum(len(t.shifts) for t in traces) >= 1


def test_only_the_streams_given_go_on() -> None:
    x = streams(3, 200, 1)
    apart, together = Bank(3), Bank(3)
    apart.advance(x[:1])
    apart.advance(x[1:], first=1)
    together.advance(x)
    one, other = apart.advance(x), together.advance(x)
    np.testing.assert_array_equal(one.confidence, other.confidence)


def test_memory_of_a_stream_is_bounded() -> None:
    """4 kB for one channel, 2 kB for each further one."""
    assert Bank(1, 1).bytes_per_stream <= 4096
    assert Bank(1, 9).bytes_per_stream <= 4096 + 8 * 2048
    detector = Detector()
    rng = np.random.default_rng(0)
    levels = np.repeat(rng.normal(0, 10, 200), 100)
    detector.advance(np.arange(20_000.0), {"a": levels + rng.standard_normal(20_000)})
    assert len(detector.dump()) <= 4096 + 1024  # the settings, names and the latest shift in words come on top


def test_rows_that_do_not_fit_are_refused() -> None:
    bank = Bank(2, 2)
    for shape, first in (((2, 4, 1), 0), ((2, 4, 2), 1), ((2, 4), 0), ((1, 4, 2), -1)):
        with pytest.raises(ValueError, match="do not fit"):
            bank.advance(np.zeros(shape), first)
    with pytest.raises(ValueError, match="at least one"):
        Bank(0)
