"""Exact online test for a change of mean (FOCuS).

For y_1..y_n with unit variance and unknown means the generalised likelihood ratio of a change after y_tau is

    2 log LR(tau) = (n S_tau - tau S_n)^2 / (n tau (n - tau)),    S_k = y_1 + ... + y_k.

It is S_tau^2/tau + (S_n - S_tau)^2/(n - tau) - S_n^2/n, a sum of perspectives of the square and hence jointly convex in
the point (tau, S_tau). So its maximum over all change points lies on a vertex of the convex hull of those points,
whatever is still to come. Points arrive ordered by tau: each half of the hull is a stack (amortised constant time),
with about ln n vertices for exchangeable noise.

Sources: Romano, Eckley, Fearnhead, Rigaill, "Fast online changepoint detection via functional pruning CUSUM statistics",
JMLR 24 (2023); Ward, Romano, Eckley, Fearnhead, "A constant-per-iteration likelihood ratio test for online changepoint
detection for exponential family models", Statistics and Computing 34 (2024); false alarms: Siegmund, Venkatraman,
"Using the generalized likelihood ratio statistic for sequential detection of a change-point", Ann. Statist. 23 (1995).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

Vertex = tuple[int, float, float]  # tau, S_tau, mark of the first value after the change


@dataclass(frozen=True, slots=True)
class Change:
    """The best supported change point: `statistic` is 2 log LR, `index` values lie before it, `mark` names the first after."""

    statistic: float
    index: int
    mark: float
    mean_before: float
    mean_after: float


class Focus:
    """Running maximum of the likelihood ratio over all tau with min_before <= tau < n.

    Memory is bounded by `max_candidates` vertices per half hull. If a half is full (a long monotone trend makes every
    point a vertex), the vertex that changes the hull least goes and `dropped` counts it; until then the result is exact.
    """

    __slots__ = (
        "_lower",
        "_max_candidates",
        "_min_after",
        "_min_before",
        "_sum",
        "_upper",
        "_waiting",
        "count",
        "dropped",
    )

    def __init__(self, min_before: int = 1, max_candidates: int = 40) -> None:
        if min_before < 1 or max_candidates < 4:
            raise ValueError("FOCuS needs min_before >= 1 and max_candidates >= 4")
        self._min_before = min_before
        self._max_candidates = max_candidates
        self._lower: list[Vertex] = []
        self._upper: list[Vertex] = []
        self._sum = 0.0
        self.count = 0
        self.dropped = 0

    def update(self, value: float, mark: float) -> None:
        """Take the next value (unit variance); `mark`, e.g. its timestamp, is handed back if a change begins with it."""
        if self.count >= self._min_before:
            vertex = (self.count, self._sum, mark)
            self._push(self._lower, vertex, 1.0)
            self._push(self._upper, vertex, -1.0)
        self.count += 1
        self._sum += value

    def change(self) -> Change | None:
        """The maximum of the likelihood ratio; None while there are too few values."""
        count, total = self.count, self._sum
        best, found = -1.0, None
        for half in (self._lower, self._upper):
            for vertex in half:
                tau = vertex[0]
                excess = vertex[1] * count - tau * total
                statistic = excess * excess / (tau * (count - tau))
                if statistic > best:
                    best, found = statistic, vertex
        if found is None:
            return None
        tau, partial, mark = found
        return Change(best / count, tau, mark, partial / tau, (total - partial) / (count - tau))

    def _push(self, half: list[Vertex], vertex: Vertex, side: float) -> None:
        tau, partial, _ = vertex
        while len(half) >= 2:
            (tau0, partial0, _), (tau1, partial1, _) = half[-2], half[-1]
            turn = (tau1 - tau0) * (partial - partial0) - (partial1 - partial0) * (tau - tau0)
            if turn * side > 0.0:
                break
            half.pop()
        half.append(vertex)
        if len(half) > self._max_candidates:
            del half[_flattest(half)]
            self.dropped += 1

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly, as plain values and float arrays."""
        return {
            "n": self.count,
            "sum": self._sum,
            "dropped": self.dropped,
            "lower": array("d", chain.from_iterable(self._lower)),
            "upper": array("d", chain.from_iterable(self._upper)),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, for a detector built with the same limits."""
        self.count, self._sum, self.dropped = int(state["n"]), float(state["sum"]), int(state["dropped"])
        self._lower = _vertices(state["lower"])
        self._upper = _vertices(state["upper"])


def _vertices(flat: Sequence[float]) -> list[Vertex]:
    return [(int(tau), partial, mark) for tau, partial, mark in zip(flat[::3], flat[1::3], flat[2::3], strict=True)]


def _flattest(half: list[Vertex]) -> int:
    """Index of the inner vertex whose triangle with its neighbours is smallest."""

    def area(i: int) -> float:
        (t0, s0, _), (t1, s1, _), (t2, s2, _) = half[i - 1], half[i], half[i + 1]
        return abs((t1 - t0) * (s2 - s0) - (s1 - s0) * (t2 - t0))

    return min(range(1, len(half) - 1), key=area)


@lru_cache(maxsize=256)
def threshold_for(mean_samples_between_false_alarms: float) -> float:
    """Threshold on 2 log LR whose mean run to a false alarm on white Gaussian noise is the one given.

    Solves Siegmund and Venkatraman's sqrt(2 pi) exp(b^2/2) / (b integral_0^inf x nu(x)^2 dx) = run, threshold = b^2,
    with nu(x) ~ exp(-0.583 x). Raises ValueError for runs below 100 samples, where the asymptotics say nothing.
    """
    if not mean_samples_between_false_alarms >= 100.0:
        raise ValueError("the mean run between false alarms must be at least 100 samples")
    overshoot = 1.0 / (2 * 0.583) ** 2  # integral of x exp(-2 * 0.583 x)
    target = math.log(mean_samples_between_false_alarms)
    low, high = 1.5, 40.0
    for _ in range(80):
        b = 0.5 * (low + high)
        if 0.5 * math.log(2 * math.pi) + 0.5 * b * b - math.log(b * overshoot) < target:
            low = b
        else:
            high = b
    return high * high
