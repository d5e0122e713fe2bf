"""Clients: what a call carries along, how its deadline shrinks, what is tried again and where it goes."""

import asyncio
import json
import socket
from contextlib import ExitStack, asynccontextmanager

import grpc
import pytest
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.call import Call, acting_for, current_call, serving
from eil_mesh.client import DEADLINE_S, Peers, service_config
from eil_mesh.errors import DeadlineExceeded, FailedPrecondition, Unavailable
from eil_mesh.identity import Principal
from eil_mesh.server import Mesh

ROUNDING_S = 0.2
"""gRPC rounds deadlines up on the wire."""
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DECISION = decision_pb2.GetDecisionRequest(prediction_id="p")
STATUS = regime_pb2.GetStatusRequest()
ACT = decision_pb2.ActRequest(goal="minimize_energy", current_state={"active_servers": 1})


def left_s():
    call = current_call()
    assert call is not None
    assert call.deadline_s is not None
    return call.deadline_s - asyncio.get_running_loop().time()


class Regime:
    """`GetStatus`, failing as often as it is told to; it notes what it sees."""

    def __init__(self, *errors):
        self.errors, self.calls, self.headers, self.left_s = list(errors), [], [], []

    async def __call__(self, request, context):
        self.calls.append(current_call())
        self.headers.append(dict(context.invocation_metadata()))
        self.left_s.append(left_s())
        if self.errors:
            raise self.errors.pop(0)
        return regime_pb2.GetStatusResponse()


class Decision:
    """`GetDecision`, which asks regime first."""

    def __init__(self, **options):
        self.mesh: Mesh | None = None
        self.options, self.left_s = options, []

    def also(self, mesh):
        self.mesh = mesh

    async def __call__(self, request, context):
        assert self.mesh is not None
        self.left_s.append(left_s())
        await asyncio.sleep(0.1)
        await self.mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime").GetStatus(STATUS, **self.options)
        return decision_pb2.GetDecisionResponse()


@pytest.fixture
def chain(serve):
    """`chain(regime, decision)`: decision, which asks regime."""

    @asynccontextmanager
    async def start(regime, decision):
        async with (
            serve("regime", GetStatus=regime),
            serve("decision", GetDecision=decision, also=decision.also) as served,
        ):
            yield served.stub

    return start


class TestDeadline:
    async def test_it_shrinks_along_the_chain(self, chain, auth):
        regime, decision = Regime(), Decision()
        async with chain(regime, decision) as stub:
            await stub.GetDecision(DECISION, metadata=auth("viewer"), timeout=5)
        assert 0 < regime.left_s[0] < decision.left_s[0] - 0.05 < 5

    async def test_a_longer_one_asked_for_does_not_lengthen_it(self, chain, auth):
        regime, decision = Regime(), Decision(timeout=60)
        async with chain(regime, decision) as stub:
            await stub.GetDecision(DECISION, metadata=auth("viewer"), timeout=3)
        assert regime.left_s[0] < 3

    async def test_a_shorter_one_asked_for_counts(self, chain, auth):
        regime, decision = Regime(), Decision(timeout=2)
        async with chain(regime, decision) as stub:
            await stub.GetDecision(DECISION, metadata=auth("viewer"), timeout=30)
        assert 0 < regime.left_s[0] < 2 + ROUNDING_S

    async def test_without_one_there_is_a_default(self, chain):
        regime, decision = Regime(), Decision()
        async with chain(regime, decision):
            assert decision.mesh is not None
            with acting_for("decision", "acme"):
                await decision.mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime").GetStatus(STATUS)
        assert 0 < regime.left_s[0] < DEADLINE_S + ROUNDING_S

    @pytest.mark.parametrize("stream", [False, True])
    async def test_nobody_is_asked_when_it_has_passed(self, serve, stream):
        async def asked(request, context):
            pytest.fail("the peer was asked")

        principal = Principal("ada", "acme")
        async with serve("decision", GetDecision=asked, StreamActions=asked) as decision:
            stub = decision.mesh.peers.stub(decision_pb2_grpc.DecisionServiceStub, "decision")
            passed_s = asyncio.get_running_loop().time() - 1
            asking, question = (
                (stub.StreamActions, decision_pb2.StreamActionsRequest()) if stream else (stub.GetDecision, DECISION)
            )
            with serving(Call("m", "r", principal, deadline_s=passed_s)), pytest.raises(DeadlineExceeded):
                asking(question)

    async def test_streams_on_behalf_of_a_call_end_with_it(self, serve, auth):
        seen = []

        async def stream(request, context):
            seen.append(context.time_remaining())
            yield decision_pb2.StreamActionsResponse(source="a")

        async def relay(request, context):
            stub = regime.mesh.peers.stub(decision_pb2_grpc.DecisionServiceStub, "decision")
            async for _ in stub.StreamActions(decision_pb2.StreamActionsRequest()):
                pass
            return regime_pb2.GetStatusResponse()

        async with serve("decision", StreamActions=stream), serve("regime", GetStatus=relay) as regime:
            await regime.stub.GetStatus(STATUS, metadata=auth("agent"), timeout=5)
        assert 0 < seen[0] < 5 + ROUNDING_S


