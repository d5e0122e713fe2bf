"""What one source's readings add up to: rows of channels, from parts that arrive apart. Pure.

A channel is known at a moment once every part of it has been read anew: power without one of its parts would be too little, and would look
like a saving. What a part gave since the channel's last value counts as a mean, so that agents of different pace lose no energy. A part
that gives nothing for an hour is forgotten; until then its channel waits. The newest row waits for channels that are due, until something
later is read: the detector looks at a moment once.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from eil_mesh.clock import MICROSECONDS

from eil_regime.batch import Batch
from eil_regime.domain.bounds import BOUNDS, POWER
from eil_regime.doors.names import GPU_UTILISATION, MEANS, PLACES, TABLE, Metric

VERSION = 1
FORGET_US = 3600 * MICROSECONDS
"""Time without a value after which a part is forgotten."""
DUE, GONE = 0.75, 3.0
"""Multiples of a channel's spacing between which its next value is due."""
SLACK = 0.05
"""How far a share may lie outside of 0 to 1 and be taken for its end: the clock of a scrape jitters."""
MAX_PARTS = 2048
"""Parts of one source."""
_BOUNDS = {**BOUNDS, GPU_UTILISATION: (0.0, 1.0, "share of 1")}


class Reading(NamedTuple):
    """One number of an agent."""

    metric: Metric
    part: str
    time_us: int
    value: float
    """In the agent's unit; NaN says that there is none."""
    start_us: int = 0
    """Since when a counter has counted, or a delta grew; 0 is unknown."""
    delta: bool = False
    """The value is the growth since `start_us`, or since the reading before."""


@dataclass(slots=True)
class Tally:
    """What became of points."""

    taken: int = 0
    repeated: int = 0
    """Not later than what was read before of their part."""
    missing: int = 0
    """NaN, and 0 W of what runs."""
    reset: int = 0
    """Counters that began anew: what they counted in between is unknown."""
    ignored: int = 0
    """Not in the table of names."""
    refused: int = 0
    message: str = ""
    """Why the first was refused."""

    def refuse(self, why: str, count: int = 1) -> None:
        """Count what is refused."""
        self.refused += count
        self.message = self.message or why

    def add(self, other: "Tally") -> None:
        """Count what another has counted."""
        self.taken += other.taken
        self.repeated += other.repeated
        self.missing += other.missing
        self.reset += other.reset
        self.ignored += other.ignored
        if other.refused:
            self.refuse(other.message, other.refused)


@dataclass(slots=True)
class _Part:
    """A part as it stands."""

    seen_us: int
    """Time of its newest reading."""
    given_us: int
    """Time of its newest value; at first, of the first reading."""
    value: float
    """A counter's newest reading, in the agent's unit."""
    amount: float = 0.0
    weight: float = 0.0
    """What it gave since the channel's last value, and over how many seconds or readings."""
    live: bool = True
    """Its channel waits for it."""


@dataclass(slots=True)
class _Channel:
    time_us: int
    """Of the newest value."""
    spacing_us: int = 0
    """Between the newest two; 0 after the first."""
    parts: dict[tuple[str, str], _Part] = field(default_factory=dict)
    """By the key of the metric and the part."""


