"""Asking other services, and saying plainly when one cannot be reached."""

from collections.abc import Awaitable
from typing import TypeVar

import grpc
from eil_mesh.errors import Unavailable
from eil_mesh.status import reason_of

T = TypeVar("T")
DEADLINE_S = 2.0
"""Longest time that another service may take."""
_REFUSED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
)


async def answer(peer: str, call: Awaitable[T]) -> T:
    """The answer of another service.

    Raises:
        Unavailable: it did not answer in time.
        grpc.aio.AioRpcError: any other status, as the other service said it.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
        raise Unavailable(f"the {peer} service does not answer now; try again", retry_after_s=1.0) from error


def refused_by_ledger(error: grpc.aio.AioRpcError) -> bool:
    """Whether the ledger refused for good, so that surely nothing moved; anything else may be tried again."""
    return error.code() in _REFUSED or reason_of(error) == "INSUFFICIENT_BALANCE"
