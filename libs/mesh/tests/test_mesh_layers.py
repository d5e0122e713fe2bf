"""What stands around every method: deadline, validation, request ids, figures; for calls and streams alike."""

import asyncio
from collections import deque
from typing import Any

import grpc
import pytest
from eil.decision.v1 import decision_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh import metrics
from eil_mesh.call import caller, current_call
from eil_mesh.errors import NotFound, PermissionDenied
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

STATUS = "/eil.regime.v1.RegimeService/GetStatus"
STREAM = "/eil.decision.v1.DecisionService/StreamActions"
ASK = regime_pb2.GetStatusRequest()


async def answer(request, context):
    return regime_pb2.GetStatusResponse()


def served(method, code):
    return REGISTRY.get_sample_value("eil_requests_total", {"method": method, "code": code}) or 0.0


class Endless:
    """A method that never answers, and knows how it ended."""

    def __init__(self):
        self.began, self.ended, self.left_s = asyncio.Event(), asyncio.Event(), None

    async def __call__(self, request, context):
        call = current_call()
        assert call is not None
        if call.deadline_s is not None:
            self.left_s = call.deadline_s - asyncio.get_running_loop().time()
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


class TestDeadline:
    async def test_the_servers_own_ends_the_work(self, serve, auth, refusal):
        work = Endless()
        async with serve("regime", GetStatus=work, settings={"deadline_s": 0.05}) as regime:
            told = await refusal(regime.stub.GetStatus(ASK, metadata=auth("viewer"), timeout=20))
            await asyncio.wait_for(work.ended.wait(), 10)
        assert (told.code, told.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert "same request id" in told.message

    async def test_the_clients_shorter_one_ends_the_work(self, serve, auth, refusal):
        work = Endless()
        async with serve("regime", GetStatus=work) as regime:
            told = await refusal(regime.stub.GetStatus(ASK, metadata=auth("viewer"), timeout=0.5))
            await asyncio.wait_for(work.ended.wait(), 10)
        assert told.code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert work.left_s is not None
        assert 0 < work.left_s < 0.6

    async def test_the_clients_longer_one_does_not_lengthen_the_servers(self, serve, auth, refusal):
        work = Endless()
        async with serve("regime", GetStatus=work, settings={"deadline_s": 0.05}) as regime:
            told = await refusal(regime.stub.GetStatus(ASK, metadata=auth("viewer"), timeout=20))
        assert (told.code, told.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")

    async def test_a_client_that_hangs_up_ends_the_work(self, serve, auth):
        work = Endless()
        async with serve("regime", GetStatus=work) as regime:
            call = regime.stub.GetStatus(ASK, metadata=auth("viewer"))
            await work.began.wait()
            call.cancel()
            await asyncio.wait_for(work.ended.wait(), 10)

    async def test_a_timeout_inside_the_method_is_not_the_callers_deadline(self, serve, auth, refusal):
        async def broken(request, context):
            raise TimeoutError("the disk did not answer")

        async with serve("regime", GetStatus=broken) as regime:
            told = await refusal(regime.stub.GetStatus(ASK, metadata=auth("viewer")))
        assert told.code == grpc.StatusCode.INTERNAL
        assert "disk" not in told.message

    async def test_streams_outlast_the_default(self, serve, auth):
        async def stream(request, context):
            yield decision_pb2.StreamActionsResponse(source="a")
            await asyncio.sleep(0.2)
            yield decision_pb2.StreamActionsResponse(source="b")

        async with serve("decision", StreamActions=stream, settings={"deadline_s": 0.05}) as decision:
            call = decision.stub.StreamActions(decision_pb2.StreamActionsRequest(), metadata=auth("agent"))
            assert [response.source async for response in call] == ["a", "b"]


class TestValidation:
    async def test_every_violation_carries_its_path(self, serve, auth, refusal):
        request = regime_pb2.SenseRequest(source="!", telemetry={"a b": 1.0, "power": float("inf")})
        async with serve("regime") as regime:
            told = await refusal(regime.stub.Sense(request, metadata=auth("agent")))
        assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
        assert set(told.fields) == {"source", "timestamp", "telemetry[a b]", "telemetry[power]"}
        assert told.fields["telemetry[power]"] == "must be finite"
        assert "and 3 more fields" in told.message
        assert "nothing was stored" in told.message

    async def test_list_elements_are_counted_from_zero(self, serve, auth, refusal):
        request = regime_pb2.IngestRequest(source="plant", columns=[{"name": "power"}, {"name": "!"}])
        request.timestamps.add()
        async with serve("regime") as regime:
            told = await refusal(regime.stub.Ingest(request, metadata=auth("agent")))
        assert set(told.fields) == {"columns[1].name"}

    async def test_two_violations_of_one_field_are_both_told(self, serve, auth, refusal):
        request = regime_pb2.SenseRequest(source="plant", telemetry={"a b": float("nan")})
        request.timestamp.GetCurrentTime()
        async with serve("regime") as regime:
            told = await refusal(regime.stub.Sense(request, metadata=auth("agent")))
        assert set(told.fields) == {"telemetry[a b]"}
        assert "must be finite" in told.fields["telemetry[a b]"]
        assert "does not match regex" in told.fields["telemetry[a b]"]

    async def test_nothing_of_the_method_runs(self, serve, auth, refusal):
        async def sense(request, context):
            pytest.fail("the method ran")

        async with serve("regime", Sense=sense) as regime:
            told = await refusal(regime.stub.Sense(regime_pb2.SenseRequest(), metadata=auth("agent")))
        assert told.code == grpc.StatusCode.INVALID_ARGUMENT

    async def test_who_may_not_call_learns_nothing_of_the_rules(self, serve, auth, refusal):
        async with serve("regime") as regime:
            told = await refusal(regime.stub.Sense(regime_pb2.SenseRequest(), metadata=auth("viewer")))
        assert (told.code, told.fields) == (grpc.StatusCode.PERMISSION_DENIED, {})


class TestTheCall:
    async def test_it_is_known_while_it_is_served(self, serve, auth):
        seen = []

        async def note(request, context):
            seen.append((current_call(), caller()))
            return await answer(request, context)

        async with serve("regime", GetStatus=note) as regime:
            sent = (*auth("viewer", tenant="acme", subject="ada"), ("x-request-id", "r-1"), ("idempotency-key", "i-1"))
            await regime.stub.GetStatus(ASK, metadata=sent)
        call, principal = seen[0]
        assert (call.method, call.request_id, call.idempotency_key) == (STATUS, "r-1", "i-1")
        assert (principal.subject, principal.tenant, principal.roles) == ("ada", "acme", {"viewer"})
        assert current_call() is None

    async def test_calls_at_once_do_not_mix(self, serve, auth):
        together = asyncio.Barrier(4)

        async def note(request, context):
            await together.wait()
            return regime_pb2.GetStatusResponse(next_page_token=caller().tenant)

        async with serve("regime", GetStatus=note) as regime:
            tenants = ["a", "b", "c", "d"]
            calls = [regime.stub.GetStatus(ASK, metadata=auth("viewer", tenant=tenant)) for tenant in tenants]
            assert [response.next_page_token for response in await asyncio.gather(*calls)] == tenants

    async def test_a_request_id_is_made_where_none_came(self, serve, auth):
        ids = []

        async def note(request, context):
            ids.append(getattr(current_call(), "request_id", ""))
            return await answer(request, context)

        async with serve("regime", GetStatus=note) as regime:
            for _ in range(2):
                await regime.stub.GetStatus(ASK, metadata=auth("viewer"))
        assert all(ids)
        assert ids[0] != ids[1]

    def test_outside_of_a_call_there_is_no_caller(self):
        with pytest.raises(PermissionDenied) as caught:
            caller()
        assert caught.value.reason == "NO_TENANT"


class TestFigures:
    async def test_calls_are_counted_by_method_and_code(self, serve, auth, refusal):
        async def sometimes(request, context):
            if request.source == "gone":
                raise NotFound("gone")
            if request.source == "bug":
                raise KeyError("bug")
            return await answer(request, context)

        codes = ("OK", "NOT_FOUND", "INTERNAL", "INVALID_ARGUMENT", "PERMISSION_DENIED", "UNAUTHENTICATED")
        before = {code: served(STATUS, code) for code in codes}
        async with serve("regime", GetStatus=sometimes) as regime:
            ask = regime.stub.GetStatus
            for _ in range(2):
                await ask(ASK, metadata=auth("viewer"))
            await refusal(ask(regime_pb2.GetStatusRequest(source="gone"), metadata=auth("viewer")))
            await refusal(ask(regime_pb2.GetStatusRequest(source="bug"), metadata=auth("viewer")))
            await refusal(ask(regime_pb2.GetStatusRequest(page_size=-1), metadata=auth("viewer")))
            await refusal(ask(ASK, metadata=auth()))
            await refusal(ask(ASK))
        assert [served(STATUS, code) - before[code] for code in codes] == [2, 1, 1, 1, 1, 1]

    async def test_a_deadline_counts_as_one(self, serve, auth, refusal):
        before = served(STATUS, "DEADLINE_EXCEEDED")
        async with serve("regime", GetStatus=Endless(), settings={"deadline_s": 0.05}) as regime:
            await refusal(regime.stub.GetStatus(ASK, metadata=auth("viewer"), timeout=20))
        assert served(STATUS, "DEADLINE_EXCEEDED") - before == 1

    async def test_health_checks_are_not_counted(self, serve, monkeypatch):
        monkeypatch.setattr(metrics, "_served", deque())  # calls of other tests would leave the rate's window meanwhile
        async with serve("regime") as regime:
            before = REGISTRY.get_sample_value("eil_api_request_rate")
            await regime.health.Check(health_pb2.HealthCheckRequest())
            assert served("/grpc.health.v1.Health/Check", "OK") == 0
            assert REGISTRY.get_sample_value("eil_api_request_rate") == before


class TestStreams:
    @staticmethod
    async def actions(request, context):
        for source in ("a", "b"):
            yield decision_pb2.StreamActionsResponse(source=f"{source} of {caller().tenant}")
        if request.source == "gone":
            raise NotFound("no such source", reason="SOURCE_UNKNOWN")

    async def test_they_pass_the_same_layers(self, serve, auth, refusal):
        async def everything(call):
            return [response.source async for response in call]

        before = [served(STREAM, code) for code in ("OK", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED")]
        request = decision_pb2.StreamActionsRequest
        async with serve("decision", StreamActions=self.actions) as decision:
            stream = decision.stub.StreamActions
            assert await everything(stream(request(), metadata=auth("agent", tenant="acme"))) == [
                "a of acme",
                "b of acme",
            ]
            told = await refusal(everything(stream(request(source="gone"), metadata=auth("agent"))))
            assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "SOURCE_UNKNOWN")
            told = await refusal(everything(stream(request(), metadata=auth("viewer"))))
            assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
            told = await refusal(everything(stream(request())))
            assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        after = [served(STREAM, code) for code in ("OK", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED")]
        assert [new - old for old, new in zip(before, after, strict=True)] == [1, 1, 1, 1]

    async def test_what_came_before_an_error_is_delivered(self, serve, auth):
        async with serve("decision", StreamActions=self.actions) as decision:
            call = decision.stub.StreamActions(decision_pb2.StreamActionsRequest(source="gone"), metadata=auth("agent"))
            assert [(await call.read()).source for _ in range(2)] == ["a of default", "b of default"]
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()

    async def test_the_clients_deadline_ends_them(self, serve, auth, refusal):
        ended = asyncio.Event()

        async def endless(request, context):
            try:
                yield decision_pb2.StreamActionsResponse()
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with serve("decision", StreamActions=endless) as decision:
            call = decision.stub.StreamActions(decision_pb2.StreamActionsRequest(), metadata=auth("agent"), timeout=0.5)
            await call.read()
            told = await refusal(call.read())
            await asyncio.wait_for(ended.wait(), 10)
        assert told.code == grpc.StatusCode.DEADLINE_EXCEEDED

    async def test_a_slow_reader_who_leaves_ends_them(self, serve, auth):
        ended = asyncio.Event()

        async def flood(request, context):
            try:
                while True:
                    yield decision_pb2.StreamActionsResponse(source="x" * 100_000)
            finally:
                ended.set()

        async with serve("decision", StreamActions=flood) as decision:
            call = decision.stub.StreamActions(decision_pb2.StreamActionsRequest(), metadata=auth("agent"))
            await call.read()
            call.cancel()
            await asyncio.wait_for(ended.wait(), 10)


class TestReflection:
    @staticmethod
    async def interfaces(channel, sent=()):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        async for response in stub.ServerReflectionInfo(ask, metadata=sent):
            return {service.name for service in response.list_services_response.service}

    async def test_it_lists_the_interfaces_to_whoever_is_known(self, serve, auth):
        async with serve("regime", store="") as regime:
            assert await self.interfaces(regime.channel, auth()) == {
                "eil.regime.v1.RegimeService",
                "eil.events.v1.EventLogService",
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
            }

    async def test_it_is_refused_to_strangers(self, serve, refusal):
        async with serve("regime") as regime:
            told = await refusal(self.interfaces(regime.channel))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


class TestHealth:
    async def test_it_is_public_and_watched(self, serve):
        async with serve("regime") as regime:
            request = health_pb2.HealthCheckRequest(service="eil.regime.v1.RegimeService")
            assert (await regime.health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
            watch = regime.health.Watch(request)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()

    async def test_an_unknown_interface_is_not_found(self, serve, refusal):
        async with serve("regime") as regime:
            told = await refusal(regime.health.Check(health_pb2.HealthCheckRequest(service="eil.none.v1.None")))
        assert told.code == grpc.StatusCode.NOT_FOUND
