"""Who asked for what: a call of a method that the protos call `audited` leaves a record beside what it changes, in the same transaction.

So the record stands in the service's hash chain, under the same signed heads as the fact, and neither is there without the other. What a
refused call would have changed did not happen, and leaves none; the door's access log has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from eil.events.v1 import event_log_pb2

from eil_mesh.access import access_of
from eil_mesh.call import Call, current_call

if TYPE_CHECKING:
    from eil_mesh.store import Tx

T = TypeVar("T")
TOPIC: Final = "eil.audit.calls"


def audited(work: Callable[[Tx], T]) -> Callable[[Tx], T]:
    """The work, and with it the record of the call being served, if that is one to record and the work changes something."""
    call = current_call()
    access = access_of(call.method) if call else None
    if call is None or access is None or not access.audited:
        return work

    def recorded(tx: Tx) -> T:
        before, first = tx.conn.total_changes, tx.journal.head.offset + 1
        value = work(tx)
        if tx.conn.total_changes - before > sum(tx.asides):
            record = _record(call, range(first, tx.journal.head.offset + 1))
            tx.journal.append(tx.now_us, call.principal.tenant, TOPIC, key_of(call.principal.subject), record)
        return value

    return recorded


def key_of(subject: str) -> str:
    """The key of a subject's records. No source is called so: erasing a source never takes what somebody did."""
    return f"@{subject}"


def _record(call: Call, offsets: range) -> event_log_pb2.AuditRecord:
    principal = call.principal
    return event_log_pb2.AuditRecord(
        method=call.method,
        subject=principal.subject,
        roles=sorted(principal.roles),
        service=principal.service or "",
        request_id=call.request_id,
        offsets=offsets,
        baggage=call.baggage,
    )
