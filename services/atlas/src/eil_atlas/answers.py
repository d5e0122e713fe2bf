"""Questions to the graph, answered alike whichever side keeps it: states, roll-ups and what the topology says of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import NotFound
from eil_mesh.store import Store, Tx
from numpy.typing import NDArray

from eil_atlas import topology
from eil_atlas.changes import END_OF_TIME_US, Link, Place, Shift
from eil_atlas.domain import embedding, trace
from eil_atlas.domain.digest import HourDigest, by_hour, state_hash
from eil_atlas.domain.spans import Span, fold, parts
from eil_atlas.domain.windows import WINDOW_US, window_start_us
from eil_atlas.graph import Graph, State

MOST_SHIFTS = 5000
"""Shifts that one question about origins reads."""
MOST_COMPARED = 20_000
"""States that one state is compared with."""
PAGE = 5000
"""States read at once."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A shift that may explain another: how long before it [s], how many links away, and its score."""

    shift: Shift
    before_s: float
    hops: int
    score: float


@dataclass(frozen=True, slots=True)
class Consumer:
    """A source's energy in a span [J], its covered time [s], and its mean power over that of the span before, less 1."""

    source: str
    energy_j: float
    covered_s: float
    trend: float | None


class Answers:
    """Answers about one mesh's graph. Spans are half-open, in µs, and cover whole windows."""

    def __init__(self, store: Store, graph: Graph) -> None:
        self.store, self.graph = store, graph

    async def energies(self, tenant: str, start_us: int, end_us: int, step_s: float, source: str = "") -> list[Span]:
        """What each source did in each step of a span, of one source or (if "") of all, by source and time; steps without a state are left
        out. Whole hours and days come from the roll-ups."""
        step_us = round(step_s * MICROSECONDS)
        found = parts(start_us, end_us, await self.graph.rolled_us(), step_us)
        return fold(await self.graph.groups(tenant, source, found, start_us, step_us))

    async def sums(self, tenant: str, start_us: int, end_us: int, source: str = "") -> list[Span]:
        """What each source did in a span."""
        return await self.energies(tenant, start_us, end_us, (end_us - start_us) / MICROSECONDS, source)

    async def links(self, tenant: str) -> list[Link]:
        """The tenant's topology."""
        return await self.store.read(lambda conn: topology.links(conn, tenant, ("", "", ""), topology.MOST_LINKS))

    async def places(self, tenant: str) -> list[Place]:
        """Where the tenant's sources stand."""
        return await self.store.read(lambda conn: topology.places(conn, tenant))

    async def put_links(self, tenant: str, links: Sequence[Link]) -> None:
        """Draw links. Raises ResourceExhausted, Unavailable."""

        def put(tx: Tx) -> None:
            topology.put_links(tx, tenant, links)
            self.graph.record(tx, tenant, links)

        await self.store.write(put)

    async def delete_links(self, tenant: str, links: Sequence[Link]) -> int:
        """Take links away; returns how many were there. Raises Unavailable."""

        def delete(tx: Tx) -> int:
            if gone := topology.delete_links(tx, tenant, links):
                self.graph.record(tx, tenant, gone)
            return len(gone)

        return await self.store.write(delete)

    async def state_at(self, tenant: str, source: str, time_us: int, level_us: int = WINDOW_US) -> State:
        """The state (or hour, or day) that holds a moment, else the newest before. Raises NotFound."""
        start_us = time_us - time_us % level_us
        if (state := await self.graph.state_at(tenant, source, start_us, level_us)) is None:
            raise NotFound(
                f"{source!r} has no state at that moment or before it; check the name, or ask for a later moment",
                reason="STATE_NOT_FOUND",
            )
        return state

    async def path(
        self, tenant: str, source: str, start_us: int, end_us: int, limit: int
    ) -> list[tuple[topology.Stretch, Span | None]]:
        """The stretches of a source in a span, oldest first, each with what it did in the windows whose last microsecond lies in it."""
        found = await self.store.read(lambda conn: topology.stretches(conn, tenant, source, start_us, end_us, limit))
        path: list[tuple[topology.Stretch, Span | None]] = []
        for stretch in found:
            begin_us, finish_us = window_start_us(stretch.start_us), window_start_us(stretch.end_us)
            sums = await self.sums(tenant, begin_us, finish_us, source) if begin_us < finish_us else []
            path.append((stretch, sums[0] if sums else None))
        return path

    async def trace(
        self, tenant: str, source: str, shift_id: str, within_s: float, hops: int, limit: int
    ) -> tuple[Shift, list[Origin], bool]:
        """A shift, the shifts that may explain it, and whether all in the time looked at were read. Raises NotFound."""
        shift = await self.store.read(lambda conn: topology.find_shift(conn, tenant, source, shift_id))
        if shift is None:
            raise NotFound(
                f"{source!r} has no shift {shift_id!r}" if shift_id else f"{source!r} has no shift",
                reason="SHIFT_NOT_FOUND",
            )
        within_us = round(within_s * MICROSECONDS)
        earlier = await self.store.read(
            lambda conn: topology.shifts_within(
                conn, tenant, shift.detected_us - within_us, shift.detected_us + 1, MOST_SHIFTS
            )
        )
        near = trace.hops_from(source, ((link.source, link.to_source) for link in await self.links(tenant)), hops)
        origins = [
            Origin(other, before_s, near[other.source], trace.score(before_s, within_s, near[other.source]))
            for other in earlier
            if other.source in near
            for before_s in ((shift.detected_us - other.detected_us) / MICROSECONDS,)
        ]
        origins.sort(key=lambda origin: (-origin.score, origin.shift.source, -origin.shift.detected_us))
        return shift, origins[:limit], len(earlier) < MOST_SHIFTS

    async def flow(self, tenant: str, start_us: int, end_us: int) -> list[tuple[Link, float]]:
        """Energy [J] over each link: that of the source it leads to, shared among the links of its kind that lead there by weight."""
        carrying = [link for link in await self.links(tenant) if link.kind != "adjacent"]
        taken = {span.source: span.energy_j for span in await self.sums(tenant, start_us, end_us)}
        weights: dict[tuple[str, str], float] = {}
        for link in carrying:
            key = (link.to_source, link.kind)
            weights[key] = weights.get(key, 0.0) + link.weight
        return [
            (link, taken.get(link.to_source, 0.0) * link.weight / weights[link.to_source, link.kind])
            for link in carrying
        ]

    async def top(self, tenant: str, start_us: int, end_us: int, limit: int) -> tuple[list[Consumer], float]:
        """The sources that took the most energy in a span, and the energy of all [J]."""
        now = await self.sums(tenant, start_us, end_us)
        before = {span.source: span for span in await self.sums(tenant, 2 * start_us - end_us, start_us)}
        greatest = sorted(now, key=lambda span: (-span.energy_j, span.source))[:limit]
        consumers = [
            Consumer(span.source, span.energy_j, span.covered_s, _trend(span, before.get(span.source)))
            for span in greatest
        ]
        return consumers, sum(span.energy_j for span in now)

    async def similar(
        self, tenant: str, target: State, among: str, span: tuple[int, int], limit: int
    ) -> tuple[list[tuple[State, float]], int, bool]:
        """States alike to one, with their distances; how many were compared; whether those were all of the span."""
        found: list[State] = []
        before = (END_OF_TIME_US, "")
        while len(found) < MOST_COMPARED:
            page = await self.graph.states(tenant, among, span, before, PAGE, target.level_us)
            found += page
            if len(page) < PAGE:
                break
            before = (page[-1].start_us, page[-1].source)
        complete = len(found) < MOST_COMPARED
        others = [state for state in found if (state.source, state.start_us) != (target.source, target.start_us)]
        if not others:
            return [], len(found), complete
        away = embedding.distances(_vectors([target])[0], _vectors(others))
        nearest = np.lexsort((np.arange(away.size), away))[:limit]
        return [(others[i], float(away[i])) for i in nearest.tolist()], len(found), complete

    async def digest(self, tenant: str, source: str, start_us: int, end_us: int) -> list[HourDigest]:
        """Count and digest of a source's states of each hour of a span: the same on either side of the graph."""
        hashes: list[tuple[int, int]] = []
        before = (END_OF_TIME_US, "")
        while True:
            page = await self.graph.states(tenant, source, (start_us, end_us), before, PAGE)
            hashes += [(one.start_us, _hash(one)) for one in page]
            if len(page) < PAGE:
                return by_hour(hashes)
            before = (page[-1].start_us, page[-1].source)


def _hash(state: State) -> int:
    return state_hash(state.start_us, state.energy_j, state.covered_s, state.entropy, state.power_method, state.regime)


def _vectors(states: Sequence[State]) -> NDArray[np.float64]:
    return embedding.vectors(
        [state.start_us for state in states],
        [state.energy_j for state in states],
        [state.covered_s for state in states],
        [state.entropy for state in states],
        states[0].level_us,
    )


def _trend(now: Span, before: Span | None) -> float | None:
    if before is None or before.energy_j <= 0 or before.covered_s <= 0 or now.covered_s <= 0:
        return None
    return (now.energy_j / now.covered_s) / (before.energy_j / before.covered_s) - 1