class Assembly:
    """One source's parts and channels. `dump` and `load` keep it; nothing else is remembered."""

    def __init__(self) -> None:
        self.power_kind = "instant"
        """Of the rows with power that were given last."""
        self._newest_us = 0
        self._channels: dict[str, _Channel] = {}
        self._held: dict[int, dict[str, float]] = {}
        """The newest row, while it waits."""

    def take(self, readings: Iterable[Reading], max_part_w: float, tally: Tally) -> Batch | None:
        """Take readings; returns the rows that are known now, ascending in time, if there are any."""
        rows, self._held = self._held, {}
        touched: set[str] = set()
        moment_us = 0
        for reading in sorted(readings, key=lambda reading: reading.time_us):
            if reading.time_us != moment_us:
                self._settle(touched, moment_us, rows)
                moment_us = reading.time_us
            if self._read(reading, max_part_w, tally):
                touched.add(reading.metric.channel)
        self._settle(touched, moment_us, rows)
        if self._newest_us in rows and self._awaited(rows[self._newest_us]):
            self._held = {self._newest_us: rows.pop(self._newest_us)}
        return _batch(rows) if rows else None

    def _read(self, reading: Reading, max_part_w: float, tally: Tally) -> bool:
        """Take one reading; returns whether its part has given a value."""
        metric, time_us, value = reading.metric, reading.time_us, reading.value
        channel = self._channels.setdefault(metric.channel, _Channel(0))
        key = (metric.key, reading.part)
        part = channel.parts.get(key)
        if part is not None and time_us <= part.seen_us:
            tally.repeated += 1
            return False
        if math.isnan(value) or (metric.draws and value == 0 and not (metric.counter and part)):
            tally.missing += 1
            return False
        if why := self._flaw(reading, part):
            tally.refuse(why)
            return False
        given, weight = _value(reading, part)
        low, high, unit = _BOUNDS[metric.channel]
        if metric.draws:
            high = min(high, max_part_w)
        slack = SLACK if metric.idle else 0.0
        impossible = weight > 0 and not low - slack <= given <= high + slack
        if impossible:
            tally.refuse(
                f"{metric.family} comes to {given:g} but must lie between {low:g} and {high:g} {unit}; check its unit and what counts it"
            )
            if not metric.counter:
                return False
        self._newest_us = max(self._newest_us, time_us)
        begins_anew = part is not None and metric.counter and not reading.delta and weight == 0
        if part is None:
            part = channel.parts[key] = _Part(time_us, time_us, value)
            if not metric.counter and metric.parts:
                weight = 0.0  # it is only known now: others may stand beside it, in the next request
        part.seen_us, part.value = time_us, value
        if impossible:
            return False
        tally.reset += begins_anew
        tally.taken += not begins_anew
        part.amount += min(max(given, low), high) * weight
        part.weight += weight
        if not weight or not _fresh(metric, part):
            return False
        part.given_us, part.live = time_us, True
        return True

    def _flaw(self, reading: Reading, part: _Part | None) -> str:
        """What is wrong with a reading whatever it comes to; empty if nothing."""
        metric = reading.metric
        if not math.isfinite(reading.value):
            return f"{metric.family} is infinite; leave it out where there is no value"
        if metric.counter and reading.value < 0:
            return f"{metric.family} counts up, and is {reading.value:g}; check what is sent under this name"
        if reading.delta and not metric.counter:
            return f"{metric.family} is sent as changes; send it as it stands (cumulative, or a gauge)"
        if reading.start_us > reading.time_us:
            return f"{metric.family} begins to count after it was read; check the clock of its agent"
        if reading.delta and reading.start_us and part and reading.start_us < part.seen_us:
            return f"a change of {metric.family} begins before the one before it ended; send each change once"
        if part is None and sum(len(channel.parts) for channel in self._channels.values()) >= MAX_PARTS:
            return f"the source has {MAX_PARTS} parts already, and {metric.family} would add more; send fewer series"
        return ""

    def _settle(self, touched: set[str], moment_us: int, rows: dict[int, dict[str, float]]) -> None:
        """Give those of the touched channels to rows that are known anew at the moment."""
        for name in touched:
            channel = self._channels[name]
            _lapse(channel, moment_us - FORGET_US)
            chosen = _chosen(channel)
            if not all(_fresh(metric, part) for metric, part in chosen):
                continue
            value = sum(part.amount / part.weight for _, part in chosen)
            time_us = max(part.seen_us for _, part in chosen)
            channel.spacing_us = time_us - channel.time_us if channel.time_us else 0
            channel.time_us = time_us
            rows.setdefault(time_us, {})[name] = value / len(chosen) if name in MEANS else value
            if name == POWER:
                self.power_kind = "mean" if any(metric.counter for metric, _ in chosen) else "instant"
            for part in channel.parts.values():
                part.amount = part.weight = 0.0
        touched.clear()

    def _awaited(self, row: dict[str, float]) -> bool:
        """Whether a channel that the newest row lacks is due."""
        return any(
            DUE * channel.spacing_us <= self._newest_us - channel.time_us < GONE * channel.spacing_us
            for name, channel in self._channels.items()
            if name not in row
        )

    def dump(self) -> bytes:
        """Everything as bytes."""
        state = {
            "version": VERSION,
            "power_kind": self.power_kind,
            "newest_us": self._newest_us,
            "held": [[time_us, values] for time_us, values in self._held.items()],
            "channels": {name: [channel.time_us, channel.spacing_us] for name, channel in self._channels.items()},
            "parts": [
                [*key, part.seen_us, part.given_us, part.value, part.amount, part.weight, part.live]
                for channel in self._channels.values()
                for key, part in channel.parts.items()
            ],
        }
        return json.dumps(state, separators=(",", ":")).encode()

    @classmethod
    def load(cls, blob: bytes) -> "Assembly":
        """What `dump` wrote. Metrics that the table no longer has are dropped. Raises ValueError for another version."""
        state: dict[str, Any] = json.loads(blob)
        if state["version"] != VERSION:
            raise ValueError(
                f"parts of a source have version {state['version']}, this release reads {VERSION}: use a newer release"
            )
        assembly = cls()
        assembly.power_kind, assembly._newest_us = state["power_kind"], state["newest_us"]
        assembly._held = {time_us: values for time_us, values in state["held"]}
        assembly._channels = {name: _Channel(*times) for name, times in state["channels"].items()}
        for key, name, *fields in state["parts"]:
            if key in PLACES:
                channel = assembly._channels.setdefault(TABLE[PLACES[key]].channel, _Channel(0))
                channel.parts[key, name] = _Part(*fields)
        return assembly


