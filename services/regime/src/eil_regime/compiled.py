"""Compile the detector's kernels ahead of their first use, or load them where that was done before.

Run as a module after installing: numba keeps the compiled code beside the sources (or in NUMBA_CACHE_DIR), and the first sample
need not wait for about twenty seconds.
"""

import numpy as np

from eil_regime.domain.bank import Bank
from eil_regime.domain.detector import Detector


def compile_kernels() -> None:
    """Take one row by every way in."""
    detector = Detector()
    detector.advance(np.arange(2.0), {"warm_up": np.zeros(2)})
    detector.dump()
    Bank(1).advance(np.zeros((1, 1, 1)))


if __name__ == "__main__":
    compile_kernels()
