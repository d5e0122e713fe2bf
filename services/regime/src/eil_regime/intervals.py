"""What was measured in each of a row of adjoining intervals: energy, cover, and means of channels."""

from collections.abc import Sequence

import numpy as np
from eil.regime.v1 import regime_pb2
from eil_mesh.clock import MICROSECONDS
from eil_mesh.store import Connection
from eil_physics.energy import SampleKind
from eil_physics.intervals import interval_energies, interval_means

from eil_regime import samples
from eil_regime.domain.bounds import POWER, UTILISATION
from eil_regime.domain.measurement import power_series
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
    response.power_kind = kind
    if power is None:
        energy_j, covered_s = np.full(count, np.nan), np.zeros(count)
    else:
        edges_s = edges_us / MICROSECONDS
        energy_j, covered_s = interval_energies(power.time_s, power.value, edges_s, kind, period_s=power.period_s)
    response.energy.extend(energy_j.tolist())
    response.covered_s.extend(covered_s.tolist())
    for name in channels:
        cells = window.inside.get(name)
        means = np.full(count, np.nan) if cells is None else interval_means(cells.time_us, cells.value, edges_us)
        response.columns.add(name=name, values=means.tolist())
    return response