def _value(reading: Reading, part: _Part | None) -> tuple[float, float]:
    """What a reading comes to in the channel's unit, and its weight: over how many seconds, or 1; 0 where nothing is known yet."""
    metric, seconds = reading.metric, 0.0
    growth = reading.value
    if not metric.counter:
        value, weight = growth * metric.factor, 1.0
    else:
        if reading.delta:
            since_us = reading.start_us or (part.seen_us if part else reading.time_us)
            seconds = (reading.time_us - since_us) / MICROSECONDS
        elif part and reading.value >= part.value and reading.start_us <= part.seen_us:
            seconds = (reading.time_us - part.seen_us) / MICROSECONDS
            growth -= part.value
        value, weight = growth * metric.factor / seconds if seconds else 0.0, seconds
    return 1 - value if metric.idle else value, weight


def _fresh(metric: Metric, part: _Part) -> bool:
    """Whether a part has given something. A counter of energy that stands still has not been renewed: nothing draws 0 W."""
    return part.weight > 0 and (part.amount > 0 or not metric.draws)


def _lapse(channel: _Channel, oldest_us: int) -> None:
    """Wait no longer for parts that have given nothing since then, and drop those not seen either."""
    lapsed = [part for part in channel.parts.values() if part.live and part.given_us < oldest_us]
    for part in lapsed:
        part.live = False
    if lapsed:  # what the others gave meanwhile is no sum: it begins anew
        for part in channel.parts.values():
            part.amount = part.weight = 0.0
    for key in [key for key, part in channel.parts.items() if part.seen_us < oldest_us]:
        del channel.parts[key]


def _chosen(channel: _Channel) -> list[tuple[Metric, _Part]]:
    """The live parts that make the channel's value: of the best rank, and of each of its zones the best family."""
    live = [(place := PLACES[key], TABLE[place], part) for (key, _), part in channel.parts.items() if part.live]
    rank = min(metric.rank for _, metric, _ in live)
    best: dict[str, int] = {}
    for place, metric, _ in live:
        if metric.rank == rank:
            best[metric.zone] = min(place, best.get(metric.zone, place))
    return [(metric, part) for place, metric, part in live if metric.rank == rank and best[metric.zone] == place]


def _batch(rows: dict[int, dict[str, float]]) -> Batch:
    times_us = sorted(rows)
    channels = tuple(dict.fromkeys(name for time_us in times_us for name in rows[time_us]))
    values = [[rows[time_us].get(name, math.nan) for time_us in times_us] for name in channels]
    return Batch(np.array(times_us, np.int64), channels, np.array(values, np.float64))
