"""Roll-ups: what the states of an hour or a day add up to, and how a span of time is put together from them."""

from collections.abc import Iterable
from dataclasses import dataclass

from eil_atlas.domain.windows import WINDOW_US

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
LEVELS = (DAY_US, HOUR_US)
"""Lengths of roll-ups [µs], longest first."""


@dataclass(frozen=True, slots=True)
class Group:
    """What one regime holds of a source's bucket of time; a bucket's groups make its `Span`.

    `led` counts the states that this regime had where it was the most frequent; `newest_us` begins the newest piece, which ended in
    `last_regime`.
    """

    source: str
    start_us: int
    regime: str
    last_regime: str
    energy_j: float
    covered_s: float
    entropy: float
    states: int
    led: int
    newest_us: int


@dataclass(frozen=True, slots=True)
class Span:
    """A source's bucket of time: energy [J], covered time [s], entropy [J/K], states, dominant regime with its states, last regime."""

    source: str
    start_us: int
    energy_j: float
    covered_s: float
    entropy: float
    states: int
    regime: str
    led: int
    last_regime: str


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch [start_us, end_us) that is to be read from pieces of `level_us`."""

    level_us: int
    start_us: int
    end_us: int


def parts(start_us: int, end_us: int, rolled_us: int, step_us: int) -> list[Part]:
    """The stretches that a span is read from, oldest first: days and hours in the middle, states at its edges and after `rolled_us`.

    A bucket of `step_us` is never cut: only roll-ups that divide it, and begin where buckets do, are used.
    """
    found = _inside(start_us, end_us, rolled_us, step_us, start_us, LEVELS)
    return [part for part in found if part.start_us < part.end_us]


def _inside(
    start_us: int, end_us: int, rolled_us: int, step_us: int, origin_us: int, levels: tuple[int, ...]
) -> list[Part]:
    if not levels:
        return [Part(WINDOW_US, start_us, end_us)]
    level, *finer = levels
    whole = step_us % level == 0 and (origin_us % level == 0 or step_us >= end_us - origin_us)
    first_us, last_us = -(-start_us // level) * level, min(end_us, rolled_us) // level * level
    if not whole or first_us >= last_us:
        return _inside(start_us, end_us, rolled_us, step_us, origin_us, tuple(finer))
    before = _inside(start_us, first_us, rolled_us, step_us, origin_us, tuple(finer))
    after = _inside(last_us, end_us, rolled_us, step_us, origin_us, tuple(finer))
    return [*before, Part(level, first_us, last_us), *after]


def fold(groups: Iterable[Group]) -> list[Span]:
    """The spans that groups make, by source and time. The regime that led the most states is dominant, of equals the first by name."""
    buckets: dict[tuple[str, int], list[Group]] = {}
    for group in groups:
        buckets.setdefault((group.source, group.start_us), []).append(group)
    return [_span(source, start_us, found) for (source, start_us), found in sorted(buckets.items())]


def _span(source: str, start_us: int, groups: list[Group]) -> Span:
    led: dict[str, int] = {}
    for group in groups:
        led[group.regime] = led.get(group.regime, 0) + group.led
    regime = min(led, key=lambda name: (-led[name], name))
    newest = max(groups, key=lambda group: group.newest_us)
    return Span(
        source,
        start_us,
        sum(group.energy_j for group in groups),
        sum(group.covered_s for group in groups),
        sum(group.entropy for group in groups),
        sum(group.states for group in groups),
        regime,
        led[regime],
        newest.last_regime,
    )
