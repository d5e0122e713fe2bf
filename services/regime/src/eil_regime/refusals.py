"""Which rows of a batch are not stored, and why."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from eil_mesh.clock import MICROSECONDS, iso
from numpy.typing import NDArray

from eil_regime.batch import Batch
from eil_regime.domain.bounds import explain, impossible

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
    """Judges the rows of one batch at one moment, against the source's clock and channels before it."""

    def __init__(
        self, batch: Batch, limits: Limits, now_us: int, clock_us: int | None, channels: Collection[str]
    ) -> None:
        self._batch, self._limits, self._now_us, self._clock_us = batch, limits, now_us, clock_us
        self._impossible = impossible(batch.channels, batch.values)
        times_us = batch.times_us
        self._future = times_us > now_us + round(limits.future_s * MICROSECONDS)
        self._old = times_us < now_us - round(limits.oldest_s * MICROSECONDS)
        earliest_us = -(2**63) if clock_us is None else clock_us - round(limits.lateness_s * MICROSECONDS)
        self._late = times_us < earliest_us
        missing = np.isnan(batch.values)
        self._empty: NDArray[np.bool_] = np.all(missing, axis=0)
        bad = self._future | self._old | self._late | self._impossible.any(axis=0) | self._empty
        if len({*channels, *batch.channels}) > MAX_CHANNELS:
            bad |= self._beyond(~missing, bad, set(channels))
        self.good: NDArray[np.bool_] = ~bad
        """(n,): the rows that may be stored."""

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
            return Refusal(row, "PHYSICALLY_IMPOSSIBLE", text, False, wrong)
        if self._empty[row]:
            return Refusal(row, "NO_VALUES", "the row holds no value; leave it out", False)
        text = f"a source has at most {MAX_CHANNELS} channels; name channels by what they measure, not by label values"
        return Refusal(row, "TOO_MANY_CHANNELS", text, False)

    def _violations(self, row: int) -> dict[str, str]:
        """What is wrong with the values of a row, by field."""
        batch, found = self._batch, {}
        for place in np.flatnonzero(self._impossible[:, row]):
            channel, value = batch.channels[place], float(batch.values[place, row])
            found[f"telemetry[{channel}]"] = explain(channel, value)
        return found


def _moment(time_us: int) -> str:
    """A time for people; far beyond the calendar, its number."""
    try:
        return iso(time_us)
    except (ValueError, OverflowError, OSError):
        return f"{time_us} µs since 1970"
