"""Request ids: the same id and body get the stored answer, another body is ALREADY_EXISTS. Kept 7 days.

The answer is stored in the transaction of the fact, so that a request counts once however often it is sent.
"""

import hashlib
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from eil_mesh.call import current_call
from eil_mesh.clock import MICROSECONDS
from eil_mesh.database import Connection
from eil_mesh.errors import AlreadyExists, InvalidArgument

if TYPE_CHECKING:
    from eil_mesh.store import Tx

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
  tenant TEXT NOT NULL,
  method TEXT NOT NULL,
  id TEXT NOT NULL,
  digest BLOB NOT NULL,
  response BLOB NOT NULL,
  created_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, method, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_by_age ON requests (created_us);
"""
KEEP_US = 7 * 24 * 3600 * MICROSECONDS
M = TypeVar("M", bound=Message)


def request_id(request: Message) -> str:
    """The id of a request: its `request_id`, else the call's Idempotency-Key, else "" (none).

    Raises:
        InvalidArgument: both are given and differ.
    """
    body = getattr(request, "request_id", "")
    call = current_call()
    header = call.idempotency_key if call else ""
    if body and header and body != header:
        raise InvalidArgument(
            "request_id and the Idempotency-Key header differ; send one of them",
            violations={"request_id": f"differs from the header's {header!r}"},
        )
    return body or header


def replayed(conn: Connection, tenant: str, request: Message, response: type[M]) -> M | None:
    """The answer stored for this request's id, or None if it is new or has no id.

    Raises:
        AlreadyExists: the id was used with another body.
    """
    key = request_id(request)
    if not key:
        return None
    row = conn.execute(
        "SELECT digest, response FROM requests WHERE tenant = ? AND method = ? AND id = ?",
        (tenant, request.DESCRIPTOR.full_name, key),
    ).fetchone()
    if row is None:
        return None
    if row[0] != _digest(request):
        raise AlreadyExists(
            f"request id {key!r} was used for another request; use a new id for a new request",
            reason="REQUEST_ID_REUSED",
        )
    return response.FromString(row[1])


def remember(tx: "Tx", tenant: str, request: Message, response: Message) -> None:
    """Store the answer under the request's id, if it has one, and forget what is older than 7 days."""
    if key := request_id(request):
        before = tx.conn.total_changes
        tx.conn.execute(
            "INSERT INTO requests VALUES (?,?,?,?,?,?)",
            (
                tenant,
                request.DESCRIPTOR.full_name,
                key,
                _digest(request),
                response.SerializeToString(),
                tx.now_us,
            ),
        )
        tx.conn.execute("DELETE FROM requests WHERE created_us < ?", (tx.now_us - KEEP_US,))
        tx.asides.append(tx.conn.total_changes - before)


def _digest(request: Message) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
