"""The well-known channels: units and what physics allows."""

import math
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

ABSOLUTE_ZERO_C = -273.15
POWER = "power_draw"
TEMPERATURE = "temperature"
AMBIENT = "ambient_temperature"
UTILISATION = "cpu_usage"

BOUNDS: Mapping[str, tuple[float, float, str]] = {
    POWER: (0.0, 1e12, "W"),
    TEMPERATURE: (ABSOLUTE_ZERO_C, 1e4, "°C"),
    AMBIENT: (ABSOLUTE_ZERO_C, 1e3, "°C"),
    UTILISATION: (0.0, 1.0, "share of 1"),
    "network_throughput": (0.0, 1e15, "byte/s"),
    "request_rate": (0.0, 1e12, "1/s"),
    "latency_ms": (0.0, 1e9, "ms"),
    "active_servers": (0.0, 1e9, "servers"),
}
"""Smallest and largest value with their unit; other channels may hold any finite number."""
_ANY = (-sys.float_info.max, sys.float_info.max, "")


def impossible(channels: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the values (channel, row) break physics; NaN is a missing value and breaks nothing."""
    low, high = np.array([BOUNDS.get(channel, _ANY)[:2] for channel in channels]).T[:, :, None]
    return (values < low) | (values > high)


def explain(channel: str, value: float) -> str:
    """What is wrong with an impossible value, for people."""
    if not math.isfinite(value):
        return "is not a finite number; leave the channel out where there is no value"
    low, high, unit = BOUNDS[channel]
    return f"is {value:g} but must lie between {low:g} and {high:g} {unit}; check unit and sign"
