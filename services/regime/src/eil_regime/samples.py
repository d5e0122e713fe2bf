"""Questions about stored samples: what a window holds, what is known already, what is newest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from eil_mesh.clock import MICROSECONDS
from eil_mesh.store import Connection
from numpy.typing import NDArray

from eil_regime import segments, tails
from eil_regime.domain.measurement import Series
from eil_regime.segments import Segment
from eil_regime.sources import Source

BEFORE = 32
"""Samples before a window that are looked at: they tell the sample period."""
NEIGHBOURS = 64
"""Segments before and after a window that are searched for neighbours of a channel that is sampled more rarely than others."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The samples of one channel, (n,) each, ascending in time."""

    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    received_us: NDArray[np.int64]
    own: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Cells":
        """The samples chosen by a mask (n,)."""
        return Cells(self.time_us[chosen], self.value[chosen], self.received_us[chosen], self.own[chosen])


@dataclass(frozen=True, slots=True)
class Window:
    """Samples of a window by channel: as series with their neighbours, and those inside alone."""

    series: dict[str, Series]
    inside: dict[str, Cells]

    def provenance(self, channel: str) -> tuple[bool, float]:
        """Whether every sample inside came from the source's own credential, and the largest |receipt − timestamp| [s]."""
        cells = self.inside.get(channel)
        if cells is None or not cells.time_us.size:
            return False, 0.0
        return bool(cells.own.all()), float(np.abs(cells.received_us - cells.time_us).max()) / MICROSECONDS


def window(
    conn: Connection,
    source: Source,
    channels: Iterable[str],
    start_us: int,
    end_us: int,
    *,
    received_after_us: int = 0,
) -> Window:
    """Samples in (start, end] and their neighbours: up to `BEFORE` earlier ones (they tell the sample period) and one later.

    With `received_after_us`, samples inside the window count only if they were received after it; neighbours always do.
    """
    places = {name: source.channels.index(name) for name in channels if name in source.channels}
    wanted = set(places.values())
    within = [
        # The tail first: what goes into a segment meanwhile is found twice rather than never.
        *tails.find(conn, source.id).pieces(),
        *(
            segments.load(conn, place)
            for place in list(segments.overlapping(conn, source.id, start_us + 1, end_us))
            if wanted & set(place.channels)
        ),
    ]
    loaded = [
        *_earlier(conn, source, wanted, within, start_us),
        *within,
        *_later(conn, source, wanted, within, end_us),
    ]
    found = Window({}, {})
    for name, channel in places.items():
        cells = _cells(loaded, channel)
        if not cells.time_us.size:
            continue
        start, end = np.searchsorted(cells.time_us, (start_us, end_us), side="right")
        kept = np.zeros(cells.time_us.size, np.bool_)
        kept[start:end] = cells.received_us[start:end] > received_after_us
        found.inside[name] = cells.where(kept)
        kept[max(0, start - BEFORE) : start] = True
        kept[end : end + 1] = True
        if kept.any():
            # A sample left out must not make its neighbours look further apart: then a gap would be bridged.
            period_s = _period_s(cells.time_us[:end]) if received_after_us else None
            found.series[name] = Series(cells.time_us[kept] / MICROSECONDS, cells.value[kept], period_s)
    return found


def cut(series: Series, start_us: int, end_us: int) -> Series:
    """The part of a series that `window` answers for a window within it."""
    begin, end = np.searchsorted(series.time_s, (start_us / MICROSECONDS, end_us / MICROSECONDS), side="right")
    part = slice(max(0, begin - BEFORE), end + 1)
    return Series(series.time_s[part], series.value[part], series.period_s)


def _period_s(times_us: NDArray[np.int64]) -> float | None:
    """Median spacing [s] of the newest of a channel's samples, whenever they were received."""
    return float(np.median(np.diff(times_us[-BEFORE:]))) / MICROSECONDS if times_us.size > 1 else None


def _earlier(
    conn: Connection, source: Source, wanted: set[int], within: Sequence[Segment], start_us: int
) -> list[Segment]:
    """Segments that end at `start_us` or before and hold some of the `BEFORE` newest samples of a wanted channel up to there."""
    found: list[Segment] = []
    newest = {c: _upto(np.concatenate([_times(s, c) for s in within] or [_NONE]), start_us) for c in wanted}
    for place in segments.before(conn, source.id, start_us + 1, NEIGHBOURS):
        lacking = {c for c, times in newest.items() if times.size < BEFORE or times[0] < place.last_us}
        if not lacking:
            break
        if lacking & set(place.channels):
            segment = segments.load(conn, place)
            found.append(segment)
            newest |= {c: _upto(np.concatenate((_times(segment, c), newest[c])), start_us) for c in lacking}
    return found


