"""The error tree on the wire: EilError ⇄ google.rpc.Status."""

import math
import secrets
from collections.abc import Iterator, Mapping

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from eil_mesh.errors import DOMAIN, EilError

DETAILS_KEY = "grpc-status-details-bin"
RETRY_KEY = "retry-after"
"""Metadata that repeats RetryInfo in whole seconds; the door makes it the header of that name."""
BUDGET_KEY = "x-eil-budget-left"
"""What is left of the budget that did not suffice, CEU."""
PASSED = (DETAILS_KEY, RETRY_KEY, BUDGET_KEY)
"""Metadata of a peer's error that goes on to the caller."""
MESSAGE_BYTES, VIOLATIONS_BYTES, TEXT_BYTES = 800, 2800, 400
"""Most that a status says: its message, its violations together, one of their texts. Clients refuse metadata above 8 KiB, in which
the message stands twice, once percent-encoded."""
log = structlog.get_logger("eil.errors")


def to_status(error: EilError, request_id: str) -> status_pb2.Status:
    """The rich status of an error: ErrorInfo always, BadRequest and RetryInfo where there is something to say."""
    details: list[any_pb2.Any] = []

    def pack(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo) -> None:
        packed = any_pb2.Any()
        packed.Pack(message)
        details.append(packed)

    metadata = {"request_id": _cut(request_id, TEXT_BYTES)}
    pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    if error.violations:
        pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
                    for field, description in _that_fit(error.violations)
                ]
            )
        )
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        pack(error_details_pb2.RetryInfo(retry_delay=delay))
    message = _cut(error.message, MESSAGE_BYTES)
    return status_pb2.Status(code=code_pb2.Code.Value(error.code), message=message, details=details)


def from_status(status: status_pb2.Status) -> EilError:
    """The error that a status was made from, on the other side of the wire."""
    reason, violations, retry_after_s = None, {}, None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            violations = {one.field: one.description for one in bad.field_violations}
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    error = EilError(status.message, reason=reason, violations=violations, retry_after_s=retry_after_s)
    error.code = code_pb2.Code.Name(code_pb2.Code.ValueType(status.code))
    return error


def _cut(text: str, most: int) -> str:
    raw = text.encode(errors="replace")
    return text if len(raw) <= most else raw[: most - 3].decode(errors="ignore") + "…"


def _that_fit(violations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    room = VIOLATIONS_BYTES
    for field, description in violations.items():
        field, description = _cut(field, TEXT_BYTES), _cut(description, TEXT_BYTES)
        room -= len(field.encode()) + len(description.encode())
        if room < 0:
            return
        yield field, description


def internal(error: BaseException, request_id: str) -> EilError:
    """An opaque error for an unexpected exception, which is logged whole under the id that the caller sees."""
    error_id = secrets.token_hex(6)
    log.error("unexpected error", error_id=error_id, request_id=request_id, exc_info=error)
    return EilError(f"an unexpected error happened here; report it with error id {error_id}, which stands in the log")


async def abort(context: grpc.aio.ServicerContext, error: BaseException, request_id: str) -> None:
    """End the call with the error's status. A peer's error passes through as the peer said it."""
    if isinstance(error, grpc.aio.AioRpcError):
        trailing = [(key, value) for key, value in error.trailing_metadata() or () if key in PASSED]
        await context.abort(error.code(), error.details() or "", tuple(trailing))
    known = error if isinstance(error, EilError) else internal(error, request_id)
    status = to_status(known, request_id)
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    if known.retry_after_s is not None:
        trailing.append((RETRY_KEY, str(math.ceil(known.retry_after_s))))
    trailing += known.headers.items()
    await context.abort(getattr(grpc.StatusCode, known.code), status.message, tuple(trailing))


def trailing_of(error: grpc.RpcError) -> dict[str, str]:
    """The textual metadata that came with a peer's error, such as `RETRY_KEY`."""
    trailing = error.trailing_metadata() if isinstance(error, grpc.aio.AioRpcError) else None
    return {key: value for key, value in trailing or () if isinstance(value, str)}


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The status that a peer's error came with, with its details; of one that says nothing, its code and message."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return status_pb2.Status.FromString(value)
    return status_pb2.Status(code=error.code().value[0], message=error.details() or "")


def reason_of(error: grpc.RpcError) -> str:
    """The ErrorInfo reason that a peer gave, or "" if it gave none."""
    info = error_details_pb2.ErrorInfo()
    details = status_of(error).details if isinstance(error, grpc.aio.AioRpcError) else ()
    return info.reason if any(detail.Unpack(info) for detail in details) else ""
