"""The cutter: what arrived becomes segments.

An hour is cut when its source's clock has passed it by the lateness, when it has grown too large, or when what arrived has waited too long
(its source fell silent). What comes for it afterwards makes a further segment of the hour, without what the earlier ones have.

Three steps: make the segment, put its file, and in one transaction index it and drop what arrived. A crash before the last leaves a file
without a row, which is swept later, and everything that arrived, which is cut anew; after it all is done.
"""

import asyncio
from dataclasses import dataclass

import structlog
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import DataLoss, Unavailable
from eil_mesh.store import Store, Tx

from eil_atlas import objects, recorder, segment_index
from eil_atlas.archive import Archive
from eil_atlas.domain.content import without
from eil_atlas.domain.segments import Samples, Segment, encode
from eil_atlas.recorder import Hour, Told

log = structlog.get_logger("eil.atlas")
LOOK_EVERY_S = 5.0
AWAY_S = 15.0
"""Pause after the place of objects refused."""
HOURS = 64
"""Hours looked up at a time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When an hour is cut; the fields are the service's settings of these names."""

    lateness_s: float
    segment_cells: int
    uncut_s: float


class Cutter:
    """Cuts hours, one after the other."""

    def __init__(self, store: Store, contents: objects.Objects, archive: Archive, clock: Clock, limits: Limits) -> None:
        self._store, self._contents, self._clock, self._limits = store, contents, clock, limits
        self.archive = archive
        """What it reads segments from."""
        self.alone = asyncio.Lock()
        """Held while an hour is cut: whoever puts back what an hour lost must not meet that."""

    async def run(self) -> None:
        """Cut what is due, for ever. Where objects cannot be put, what arrives waits."""
        while True:
            try:
                pause_s = 0.0 if await self.cut_due() else LOOK_EVERY_S
            except Unavailable as error:
                log.warning("segments wait to be cut", reason=error.message)
                pause_s = AWAY_S
            await asyncio.sleep(pause_s)

    async def cut_due(self) -> int:
        """Cut the hours that are due, some of them if there are many; returns how many there were.

        Raises:
            Unavailable: the place of objects or the store refused; what was not cut waits.
        """
        limits = self._limits
        older_than_us = self._clock.now_us() - round(limits.uncut_s * MICROSECONDS)
        lateness_us = round(limits.lateness_s * MICROSECONDS)
        hours = await self._store.read(
            lambda conn: recorder.due(conn, lateness_us, limits.segment_cells, older_than_us, HOURS)
        )
        for hour in hours:
            await self.cut(hour)
        return len(hours)

    async def cut(self, hour: Hour) -> None:
        """Make a segment of what arrived for an hour, at most `segment_cells` of it or one record.

        Raises:
            Unavailable: the place of objects or the store refused; nothing changed.
        """
        async with self.alone:
            await self._cut(hour)

    async def _cut(self, hour: Hour) -> None:
        arrived = await self._store.read(lambda conn: recorder.waiting(conn, hour, self._limits.segment_cells))
        told = await asyncio.to_thread(arrived.read)
        samples = await self._fresh(hour, told.samples)
        segment = await asyncio.to_thread(encode, samples.times_us, samples.channels) if samples.times_us.size else None
        if segment is not None:
            await asyncio.to_thread(self._contents.put, hour.tenant, segment.content)
        await self._store.write(
            lambda tx: _index(tx, hour, arrived.through, Told(samples, told.own_credential), segment)
        )
        metrics.SEGMENT_SAMPLES.inc(0 if segment is None else segment.summary.samples)

    async def _fresh(self, hour: Hour, samples: Samples) -> Samples:
        """The samples that no segment of the hour has. One that is lost has none: a read tells of it."""
        for known in await self._store.read(
            lambda conn: segment_index.of_hour(conn, hour.tenant, hour.source, hour.begin_us)
        ):
            try:
                held = await self.archive.segment(known, known.names & samples.channels.keys())
            except DataLoss as error:
                log.error("segment lost", source=hour.source, hour_us=hour.begin_us, reason=error.message)
                continue
            samples = await asyncio.to_thread(without, samples, held)
        return samples


def _index(tx: Tx, hour: Hour, through: int, told: Told, segment: Segment | None) -> None:
    if segment is not None:
        key = (hour.tenant, hour.source, hour.begin_us, through)
        new = segment_index.entry(*key, told.samples, segment, told.own_credential)
        objects.register(tx, hour.tenant, new.digest, segment_index.MEDIA_TYPE, new.size)
        segment_index.add(tx, new)
    recorder.forget(tx, hour, through)
