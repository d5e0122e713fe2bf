"""What of a batch is new: its cells against each other and against what is stored. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eil_regime.batch import Batch


@dataclass(frozen=True, slots=True)
class Fresh:
    """What of a batch is to be stored, and what became of the rest."""

    batch: Batch
    """New values alone; times ascend, each once; no row and no channel is empty."""
    accepted: int
    """Rows of the batch with a new value."""
    rows: NDArray[np.bool_] | None
    """(n,): which; None if all."""
    conflicts: dict[str, int]
    """Values that differ from the one known before for their channel and time, by channel. The first stands."""
    whole: bool
    """The batch was all new and in order: `batch` is the very batch."""


def fresh_of(
    batch: Batch, clock_us: int | None, stored_at: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> Fresh:
    """Sort out a batch of at least one row, none of them empty.

    Args:
        batch: rows that may be stored.
        clock_us: nothing is stored after this time; None if nothing is stored at all.
        stored_at: values (c, m) of the batch's channels stored at ascending times (m,), NaN where none is.
    """
    times_us = batch.times_us
    if times_us.size == 1 and (clock_us is None or times_us[0] > clock_us):
        new = _without_empty_channels(batch)
        return Fresh(new, 1, None, {}, new is batch)
    order = None if bool((times_us[1:] > times_us[:-1]).all()) else np.argsort(times_us, kind="stable")
    ordered = batch if order is None else Batch(times_us[order], batch.channels, batch.values[:, order])
    begins = np.append(True, ordered.times_us[1:] > ordered.times_us[:-1])
    if bool(begins.all()) and (clock_us is None or ordered.times_us[0] > clock_us):
        new = _without_empty_channels(ordered)
        return Fresh(new, times_us.size, None, {}, new is batch)
    starts = np.flatnonzero(begins)
    fresh, new, conflicts = _sorted_out(ordered, starts, stored_at(ordered.times_us[starts]))
    rows = np.empty(times_us.size, np.bool_)
    rows[slice(None) if order is None else order] = new
    return Fresh(fresh, int(np.count_nonzero(new)), rows, conflicts, False)


def _sorted_out(
    batch: Batch, starts: NDArray[np.intp], stored: NDArray[np.float64]
) -> tuple[Batch, NDArray[np.bool_], dict[str, int]]:
    """What is new of a batch sorted by time, each of which begins at one of `starts`; which rows (n,) had a part in it; conflicts."""
    rows = np.arange(batch.times_us.size)
    group = np.searchsorted(starts, rows, side="right") - 1
    present = ~np.isnan(batch.values)
    first = np.minimum.reduceat(
        np.where(present, rows, rows.size), starts, axis=1
    )  # row of the first value at each time
    given = np.where(first < rows.size, np.take_along_axis(batch.values, first.clip(max=rows.size - 1), axis=1), np.nan)
    unknown = np.isnan(stored)
    standing = np.where(unknown, given, stored)
    new = present & unknown[:, group] & (first[:, group] == rows)
    differs = present & (batch.values != standing[:, group])
    conflicts = {name: int(count) for name, count in zip(batch.channels, differs.sum(axis=1), strict=True) if count}
    values = np.where(unknown, given, np.nan)
    kept = np.any(~np.isnan(values), axis=0)
    fresh = Batch(batch.times_us[starts], batch.channels, values).rows(kept)
    return _without_empty_channels(fresh), new.any(axis=0), conflicts


def _without_empty_channels(batch: Batch) -> Batch:
    if batch.complete:
        return batch
    empty = np.isnan(batch.values).all(axis=1)
    if not empty.any():
        return batch
    kept = np.flatnonzero(~empty)
    return Batch(batch.times_us, tuple(batch.channels[place] for place in kept), batch.values[kept])
