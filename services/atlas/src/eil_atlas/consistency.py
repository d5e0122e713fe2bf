"""Whether log, graph and segments agree, when that is looked at, and what is repaired.

While one looks, events are under way: journal and Atlas are never read in the same moment. An hour that differs is therefore looked at
again, after both have moved on. A difference stands once it is the same at two looks, one after the other: what lay between journal and
Atlas at the first was handled on both sides at the second. An hour that keeps changing is not known.
"""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from eil.events.v1 import event_log_pb2_grpc
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import ResourceExhausted, Unavailable
from eil_mesh.follower import Follower
from eil_mesh.store import Connection

from eil_atlas.comparison import Comparison, Difference, Kind, Sides, sources_kept
from eil_atlas.cutter import Cutter
from eil_atlas.domain.content import HOUR_US, hour_of
from eil_atlas.expected import Expected, Key
from eil_atlas.journal_reader import JournalReader
from eil_atlas.mending import Mender
from eil_atlas.objects import Objects
from eil_atlas.recorder import Hour

LOOKS, LOOK_S = 5, 2.0
"""Further looks at what differs, at most, and the time before each [s]."""
BEHIND_S = 30.0
"""Longest wait for what the Atlas has not followed, or the graph has not got yet [s]."""
REPAIRS = 3
"""Attempts to repair an hour."""
RECORDED = 1000
"""Hours recorded in the graph before one waits for it."""
TAKES = frozenset({Kind.SAMPLES_ALTERED, Kind.STATES_SURPLUS})
"""Findings whose repair takes away what the journal does not have."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared, and what for."""

    tenant: str = ""
    """One tenant's sources; "" is every tenant's."""
    source: str = ""
    """One source; "" is all."""
    deep: bool = False
    """Read every segment."""
    repair: bool = False
    """Repair what is found."""
    take_away: bool = True
    """Repairs may take away what the journal does not have."""
    since_us: int = 0
    """Compare with what the journal has got since; 0 is all of it [µs]."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference that stood, and whether it is repaired."""

    kind: Kind
    hour: Hour
    expected: int
    found: int
    repaired: bool = False

    @property
    def message(self) -> str:
        """What it means, for people."""
        return self.kind.value.format(expected=f"{self.expected:,}", found=f"{self.found:,}")


@dataclass(slots=True)
class Summary:
    """What was looked at, and what came of it: see the contract."""

    entries: int = 0
    sources: int = 0
    hours: int = 0
    samples: int = 0
    states: int = 0
    unknown_hours: int = 0
    findings: int = 0
    repaired: int = 0


Part = Progress | Finding | Summary


