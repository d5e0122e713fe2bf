"""Where a shift may have come from: shifts of other sources before it, near it in the topology.

The score of a candidate is exp(−3·Δt/T)/h: Δt before the shift, within T; h hops away over links taken in either direction. It ranks, it
proves nothing: a common cause outside of the mesh looks the same.
"""

import math
from collections import deque
from collections.abc import Iterable

DECAY = 3.0
"""At the end of the time looked back over the score has fallen by exp(−3)."""


def hops_from(source: str, links: Iterable[tuple[str, str]], most: int) -> dict[str, int]:
    """How many links away every other source is, of those at most `most` away."""
    beside: dict[str, list[str]] = {}
    for one, other in links:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    found, waiting = {source: 0}, deque([source])
    while waiting:
        at = waiting.popleft()
        if found[at] == most:
            break
        for other in beside.get(at, ()):
            if other not in found:
                found[other] = found[at] + 1
                waiting.append(other)
    del found[source]
    return found


def score(before_s: float, within_s: float, hops: int) -> float:
    """How well a shift `before_s` earlier and `hops` away explains one, in (0, 1]."""
    return math.exp(-DECAY * before_s / within_s) / hops
