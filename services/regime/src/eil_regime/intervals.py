"""What was measured in each of a row of adjoining intervals: energy, cover, and means of channels."""

import math
from collections.abc import Sequence

import numpy as np
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import MICROSECONDS
from eil_mesh.store import Connection
from eil_physics.energy import SampleKind, integrate

from eil_regime import samples
from eil_regime.domain.bounds import POWER, UTILISATION
from eil_regime.domain.measurement import Series, power_series
from eil_regime.sources import Source


def measured_intervals(
    conn: Connection,
    source: Source,
    start_us: int,
    interval_us: int,
    count: int,
    channels: Sequence[str],
    received_after_us: int,
) -> regime_pb2.MeasureIntervalsResponse:
    """Energy, cover and channel means of `count` intervals from `start_us` on; the clock is left to the caller."""
    edges_us = start_us + np.arange(count + 1, dtype=np.int64) * interval_us
    wanted = {POWER, UTILISATION, *channels}
    window = samples.window(conn, source, wanted, start_us, int(edges_us[-1]), received_after_us=received_after_us)
    response = regime_pb2.MeasureIntervalsResponse(kind=source.kind)
    power, method, _ = power_series(window.series, source.facts())
    if power is not None:
        response.power_method = method
        channel = POWER if POWER in window.series else UTILISATION
        response.own_credential, response.largest_delay_s = window.provenance(channel)
    kind: SampleKind = "mean" if source.power_kind == "mean" else "instant"
    for begin_us, end_us in zip(edges_us[:-1].tolist(), edges_us[1:].tolist(), strict=True):
        energy_j, covered_s = _energy(power, begin_us, end_us, kind)
        response.energy.append(energy_j)
        response.covered_s.append(covered_s)
    for name in channels:
        response.columns.add(name=name, values=_means(window.inside.get(name), edges_us))
    return response


def _energy(power: Series | None, begin_us: int, end_us: int, kind: SampleKind) -> tuple[float, float]:
    """Energy [J] and cover [s] of an interval; NaN and 0 where power is unknown."""
    if power is None or not power.time_s.size:
        return math.nan, 0.0
    part = samples.cut(power, begin_us, end_us)
    found = integrate(
        part.time_s,
        part.value,
        begin_us / MICROSECONDS,
        end_us / MICROSECONDS,
        kind=kind,
        period_s=part.period_s,
    )
    return (found.energy_j, found.covered_s) if found.covered_s > 0 else (math.nan, 0.0)


def _means(cells: samples.Cells | None, edges_us: np.ndarray) -> list[float]:
    """Mean of a channel's samples in each interval (begin, end]; NaN where it has none."""
    if cells is None:
        return [math.nan] * (edges_us.size - 1)
    places = np.searchsorted(cells.time_us, edges_us, side="right")
    total = np.concatenate(([0.0], np.cumsum(cells.value)))
    counts = np.diff(places)
    sums = total[places[1:]] - total[places[:-1]]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).tolist()
