"""What HTTP answers when it refuses: google.rpc.Status in JSON, as REST answers behind the same door."""

import math
import secrets
from collections.abc import Mapping
from typing import Any

import grpc
from eil_mesh.errors import DeadlineExceeded, EilError, Unavailable
from eil_mesh.layers import REQUEST_ID_HEADER
from eil_mesh.status import RETRY_KEY, internal, status_of, to_status
from google.protobuf.json_format import MessageToDict
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

HTTP_STATUS: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP status of each gRPC code; the rest are 500."""


class Unimplemented(EilError):
    """Nothing here does that."""

    code = "UNIMPLEMENTED"
    reason = "UNIMPLEMENTED"


def request_id_of(connection: HTTPConnection) -> str:
    """The id that the door gave the request, or a new one."""
    return connection.headers.get(REQUEST_ID_HEADER) or secrets.token_hex(8)


def body(error: EilError, request_id: str) -> dict[str, Any]:
    """`{"code", "message", "details"}` of an error."""
    return MessageToDict(to_status(error, request_id), preserving_proto_field_name=True)


def refusal(error: EilError, request_id: str, *, status: int | None = None) -> Response:
    """The HTTP response to an error; `status` where HTTP is more exact than the gRPC code."""
    headers = {"www-authenticate": "Bearer"} if error.code == "UNAUTHENTICATED" else {}
    if error.retry_after_s is not None:
        headers[RETRY_KEY] = str(math.ceil(error.retry_after_s))
    return JSONResponse(
        body(error, request_id), status_code=status or HTTP_STATUS.get(error.code, 500), headers=headers
    )


def on_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for whatever an endpoint raises, and for what it finds no endpoint for."""
    request_id = request_id_of(request)
    if isinstance(error, EilError):
        return refusal(error, request_id)
    if not isinstance(error, HTTPException):
        return refusal(internal(error, request_id), request_id)
    known = Unimplemented(
        f"there is nothing at {request.method} {request.url.path}; look the path up in the description of the API",
        reason="NO_SUCH_METHOD" if error.status_code == 405 else "NO_SUCH_PATH",
    )
    response = refusal(known, request_id, status=error.status_code)
    response.headers.update(error.headers or {})
    return response


def rpc_body(error: grpc.aio.AioRpcError, service: str, request_id: str) -> dict[str, Any]:
    """The same of what a service answered, or of its silence."""
    status = status_of(error)
    if status.details:
        return MessageToDict(status, preserving_proto_field_name=True)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        silence: EilError = DeadlineExceeded(
            f"the {service} service took too long; what it stored stays stored; ask again with the same request_id"
        )
    else:
        silence = Unavailable(f"the {service} service does not answer now ({error.code().name}); try again in a second")
    return body(silence, request_id)
