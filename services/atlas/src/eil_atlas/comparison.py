"""One source's settled hours as they are kept and as the journal says, by count and digest; and what kind of difference one is."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from eil_mesh.errors import DataLoss
from eil_mesh.store import Connection, Store

from eil_atlas.answers import PAGE, Answers
from eil_atlas.archive import Archive
from eil_atlas.changes import END_OF_TIME_US
from eil_atlas.domain.content import HOUR_US, Content, content_of, hour_of, without
from eil_atlas.domain.digest import HourDigest
from eil_atlas.expected import Expected, Key
from eil_atlas.graph import State
from eil_atlas.recorder import Hour

Figures = tuple[int, int, int]
"""Count and digest of samples, or of states (the last is 0 then)."""
NOTHING: Figures = (0, 0, 0)


class Kind(Enum):
    """What may be wrong with an hour; the values say it to people."""

    SAMPLES_MISSING = "the log has {expected} samples of this hour, and {found} are kept"
    SAMPLES_ALTERED = "the {found} samples kept are not the {expected} that the log has: some are there twice, altered, or unknown to it"
    STATES_MISSING = "{expected} states follow from the log, and the graph has {found}"
    STATES_SURPLUS = "the graph has {found} states, and only {expected} follow from the log"
    STATES_DIFFER = "the {found} states of the graph are not the {expected} that follow from the log"
    SEGMENT_DAMAGED = "a segment of this hour is lost or damaged where it is stored"


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared with the log."""

    store: Store
    archive: Archive
    answers: Answers


