"""Measured intervals from the Atlas's archive, for what the regime service has forgotten.

The mathematics is regime's own, on the same samples; what the archive does not know is when they were received. Power that was never sent,
but modelled, is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc
from eil_mesh.clock import MICROSECONDS, from_us
from eil_physics.intervals import interval_energies, interval_means
from numpy.typing import NDArray

POWER = "power_draw"
MARGIN_US = 3 * 3600 * MICROSECONDS
"""How far around the intervals neighbours are read [µs]; samples further apart are never joined."""
Columns = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""Times (m,) [µs] and values (m,) of each channel's samples."""


@dataclass(frozen=True, slots=True)
class Archived:
    """n intervals: energy (n,) [J], covered part (n,) [s], means (channels, n); NaN where there are no samples."""

    energy_j: NDArray[np.float64]
    covered_s: NDArray[np.float64]
    means: NDArray[np.float64]
    own_credential: bool


async def read_archived(
    archive: archive_pb2_grpc.ArchiveServiceAsyncStub,
    source: str,
    start_us: int,
    interval_s: int,
    count: int,
    channels: Sequence[str],
    power_kind: str,
) -> Archived:
    """Measure `count` intervals. Hours that the archive has lost count as not measured.

    Raises:
        grpc.aio.AioRpcError: the archive, or the server behind it, is away.
    """
    edges_us = start_us + np.arange(count + 1, dtype=np.int64) * (interval_s * MICROSECONDS)
    request = archive_pb2.ReadSamplesRequest(
        source=source,
        start=from_us(max(start_us - MARGIN_US, 0)),
        end=from_us(int(edges_us[-1]) + MARGIN_US),
        channels=dict.fromkeys((POWER, *channels)),
        skip_lost=True,
    )
    pages = [page async for page in archive.ReadSamples(request) if page.times_us]
    return await asyncio.to_thread(_measured, pages, edges_us, channels, power_kind)


def _measured(
    pages: Sequence[archive_pb2.ReadSamplesResponse],
    edges_us: NDArray[np.int64],
    channels: Sequence[str],
    power_kind: str,
) -> Archived:
    columns = _columns(pages)
    nothing = np.zeros(0, np.int64), np.zeros(0)
    times_us, power_w = columns.get(POWER, nothing)
    kind = "mean" if power_kind == "mean" else "instant"
    energy_j, covered_s = interval_energies(times_us / MICROSECONDS, power_w, edges_us / MICROSECONDS, kind)
    means = [interval_means(*columns.get(name, nothing), edges_us) for name in channels]
    own = bool(pages) and all(page.own_credential for page in pages)
    return Archived(energy_j, covered_s, np.reshape(means, (len(channels), edges_us.size - 1)), own)


def _columns(pages: Sequence[archive_pb2.ReadSamplesResponse]) -> Columns:
    """The samples of each channel, in order of time."""
    parts: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    for page in pages:
        times = np.array(page.times_us, np.int64)
        for column in page.columns:
            values = np.array(column.values, np.float64)
            there = ~np.isnan(values)
            parts.setdefault(column.name, []).append((times[there], values[there]))
    return {
        name: (np.concatenate([times for times, _ in found]), np.concatenate([values for _, values in found]))
        for name, found in parts.items()
    }
