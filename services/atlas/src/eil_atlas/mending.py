"""Repairing an hour from the journal: its samples are recorded anew in place of what was kept, its states are recorded in the graph."""

from eil_mesh.store import Store, Tx

from eil_atlas import lifecycle, recorder, segment_index, topology
from eil_atlas.changes import END_OF_TIME_US, Change, Gone, StateRow, States
from eil_atlas.comparison import Sides, states_of
from eil_atlas.cutter import Cutter
from eil_atlas.expected import Expected
from eil_atlas.recorder import Arrivals, Hour

SHIFTS = 1000
"""Shifts recorded in one transaction."""


class Mender:
    """Repairs what differs. Doing it again changes nothing."""

    def __init__(self, sides: Sides, cutter: Cutter, expected: Expected) -> None:
        self._store: Store = sides.store
        self._sides, self._cutter, self._expected = sides, cutter, expected

    async def samples(self, hour: Hour) -> None:
        """Put the journal's records of an hour in the place of its segments and arrivals: the cutter makes one segment of them.

        Of two samples for one channel and time the first stands, as ever: nothing that the journal has is lost, nothing else stays.
        """
        arrived = await self._expected.store.read(lambda conn: recorder.waiting(conn, hour))
        clock_us = await self._expected.clock_us((hour.tenant, hour.source))
        through = self._expected.offset
        async with self._cutter.alone:
            await self._store.write(lambda tx: _record_anew(tx, hour, arrived, clock_us, through))

    async def states(self, hour: Hour, *, take_away: bool) -> None:
        """Record the states of an hour; take away those that do not follow from the journal, if that is wanted.

        Raises:
            Unavailable: so much waits for the graph that no more is taken.
        """
        wanted = await states_of(self._expected.answers, hour)
        there = await states_of(self._sides.answers, hour)
        changes: list[Change] = []
        if take_away and (surplus := sorted(there.keys() - wanted.keys())):
            changes.append(Gone(hour.source, surplus))
        if rows := [StateRow(us, *one) for us, one in sorted(wanted.items()) if there.get(us) != one]:
            changes.append(States(hour.source, rows))
        if changes:
            await self._store.write(lambda tx: self._sides.answers.graph.record(tx, hour.tenant, changes))

    async def topology(self, tenant: str) -> None:
        """Record places, links and shifts as the store has them: a graph that lost states may have lost them, too. Raises as `states`."""
        graph, store = self._sides.answers.graph, self._store
        known = [*await self._sides.answers.places(tenant), *await self._sides.answers.links(tenant)]
        if known:
            await store.write(lambda tx: graph.record(tx, tenant, known))
        before = (END_OF_TIME_US, "")
        while shifts := await store.read(
            lambda conn, before=before: topology.list_shifts(conn, tenant, "", before, SHIFTS)
        ):
            await store.write(lambda tx, shifts=shifts: graph.record(tx, tenant, shifts))
            before = (shifts[-1].detected_us, shifts[-1].source)


def _record_anew(tx: Tx, hour: Hour, arrived: Arrivals, clock_us: int, through: int) -> None:
    """Exchange what is kept of an hour for the journal's records, unless more than the journal was read for has come since."""
    key = (hour.tenant, hour.source, hour.begin_us)
    if segment_index.through(tx.conn, *key) > through:
        return
    for segment in segment_index.of_hour(tx.conn, *key):
        lifecycle.forget_segment(tx, segment)
    recorder.forget(tx, hour, through)
    recorder.put_back(tx, hour, arrived, clock_us)
