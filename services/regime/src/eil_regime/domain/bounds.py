"""The well-known channels: units and what physics allows."""

import math
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache

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


_LAWS: Mapping[str, str] = {
    POWER: "the first law of thermodynamics: a source draws energy, it makes none",
    TEMPERATURE: "the third law of thermodynamics: nothing is colder than absolute zero",
    AMBIENT: "the third law of thermodynamics: nothing is colder than absolute zero",
}
"""What a value below the smallest breaks."""
_SHARE = "the conservation of the whole: of it no part is less than nothing or more than all"
_COUNTED = "the conservation of what is counted: there is no less than nothing"
_BEYOND = "the first law of thermodynamics: no source has the energy for it"


def impossible(channels: Sequence[str], values: NDArray[np.float64], ceiling_w: float = math.inf) -> NDArray[np.bool_]:
    """Which of the values (channel, row) break physics; NaN is a missing value and breaks nothing.

    `ceiling_w`: the most power of the source.
    """
    low, high = _limits(tuple(channels), ceiling_w)
    return (values < low) | (values > high)


@lru_cache(1024)
def _limits(channels: tuple[str, ...], ceiling_w: float) -> NDArray[np.float64]:
    """Least and greatest values (2, c, 1)."""
    limits = np.array([BOUNDS.get(channel, _ANY)[:2] for channel in channels]).T[:, :, None]
    if POWER in channels:
        place = channels.index(POWER)
        limits[1, place] = min(limits[1, place, 0], ceiling_w)
    return limits


def explain(channel: str, value: float, ceiling_w: float = math.inf) -> str:
    """What is wrong with an impossible value, and the law that it breaks, for people."""
    if not math.isfinite(value):
        return "is not a finite number; leave the channel out where there is no value"
    low, high, unit = BOUNDS[channel]
    if channel == POWER and ceiling_w < value <= high:
        return (
            f"is {value:g} W, more than the {ceiling_w:g} W that the declared nameplate and the meter's uncertainty allow, which breaks "
            "the first law of thermodynamics: a source draws no more than its feed gives; check unit and scale, or declare another "
            "nameplate_w"
        )
    law = _SHARE if channel == UTILISATION else _LAWS.get(channel, _COUNTED) if value < low else _BEYOND
    return f"is {value:g} but must lie between {low:g} and {high:g} {unit}, which breaks {law}; check unit and sign"
