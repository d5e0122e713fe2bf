"""The regimes a source has shown: an open set of compact signatures, so that a returning behaviour gets its name back."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

Signature = Mapping[str, tuple[float, float]]  # channel -> (mean, log standard deviation), in the channel's unit


def distance(a: Signature, b: Signature, least: Mapping[str, float], compare_scale: bool = True) -> float:
    """Largest standardised difference over the channels both know; infinity when they share less than half.

    Per channel sqrt(z_m^2 + z_s^2): z_m the difference of means over the pooled standard deviation, to which `least`
    [the channel's unit] is added in quadrature: differences of that size count for nothing; z_s the difference of log
    standard deviations over log 3 (left out with `compare_scale=False`, for stretches too short to tell).
    """
    common = a.keys() & b.keys()
    if 2 * len(common) < max(len(a), len(b)) or not common:
        return math.inf
    worst = 0.0
    for name in common:
        (mean_a, log_a), (mean_b, log_b) = a[name], b[name]
        pooled = 0.5 * (math.exp(2.0 * log_a) + math.exp(2.0 * log_b)) + least.get(name, 0.0) ** 2
        square = (mean_a - mean_b) ** 2 / pooled
        if compare_scale:
            square += ((log_a - log_b) / math.log(3.0)) ** 2
        worst = max(worst, square)
    return math.sqrt(worst)


class RegimeLibrary:
    """At most `capacity` regimes; the least recently seen is forgotten. Names count up ("r1", "r2", ...), never reused."""

    __slots__ = ("_capacity", "_known", "_named", "_tolerance")

    def __init__(self, capacity: int, tolerance: float) -> None:
        self._capacity = capacity
        self._tolerance = tolerance
        self._named = 0
        self._known: dict[str, tuple[float, dict[str, tuple[float, float]]]] = {}  # weight, signature; oldest first

    def __contains__(self, regime_id: str) -> bool:
        return regime_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def new_id(self) -> str:
        """A name never given before."""
        self._named += 1
        return f"r{self._named}"

    def match(
        self, signature: Signature, least: Mapping[str, float], compare_scale: bool = True, but: str | None = None
    ) -> str | None:
        """The nearest known regime within the tolerance, other than `but`; None if there is none."""
        best, nearest = self._tolerance, None
        for regime_id, (_, known) in self._known.items():
            if regime_id != but and (d := distance(signature, known, least, compare_scale)) <= best:
                best, nearest = d, regime_id
        return nearest

    def observe(self, regime_id: str, signature: Signature) -> str | None:
        """Fold a stretch into a regime (new or known) and mark it the latest seen; the id forgotten for it, if any."""
        weight, known = self._known.pop(regime_id, (0.0, {}))
        share = 1.0 / (weight + 1.0)
        merged = dict(known)
        for name, (mean, log_scale) in signature.items():
            old_mean, old_log = known.get(name, (mean, log_scale))
            merged[name] = (old_mean + share * (mean - old_mean), old_log + share * (log_scale - old_log))
        self._known[regime_id] = (min(weight + 1.0, 10.0), merged)
        if len(self._known) <= self._capacity:
            return None
        oldest = next(iter(self._known))
        del self._known[oldest]
        return oldest

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly; each channel's name is written once."""
        names = sorted({name for _, signature in self._known.values() for name in signature})
        place = {name: i for i, name in enumerate(names)}
        numbers: list[float] = []
        shape = []
        for regime_id, (weight, signature) in self._known.items():
            shape.append([regime_id, weight, [place[name] for name in signature]])
            for pair in signature.values():
                numbers.extend(pair)
        return {"named": self._named, "channels": names, "regimes": shape, "numbers": array("d", numbers)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, for a library built with the same limits."""
        self._named, names = state["named"], state["channels"]
        numbers = iter(state["numbers"])
        self._known = {
            regime_id: (weight, {names[i]: (next(numbers), next(numbers)) for i in places})
            for regime_id, weight, places in state["regimes"]
        }
