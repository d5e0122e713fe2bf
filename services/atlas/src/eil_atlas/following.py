"""What is made of an event of the regime service's journal: one way, for the follower and for what is learned anew to be compared."""

from collections.abc import Callable

from eil.events.v1 import event_log_pb2
from eil_mesh import erasure
from eil_mesh.store import Tx

from eil_atlas import erased, recorder
from eil_atlas.graph import Graph
from eil_atlas.learn import TOPICS as LEARNT
from eil_atlas.learn import Learner

TOPICS = (*LEARNT, erasure.TOPIC)


def handler(graph: Graph, lateness_s: float) -> Callable[[Tx, event_log_pb2.Event], None]:
    """Learns states, keeps samples, and erases sources; see `Learner` for the lateness [s]."""
    learner = Learner(graph, lateness_s)

    def handle(tx: Tx, event: event_log_pb2.Event) -> None:
        if event.topic == erasure.TOPIC:
            erased.handle(tx, graph, event)
        elif not erased.is_erased(tx.conn, event):
            learner.handle(tx, event)
            recorder.record(tx, event)

    return handle