@dataclass(frozen=True, slots=True)
class Difference:
    """An hour whose samples, or states, are not those of the log.

    `expected` is None where the log does not tell, `found` where a file is lost.
    """

    hour: Hour
    of_states: bool
    expected: Figures | None
    found: Figures | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Of a source: hours compared, samples that the log tells of, hours of which it does not tell all, and the differences."""

    hours: int
    samples: int
    unknown: int
    differences: list[Difference]


class Comparison:
    """Compares with what was learned anew. `oldest_us`: nothing is kept before; `deep`: every segment is read."""

    def __init__(self, sides: Sides, expected: Expected, lateness_us: int, oldest_us: int, *, deep: bool) -> None:
        self._sides, self._expected, self._deep = sides, expected, deep
        self._lateness_us, self._oldest_us = lateness_us, oldest_us

    async def of_source(self, key: Key, only: Collection[int] | None = None) -> Compared:
        """Compare a source's settled hours; of hours (begins [µs]) `only`, where they are given.

        Raises:
            Unavailable: the graph, or the place of objects, does not answer.
        """
        expected, archive = self._expected, self._sides.archive
        known_us = max(expected.known_us(key), self._oldest_us)
        settled_us = hour_of(max(0, await self._clock_us(key) - self._lateness_us))
        logged = set(await expected.archive.hours_kept(*key))
        kept = {*await archive.hours_kept(*key), *logged}
        told = {us for us in kept if known_us <= us < settled_us}
        samples, found = 0, list[Difference]()
        for begin_us in sorted(kept if only is None else kept & set(only)):
            hour = Hour(*key, begin_us)
            content = await expected.archive.content(hour) if begin_us in logged else Content()
            samples += content.samples
            if begin_us in told:
                found += await self._of_samples(hour, _figures(content))
            elif self._deep and not await self._whole(hour):
                found.append(Difference(hour, False, None, None))
        if known_us < settled_us:
            found += await self._of_states(key, known_us, settled_us, only)
        return Compared(len(told), samples, sum(us < min(known_us, settled_us) for us in kept), found)

    async def kind_of(self, difference: Difference) -> Kind:
        """What kind of difference it is. Raises Unavailable."""
        hour, expected, found = difference.hour, difference.expected, difference.found
        if found is None or expected is None:
            return Kind.SEGMENT_DAMAGED
        if not difference.of_states:
            return await self._kind_of_samples(hour, Content(*expected))
        if not found[0] or not expected[0]:
            return Kind.STATES_SURPLUS if found[0] else Kind.STATES_MISSING
        there = await states_of(self._sides.answers, hour)
        wanted = await states_of(self._expected.answers, hour)
        if there.items() <= wanted.items():
            return Kind.STATES_MISSING
        return Kind.STATES_SURPLUS if wanted.items() <= there.items() else Kind.STATES_DIFFER

    async def _clock_us(self, key: Key) -> int:
        """The source's clock as the journal says; of a source that it never named, as the Atlas does."""
        if key in self._expected.histories:
            return await self._expected.clock_us(key)
        ask = "SELECT coalesce(max(clock_us), 0) FROM recorded WHERE tenant = ? AND source = ?"
        return await self._sides.store.read(lambda conn: conn.execute(ask, key).fetchone()[0])

    async def _of_samples(self, hour: Hour, expected: Figures) -> list[Difference]:
        try:
            found = _figures(await self._sides.archive.content(hour))
        except DataLoss:
            return [Difference(hour, False, expected, None)]
        if self._deep and not await self._whole(hour):
            return [Difference(hour, False, expected, None)]
        return [Difference(hour, False, expected, found)] if found != expected else []

    async def _whole(self, hour: Hour) -> bool:
        """Whether every segment of an hour holds what the index says."""
        for entry in await self._sides.archive.segments(hour):
            try:
                held = await self._sides.archive.segment(entry, entry.names)
            except DataLoss:
                return False
            if content_of(held) != entry.content and entry in await self._sides.archive.segments(hour):
                return False
        return True

    async def _of_states(self, key: Key, from_us: int, to_us: int, only: Collection[int] | None) -> list[Difference]:
        if only is not None:
            if not only:
                return []
            from_us, to_us = max(from_us, min(only)), min(to_us, max(only) + HOUR_US)
        expected = _by_hour(await self._expected.answers.digest(*key, from_us, to_us))
        found = _by_hour(await self._sides.answers.digest(*key, from_us, to_us))
        return [
            Difference(Hour(*key, us), True, expected.get(us, NOTHING), found.get(us, NOTHING))
            for us in sorted(expected.keys() | found.keys())
            if expected.get(us) != found.get(us) and (only is None or us in only)
        ]

    async def _kind_of_samples(self, hour: Hour, expected: Content) -> Kind:
        """Missing, if the samples kept and the log's others together are just the log's; altered otherwise."""
        try:
            kept = (await self._sides.archive.read(hour)).samples
        except DataLoss:
            return Kind.SEGMENT_DAMAGED
        told = (await self._expected.archive.read(hour)).samples
        lacking = content_of(without(told, kept))
        whole = content_of(kept) + lacking == expected
        return Kind.SAMPLES_MISSING if lacking.samples and whole else Kind.SAMPLES_ALTERED


async def states_of(answers: Answers, hour: Hour) -> dict[int, tuple[float, float, float, str, str]]:
    """The states of an hour by begin [µs]: energy [J], covered time [s], entropy [J/K], how power was known, regime."""
    span, before = (hour.begin_us, hour.begin_us + HOUR_US), (END_OF_TIME_US, "")
    found: list[State] = await answers.graph.states(hour.tenant, hour.source, span, before, PAGE)
    return {one.start_us: (one.energy_j, one.covered_s, one.entropy, one.power_method, one.regime) for one in found}


def sources_kept(conn: Connection, tenant: str) -> set[Key]:
    """Sources of which the Atlas keeps anything; of one tenant, or of all ("")."""
    found: set[Key] = set()
    for table, name in (("sources", "name"), ("recorded", "source"), ("segments", "source")):
        where, values = (" WHERE tenant = ?", (tenant,)) if tenant else ("", ())
        found |= {tuple(row) for row in conn.execute(f"SELECT DISTINCT tenant, {name} FROM {table}{where}", values)}
    return found


def _figures(content: Content) -> Figures:
    return content.samples, content.high, content.low


def _by_hour(found: list[HourDigest]) -> dict[int, Figures]:
    return {one.start_us: (one.states, one.digest, 0) for one in found}
