"""The last message of a stream that failed midway, for REST clients: HTTP said 200 long ago, and they do not see gRPC's trailers.

It is an empty message of the stream's type with one field more, a google.rpc.Status, which the door's description of the types calls
`error`; gRPC clients never get it.
"""

from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2

from eil_mesh.call import current_call
from eil_mesh.errors import EilError
from eil_mesh.status import internal, status_of, to_status

FIELD = 536_870_911
"""Number of the field, the largest there is: no contract of ours has it."""
CAME_AS_REST = "x-envoy-original-path"
"""Metadata that the door gives to what it transcoded, and that nobody can bring along."""
M = TypeVar("M", bound=Message)
_LENGTH_DELIMITED = 2


async def told(error: Exception, last: Message | None, context: grpc.aio.ServicerContext) -> Exception:
    """Write what ends a stream, if it came as REST and something was written before; returns what the stream is to end with.

    Args:
        error: what the method raised.
        last: the message written before, or None if there was none: then HTTP has not said anything yet, and will say this.
        context: of the call.
    """
    metadata = dict(context.invocation_metadata() or ())
    if last is None or CAME_AS_REST not in metadata or isinstance(error, grpc.aio.AbortError):
        return error
    call = current_call()
    request_id = call.request_id if call else ""
    if isinstance(error, grpc.aio.AioRpcError):
        status = status_of(error)
    else:
        error = error if isinstance(error, EilError) else internal(error, request_id)
        status = to_status(error, request_id)
    await context.write(failure(type(last), status))
    return error


def failure(kind: type[M], status: status_pb2.Status) -> M:
    """The last message of a stream of this kind that ends with this status."""
    content = status.SerializeToString()
    return kind.FromString(_varint(FIELD << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
