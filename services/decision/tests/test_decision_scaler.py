"""A whole conversation of KEDA with the external scaler, over mutual TLS; its certificate opens this interface alone, and no other does."""

import asyncio
import itertools
import socket
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import grpc
import pytest
from eil.decision.v1 import decision_pb2_grpc
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_gateway.keys import service_certificates
from eil_mesh.access import methods
from eil_mesh.tls import channel_credentials
from externalscaler import externalscaler_pb2, externalscaler_pb2_grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc

OURS = externalscaler_pb2.ScaledObjectRef(name="web", namespace="shop", scalerMetadata={"source": "plant"})
SCALER = externalscaler_pb2.DESCRIPTOR.services_by_name["ExternalScaler"]
CALLS = {path: GetMessageClass(method.input_type) for path, method in methods(SCALER)}


@pytest.fixture
def certificates(tmp_path):
    service_certificates(tmp_path / "tls", ["decision", "proof", "bridge", "gateway", "keda"])
    return tmp_path / "tls"


@pytest.fixture
async def meshed(serve, certificates):
    """The service on TCP with mutual TLS; operators reach it through the gateway's certificate. Also `connect(name)`: a channel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"localhost:{probe.getsockname()[1]}"

    @asynccontextmanager
    async def connect(name):
        async with grpc.aio.secure_channel(address, channel_credentials(certificates / name)) as channel:
            yield channel

    async with (
        serve(tls_dir=certificates / "decision", listen=address, lease_s=600.0) as world,
        connect("gateway") as door,
    ):
        world.stub = decision_pb2_grpc.DecisionServiceStub(door)
        yield world, connect


async def size(stub, reference=OURS):
    request = externalscaler_pb2.GetMetricsRequest(scaledObjectRef=reference, metricName="eil-target-servers")
    (value,) = (await stub.GetMetrics(request)).metricValues
    assert value.metricName == "eil-target-servers"
    assert value.metricValue == value.metricValueFloat
    return value.metricValue


async def test_a_scaled_object_follows_what_is_emitted(meshed, refused):
    world, connect = meshed
    async with connect("keda") as channel:
        keda: Any = externalscaler_pb2_grpc.ExternalScalerStub(channel)
        (spec,) = (await keda.GetMetricSpec(OURS)).metricSpecs
        assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("eil-target-servers", 1, 1.0)

        newer = channel.unary_stream("/externalscaler.ExternalScaler/StreamMetricSpec")
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await first(newer(OURS.SerializeToString()))
        assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED, "KEDA then asks GetMetricSpec"

        assert await refused(keda.IsActive(OURS)) == "NOTHING_EMITTED", "inactive would let KEDA scale to zero"
        await world.act(12, 9)  # advised: it never leaves
        assert await refused(size(keda)) == "NOTHING_EMITTED"

        pushed = asyncio.Queue()

        async def listen():
            async for told in keda.StreamIsActive(OURS):
                pushed.put_nowait(told.result)

        listener = asyncio.create_task(listen())
        await world.mode("auto")
        await world.act(12, 10)
        assert await asyncio.wait_for(pushed.get(), 30)
        assert (await keda.IsActive(OURS)).result
        assert await size(keda) == 10

        world.pass_time(599)
        assert await size(keda) == 10
        world.pass_time(1)
        assert await size(keda) == 12, "the lease has lapsed: back to the size before"
        assert (await keda.IsActive(OURS)).result

        await world.act(10, 9)
        assert await asyncio.wait_for(pushed.get(), 30)
        assert await size(keda) == 9
        await world.act(9, 8, mode="advise")
        assert await size(keda) == 9, "advice moves nothing"

        await world.stop()
        assert await asyncio.wait_for(pushed.get(), 30), "KEDA is told at once"
        assert await size(keda) == 10
        assert not (await world.act(10, 8)).emitted
        await world.release()
        assert await size(keda) == 10, "a stop has ended the lease for good"

        await world.act(10, 9)
        assert await size(keda) == 9
        await world.mode("advise")
        assert await size(keda) == 10
        listener.cancel()


async def test_an_approved_action_is_followed_from_its_approval_on(meshed, refused):
    world, connect = meshed
    async with connect("keda") as channel:
        keda: Any = externalscaler_pb2_grpc.ExternalScalerStub(channel)
        await world.mode("approve")
        waiting = await world.act(12, 10)
        assert await refused(size(keda)) == "NOTHING_EMITTED"
        await world.approve(waiting.prediction_id)
        assert await size(keda) == 10


async def test_metadata_name_tenant_and_source(meshed, refused):
    world, connect = meshed
    async with connect("keda") as channel:
        keda: Any = externalscaler_pb2_grpc.ExternalScalerStub(channel)
        await world.mode("auto", tenant="acme")
        await world.act(12, 7, tenant="acme")
        acme = externalscaler_pb2.ScaledObjectRef(scalerMetadata={"source": "plant", "tenant": "acme"})
        assert await size(keda, acme) == 7
        assert await refused(size(keda)) == "NOTHING_EMITTED", "another tenant's source of the same name"
        nameless = externalscaler_pb2.ScaledObjectRef(name="web", scalerMetadata={"tenant": "acme"})
        for call in (keda.GetMetricSpec(nameless), keda.IsActive(nameless), size(keda, nameless)):
            assert await refused(call) == "INVALID_ARGUMENT"


@pytest.mark.parametrize("name", ["proof", "bridge", "decision", "gateway"])
async def test_nobody_else_reaches_the_interface(meshed, refused, name):
    world, connect = meshed
    async with connect(name) as channel:
        for path, kind in CALLS.items():
            for sent in ((), world.auth("admin"), (("x-eil-service", "keda"), ("x-eil-tenant", "default"))):
                call = channel.unary_stream(path) if "Stream" in path else channel.unary_unary(path)
                reason = await refused(first(call(kind().SerializeToString(), metadata=sent)))
                assert reason == (
                    "TOKEN_MISSING" if name == "gateway" and sent != world.auth("admin") else "ROLE_NOT_ALLOWED"
                )


async def test_its_certificate_opens_nothing_else(meshed, refused):
    world, connect = meshed
    contract = import_module("eil.decision.v1.decision_pb2").DESCRIPTOR.services_by_name["DecisionService"]
    others = {path: method for path, method in methods(contract)}
    assert len(others) >= 9
    async with connect("keda") as channel:
        for (path, method), sent in itertools.product(
            others.items(), ((), world.auth("admin"), (("x-eil-service", "proof"), ("x-eil-tenant", "default")))
        ):
            call = channel.unary_stream(path) if method.server_streaming else channel.unary_unary(path)
            request = GetMessageClass(method.input_type)().SerializeToString()
            assert await refused(first(call(request, metadata=sent))) == "ROLE_NOT_ALLOWED", path
        journal = event_log_pb2_grpc.EventLogServiceStub(channel)
        call = journal.Subscribe(event_log_pb2.SubscribeRequest(from_offset=1), metadata=world.auth("admin"))
        assert await refused(first(call)) == "ROLE_NOT_ALLOWED"
        reflection = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        assert await refused(first(reflection(iter([b""])))) == "ROLE_NOT_ALLOWED"
        health: Any = health_pb2_grpc.HealthStub(channel)
        told = await health.Check(health_pb2.HealthCheckRequest())
        assert told.status == health_pb2.HealthCheckResponse.SERVING, "health is public"


async def first(call):
    """The answer of a call, or the first of a stream."""
    if hasattr(call, "__aiter__"):
        async for answer in call:
            return answer
    return await call
