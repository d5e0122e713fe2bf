"""A service behind its front: what the front found good arrives as it came, in bundles; everything else ends where it should."""

import asyncio
import contextlib
from typing import Any, ClassVar

import grpc
import pytest
from eil.common.v1 import relay_pb2, relay_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh import front
from eil_mesh.call import acting_for, current_call
from eil_mesh.errors import OutOfRange
from eil_mesh.front import Behind, settings_of
from eil_mesh.server import Mesh
from eil_mesh.services import FRONTS, SERVICES
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import metadata, running, token
from google.rpc import error_details_pb2

(SENSE,) = SERVICES["regime"].fronted


class Settings(MeshSettings):
    service: ClassVar[str] = "regime"


class Regime(regime_pb2_grpc.RegimeServiceServicer):
    """Answers with what it knows of the call; sources called so are refused, or meet a bug."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def Sense(self, request, context):
        self.calls.append(current_call())
        await self.gate.wait()
        if request.source == "late":
            raise OutOfRange("too late", reason="TOO_LATE", violations={"timestamp": "too late"}, retry_after_s=2.0)
        if request.source == "bug":
            raise ValueError("a secret")
        return regime_pb2.SenseResponse(status=request.source)


@contextlib.asynccontextmanager
async def behind(folder, regime, bundles):
    """The service alone; the size of each bundle that it gets is noted."""

    class Counted(Behind):
        async def Relay(self, request, context):
            bundles.append(len(request.calls))
            return await super().Relay(request, context)

    async def build(mesh: Mesh[Any]) -> None:
        add: Any = relay_pb2_grpc.add_RelayServiceServicer_to_server
        mesh.add("eil.common.v1.RelayService", add, Counted("regime", regime))

    async with running(folder, Settings, build) as mesh:
        yield mesh


@pytest.fixture
async def world(tmp_path):
    """The service, its front, and a stub of the front."""
    kind: Any = Regime  # to the type checker it is abstract
    regime, bundles = kind(), []
    async with (
        behind(tmp_path, regime, bundles) as mesh,
        running(tmp_path, settings_of("regime"), front.build),
        grpc.aio.insecure_channel("unix:regime-front.sock") as channel,
    ):
        yield regime, bundles, regime_pb2_grpc.RegimeServiceStub(channel), mesh


def sample(source):
    request = regime_pb2.SenseRequest(source=source, telemetry={"power_draw": 1.0})
    request.timestamp.GetCurrentTime()
    return request


def headers(folder, *roles, **more):
    return (*metadata(token(folder, roles=list(roles or ["agent"]), tenant="acme", subject="ann")), *more.items())


def detail(error, kind):
    from google.rpc import status_pb2

    raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    for one in status_pb2.Status.FromString(raw).details:
        found = kind()
        if one.Unpack(found):
            return found
    raise AssertionError(f"no {kind}")


async def test_a_call_arrives_as_it_came(world, tmp_path):
    regime, _, stub, _ = world
    more = {"x-request-id": "r-1", "idempotency-key": "once", "baggage": "eil.goal=save"}
    answer = await stub.Sense(sample("dc-01"), metadata=(*headers(tmp_path), *more.items()))
    assert answer.status == "dc-01"
    (call,) = regime.calls
    assert (call.method, call.request_id, call.idempotency_key, dict(call.baggage)) == (
        SENSE,
        "r-1",
        "once",
        {"eil.goal": "save"},
    )
    principal = call.principal
    assert (principal.subject, principal.tenant, principal.roles, principal.service, principal.token) == (
        "ann",
        "acme",
        {"agent"},
        None,
        True,
    )


async def test_what_the_front_refuses_reaches_nobody(world, tmp_path):
    regime, _, stub, _ = world
    for request, own, code in (
        (sample("dc-01"), (), grpc.StatusCode.UNAUTHENTICATED),
        (sample("dc-01"), headers(tmp_path, "viewer"), grpc.StatusCode.PERMISSION_DENIED),
        (sample("no good name"), headers(tmp_path), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Sense(request, metadata=own)
        assert refused.value.code() is code
    assert not regime.calls


async def test_a_refusal_of_the_service_comes_back_whole(world, tmp_path):
    _, _, stub, _ = world
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Sense(sample("late"), metadata=(*headers(tmp_path), ("x-request-id", "r-2")))
    error = refused.value
    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "too late")
    info = detail(error, error_details_pb2.ErrorInfo)
    assert (info.reason, info.metadata["request_id"]) == ("TOO_LATE", "r-2")
    assert detail(error, error_details_pb2.BadRequest).field_violations[0].field == "timestamp"
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds == 2
    assert dict(error.trailing_metadata())["retry-after"] == "2"


async def test_calls_that_come_meanwhile_go_together_and_each_has_its_own_end(world, tmp_path):
    regime, bundles, stub, _ = world
    regime.gate.clear()
    own = headers(tmp_path)
    calls: list[Any] = [asyncio.ensure_future(stub.Sense(sample("first"), metadata=own))]
    while not regime.calls:
        await asyncio.sleep(0.01)
    names = ["a", "bug", "b", "late", "c"]
    calls += [asyncio.ensure_future(stub.Sense(sample(name), metadata=own)) for name in names]
    await asyncio.sleep(0.2)
    assert bundles == [1], "one bundle is under way at a time"
    regime.gate.set()
    ends: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert bundles == [1, 5]
    said = [end.code().name if isinstance(end, grpc.aio.AioRpcError) else end.status for end in ends]
    assert said == ["first", "a", "INTERNAL", "b", "OUT_OF_RANGE", "c"]
    assert "secret" not in str(ends[2])


async def test_a_caller_that_leaves_takes_nobody_along(world, tmp_path):
    regime, _, stub, _ = world
    regime.gate.clear()
    own = headers(tmp_path)
    leaving, staying = (asyncio.ensure_future(stub.Sense(sample(name), metadata=own)) for name in ("x", "y"))
    while not regime.calls:
        await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0.1)
    regime.gate.set()
    assert (await staying).status == "y"


async def test_nobody_else_may_relay(world, tmp_path):
    regime, _, _, _ = world
    bundle = relay_pb2.RelayRequest(
        calls=[relay_pb2.RelayedCall(method=SENSE, tenant="acme", subject="eve", roles=["admin"])]
    )
    async with grpc.aio.insecure_channel("unix:regime.sock") as channel:
        stub = relay_pb2_grpc.RelayServiceStub(channel)
        for own in (
            (),
            headers(tmp_path, "admin"),
            (("x-eil-service", "bridge"),),
            (*headers(tmp_path, "admin"), ("x-eil-service", "regime")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Relay(bundle, metadata=own)
            assert refused.value.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
    assert not regime.calls


async def test_only_what_is_fronted_is_relayed_and_roles_are_looked_at_again(world):
    regime, _, _, mesh = world
    put = "/eil.regime.v1.RegimeService/PutSource"
    calls = [
        relay_pb2.RelayedCall(method=put, tenant="acme", subject="ann", roles=["operator"]),
        relay_pb2.RelayedCall(method=SENSE, tenant="acme", subject="ann", roles=["viewer"]),
    ]
    with acting_for("regime", ""):
        answers = (
            await mesh.peers.stub(relay_pb2_grpc.RelayServiceStub, "regime").Relay(relay_pb2.RelayRequest(calls=calls))
        ).answers
    assert all(answer.status and not answer.response for answer in answers)
    assert not regime.calls


async def test_while_the_service_is_away_calls_are_unavailable_and_then_served_again(tmp_path):
    kind: Any = Regime
    async with (
        running(tmp_path, settings_of("regime"), front.build),
        grpc.aio.insecure_channel("unix:regime-front.sock") as channel,
    ):
        stub = regime_pb2_grpc.RegimeServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Sense(sample("a"), metadata=headers(tmp_path))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        async with behind(tmp_path, kind(), []):
            for _ in range(100):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    assert (await stub.Sense(sample("a"), metadata=headers(tmp_path))).status == "a"
                    break
                await asyncio.sleep(0.1)
            else:
                raise AssertionError("the front does not find the service again")


def test_fronts_are_named_after_their_services():
    assert FRONTS == {"regime-front": "regime"}


async def test_an_answer_too_few_lets_nobody_wait_for_ever(world, tmp_path, monkeypatch):
    """A front of one release before a service of another."""
    *_, stub, _ = world

    async def silent(self, request, context):
        return relay_pb2.RelayResponse()

    monkeypatch.setattr(Behind, "Relay", silent)
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await stub.Sense(sample("dc-01"), metadata=headers(tmp_path), timeout=5)
    assert told.value.code() is grpc.StatusCode.INTERNAL
