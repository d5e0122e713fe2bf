"""A server's stream that fails midway says so to REST clients in a last message; and a request that is no message is refused as such."""

from typing import Any, ClassVar

import grpc
import pytest
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil_mesh.errors import Unavailable
from eil_mesh.settings import MeshSettings
from eil_mesh.stream_end import CAME_AS_REST, FIELD
from eil_mesh.testing import metadata, running, token
from google.protobuf import unknown_fields
from google.rpc import code_pb2, status_pb2

SERVICE = decision_pb2.DESCRIPTOR.services_by_name["DecisionService"].full_name


class Settings(MeshSettings):
    service: ClassVar[str] = "decision"


class Failing(decision_pb2_grpc.DecisionServiceServicer):
    """Streams a few actions, then fails."""

    def __init__(self, actions: int, error: Exception) -> None:
        self._actions, self._error = actions, error

    async def StreamActions(self, request, context):
        for _ in range(self._actions):
            yield decision_pb2.StreamActionsResponse(source="a")
        raise self._error


def serving(actions, error):
    """What builds a mesh that so streams; of other methods it has none."""
    kind: Any = Failing  # to the type checker it is abstract
    servicer = kind(actions, error)

    async def build(mesh):
        mesh.add(SERVICE, decision_pb2_grpc.add_DecisionServiceServicer_to_server, servicer)

    return build


async def streamed(folder, actions, error, *, rest):
    """The messages that came, and the error at the end."""
    build = serving(actions, error)
    headers = metadata(token(folder)) + (((CAME_AS_REST, "/v1/actions"),) if rest else ())
    async with (
        running(folder, Settings, build, budgets=False),
        grpc.aio.insecure_channel("unix:decision.sock") as channel,
    ):
        stub = decision_pb2_grpc.DecisionServiceStub(channel)
        came = []
        try:
            async for message in stub.StreamActions(decision_pb2.StreamActionsRequest(), metadata=headers):
                came.append(message)
        except grpc.aio.AioRpcError as error:
            return came, error
    raise AssertionError("the stream ended as if nothing had failed")


def told(message):
    """The status in the field that our contract does not have."""
    (field,) = unknown_fields.UnknownFieldSet(message)
    assert field.field_number == FIELD
    return status_pb2.Status.FromString(field.data)


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unavailable("gone", reason="STORE_FAILED"), "UNAVAILABLE"), (ValueError("a bug"), "INTERNAL")],
)
async def test_rest_is_told_in_a_last_message(tmp_path, error, code):
    came, failed = await streamed(tmp_path, 2, error, rest=True)
    *actions, last = came
    assert [action.source for action in actions] == ["a", "a"]
    assert code_pb2.Code.Name(told(last).code) == failed.code().name == code
    assert "a bug" not in told(last).message


async def test_grpc_has_its_trailers_and_no_more(tmp_path):
    came, failed = await streamed(tmp_path, 2, Unavailable("gone"), rest=False)
    assert len(came) == 2
    assert failed.code() is grpc.StatusCode.UNAVAILABLE


async def test_before_the_first_message_http_says_it_itself(tmp_path):
    came, failed = await streamed(tmp_path, 0, Unavailable("gone"), rest=True)
    assert not came
    assert failed.code() is grpc.StatusCode.UNAVAILABLE


async def test_what_is_no_message_is_the_callers_fault(tmp_path):
    build = serving(0, Unavailable("gone"))
    async with (
        running(tmp_path, Settings, build, budgets=False),
        grpc.aio.insecure_channel("unix:decision.sock") as channel,
    ):
        act = channel.unary_unary(f"/{SERVICE}/Act")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await act(b"\xff\xff\xff", metadata=metadata(token(tmp_path)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
