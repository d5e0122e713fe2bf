"""What goes with a source that was deleted: its verdicts and verifications, but for those that the ledger has yet to be told of."""

from eil.events.v1 import event_log_pb2
from eil_mesh import erasure
from eil_mesh.store import Tx


def erase_source(tx: Tx, event: event_log_pb2.Event) -> None:
    """Handle an entry of `erasure.TOPIC`.

    A verdict whose reward is not booked yet, and a verification whose bonus is still reserved or due, stay: what was earned is paid. An
    open verification stays, too: it ends unproven, since its source has no samples any more.
    """
    of = (event.tenant, event.key)
    tx.conn.execute("DELETE FROM open_predictions WHERE tenant = ? AND source = ?", of)
    tx.conn.execute("DELETE FROM verdicts WHERE tenant = ? AND source = ? AND booked <> 0", of)
    tx.conn.execute(
        "DELETE FROM verifications WHERE tenant = ? AND source = ? AND open = 0 AND NOT EXISTS"
        " (SELECT 1 FROM bonuses b WHERE b.tenant = verifications.tenant AND b.id = verifications.id AND b.due <> '')",
        of,
    )
    erasure.mark(tx, *of)
