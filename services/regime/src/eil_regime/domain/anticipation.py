"""What comes next: how long regimes stand, and which one follows which."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outlook:
    """`regime_id` is the likeliest regime a horizon ahead; `confidence` the probability of that claim."""

    regime_id: str
    confidence: float
    stay: float  # probability that the present regime still stands then


class Anticipation:
    """Beta-binomial dwell and smoothed transition counts.

    Leaving is a coin per sample (geometric dwell) with hazard h ~ Beta(1, 1/h0), h0 the source's pooled hazard: one
    pseudo-departure, updated by the regime's own stay. P(stands k samples on) = E (1-h)^k = B(a, b + k)/B(a, b).
    Successors have Jeffreys-smoothed counts (1/2 each) over the regimes known and one not seen yet.
    """

    __slots__ = ("_departures", "_following", "_horizon", "_pooled", "_prior_dwell", "_samples")

    def __init__(self, horizon: int, prior_dwell: float) -> None:
        self._horizon = horizon
        self._prior_dwell = prior_dwell
        self._pooled = [0, 0]  # samples and departures of all regimes, forgotten ones too
        self._samples: dict[str, int] = {}
        self._departures: dict[str, int] = {}
        self._following: dict[str, dict[str, int]] = {}

    def stood(self, regime_id: str) -> None:
        """One more sample in the regime."""
        self._pooled[0] += 1
        self._samples[regime_id] = self._samples.get(regime_id, 0) + 1

    def left(self, regime_id: str) -> None:
        """The regime ended."""
        self._pooled[1] += 1
        self._departures[regime_id] = self._departures.get(regime_id, 0) + 1

    def followed(self, regime_id: str, successor: str) -> None:
        """The regime was followed by `successor`."""
        row = self._following.setdefault(regime_id, {})
        row[successor] = row.get(successor, 0) + 1

    def rename(self, regime_id: str, known: str) -> None:
        """A stretch under a provisional name turned out to be a known regime."""
        for counts in (self._samples, self._departures):
            moved = counts.pop(regime_id, 0)
            if moved:
                counts[known] = counts.get(known, 0) + moved

    def forget(self, regime_id: str) -> None:
        """Drop a regime everywhere, as predecessor and as successor."""
        self._samples.pop(regime_id, None)
        self._departures.pop(regime_id, None)
        self._following.pop(regime_id, None)
        for row in self._following.values():
            row.pop(regime_id, None)

    def outlook(self, regime_id: str) -> Outlook:
        """The claim about the sample one horizon ahead, given the present regime."""
        hazard = (1.0 + self._pooled[1]) / (self._prior_dwell + self._pooled[0])
        a = 1.0 + self._departures.get(regime_id, 0)
        b = 1.0 / hazard + self._samples.get(regime_id, 0)
        stay = math.exp(_log_beta(a, b + self._horizon) - _log_beta(a, b))
        row = self._following.get(regime_id)
        if not row:
            return Outlook(regime_id, stay, stay)
        successor = max(row, key=lambda known: (row[known], known))
        others = max(len(self._samples) - 1, len(row))
        share = (row[successor] + 0.5) / (sum(row.values()) + 0.5 * (others + 1))
        go = (1.0 - stay) * share
        return Outlook(successor, go, stay) if go > stay else Outlook(regime_id, stay, stay)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        return {
            "pooled": self._pooled,
            "samples": self._samples,
            "departures": self._departures,
            "following": self._following,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, for the same settings."""
        self._pooled, self._samples, self._departures = state["pooled"], state["samples"], state["departures"]
        self._following = state["following"]


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
