"""What is made of an event of the regime service's journal: one way, for the follower and for what is learned anew to be compared."""

import itertools
from collections.abc import Sequence

from eil.events.v1 import event_log_pb2
from eil_mesh import erasure
from eil_mesh.store import Tx

from eil_atlas import erased, recorder
from eil_atlas.graph import Graph
from eil_atlas.learn import TOPICS as LEARNT
from eil_atlas.learn import Learner
from eil_atlas.pages import joined

TOPICS = (*LEARNT, erasure.TOPIC)


class Handler:
    """Learns states, keeps samples, and erases sources; see `Learner` for the lateness [s]."""

    def __init__(self, graph: Graph, lateness_s: float) -> None:
        self._graph, self._learner = graph, Learner(graph, lateness_s)

    def handle(self, tx: Tx, event: event_log_pb2.Event) -> None:
        """Handle one event. Raises as `Learner.handle` does."""
        if event.topic == erasure.TOPIC:
            erased.handle(tx, self._graph, event)
        elif not erased.is_erased(tx.conn, event):
            self._learner.handle(tx, event)
            recorder.record(tx, event)

    def handle_page(self, tx: Tx, events: Sequence[event_log_pb2.Event]) -> None:
        """Handle events that came together: each is kept as it is, and learned from with its like. Raises as `handle` does."""
        for erasing, group in itertools.groupby(events, lambda event: event.topic == erasure.TOPIC):
            if erasing:
                for event in group:
                    erased.handle(tx, self._graph, event)
                continue
            kept = [event for event in group if not erased.is_erased(tx.conn, event)]
            for event in joined(kept):
                self._learner.handle(tx, event)
            for event in kept:
                recorder.record(tx, event)
