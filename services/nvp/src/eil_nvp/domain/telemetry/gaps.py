"""Checks of what comes in, and short gaps filled."""

import numpy as np

from eil_nvp.domain.telemetry.moments import Array


def checked(
    history: np.ndarray, plan: np.ndarray | None, horizon: int, *, ahead: int = 0, complete: bool = True
) -> tuple[Array, Array]:
    """History (n, d) and plan (n + ahead, p; p = 0 without one) as float64, or a ValueError that names what is wrong.

    `complete` demands a value in every channel.
    """
    values = np.asarray(history, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"history has shape {values.shape}: give (n, d) with at least one sample and one channel")
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}: forecast at least one step ahead")
    if np.isinf(values).any():
        raise ValueError("history holds infinite values: mark missing samples with NaN instead")
    empty = np.flatnonzero(~np.isfinite(values).any(axis=0))
    if complete and empty.size:
        raise ValueError(f"channel {empty[0]} has no value at all: leave the channel out")
    rows = len(values) + ahead
    if plan is None:
        return values, np.zeros((rows, 0))
    inputs = np.asarray(plan, dtype=np.float64)
    if inputs.ndim != 2 or len(inputs) != rows:
        raise ValueError(f"plan has shape {inputs.shape}: give ({rows}, p), a row for each of history and horizon")
    if not np.isfinite(inputs).all():
        raise ValueError("the plan holds missing or infinite values: planned inputs are known, so state them all")
    return values, inputs


def filled(values: Array, max_gap: int) -> Array:
    """A copy with runs of at most `max_gap` missing values linearly interpolated, held at the ends; longer ones stay NaN."""
    out = values.copy()
    instants = np.arange(len(out))
    for channel in np.flatnonzero(np.isnan(out).any(axis=0)):
        gone = np.isnan(out[:, channel])
        if gone.all():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], gone, [False]]).astype(np.int8)))
        short = np.zeros_like(gone)
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            short[begin:end] = end - begin <= max_gap
        out[short, channel] = np.interp(instants[short], instants[~gone], out[~gone, channel])
    return out