class Validator:
    """Verifies, one scope at a time.

    Args:
        sides: what is compared with the journal.
        follower: the Atlas's follower of it.
        cutter: makes segments of what is put back.
        contents: where segments lie.
        journal: stub of the regime service's event log.
        scratch: folder for what is learned anew.
        schema: the service's tables.
        lateness_s: as the learner's.
        keep_s: how long both states and segments are kept.
    """

    def __init__(
        self,
        sides: Sides,
        follower: Follower,
        cutter: Cutter,
        contents: Objects,
        journal: event_log_pb2_grpc.EventLogServiceStub,
        clock: Clock,
        scratch: Path,
        schema: str,
        lateness_s: float,
        keep_s: float,
    ) -> None:
        self._sides, self._follower, self._cutter, self._contents = sides, follower, cutter, contents
        self._journal, self._clock, self._scratch, self._schema = journal, clock, scratch, schema
        self._lateness_s, self._keep_us = lateness_s, round(keep_s * MICROSECONDS)
        self._busy = False

    async def run(self, scope: Scope) -> AsyncGenerator[Part, None]:
        """Compare and, if that is wanted, repair: progress, findings, and the summary at the end. Close it after use.

        Raises:
            ResourceExhausted: another verification runs.
            Unavailable: journal, graph or the place of objects do not answer, or the Atlas is far behind.
        """
        if self._busy:
            raise ResourceExhausted(
                "another verification of the Atlas runs, and one at a time is enough for the machine; try again when it is done",
                reason="CONSISTENCY_RUNNING",
                retry_after_s=10.0,
            )
        self._busy, expected = True, None
        try:
            expected = await self._expected(scope)
            async with aclosing(self._verify(scope, expected)) as parts:
                async for part in parts:
                    yield part
        finally:
            if expected is not None:
                expected.close()
            self._busy = False

    async def _expected(self, scope: Scope) -> Expected:
        reader = JournalReader(self._journal, scope.tenant)
        after = await reader.begin_at(scope.since_us) if scope.since_us else 0
        sends_power = await self._sides.store.read(_sending_power)
        return Expected(
            self._scratch,
            self._schema,
            self._clock,
            self._contents,
            self._lateness_s,
            reader,
            sends_power,
            scope.source,
            after,
        )

    async def _verify(self, scope: Scope, expected: Expected) -> AsyncGenerator[Part, None]:
        async with aclosing(expected.advance()) as pages:
            async for done, total in pages:
                yield Progress("reading", done, total)
        if scope.repair:
            await self._sides.answers.graph.reclaim()
        await self._caught_up()
        oldest_us = hour_of(max(0, self._clock.now_us() - self._keep_us)) + 2 * HOUR_US
        lateness_us = round(self._lateness_s * MICROSECONDS)
        comparison = Comparison(self._sides, expected, lateness_us, max(0, oldest_us), deep=scope.deep)
        summary, differences = Summary(), list[Difference]()
        keys = await self._keys(scope, expected)
        for place, key in enumerate(keys, 1):
            compared = await comparison.of_source(key)
            summary.hours += compared.hours
            summary.samples += compared.samples
            summary.unknown_hours += compared.unknown
            differences += compared.differences
            yield Progress("comparing", place, len(keys))
        standing, restless = await self._standing(comparison, expected, differences)
        summary.unknown_hours += len({one.hour for one in restless})
        findings = [_finding(one, await comparison.kind_of(one)) for one in standing]
        if scope.repair and findings:
            mender = Mender(self._sides, self._cutter, expected)
            async with aclosing(self._repair(scope, comparison, expected, mender, findings, standing)) as steps:
                async for step in steps:
                    yield step
        for one in findings:
            yield one
        summary.entries, summary.sources, summary.states = expected.entries, len(keys), await expected.count("states")
        summary.findings, summary.repaired = len(findings), sum(one.repaired for one in findings)
        yield summary

    async def _keys(self, scope: Scope, expected: Expected) -> list[Key]:
        """Every source that either side knows; of a stretch of the journal, those that it names."""
        keys = set(expected.histories)
        if not scope.since_us:
            keys |= await self._sides.store.read(lambda conn: sources_kept(conn, scope.tenant))
        return sorted(key for key in keys if scope.source in ("", key[1]))

    async def _standing(
        self, comparison: Comparison, expected: Expected, differences: list[Difference]
    ) -> tuple[list[Difference], list[Difference]]:
        """The differences that were the same at two looks; and those that changed at each."""
        standing: list[Difference] = []
        for _ in range(LOOKS):
            if not differences:
                break
            await asyncio.sleep(LOOK_S)
            again = await self._look(comparison, expected, differences)
            before = set(differences)
            standing += [one for one in again if one in before]
            differences = [one for one in again if one not in before]
        return sorted(standing, key=lambda one: (one.hour, one.of_states)), differences

    async def _look(
        self, comparison: Comparison, expected: Expected, differences: list[Difference]
    ) -> list[Difference]:
        """What differs of these hours after journal and Atlas have moved on."""
        async with aclosing(expected.advance()) as pages:
            async for _ in pages:
                pass
        await self._caught_up()
        hours: dict[Key, set[int]] = defaultdict(set)
        for one in differences:
            hours[one.hour.tenant, one.hour.source].add(one.hour.begin_us)
        asked = {(one.hour, one.of_states) for one in differences}
        return [
            one
            for key, only in hours.items()
            for one in (await comparison.of_source(key, only)).differences
            if (one.hour, one.of_states) in asked
        ]

    async def _repair(
        self,
        scope: Scope,
        comparison: Comparison,
        expected: Expected,
        mender: Mender,
        findings: list[Finding],
        standing: list[Difference],
    ) -> AsyncGenerator[Progress, None]:
        """Repair what may be, compare it again, and note in `findings` what is as it should be now."""
        left = {
            place: one
            for place, one in enumerate(standing)
            if one.expected is not None and (scope.take_away or findings[place].kind not in TAKES)
        }
        for _ in range(REPAIRS):
            for done, one in enumerate(left.values(), 1):
                if one.of_states:
                    await mender.states(one.hour, take_away=scope.take_away)
                else:
                    await mender.samples(one.hour)
                if done % RECORDED == 0:
                    await self._caught_up()  # the graph's outbox takes so much and no more
                yield Progress("repairing", done, len(left))
            for tenant in {one.hour.tenant for one in left.values() if one.of_states}:
                await mender.topology(tenant)
            still = {(one.hour, one.of_states) for one in await self._look(comparison, expected, list(left.values()))}
            for place, one in list(left.items()):
                if (one.hour, one.of_states) not in still:
                    findings[place] = dataclasses.replace(findings[place], repaired=True)
                    del left[place]
            if not left:
                return

    async def _caught_up(self) -> None:
        """Wait until the Atlas has followed, and the graph got, what there was a moment ago.

        Raises:
            Unavailable: that takes too long, or the graph does not answer.
        """
        try:
            async with asyncio.timeout(BEHIND_S):
                head: int | None = None
                while True:
                    now = await self._follower.standing("")
                    head = now.head if head is None and not now.problem else head
                    if head is not None and not now.problem and (not now.entries or now.position >= head):
                        break
                    await asyncio.sleep(0.2)
                await self._sides.answers.graph.caught_up()
        except TimeoutError:
            raise Unavailable(
                "the Atlas is so far behind the journal, or the graph behind the Atlas, that they cannot be compared yet; try again when "
                "they have caught up (`eil events lag`)",
                reason="ATLAS_BEHIND",
                retry_after_s=10.0,
            ) from None


def _finding(one: Difference, kind: Kind) -> Finding:
    return Finding(kind, one.hour, one.expected[0] if one.expected else 0, one.found[0] if one.found else 0)


def _sending_power(conn: Connection) -> set[Key]:
    return {tuple(row) for row in conn.execute("SELECT tenant, name FROM sources WHERE sends_power = 1")}
