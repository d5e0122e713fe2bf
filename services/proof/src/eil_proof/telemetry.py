"""Measured intervals from the regime service: nobody else says what was used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, from_us, to_us

from eil_proof.domain.mv.intervals import Intervals

PAGE_INTERVALS = 1000
PAGE_S = 31 * 86_400
"""What one call to regime answers at most."""
MIN_COVERED = 0.9
"""Share of an interval that samples must cover; its energy is then that of its mean power, else it is missing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Intervals with where they come from."""

    intervals: Intervals
    provenance: dict[str, Any]
    """kind, power_method, own_credential, largest_delay_s, received_after_us."""
    clock_us: int
    """The source's clock."""
    settled: bool
    """No sample of these intervals is accepted any more."""


async def read_intervals(
    regime: regime_pb2_grpc.RegimeServiceAsyncStub,
    source: str,
    start_us: int,
    interval_s: int,
    count: int,
    channels: tuple[str, ...],
    received_after_us: int = 0,
) -> Reading:
    """Measure `count` >= 1 intervals. The driver is the product of the channels' means, NaN without channels.

    Raises:
        grpc.aio.AioRpcError: NOT_FOUND if the source never sent a sample.
    """
    page = max(1, min(PAGE_INTERVALS, PAGE_S // interval_s))
    answers = []
    for first in range(0, count, page):
        request = regime_pb2.MeasureIntervalsRequest(
            source=source,
            start=from_us(start_us + first * interval_s * MICROSECONDS),
            interval_s=interval_s,
            intervals=min(page, count - first),
            channels=dict.fromkeys(channels),
        )
        if received_after_us:
            request.received_after.CopyFrom(from_us(received_after_us))
        answers.append(await regime.MeasureIntervals(request))
    measured = [answer for answer in answers if answer.power_method]
    provenance = {
        "kind": answers[-1].kind,
        "power_method": measured[0].power_method if measured else "",
        "own_credential": bool(measured) and all(answer.own_credential for answer in measured),
        "largest_delay_s": max((answer.largest_delay_s for answer in measured), default=0.0),
        "received_after_us": received_after_us,
    }
    energy = np.array([value for answer in answers for value in answer.energy])
    covered_s = np.array([value for answer in answers for value in answer.covered_s])
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.where(covered_s >= MIN_COVERED * interval_s, energy * (interval_s / covered_s), np.nan)
    intervals = Intervals(start_us, interval_s, whole, _driver(answers, channels, count))
    return Reading(intervals, provenance, to_us(answers[-1].clock), answers[-1].settled)


def _driver(answers: list[regime_pb2.MeasureIntervalsResponse], channels: tuple[str, ...], count: int) -> np.ndarray:
    if not channels:
        return np.full(count, np.nan)
    product = np.ones(count)
    for name in channels:
        product *= [
            value for answer in answers for column in answer.columns if column.name == name for value in column.values
        ]
    return product
