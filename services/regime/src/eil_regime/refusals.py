"""Which rows of a batch are not stored, and why."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from eil_mesh.clock import MICROSECONDS, iso
from numpy.typing import NDArray

from eil_regime.batch import Batch
from eil_regime.domain.bounds import TEMPERATURE, explain, impossible
from eil_regime.domain.heating import Heating
from eil_regime.sources import Source

MAX_CHANNELS = 256
"""Channels of one source; rows that would add more are refused."""
MAX_NAMED = 100
"""Rows that a refusal names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What timestamps are accepted, and the accounting window; all in seconds."""

    window_s: float
    future_s: float
    lateness_s: float
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was not stored. `out_of_range` is about its time, otherwise its values are at fault."""

    row: int
    reason: str
    message: str
    out_of_range: bool
    violations: Mapping[str, str] = field(default_factory=dict)


class Check:
    """Judges the rows of one batch at one moment, against what is known of its source before it.

    `newest`: time [s] and value of the source's newest temperature [°C], where it is known.
    """

    def __init__(
        self,
        batch: Batch,
        limits: Limits,
        now_us: int,
        source: Source | None,
        newest: tuple[float, float] | None = None,
    ) -> None:
        self._batch, self._limits, self._now_us, self._newest = batch, limits, now_us, newest
        self._clock_us = clock_us = source.clock_us if source else None
        self._channels: Collection[str] = source.channels if source else ()
        self._latest_us = now_us + round(limits.future_s * MICROSECONDS)
        self._oldest_us = now_us - round(limits.oldest_s * MICROSECONDS)
        self._earliest_us = -(2**63) if clock_us is None else clock_us - round(limits.lateness_s * MICROSECONDS)
        self._crowded = len({*self._channels, *batch.channels}) > MAX_CHANNELS
        self._ceiling_w = source.facts().ceiling_w if source else math.inf
        self._heating = Heating.of(source.node, source.nameplate_w) if source else None
        self._impossible = impossible(batch.channels, batch.values, self._ceiling_w)
        times_us = batch.times_us
        self.sound: bool = (
            times_us.max() <= self._latest_us
            and times_us.min() >= max(self._oldest_us, self._earliest_us)
            and not self._crowded
            and not self._impossible.any()
            and (batch.complete or not np.isnan(batch.values).all(axis=0).any())
            and (self._heating is None or not self._too_fast.any())
        )
        """Every row may be stored."""

    @cached_property
    def good(self) -> NDArray[np.bool_]:
        """(n,): the rows that may be stored."""
        if self.sound:
            return np.ones(self._batch.times_us.size, np.bool_)
        bad = self._alone | self._too_fast
        if self._crowded:
            bad |= self._beyond(~np.isnan(self._batch.values), bad, set(self._channels))
        return ~bad

    @cached_property
    def _alone(self) -> NDArray[np.bool_]:
        """Rows that may not be stored whatever the others are."""
        return self._future | self._old | self._late | self._impossible.any(axis=0) | self._empty

    @cached_property
    def _future(self) -> NDArray[np.bool_]:
        return self._batch.times_us > self._latest_us

    @cached_property
    def _old(self) -> NDArray[np.bool_]:
        return self._batch.times_us < self._oldest_us

    @cached_property
    def _late(self) -> NDArray[np.bool_]:
        return self._batch.times_us < self._earliest_us

    @cached_property
    def _empty(self) -> NDArray[np.bool_]:
        return np.all(np.isnan(self._batch.values), axis=0)

    @cached_property
    def _too_fast(self) -> NDArray[np.bool_]:
        """Rows whose temperature the source cannot have reached since the newest that is known; those before it are not looked at."""
        batch = self._batch
        wrong = np.zeros(batch.times_us.size, np.bool_)
        if self._heating is None or TEMPERATURE not in batch.channels:
            return wrong
        place = batch.channels.index(TEMPERATURE)
        times_s, values = batch.times_us / MICROSECONDS, batch.values[place]
        order = np.argsort(times_s, kind="stable")
        order = order[~self._alone[order]]
        if self._newest is not None:
            order = order[times_s[order] > self._newest[0]]
            times_s, values = np.append(times_s, self._newest[0]), np.append(values, self._newest[1])
            order = np.append(batch.times_us.size, order)
        found = self._heating.too_fast(times_s[order], values[order])
        wrong[order[found]] = True
        return wrong

    def _beyond(self, present: NDArray[np.bool_], bad: NDArray[np.bool_], channels: set[str]) -> NDArray[np.bool_]:
        """Rows that would give the source too many channels; in the order sent, each adds its own."""
        names = self._batch.channels
        beyond = np.zeros(bad.size, np.bool_)
        new = [place for place, name in enumerate(names) if name not in channels]
        for row in np.flatnonzero(present[new].any(axis=0) & ~bad):
            wanted = channels | {names[place] for place in new if present[place, row]}
            if len(wanted) > MAX_CHANNELS:
                beyond[row] = True
            else:
                channels = wanted
        return beyond

    def refusals(self) -> list[Refusal]:
        """The first `MAX_NAMED` rows that may not be stored."""
        return [self._refusal(int(row)) for row in np.flatnonzero(~self.good)[:MAX_NAMED]]

    def _refusal(self, row: int) -> Refusal:
        limits, time_us = self._limits, int(self._batch.times_us[row])
        if self._future[row]:
            text = (
                f"timestamp {_moment(time_us)} lies {(time_us - self._now_us) / MICROSECONDS:.0f} s in the future; "
                f"at most {limits.future_s:.0f} s are allowed: check the clock"
            )
            return Refusal(row, "TIMESTAMP_IN_FUTURE", text, True)
        if self._old[row]:
            text = (
                f"timestamp {_moment(time_us)} is older than the {limits.oldest_s / 86400:.0f} days that states are kept; "
                "move the recording to newer times"
            )
            return Refusal(row, "TIMESTAMP_TOO_OLD", text, True)
        if self._late[row]:
            text = (
                f"timestamp {_moment(time_us)} is more than {limits.lateness_s:.0f} s behind the source's clock "
                f"{_moment(self._clock_us or 0)}; its window is settled: send older telemetry under another source name"
            )
            return Refusal(row, "SAMPLE_TOO_LATE", text, True)
        if wrong := self._violations(row):
            where, what = next(iter(wrong.items()))
            text = f"{where} {what}; nothing of this sample was stored"
            return Refusal(row, "PHYSICS_VIOLATED", text, False, wrong)
        if self._empty[row]:
            return Refusal(row, "NO_VALUES", "the row holds no value; leave it out", False)
        text = f"a source has at most {MAX_CHANNELS} channels; name channels by what they measure, not by label values"
        return Refusal(row, "TOO_MANY_CHANNELS", text, False)

    def _violations(self, row: int) -> dict[str, str]:
        """What is wrong with the values of a row, by field."""
        batch, found = self._batch, {}
        for place in np.flatnonzero(self._impossible[:, row]):
            channel, value = batch.channels[place], float(batch.values[place, row])
            found[f"telemetry[{channel}]"] = explain(channel, value, self._ceiling_w)
        if self._heating is not None and self._too_fast[row]:
            found[f"telemetry[{TEMPERATURE}]"] = (
                f"changed faster than {self._heating.rate_k_per_s:.3g} K/s, which is all that {self._heating.nameplate_w:g} W can do to "
                f"{self._heating.capacity_j_per_k:.3g} J/K, and breaks the first law of thermodynamics: heat comes from somewhere and goes "
                "somewhere; check the sensor, or declare another nameplate_w"
            )
        return found


def _moment(time_us: int) -> str:
    """A time for people; far beyond the calendar, its number."""
    try:
        return iso(time_us)
    except (ValueError, OverflowError, OSError):
        return f"{time_us} µs since 1970"
