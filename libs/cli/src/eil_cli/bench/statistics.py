"""Statistics of measured times."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 < share <= 1) of the values do not exceed: nearest rank, never interpolated, so that a
    p99 is a time that was really measured. NaN if there are no values."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is {share}: a percentile lies above 0 and at or below 1")
    if not values:
        return math.nan
    return sorted(values)[math.ceil(share * len(values) - 1e-9) - 1]
