"""The detector is a library: importing and running it needs NumPy, numba and nothing of the mesh."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
from eil_regime import Bank, Detector

level = np.repeat([0.0, 5.0], 200)
trace = Detector().advance(np.arange(400.0), {"a": level + np.random.default_rng(0).standard_normal(400)})
assert len(trace.shifts) == 1, trace.shifts
Bank(2).advance(np.zeros((2, 8, 1)))
foreign = {name.split(".")[0] for name in sys.modules} & {"grpc", "google", "eil", "eil_mesh", "prometheus_client", "torch"}
assert not foreign, f"the library imports {foreign}"
"""


def test_the_library_imports_nothing_of_the_mesh() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
