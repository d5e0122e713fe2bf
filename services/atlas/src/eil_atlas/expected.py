"""What the Atlas must hold, learned anew: the regime service's journal is read once more, by the same code, into a store of its own.

The journal forgets payloads: those of old telemetry, and those of deleted sources. What they said is not known any more, nor which hours
they spoke of. But no sample comes later than its source's clock less the lateness: they spoke of none behind the oldest sample that is
told since, plus the lateness. From the next whole hour on a source's history is known.
"""

import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh import erasure, event_log
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.store import Connection, Store, Tx
from google.protobuf.message import DecodeError

from eil_atlas import following, tables
from eil_atlas.answers import Answers
from eil_atlas.archive import Archive
from eil_atlas.changes import END_OF_TIME_US
from eil_atlas.domain.content import HOUR_US, hour_of
from eil_atlas.journal_reader import JournalReader
from eil_atlas.learn import POWER, TELEMETRY_TOPIC, UTILISATION
from eil_atlas.objects import Objects
from eil_atlas.store_graph import StoreGraph

Key = tuple[str, str]
"""Tenant and source."""


@dataclass(slots=True)
class History:
    """What is told of a source since its last entry that says nothing any more (or since reading began). Times [µs]."""

    whole: bool
    """Nothing is lacking."""
    first_us: int = END_OF_TIME_US
    """Its oldest sample."""
    last_us: int = 0
    """Its newest."""
    power_rows: int = 0
    """Samples that states follow from; so many tell the sample period as well as all."""
    sure_us: int = 0
    """When they were enough for that."""

    def add(self, record: regime_pb2.TelemetryRecord) -> None:
        """Take a record into account."""
        self.first_us = min([self.first_us, *record.times_us])
        self.last_us = max([self.last_us, *record.times_us])
        if self.power_rows <= tables.NEIGHBOURS and any(one.name in (POWER, UTILISATION) for one in record.columns):
            self.power_rows += len(record.times_us)
            self.sure_us = self.last_us

    def known_us(self, lateness_us: int) -> int:
        """Begin of the first hour from which all is known."""
        if self.whole:
            return 0
        if self.first_us == END_OF_TIME_US or 0 < self.power_rows <= tables.NEIGHBOURS:
            return END_OF_TIME_US
        return hour_of(max(self.first_us + lateness_us, self.sure_us)) + HOUR_US


class Expected:
    """A scratch store that follows the journal, when it is told to.

    Args:
        folder: where the store lies; emptied first, and gone after `close`.
        schema: the service's tables.
        reader: the journal.
        sends_power: sources known to have sent power: what the journal no longer says of them.
        source: the one to learn about; "" is all.
        after: offset behind which reading begins; what came before is not known.
    """

    def __init__(
        self,
        folder: Path,
        schema: str,
        clock: Clock,
        contents: Objects,
        lateness_s: float,
        reader: JournalReader,
        sends_power: set[Key],
        source: str = "",
        after: int = 0,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._folder, self._reader, self._source = folder, reader, source
        self.store = Store(folder / "expected.db", event_log.SCHEMA + schema, clock, durable=False)
        graph = StoreGraph(self.store)
        self.answers, self.archive = Answers(self.store, graph), Archive(self.store, contents)
        self._handle = following.Handler(graph, lateness_s).handle
        self._lateness_us, self._sends_power = round(lateness_s * MICROSECONDS), sends_power
        self.offset, self.entries, self._begun = after, 0, after > 0
        self.histories: dict[Key, History] = {}

    def close(self) -> None:
        """Take all of it away."""
        self.store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def advance(self) -> AsyncGenerator[tuple[int, int], None]:
        """Learn on to where the journal ends now; yields entries read and entries there are. Close it after use.

        Raises:
            Unavailable: the journal does not answer.
        """
        read = 0
        async with aclosing(self._reader.pages(self.offset)) as pages:
            async for page, left in pages:
                await self.store.write(lambda tx, page=page: self._learn(tx, page))
                self.offset, read = page[-1].offset, read + len(page)
                self.entries += len(page)
                yield read, read + left

    def known_us(self, key: Key) -> int:
        """Begin of the first hour of a source that is known [µs]; of one that the journal never named, the beginning of time."""
        history = self.histories.get(key)
        return history.known_us(self._lateness_us) if history else 0

    async def clock_us(self, key: Key) -> int:
        """The source's clock [µs]; 0 if the journal told none."""
        return (await self.store.read(lambda conn: tables.find_source(conn, *key))).clock_us

    async def count(self, table: str) -> int:
        """Rows of one of the store's tables."""
        return await self.store.read(lambda conn: conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def _learn(self, tx: Tx, page: list[event_log_pb2.Event]) -> None:
        for event in page:
            if self._source and event.key != self._source:
                continue
            self._note(tx.conn, event)
            if event.payload:
                self._handle(tx, event)

    def _note(self, conn: Connection, event: event_log_pb2.Event) -> None:
        key = (event.tenant, event.key)
        if event.topic == erasure.TOPIC:
            self.histories[key] = History(whole=True)  # what came before is to be gone
        elif event.topic == TELEMETRY_TOPIC:
            history = self.histories.get(key)
            if not event.payload or (history is None and self._begun):
                self.histories[key] = history = History(whole=False)
                if key in self._sends_power:
                    source = tables.find_source(conn, *key)
                    source.sends_power = True
                    tables.save_source(conn, source)
            elif history is None:
                self.histories[key] = history = History(whole=True)
            if event.payload and not history.whole:
                history.add(_record(event))


def _record(event: event_log_pb2.Event) -> regime_pb2.TelemetryRecord:
    try:
        return regime_pb2.TelemetryRecord.FromString(event.payload)
    except DecodeError:  # the handler logs it
        return regime_pb2.TelemetryRecord()
