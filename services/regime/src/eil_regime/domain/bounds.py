"""The well-known channels: units and what physics allows."""

import math
from collections.abc import Mapping

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


def violation(channel: str, value: float) -> str | None:
    """What is wrong with a value, for people; None if nothing is."""
    if not math.isfinite(value):
        return "is not a finite number; leave the channel out where there is no value"
    if channel not in BOUNDS:
        return None
    low, high, unit = BOUNDS[channel]
    if low <= value <= high:
        return None
    return f"is {value:g} but must lie between {low:g} and {high:g} {unit}; check unit and sign"
