"""The accounting windows that a batch closes, measured and shown to the source's physics branch."""

from collections.abc import Sequence

import numpy as np
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS
from eil_mesh.store import Connection
from numpy.typing import NDArray

from eil_regime import samples
from eil_regime.domain.bounds import POWER, UTILISATION
from eil_regime.domain.measurement import MEASURED, measure
from eil_regime.domain.physics_branch import MAX_CHANNELS, Block, PhysicsBranch
from eil_regime.sources import Source

MOST_WINDOWS = 16
"""Newest windows of a batch that are looked at, so that a backfill does not keep others waiting."""


def closed(times_us: NDArray[np.int64], before_us: int | None, clock_us: int, window_us: int) -> Sequence[int]:
    """Ends [µs] of the newest windows that a batch closes, ascending.

    Windows adjoin, (k·W, (k+1)·W] of the source's clock. The first sample after its end closes a window: by then channels that are sent
    apart have arrived. Windows without any sample are left out.

    Args:
        times_us: (n,) rows of the batch, ascending.
        before_us: the source's clock before the batch; None if it was the first.
        clock_us: the clock after it.
        window_us: W.
    """
    open_now = (clock_us - 1) // window_us
    open_before = (int(times_us[0] if before_us is None else before_us) - 1) // window_us
    if open_before >= open_now:
        return ()
    places = np.unique(np.append((times_us - 1) // window_us, open_before))
    places = places[(places >= open_before) & (places < open_now)]
    return ((places[-MOST_WINDOWS:] + 1) * window_us).tolist()


def watch(conn: Connection, source: Source, branch: PhysicsBranch, ends_us: Sequence[int], window_us: int) -> bool:
    """Show the branch those windows that power is known in; returns whether there was one."""
    if not ends_us or not (POWER in source.channels or (UTILISATION in source.channels and source.nameplate_w > 0)):
        return False
    known = [name for name in dict.fromkeys((*MEASURED, *source.channels)) if name in source.channels]
    followed = branch.names or known[:MAX_CHANNELS]
    window = samples.window(conn, source, {*MEASURED, *followed}, ends_us[0] - window_us, ends_us[-1])
    seen = False
    for end_us in ends_us:
        start_us = end_us - window_us
        channels = {
            name: samples.cut(window.series[name], start_us, end_us) for name in MEASURED if name in window.series
        }
        measured = measure(channels, source.facts(), start_us / MICROSECONDS, end_us / MICROSECONDS)
        if measured is None or not measured.samples or not measured.energy.covered_s:
            continue
        block = Block(
            end_us / MICROSECONDS,
            window_us / MICROSECONDS,
            {name: mean for name in followed if (mean := _mean(window, name, start_us, end_us)) is not None},
            measured.energy,
            measured.node,
            measured.window,
            measured.power_method == "MODELLED",
        )
        metrics.PHYSICS_WINDOWS.labels(branch.update(block).level).inc()
        seen = True
    return seen


def _mean(window: samples.Window, channel: str, start_us: int, end_us: int) -> float | None:
    """Mean of a channel's samples in (start, end]; None where it has none."""
    if channel not in window.inside:
        return None
    cells = window.inside[channel]
    begin, end = np.searchsorted(cells.time_us, (start_us, end_us), side="right")
    return float(cells.value[begin:end].mean()) if end > begin else None
