"""Statistics of measured times."""

import math
import time
from collections.abc import Awaitable, Callable, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 < share <= 1) of the values do not exceed: nearest rank, never interpolated, so that a
    p99 is a time that was really measured. NaN if there are no values."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is {share}: a percentile lies above 0 and at or below 1")
    if not values:
        return math.nan
    return sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]


async def slowest_ms(call: Callable[[int], Awaitable[None]], calls: int, warm_up: int) -> float:
    """99th percentile [ms] of `calls` calls one after the other, each told its place, after some that do not count."""
    times = []
    for place in range(warm_up + calls):
        began_s = time.perf_counter()
        await call(place)
        times.append(1e3 * (time.perf_counter() - began_s))
    return percentile(times[warm_up:], 0.99)
