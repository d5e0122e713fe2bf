"""Where the parts of sources are kept: a row a source, written with the samples that they led to."""

from collections.abc import Mapping, Sequence
from itertools import islice

from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import FailedPrecondition
from eil_mesh.store import Store, Tx

from eil_regime import deletion, sources
from eil_regime.doors.intake import Intake
from eil_regime.doors.parts import Assembly, Reading, Tally
from eil_regime.ingest import Delivery, Ingest
from eil_regime.refusals import Limits

SCHEMA = """
CREATE TABLE IF NOT EXISTS doors (
  source_id INTEGER PRIMARY KEY REFERENCES sources (id) ON DELETE CASCADE,
  state BLOB NOT NULL
) STRICT;
"""
TOGETHER = 64
"""Sources of one transaction: others are not held up by a large request."""


class Doors:
    """Takes what the doors read.

    Args:
        max_part_w: largest power of a part that is believed [W].
        max_sources: sources of a tenant, beyond which the doors open no more.
    """

    def __init__(self, store: Store, ingest: Ingest, limits: Limits, max_part_w: float, max_sources: int) -> None:
        self._store, self._ingest, self._limits = store, ingest, limits
        self._max_part_w, self._max_sources = max_part_w, max_sources

    async def take(self, tenant: str, sender: str, intake: Intake) -> Tally:
        """Store what was read, durably; returns what became of every point. Sent again, it changes nothing."""
        tally = intake.tally
        waiting = iter(intake.readings.items())
        while some := dict(islice(waiting, TOGETHER)):
            tally.add(await self._store.write(lambda tx, some=some: self._take(tx, tenant, sender, some)))
        return tally

    def _take(self, tx: Tx, tenant: str, sender: str, readings: Mapping[str, Sequence[Reading]]) -> Tally:
        tally, deliveries = Tally(), list[Delivery]()
        for name, own in readings.items():
            try:
                source = sources.find_source(tx.conn, tenant, name) or self._open(tx, tenant, name)
            except FailedPrecondition as error:
                tally.refuse(error.message, len(own))
                continue
            row = tx.conn.execute("SELECT state FROM doors WHERE source_id = ?", (source.id,)).fetchone()
            assembly = Assembly.load(row[0]) if row else Assembly()
            rows = assembly.take(self._timely(tx, source, own, tally), self._max_part_w, tally)
            state = assembly.dump()
            if row is None or row[0] != state:
                tx.conn.execute(
                    "INSERT INTO doors VALUES (?,?) ON CONFLICT (source_id) DO UPDATE SET state = excluded.state",
                    (source.id, state),
                )
            if rows is not None:
                deliveries.append(Delivery(name, rows, assembly.power_kind))
        for outcome in self._ingest.take_many(tx, tenant, deliveries, sender):
            if outcome.refused:
                tally.refuse(outcome.refusals[0].message, outcome.refused)
        return tally

    def _open(self, tx: Tx, tenant: str, name: str) -> sources.Source:
        """A source that is there before its first sample, since its parts are.

        Raises:
            FailedPrecondition: a source of that name was deleted a short while ago, or the tenant has too many.
        """
        deletion.check_open(tx, tenant, name)
        count = tx.conn.execute("SELECT count(*) FROM sources WHERE tenant = ?", (tenant,)).fetchone()[0]
        if count >= self._max_sources:
            raise FailedPrecondition(
                f"there are {count} sources already and {name!r} would be one more; name sources by host, not by process or pod"
            )
        return sources.open_source(tx.conn, tenant, name)

    def _timely(self, tx: Tx, source: sources.Source, readings: Sequence[Reading], tally: Tally) -> list[Reading]:
        """The readings whose samples would be taken: one of the far future would make all that follow look late."""
        limits = self._limits
        latest_us = tx.now_us + round(limits.future_s * MICROSECONDS)
        earliest_us = tx.now_us - round(limits.oldest_s * MICROSECONDS)
        if source.clock_us is not None:
            earliest_us = max(earliest_us, source.clock_us - round(limits.lateness_s * MICROSECONDS))
        good = [reading for reading in readings if earliest_us <= reading.time_us <= latest_us]
        if len(good) < len(readings):
            tally.refuse(
                f"points of {source.name!r} lie more than {limits.future_s:.0f} s ahead, or more than {limits.lateness_s:.0f} s behind its "
                "newest sample; check the agent's clock",
                len(readings) - len(good),
            )
        return good
