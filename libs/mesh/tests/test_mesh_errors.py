"""The error tree on the wire: what a client learns of an error, and what it does not."""

import inspect

import grpc
import pytest
import structlog
from eil.decision.v1 import decision_pb2
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh import errors
from eil_mesh.errors import DOMAIN, EilError, InvalidArgument, NotFound, ResourceExhausted, as_invalid_argument
from eil_mesh.status import reason_of
from google.rpc import code_pb2, error_details_pb2

TREE = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, EilError)]
ASK = regime_pb2.GetStatusRequest()


def raising(error):
    async def method(request, context):
        raise error

    return method


class AskRegime:
    """A method that asks another service."""

    def peers_of(self, mesh):
        self.peers = mesh.peers

    async def __call__(self, request, context):
        await self.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime").GetStatus(ASK)


@pytest.fixture
def ask_regime():
    return AskRegime()


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
async def test_every_error_becomes_a_rich_status(serve, auth, refusal, kind):
    error = kind("what happened; what to do", violations={"source": "is wrong"}, retry_after_s=1.5)
    async with serve("regime", GetStatus=raising(error)) as regime:
        told = await refusal(regime.stub.GetStatus(ASK, metadata=(*auth("viewer"), ("x-request-id", "r-1"))))
    assert told.code == getattr(grpc.StatusCode, kind.code)
    assert told.message == told.status.message == "what happened; what to do"
    assert told.status.code == code_pb2.Code.Value(kind.code)
    assert (told.info.reason, told.info.domain, told.info.metadata["request_id"]) == (kind.reason, DOMAIN, "r-1")
    assert told.fields == {"source": "is wrong"}
    assert told.detail(error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 1500


async def test_a_status_says_no_more_than_the_error(serve, auth, refusal):
    async with serve("regime", GetStatus=raising(NotFound("no such source", reason="SOURCE_UNKNOWN"))) as regime:
        told = await refusal(regime.stub.GetStatus(ASK, metadata=auth("viewer")))
    assert told.reason == "SOURCE_UNKNOWN"
    assert len(told.status.details) == 1
    assert told.info.metadata["request_id"] != ""


def test_codes_and_reasons_of_the_tree_are_stable():
    assert len(TREE) == 12
    for kind in TREE:
        assert hasattr(grpc.StatusCode, kind.code)
        assert kind.reason == kind.code  # a subclass without a reason of its own would borrow its parent's
        assert kind.__doc__


async def test_an_unexpected_exception_leaks_nothing_and_stands_in_the_log(serve, auth, refusal):
    with structlog.testing.capture_logs() as logs:
        async with serve("regime", GetStatus=raising(ValueError("password is hunter2"))) as regime:
            told = await refusal(regime.stub.GetStatus(ASK, metadata=(*auth("viewer"), ("x-request-id", "r-2"))))
    assert (told.code, told.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert b"hunter2" not in told.status.SerializeToString()
    assert "ValueError" not in told.message
    logged = next(entry for entry in logs if entry["event"] == "unexpected error")
    assert logged["error_id"] in told.message
    assert str(logged["exc_info"]) == "password is hunter2"
    assert logged["request_id"] == "r-2"


async def test_a_peers_error_passes_through_as_the_peer_said_it(serve, auth, refusal, ask_regime):
    error = InvalidArgument("no", reason="SOURCE_ODD", violations={"source": "is odd"}, retry_after_s=3)

    async with (
        serve("regime", GetStatus=raising(error)),
        serve("decision", GetDecision=ask_regime, also=ask_regime.peers_of) as decision,
    ):
        call = decision.stub.GetDecision(
            decision_pb2.GetDecisionRequest(prediction_id="p"),
            metadata=(*auth("viewer"), ("x-request-id", "r-3")),
        )
        told = await refusal(call)
    assert (told.code, told.message, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "no", "SOURCE_ODD")
    assert told.fields == {"source": "is odd"}
    assert told.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 3
    assert told.info.metadata["request_id"] == "r-3"


async def test_a_peers_bug_is_not_told_on(serve, auth, refusal, ask_regime):
    async with (
        serve("regime", GetStatus=raising(ZeroDivisionError("deep inside"))),
        serve("decision", GetDecision=ask_regime, also=ask_regime.peers_of) as decision,
    ):
        request = decision_pb2.GetDecisionRequest(prediction_id="p")
        told = await refusal(decision.stub.GetDecision(request, metadata=auth("viewer")))
    assert told.code == grpc.StatusCode.INTERNAL
    assert "error id" in told.message
    assert "deep" not in told.message


async def test_reason_of_reads_what_the_server_wrote(serve, auth):
    async with serve("regime", GetStatus=raising(ResourceExhausted("full", reason="QUEUE_FULL"))) as regime:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await regime.stub.GetStatus(ASK, metadata=auth("viewer"))
    assert reason_of(caught.value) == "QUEUE_FULL"


async def test_many_violations_still_reach_the_client(serve, auth, refusal):
    """HTTP/2 clients refuse trailers above 8-16 KiB: what does not fit must not turn the answer into another error."""
    names = [f"{i:03d}" + "n" * 60 for i in range(256)]
    request = regime_pb2.SenseRequest(source="plant", telemetry={name: float("nan") for name in names})
    request.timestamp.GetCurrentTime()
    async with serve("regime") as regime:
        told = await refusal(regime.stub.Sense(request, metadata=auth("agent")))
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert 10 <= len(told.fields) < 256
    assert set(told.fields) <= {f"telemetry[{name}]" for name in names}
    assert "and 255 more fields" in told.message


async def test_long_messages_still_reach_the_client(serve, auth, refusal):
    error = NotFound(f"source {'é' * 20_000!r} was never seen", violations={"é" * 9000: "d" * 9000})
    async with serve("regime", GetStatus=raising(error)) as regime:
        told = await refusal(
            regime.stub.GetStatus(ASK, metadata=(*auth("viewer"), ("x-request-id", "r" * 6000))),
        )
    assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert told.message.startswith("source 'éé")
    assert told.message.endswith("…")


def test_what_domain_code_refuses_is_an_invalid_argument():
    with pytest.raises(InvalidArgument) as caught, as_invalid_argument("horizon_s"):
        raise ValueError("horizon_s is negative; give seconds ahead")
    assert caught.value.message == "horizon_s is negative; give seconds ahead"
    assert caught.value.violations == {"horizon_s": "horizon_s is negative; give seconds ahead"}
    with pytest.raises(KeyError), as_invalid_argument("horizon_s"):
        raise KeyError("not the caller's fault")