class TestRetries:
    async def test_an_idempotent_method_is_tried_again(self, chain, auth):
        regime, decision = Regime(Unavailable("not yet"), Unavailable("not yet")), Decision()
        async with chain(regime, decision) as stub:
            await stub.GetDecision(DECISION, metadata=(*auth("viewer"), ("x-request-id", "r-1")))
        assert [call.request_id for call in regime.calls] == ["r-1"] * 3

    async def test_it_is_given_up_in_the_end(self, chain, auth, refusal):
        regime, decision = Regime(*[Unavailable(f"down {i}") for i in range(9)]), Decision()
        async with chain(regime, decision) as stub:
            told = await refusal(stub.GetDecision(DECISION, metadata=auth("viewer")))
        assert (told.code, told.message) == (grpc.StatusCode.UNAVAILABLE, "down 3")
        assert len(regime.calls) == 4

    async def test_other_errors_are_final(self, chain, auth, refusal):
        regime, decision = Regime(FailedPrecondition("no")), Decision()
        async with chain(regime, decision) as stub:
            told = await refusal(stub.GetDecision(DECISION, metadata=auth("viewer")))
        assert told.code == grpc.StatusCode.FAILED_PRECONDITION
        assert len(regime.calls) == 1

    async def test_a_method_that_commits_is_asked_once(self, serve, auth, refusal):
        asked = []

        async def act(request, context):
            asked.append(request)
            raise Unavailable("not yet")

        async with serve("decision", Act=act) as decision:
            stub = decision.mesh.peers.stub(decision_pb2_grpc.DecisionServiceStub, "decision")
            ((_, authorization),) = auth("operator")
            with serving(Call("m", "r", Principal("ada", "acme"), authorization)):
                told = await refusal(stub.Act(ACT))
        assert told.code == grpc.StatusCode.UNAVAILABLE
        assert len(asked) == 1

    def test_the_service_config_names_idempotent_calls_alone(self):
        interface = decision_pb2.DESCRIPTOR.services_by_name["DecisionService"]
        config = json.loads(service_config(interface.full_name, interface))
        assert config["loadBalancingConfig"] == [{"round_robin": {}}]
        assert config["healthCheckConfig"] == {"serviceName": "eil.decision.v1.DecisionService"}
        policy, once = config["methodConfig"]
        assert [name["method"] for name in once["name"]] == ["Act"]
        assert (once["waitForReady"], "retryPolicy" in once) == (True, False)
        assert {name["method"] for name in policy["name"]} == {
            "GetDecision",
            "GetDecisionTree",
            "ListDecisions",
            "ApproveDecision",
            "SetMode",
            "SetLevers",
            "GetLevers",
            "StopActions",
            "ReleaseActions",
            "ListStops",
        }
        assert {name["service"] for name in policy["name"]} == {"eil.decision.v1.DecisionService"}
        assert policy["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]

    async def test_a_peer_that_is_not_there_yet_is_waited_for(self, serve, tmp_path):
        regime = Regime()
        async with serve("decision") as decision:
            stub = decision.mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime")
            with acting_for("decision", "acme"):
                call = asyncio.ensure_future(stub.GetStatus(STATUS))
            await asyncio.sleep(0.05)
            assert not call.done()
            async with serve("regime", GetStatus=regime):
                await call
        assert len(regime.calls) == 1


class TestWhatIsCarried:
    async def test_the_callers_token_and_ids_go_along(self, chain, auth):
        regime, decision = Regime(), Decision()
        sent = (
            *auth("viewer", tenant="acme", subject="ada"),
            ("x-request-id", "r-1"),
            ("traceparent", TRACE),
            ("x-eil-tenant", "globex"),
        )
        async with chain(regime, decision) as stub:
            await stub.GetDecision(DECISION, metadata=sent)
        (call,), (headers,) = regime.calls, regime.headers
        assert (call.principal.subject, call.principal.tenant, call.principal.service) == ("ada", "acme", "decision")
        assert call.principal.roles == {"viewer"}
        assert call.request_id == "r-1"
        assert headers["traceparent"].split("-")[1] == TRACE.split("-")[1]
        assert "x-eil-tenant" not in headers

    async def test_background_work_names_service_and_tenant(self, chain):
        regime, decision = Regime(), Decision()
        async with chain(regime, decision):
            assert decision.mesh is not None
            stub = decision.mesh.peers.stub(regime_pb2_grpc.RegimeServiceStub, "regime")
            with acting_for("decision", "acme", request_id="r-2"):
                await stub.GetStatus(STATUS)
        (call,) = regime.calls
        assert call.principal == Principal("decision", "acme", service="decision")
        assert (call.request_id, call.authorization) == ("r-2", "")

    async def test_metadata_of_the_callers_own_is_kept(self, chain, auth):
        regime, decision = Regime(), Decision(metadata=(("idempotency-key", "i-1"), ("x-eil-service", "proof")))
        async with chain(regime, decision) as stub:
            await stub.GetDecision(DECISION, metadata=auth("viewer"))
        assert regime.calls[0].idempotency_key == "i-1"
        assert regime.calls[0].principal.service == "decision"


class TestChannels:
    async def test_stubs_of_a_service_share_one(self, serve):
        made = []

        def make(channel):
            made.append(channel)
            return economy_pb2_grpc.EconomyServiceStub(channel)

        async with serve("economy") as economy:
            for _ in range(2):
                economy.mesh.peers.stub(make, "economy")
        assert made[0] is made[1]

    async def test_calls_go_round_the_replicas(self, serve, auth):
        ports, served = free_ports(2), []

        def replica(port):
            async def balances(request, context):
                served.append(port)
                return economy_pb2.GetBalancesResponse()

            return balances

        everywhere = {"peers": "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)}
        first, second = (
            serve("economy", GetBalances=replica(port), settings={"listen": f"127.0.0.1:{port}", **everywhere})
            for port in ports
        )
        async with first as economy, second:
            peers = Peers(economy.mesh.settings)
            stub = peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
            with serving(Call("m", "r", Principal("ada", "acme"), auth("viewer")[0][1])):
                while set(served) != set(ports):  # until both are connected
                    await stub.GetBalances(economy_pb2.GetBalancesRequest())
                del served[:]
                for _ in range(10):
                    await stub.GetBalances(economy_pb2.GetBalancesRequest())
            await peers.close()
        assert sorted(served) == sorted(ports * 5)


def free_ports(count):
    """Ports that were free a moment ago."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
