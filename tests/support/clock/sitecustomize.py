"""The wall clock of this process runs ahead by as many seconds as the file that EIL_TEST_CLOCK names says; monotonic clocks do not."""

import os
import time

_real, _real_ns, _file = time.time, time.time_ns, os.environ["EIL_TEST_CLOCK"]


def _ahead_ns() -> int:
    try:
        with open(_file, encoding="ascii") as file:
            return int(float(file.read() or 0) * 1e9)
    except OSError:
        return 0


time.time = lambda: _real() + _ahead_ns() / 1e9
time.time_ns = lambda: _real_ns() + _ahead_ns()
