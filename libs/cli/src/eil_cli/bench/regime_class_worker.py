"""ClaSS over the series of a folder, in an interpreter of its own: run as a script where claspy is installed.

Arguments: a file X.npy of one channel (rows,) each. Prints a JSON object a line: {"file", "shifts": [[row, onset], …], "seconds"}.
"""

import json
import sys
import time
from importlib import import_module

import numpy as np

WINDOW_ROWS = 10_000
WARM_UP_ROWS = 1_000
"""By default ClaSS is silent for 10,000 rows, which most labelled series do not have."""
COMPILE_ROWS = 1_500


def segment(values: "np.ndarray") -> list[tuple[int, int]]:
    """Change points as they are reported: (row that reports it, onset)."""
    stream = import_module("claspy.streaming.segmentation").StreamingClaSPSegmentation(
        n_timepoints=WINDOW_ROWS, n_warmup=WARM_UP_ROWS, log_cps=True
    )
    shifts: list[tuple[int, int]] = []
    for row, value in enumerate(values.tolist()):
        stream.update(value)
        shifts += [(row, min(max(0, int(change)), row)) for change in stream.change_points[len(shifts) :]]
    return shifts


def main(files: list[str]) -> None:
    """Every file, after a first run that only compiles."""
    rng = np.random.default_rng(0)
    segment(np.sin(np.arange(COMPILE_ROWS) / 5.0) + 0.1 * rng.normal(size=COMPILE_ROWS))
    for file in files:
        values = np.load(file)
        began_s = time.perf_counter()
        shifts = segment(values)
        told = {"file": file, "shifts": shifts, "seconds": time.perf_counter() - began_s}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