def _later(conn: Connection, source: Source, wanted: set[int], within: Sequence[Segment], end_us: int) -> list[Segment]:
    """Segments that begin after `end_us` and hold the first sample of a wanted channel after it."""
    found: list[Segment] = []
    first = {c: _first_after(within, c, end_us) for c in wanted}
    for place in segments.after(conn, source.id, end_us, NEIGHBOURS):
        # Segments that overlap do not stand in the order of their first rows: all are looked at, few are read.
        lacking = {c for c, time_us in first.items() if time_us is None or place.first_us < time_us}
        if lacking & set(place.channels):
            found.append(segments.load(conn, place))
            first |= {c: _first_after([*within, *found], c, end_us) for c in lacking}
    return found


_NONE = np.empty(0, np.int64)


def _upto(times_us: NDArray[np.int64], time_us: int) -> NDArray[np.int64]:
    """The newest `BEFORE` of the times up to a moment, ascending."""
    return np.sort(times_us[times_us <= time_us])[-BEFORE:]


def _first_after(parts: Sequence[Segment], channel: int, time_us: int) -> int | None:
    """Time of the channel's first sample after a moment, if it is among the parts."""
    times_us = np.concatenate([_times(part, channel) for part in parts] or [_NONE])
    later = times_us[times_us > time_us]
    return int(later.min()) if later.size else None


def _times(segment: Segment, channel: int) -> NDArray[np.int64]:
    at = segment.channels.find(channel)
    return segment.times_us[~np.isnan(segment.values[at])] if at >= 0 else _NONE


def _cells(parts: Sequence[Segment], channel: int) -> Cells:
    """All samples of a channel."""
    chosen = [(part, part.values[at]) for part in parts if (at := part.channels.find(channel)) >= 0]
    if not chosen:
        return Cells(_NONE, np.empty(0), _NONE, np.empty(0, np.bool_))
    cells = Cells(
        np.concatenate([part.times_us for part, _ in chosen]),
        np.concatenate([values for _, values in chosen]),
        np.concatenate([part.received_us for part, _ in chosen]),
        np.concatenate([part.own for part, _ in chosen]),
    )
    cells = cells.where(~np.isnan(cells.value))
    if bool((cells.time_us[1:] > cells.time_us[:-1]).all()):
        return cells
    _, order = np.unique(cells.time_us, return_index=True)
    return Cells(cells.time_us[order], cells.value[order], cells.received_us[order], cells.own[order])


def stored_at(
    conn: Connection, source: Source, channels: Sequence[str], times_us: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Values (c, n) stored for the channels at the ascending times (n,), NaN where none is."""
    stored = np.full((len(channels), times_us.size), np.nan)
    row_of = {source.channels.index(name): row for row, name in enumerate(channels) if name in source.channels}
    for piece in tails.find(conn, source.id).pieces():
        _fill(stored, row_of, times_us, piece)
    for place in list(segments.overlapping(conn, source.id, int(times_us[0]), int(times_us[-1]))):
        if row_of.keys() & set(place.channels):
            _fill(stored, row_of, times_us, segments.load(conn, place))
    return stored


def _fill(table: NDArray[np.float64], row_of: Mapping[int, int], times_us: NDArray[np.int64], segment: Segment) -> None:
    """Put a segment's values into a table (channel, time) at the ascending times that it has; `row_of` says where each channel stands."""
    at = np.searchsorted(times_us, segment.times_us).clip(max=times_us.size - 1)
    met = times_us[at] == segment.times_us
    for channel, values in zip(segment.channels, segment.values, strict=True):
        if channel in row_of:
            held = met & ~np.isnan(values)
            table[row_of[channel], at[held]] = values[held]


def newest_rows(
    conn: Connection, source: Source, rows: int
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """The newest n <= `rows` timestamps [µs], oldest first, and every channel's value at each, (n,), NaN where missing."""
    loaded = tails.find(conn, source.id).pieces()
    times_us, count = _NONE, sum(piece.times_us.size for piece in loaded)
    for place in segments.before(conn, source.id, np.iinfo(np.int64).max):
        if count >= rows:
            times_us = np.unique(np.concatenate([segment.times_us for segment in loaded]))[-rows:]
            if times_us.size == rows and times_us[0] > place.last_us:
                break
        loaded.append(segments.load(conn, place))
        count += loaded[-1].times_us.size
    if loaded:
        times_us = np.unique(np.concatenate([segment.times_us for segment in loaded]))[-rows:]
    values = np.full((len(source.channels), times_us.size), np.nan)
    row_of = {channel: channel for channel in range(len(source.channels))}
    for segment in loaded:
        _fill(values, row_of, times_us, segment)
    return times_us, dict(zip(source.channels, values, strict=True))
