"""The graph of states behind one interface: in the service's own store, or in Neo4j.

States and their roll-ups are the graph's; sources, shifts and topology stay in the store on either side, where they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eil_mesh.store import Tx

from eil_atlas.changes import Change
from eil_atlas.domain.spans import Group, Part
from eil_atlas.domain.windows import WINDOW_US

FORGET_ROWS = 20_000
"""Rows forgotten in one transaction, so that nobody waits long."""
ROLL_SPANS = 500
"""Hours or days rolled up in one transaction."""


@dataclass(frozen=True, slots=True)
class State:
    """A state of a source, or an hour or a day of them: begin [µs], energy [J], covered time [s], entropy [J/K].

    `previous_us` begins the one before, of the same length; None if there is none or nobody asked.
    """

    source: str
    start_us: int
    energy_j: float
    covered_s: float
    entropy: float
    power_method: str
    regime: str
    level_us: int = WINDOW_US
    states: int = 1
    previous_us: int | None = None


class Graph(Protocol):
    """What the graph does.

    Everything that reads raises Unavailable where the graph cannot be reached. Times are in µs, spans half-open.
    """

    def record(self, tx: Tx, tenant: str, changes: Sequence[Change]) -> None:
        """Record changes, in their order, in the transaction of what caused them.

        Raises:
            Unavailable: so much waits for the graph that no more is taken.
        """
        ...

    async def state_at(self, tenant: str, source: str, start_us: int, level_us: int = WINDOW_US) -> State | None:
        """The newest state (or hour, or day) of a source that begins at a moment or before it."""
        ...

    async def states(
        self,
        tenant: str,
        source: str,
        span: tuple[int, int],
        before: tuple[int, str],
        limit: int,
        level_us: int = WINDOW_US,
    ) -> list[State]:
        """States that begin in a span, of one source or (if "") of all, older than the place `before` (begin, source), newest first.

        With a longer `level_us` the roll-ups of hours or days; those that are being mended are left out.
        """
        ...

    async def standing(self, tenant: str, windows: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Which of these windows (source, begin) have a state."""
        ...

    async def rolled_us(self) -> int:
        """Hours and days that ended at this moment or before it are rolled up, apart from those that are being mended."""
        ...

    async def groups(
        self, tenant: str, source: str, found: Sequence[Part], origin_us: int, step_us: int
    ) -> list[Group]:
        """What the parts of a span hold, of one source or (if "") of all, by buckets of `step_us` that begin at `origin_us`. Exact: hours
        and days that are being mended are read from their states."""
        ...

    async def newest_us(self, tenant: str) -> int | None:
        """Begin of the tenant's newest state; None if it has no state."""
        ...

    async def roll(self, settled_us: int) -> int:
        """Roll up hours and days that ended at `settled_us` or before it, a limited number; returns how many, 0 when all is done."""
        ...

    async def forget(self, oldest_us: int, level_us: int = WINDOW_US) -> int:
        """Delete what begins before a moment and is of that length, a limited number; returns how many, 0 when all is gone."""
        ...

    async def reclaim(self) -> None:
        """Take up a graph that has more of this store's changes than the store itself, as after a restored backup: what is recorded from
        now on is applied again. What the graph has too much stays until it is compared. Raises Unavailable."""
        ...

    async def caught_up(self) -> None:
        """Wait until everything recorded so far can be read."""
        ...
