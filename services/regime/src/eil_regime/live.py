"""What is remembered of sources between batches. What the store holds of a source stands for the same."""

from dataclasses import dataclass, field

import numpy as np
from eil_mesh.clock import MICROSECONDS
from eil_mesh.store import Connection

from eil_regime import sources, tails
from eil_regime.batch import Batch
from eil_regime.domain.detector import Detector
from eil_regime.domain.physics_branch import PhysicsBranch
from eil_regime.domain.verdict import Trace
from eil_regime.recent import Recent
from eil_regime.sources import Source
from eil_regime.tails import Tail

REMEMBERED_BYTES = 512 * 1024 * 1024
"""Memory of all sources together, by their arrays; those that were silent longest are forgotten first."""
REMEMBERED_SAMPLES = 16_384
"""Newest samples of a source kept in memory; where the window holds more, it is read from the store."""
_OBJECTS = 8192
"""What a source's Python objects take beside its arrays [bytes], about."""


@dataclass(slots=True)
class Live:
    """One source as its newest batch left it."""

    samples: int
    """The source's samples at that moment: after a transaction undone the number does not fit."""
    detector: Detector
    physics: PhysicsBranch
    tail: Tail = field(default_factory=Tail)
    recent: Recent | None = None
    """The window that the energy state was last taken from."""
    nbytes: int = 0


class Memory:
    """The sources that are remembered."""

    def __init__(self) -> None:
        self._live: dict[int, Live] = {}
        self._nbytes = 0

    def recall(self, conn: Connection, source: Source) -> Live:
        """What is known of the source, taken out of memory: it is to be kept anew once all went well."""
        live = self._live.pop(source.id, None)
        if live is not None:
            self._nbytes -= live.nbytes
            if live.samples == source.samples:
                return live
        state, physics_state = sources.detector_state(conn, source.id), sources.physics_state(conn, source.id)
        live = Live(
            source.samples,
            Detector.load(state) if state else Detector(),
            PhysicsBranch.load(physics_state) if physics_state else PhysicsBranch(),
            tails.find(conn, source.id),
        )
        for piece in live.tail.pieces():
            show(live.detector, Batch(piece.times_us, tuple(source.channels[c] for c in piece.channels), piece.values))
        return live

    def newest(self, source: Source, channel: str) -> tuple[float, float] | None:
        """Time [s] and value of the newest sample of a channel of the energy state; None where memory has none."""
        live = self._live.get(source.id)
        if live is None or live.recent is None or live.samples != source.samples:
            return None
        return live.recent.newest(channel)

    def keep(self, source: Source, live: Live) -> None:
        """Remember the source, and forget others if it is too much."""
        live.samples = source.samples
        live.nbytes = live.detector.nbytes + len(live.tail.body) + (live.recent.nbytes if live.recent else 0) + _OBJECTS
        self._live[source.id] = live
        self._nbytes += live.nbytes
        while self._nbytes > REMEMBERED_BYTES and len(self._live) > 1:
            self._nbytes -= self._live.pop(next(iter(self._live))).nbytes


def show(detector: Detector, batch: Batch) -> Trace | None:
    """Show a detector the rows that are ahead of all it has seen; None if there are none."""
    times_s = batch.times_us / MICROSECONDS
    begin = 0
    if times_s[0] <= detector.clock_s:
        begin = int(np.searchsorted(times_s, detector.clock_s, side="right"))
        if begin == times_s.size:
            return None
    columns = {name: column[begin:] for name, column in zip(batch.channels, batch.values, strict=True)}
    return detector.advance(times_s[begin:], columns)
