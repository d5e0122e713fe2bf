"""What a call can end with: a class for each gRPC code, and one place where answers of the mesh become errors."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import grpc
import httpx
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"
BUDGET_KEY = "x-eil-budget-left"
HTTP_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""gRPC code of an HTTP status, for answers that say no more than that."""


class EilError(Exception):
    """A refusal or a failure, as the mesh said it or as the client met it."""

    code = "UNKNOWN"
    """Name of the gRPC code: the class says the same."""
    message: str
    """What happened, what it means, what to do."""
    reason: str
    """Stable, UPPER_SNAKE: docs/errors.md lists them. The code where nothing more is known, as of a connection that broke."""
    violations: dict[str, str]
    """Fields at fault, and what is wrong with each."""
    retry_after_s: float | None
    """When to try again [s], where waiting helps."""
    budget_left: float | None
    """What is left of the caller's budget [CEU], where it was the budget that did not suffice."""
    request_id: str
    """How the mesh's logs call the call; empty if no answer came."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        budget_left: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code
        self.violations = dict(violations or {})
        self.retry_after_s, self.budget_left, self.request_id = retry_after_s, budget_left, request_id

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class InvalidArgument(EilError):
    """The request breaks a rule whatever the state; `violations` names the fields."""

    code = "INVALID_ARGUMENT"


class OutOfRange(EilError):
    """A value lies outside what is accepted now."""

    code = "OUT_OF_RANGE"


class NotFound(EilError):
    """There is no such thing, or it is another tenant's."""

    code = "NOT_FOUND"


class AlreadyExists(EilError):
    """The id was used for something else."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(EilError):
    """The state does not allow it; repeating alone does not help."""

    code = "FAILED_PRECONDITION"


class Unauthenticated(EilError):
    """Nobody knows who is asking: no token, or one that is not valid."""

    code = "UNAUTHENTICATED"


class PermissionDenied(EilError):
    """The caller is known and may not."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(EilError):
    """A queue, budget or balance is used up."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(EilError):
    """Not now; trying again may help."""

    code = "UNAVAILABLE"


class DeadlineExceeded(EilError):
    """The deadline passed; what was stored by then stays stored."""

    code = "DEADLINE_EXCEEDED"


class DataLoss(EilError):
    """Stored data is not what was stored."""

    code = "DATA_LOSS"


class Unimplemented(EilError):
    """The mesh has no such method: it is older than this client, or serves less."""

    code = "UNIMPLEMENTED"


class Internal(EilError):
    """A bug in the mesh, or an answer that is none."""

    code = "INTERNAL"


class Aborted(EilError):
    """Somebody else changed the same thing at the same time."""

    code = "ABORTED"


class Cancelled(EilError):
    """The call was given up."""

    code = "CANCELLED"


_BY_CODE = {kind.code: kind for kind in (EilError, *EilError.__subclasses__())}


def make(code: str, message: str, **known: Any) -> EilError:
    """An error of the class that belongs to a gRPC code."""
    return _BY_CODE.get(code, EilError)(message, **known)


def of_rpc(error: grpc.RpcError) -> EilError:
    """What a failed gRPC call says."""
    call = cast(grpc.Call, error)  # errors of calls are calls, synchronous and asynchronous ones
    trailing = list(cast(Iterable[tuple[str, str | bytes]], call.trailing_metadata() or ()))
    code, message = call.code().name, str(call.details() or "the call failed, and nothing says why")
    for key, value in trailing:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return _of_status(code, message, status_pb2.Status.FromString(value), _budget(dict(trailing)))
            except DecodeError:
                break
    return make(code, message, budget_left=_budget(dict(trailing)))


def of_http(response: httpx.Response) -> EilError:
    """What an HTTP answer of 400 or more says; its body must have been read."""
    code = HTTP_CODES.get(response.status_code, "UNKNOWN")
    otherwise = f"{response.request.url} was answered with HTTP status {response.status_code}: {response.text[:400]}"
    try:
        return of_json(response.json(), code, otherwise, _budget(response.headers))
    except ValueError:
        return make(code, otherwise, budget_left=_budget(response.headers))


def of_json(tree: Any, code: str, message: str, budget_left: float | None = None) -> EilError:
    """What a google.rpc.Status written as JSON says, or an OAuth 2 error; `code` and `message` stand in for what it leaves out.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(tree, dict):
        raise ValueError(f"{tree!r} is no status")
    try:
        status = json_format.ParseDict(tree, status_pb2.Status(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ValueError(f"{tree!r} is no status") from error
    known = code_pb2.Code.Name(code_pb2.Code.ValueType(status.code)) if status.code else code
    return _of_status(known, status.message or str(tree.get("error_description") or message), status, budget_left)


def of_transport(error: httpx.HTTPError, doing: str) -> EilError:
    """What a request says that got no answer."""
    if isinstance(error, httpx.TimeoutException):
        return DeadlineExceeded(f"{doing} took too long ({error!r}); try again, or see that the mesh runs")
    return Unavailable(f"{doing} failed ({error!r}); see that the mesh runs and that the address and `ca` are its own")


def _of_status(code: str, message: str, status: status_pb2.Status, budget_left: float | None) -> EilError:
    known: dict[str, Any] = {"budget_left": budget_left}
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            known |= {"reason": info.reason, "request_id": info.metadata.get("request_id", "")}
        elif detail.Unpack(bad):
            known["violations"] = {each.field: each.description for each in bad.field_violations}
        elif detail.Unpack(retry):
            known["retry_after_s"] = retry.retry_delay.ToMilliseconds() / 1000
    return make(code, message, **known)


def _budget(headers: Mapping[str, Any]) -> float | None:
    try:
        return float(headers[BUDGET_KEY])
    except (KeyError, ValueError):
        return None
