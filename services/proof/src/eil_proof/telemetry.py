"""Measured intervals from the regime service: nobody else says what was used. What it has forgotten comes from the Atlas's archive, by
the same mathematics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from eil.atlas.v1 import archive_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, from_us, to_us
from numpy.typing import NDArray

from eil_proof.archived import Archived, read_archived
from eil_proof.domain.mv.intervals import Intervals

PAGE_INTERVALS = 1000
PAGE_S = 31 * 86_400
"""What one call to regime answers at most."""
METHODS = {"metered": "METERED", "estimated": "MODELLED", "simulated": "SIMULATED", "unenrolled": "REPORTED"}
"""How regime calls the power channel of each kind of source."""
MIN_COVERED = 0.9
"""Share of an interval that samples must cover; its energy is then that of its mean power, else it is missing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Intervals with where they come from."""

    intervals: Intervals
    provenance: dict[str, Any]
    """kind, power_method, own_credential, largest_delay_s, received_after_us; with archived_intervals, how many of the intervals the Atlas
    gave, where it gave any. Of those it is not known when their samples were received."""
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
    archive: archive_pb2_grpc.ArchiveServiceAsyncStub | None = None,
) -> Reading:
    """Measure `count` >= 1 intervals. The driver is the product of the channels' means, NaN without channels. With an archive, the first
    intervals, as far as regime has forgotten their samples, come from there.

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
    heard = [answer for answer in measured if any(answer.covered_s)]
    provenance = {
        "kind": answers[-1].kind,
        "power_method": measured[0].power_method if measured else "",
        "own_credential": bool(heard) and all(answer.own_credential for answer in heard),
        "largest_delay_s": max((answer.largest_delay_s for answer in measured), default=0.0),
        "received_after_us": received_after_us,
    }
    found = _Measured(
        np.array([value for answer in answers for value in answer.energy]),
        np.array([value for answer in answers for value in answer.covered_s]),
        _means(answers, channels),
    )
    if archive is not None:
        forgotten = found.forgotten(interval_s)
        for first in range(0, forgotten, page):
            span = (start_us + first * interval_s * MICROSECONDS, interval_s, min(page, forgotten - first))
            archived = await read_archived(archive, source, *span, channels, answers[-1].power_kind)
            if count_used := found.fill(first, archived):
                _note(provenance, count_used, archived.own_credential, heard=bool(heard))
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = found.energy_j * (interval_s / found.covered_s)
    whole[found.covered_s < MIN_COVERED * interval_s] = np.nan
    driver = found.means.prod(axis=0) if channels else np.full(count, np.nan)
    intervals = Intervals(start_us, interval_s, whole, driver)
    return Reading(intervals, provenance, to_us(answers[-1].clock), answers[-1].settled)


@dataclass(frozen=True, slots=True)
class _Measured:
    """n intervals: energy (n,) [J], covered part (n,) [s], means (channels, n). What regime does not know is filled in."""

    energy_j: NDArray[np.float64]
    covered_s: NDArray[np.float64]
    means: NDArray[np.float64]

    def forgotten(self, interval_s: int) -> int:
        """How many of the first intervals regime does not know whole: it forgets the oldest samples first."""
        known = np.flatnonzero(self.covered_s >= MIN_COVERED * interval_s)
        return int(known[0]) if known.size else self.covered_s.size

    def fill(self, first: int, archived: Archived) -> int:
        """Take intervals, from a place on, of which the archive knows more; returns how many."""
        better = np.flatnonzero(archived.covered_s > self.covered_s[first : first + archived.covered_s.size])
        self.energy_j[first + better] = archived.energy_j[better]
        self.covered_s[first + better] = archived.covered_s[better]
        self.means[:, first + better] = archived.means[:, better]
        return better.size


def _note(provenance: dict[str, Any], count: int, own_credential: bool, *, heard: bool) -> None:
    """Say that intervals came from the archive; `heard`: regime told of power in some of the others, or the archive did before."""
    heard = heard or "archived_intervals" in provenance
    provenance["archived_intervals"] = provenance.get("archived_intervals", 0) + count
    provenance["own_credential"] = own_credential and (provenance["own_credential"] or not heard)
    provenance["power_method"] = provenance["power_method"] or METHODS[provenance["kind"]]


def _means(answers: list[regime_pb2.MeasureIntervalsResponse], channels: tuple[str, ...]) -> NDArray[np.float64]:
    """(channels, n)."""
    found = [
        [value for answer in answers for column in answer.columns if column.name == name for value in column.values]
        for name in channels
    ]
    return np.reshape(found, (len(channels), sum(len(answer.energy) for answer in answers)))
