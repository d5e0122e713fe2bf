"""Reading what was kept: an hour of a source at a time, from its segments and from what arrived since.

Every segment is read as an object, whole and checked against its SHA-256: what is lost or altered is an error, never a gap.
"""

import asyncio
from collections.abc import AsyncIterator, Collection

from eil_mesh import metrics
from eil_mesh.clock import iso
from eil_mesh.errors import DataLoss
from eil_mesh.store import Connection, Store

from eil_atlas import objects, recorder, segment_index
from eil_atlas.domain.content import HOUR_US, Content, content_of, hour_of, merge, without
from eil_atlas.domain.segments import Samples, SegmentError, decode
from eil_atlas.recorder import Arrivals, Hour, Told
from eil_atlas.segment_index import Entry


class Archive:
    """Samples of every source."""

    def __init__(self, store: Store, contents: objects.Objects) -> None:
        self._store, self._contents = store, contents
        self._places = asyncio.Semaphore(objects.MOST_AT_WORK)

    async def hours(self, tenant: str, source: str, start_us: int, end_us: int) -> AsyncIterator[Hour]:
        """The hours that have something kept and overlap a span [µs], oldest first."""
        next_us: int | None = hour_of(start_us)
        while next_us is not None:
            span = (tenant, source, next_us, end_us)
            next_us = await self._store.read(
                lambda conn, span=span: conn.execute(
                    "SELECT min(hour_us) FROM (SELECT min(hour_us) AS hour_us FROM segments WHERE tenant = ? AND source = ?"
                    " AND hour_us >= ? AND hour_us < ? UNION ALL SELECT min(hour_us) FROM open_hours WHERE tenant = ?"
                    " AND source = ? AND hour_us >= ? AND hour_us < ?) AS found",
                    (*span, *span),
                ).fetchone()[0]
            )
            if next_us is not None:
                yield Hour(tenant, source, next_us)
                next_us += HOUR_US

    async def read(self, hour: Hour, channels: Collection[str] = ()) -> Told:
        """The samples of an hour, in order of time; of some channels, or of all (none given).

        Raises:
            DataLoss: part of them is lost or damaged.
            Unavailable: the server that keeps them is away.
        """
        entries, arrived = await self._kept(hour)
        parts: list[Samples] = []
        own = all(entry.own_credential for entry in entries)
        for entry in entries:
            if wanted := entry.names & set(channels) if channels else entry.names:
                parts.append(await self.segment(entry, wanted))
        if arrived.payloads:
            fresh = await asyncio.to_thread(arrived.read)
            own &= fresh.own_credential
            found = fresh.samples.channels.items()
            kept = {name: values for name, values in found if not channels or name in channels}
            parts.append(Samples(fresh.samples.times_us, kept))
        return Told(await asyncio.to_thread(merge, [(part.times_us, part.channels) for part in parts]), own)

    async def segment(self, entry: Entry, channels: Collection[str]) -> Samples:
        """What a segment has of some of its channels; nothing if it was deleted for its age in this moment.

        Raises:
            DataLoss: it is lost or damaged.
            Unavailable: the server that keeps it is away.
        """
        try:
            async with self._places:
                return await asyncio.to_thread(self._decode, entry, sorted(channels))
        except (DataLoss, SegmentError) as error:
            still = await self._store.read(lambda conn: segment_index.named(conn, entry.tenant, entry.digest))
            if not still:
                return merge([])
            metrics.SEGMENTS_LOST.inc()
            raise DataLoss(
                f"samples of {entry.source} between {iso(entry.first_us)} and {iso(entry.last_us)} are lost, and no answer is given for "
                f"that hour: {error}",
                reason="SEGMENT_LOST",
            ) from error

    def _decode(self, entry: Entry, channels: list[str]) -> Samples:
        return decode(self._contents.get(entry.tenant, entry.digest), channels)

    async def digest(self, tenant: str, source: str, start_us: int, end_us: int) -> dict[int, Content]:
        """Count and digest of the samples kept of each hour [µs] that overlaps a span, from the index and what arrived since.

        Raises:
            DataLoss, Unavailable: as `read`; only of hours that have both segments and arrivals.
        """
        return {hour.begin_us: await self.content(hour) async for hour in self.hours(tenant, source, start_us, end_us)}

    async def content(self, hour: Hour) -> Content:
        """Count and digest of the samples kept of an hour. Raises as `digest`."""
        entries, arrived = await self._kept(hour)
        content = sum((entry.content for entry in entries), Content())
        if arrived.payloads:
            fresh = (await asyncio.to_thread(arrived.read)).samples
            for entry in entries:
                fresh = without(fresh, await self.segment(entry, entry.names & fresh.channels.keys()))
            content += content_of(fresh)
        return content

    async def hours_kept(self, tenant: str, source: str) -> list[int]:
        """Begin [µs] of every hour of a source that has something kept, oldest first."""
        ask = (
            "SELECT hour_us FROM segments WHERE tenant = ? AND source = ? UNION"
            " SELECT hour_us FROM open_hours WHERE tenant = ? AND source = ? ORDER BY hour_us"
        )
        key = (tenant, source)
        return await self._store.read(lambda conn: [row[0] for row in conn.execute(ask, (*key, *key))])

    async def segments(self, hour: Hour) -> list[Entry]:
        """The segments of an hour."""
        return await self._store.read(lambda conn: segment_index.of_hour(conn, hour.tenant, hour.source, hour.begin_us))

    async def _kept(self, hour: Hour) -> tuple[list[Entry], Arrivals]:
        """Segments of an hour, and what arrived and is in none of them."""

        def look(conn: Connection) -> tuple[list[Entry], Arrivals]:
            # In this order: what the cutter moves meanwhile is seen twice, not missed, and then left out by its offset.
            arrived = recorder.waiting(conn, hour)
            entries = segment_index.of_hour(conn, hour.tenant, hour.source, hour.begin_us)
            return entries, arrived.after(entries[-1].through if entries else 0)

        return await self._store.read(look)
