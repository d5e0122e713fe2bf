"""What a call carries, how long it may take, and when it is made again; by both clients."""

import threading
import uuid
from typing import Any, cast

import grpc
import pytest
from eil.decision.v1 import decision_pb2
from eil.economy.v1 import economy_pb2
from eil.proof.v1 import proof_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh import baggage
from eil_mesh.errors import EilError as MeshError
from eil_mesh.errors import FailedPrecondition, ResourceExhausted, Unauthenticated, Unavailable
from eil_mesh.status import DETAILS_KEY, to_status
from eil_sdk import EIL, EilError, InvalidArgument
from eil_sdk.errors import BUDGET_KEY
from eil_sdk.retries import DEADLINE_S, LONG_DEADLINE_S, deadline_s, idempotent


def refuse(context: grpc.ServicerContext, error: MeshError, **trailing: str) -> None:
    """End a call as a service of the mesh does."""
    details = (DETAILS_KEY, to_status(error, "req-1").SerializeToString())
    context.set_trailing_metadata((details, *trailing.items()))
    context.abort(getattr(grpc.StatusCode, error.code), error.message)


class Service:
    """Answers every method of the contract, after the refusals it was given; remembers what it was asked and with what."""

    def __init__(self, *refusals: MeshError, **trailing: str) -> None:
        self.refusals: list[MeshError] = list(refusals)
        self.trailing = trailing
        self.asked: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.left_s: list[float] = []

    def _answer(self, answer, request, context):
        self.asked.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.left_s.append(context.time_remaining() or 0.0)
        if self.refusals:
            refuse(context, self.refusals.pop(0), **self.trailing)
        return answer

    def __getattr__(self, name):
        answers = {
            "GetStatus": regime_pb2.GetStatusResponse(sources=[regime_pb2.SourceStatus(source="rack")]),
            "Act": decision_pb2.ActResponse(prediction_id="pred_1"),
            "BeginVerification": proof_pb2.BeginVerificationResponse(),
            "Transfer": economy_pb2.TransferResponse(),
        }
        return lambda request, context: self._answer(answers[name], request, context)


def act(eil):
    return eil.act(active_servers=3, avg_utilization=0.5)


def status(eil):
    return eil.status("rack")


def test_a_call_carries_the_token_and_its_purpose_as_the_mesh_reads_it(serve, asks):
    service = Service()

    def ask(eil):
        with eil.purpose(goal="save, or else", energy_budget_j=50.0), eil.purpose(shift="night"):
            return eil.status("rack")

    async def ask_on_a_loop(eil):
        with eil.purpose(goal="save, or else", energy_budget_j=50.0), eil.purpose(shift="night"):
            return await eil.status("rack")

    asks(serve(service).url, ask if asks.kind == "sync" else ask_on_a_loop)
    sent = service.metadata[0]
    assert sent["authorization"] == "Bearer secret"
    assert baggage.read(sent["baggage"]) == {
        "eil.goal": "save, or else",
        "eil.energy_budget_j": "50.0",
        "eil.shift": "night",
    }


def test_a_purpose_ends_with_its_block(serve):
    service = Service()
    with EIL(serve(service).url, token="secret") as eil:
        with eil.purpose(goal="a"):
            pass
        status(eil)
        with pytest.raises(InvalidArgument), eil.purpose(goal="x" * 257):
            pass
        with pytest.raises(InvalidArgument), eil.purpose(Shouting="yes"):
            pass
        with pytest.raises(InvalidArgument), eil.purpose(**cast(Any, {f"n{i}": i for i in range(17)})):
            pass
    assert "baggage" not in service.metadata[0]


def test_every_call_has_a_deadline(serve, asks):
    service = Service()
    url = serve(service).url
    asks(url, status)
    asks(url, lambda eil: eil.within(2.0).status("rack"))
    assert DEADLINE_S - 5 < service.left_s[0] < DEADLINE_S + 1
    assert service.left_s[1] < 3
    assert deadline_s("/eil.diffusion.v1.DiffusionService/Sample") == next(iter(LONG_DEADLINE_S.values())) > DEADLINE_S


def test_an_idempotent_call_is_made_again_until_it_is_answered(serve, asks):
    service = Service(Unavailable("not yet", retry_after_s=0.01), Unavailable("not yet", retry_after_s=0.01))
    assert asks(serve(service).url, status).source == "rack"
    assert len(service.asked) == 3


def test_a_call_waits_until_there_is_a_mesh(serve, asks):
    server = serve(Service())
    server.stop()
    later = threading.Timer(0.5, server.start)
    later.start()
    assert asks(server.url, status).source == "rack"
    later.join()


def test_act_is_made_again_under_one_request_id(serve, asks):
    service = Service(Unavailable("not yet", retry_after_s=0.01))
    url = serve(service).url
    assert asks(url, act).prediction_id == "pred_1"
    first, second = service.asked
    assert uuid.UUID(first.request_id)
    assert first == second
    asks(url, act)
    assert service.asked[2].request_id != first.request_id, "another question has another id"


def test_what_is_not_idempotent_is_not_made_again(serve, asks):
    service = Service(Unavailable("not yet", retry_after_s=0.01))
    with pytest.raises(EilError, match="not yet"):
        asks(serve(service).url, lambda eil: eil.services.proof.BeginVerification(proof_pb2.BeginVerificationRequest()))
    assert len(service.asked) == 1
    assert not idempotent("/eil.decision.v1.DecisionService/Act"), "it is made again for its request_id alone"
    assert idempotent("/eil.regime.v1.RegimeService/Sense")


@pytest.mark.parametrize(
    ("refusal", "asked"),
    [
        (ResourceExhausted("full", reason="QUEUE_FULL", retry_after_s=0.01), 2),
        (ResourceExhausted("nothing left"), 1),
        (ResourceExhausted("in an hour", retry_after_s=3600.0), 1),
        (Unavailable("in an hour", retry_after_s=3600.0), 1),
        (FailedPrecondition("in a moment", retry_after_s=0.01), 1),
    ],
    ids=["said when", "did not say when", "too late", "too late as well", "waiting alone does not help"],
)
def test_a_refusal_is_waited_for_where_the_mesh_says_when_and_that_is_soon(serve, asks, refusal, asked):
    service = Service(refusal)
    url = serve(service).url
    if asked == 1:
        with pytest.raises(EilError) as caught:
            asks(url, status)
        assert (caught.value.code, caught.value.reason) == (refusal.code, refusal.reason)
        assert caught.value.retry_after_s == refusal.retry_after_s
    else:
        asks(url, status)
    assert len(service.asked) == asked


def test_waiting_lasts_as_long_as_the_mesh_said(serve, asks):
    service = Service(Unavailable("a moment", retry_after_s=0.6))
    asks(serve(service).url, status)
    first, second = service.left_s
    assert first - second > 0.5, "the deadline is that of both attempts together"


def test_an_error_says_all_that_the_mesh_said(serve, asks):
    error = ResourceExhausted("empty", reason="BUDGET_EXHAUSTED", violations={"steps": "too many"}, retry_after_s=120.0)
    with pytest.raises(EilError) as caught:
        asks(serve(Service(error, **{BUDGET_KEY: "0.125000"})).url, status)
    said = caught.value
    assert type(said).__name__ == "ResourceExhausted"
    assert (said.code, said.reason, said.message) == ("RESOURCE_EXHAUSTED", "BUDGET_EXHAUSTED", "empty")
    assert (said.violations, said.retry_after_s, said.budget_left) == ({"steps": "too many"}, 120.0, 0.125)
    assert said.request_id == "req-1"


def test_a_token_that_was_refused_is_replaced_once(serve, asks):
    tokens = iter(["old", "new", "newer", "newest"])
    service = Service(Unauthenticated("expired"))
    url = serve(service).url
    asks(url, act, token=lambda: next(tokens))
    assert [sent["authorization"] for sent in service.metadata] == ["Bearer old", "Bearer new"]
    service.refusals = [Unauthenticated("expired"), Unauthenticated("expired")]
    with pytest.raises(EilError, match="expired"):
        asks(url, act, token=lambda: next(tokens))
    assert len(service.metadata) == 4
    service.refusals = [Unauthenticated("expired")]
    with pytest.raises(EilError, match="expired"):
        asks(url, act, token="the only one")
    assert len(service.metadata) == 5


def test_every_service_is_at_hand_by_its_stub(serve, asks):
    service = Service()
    asks(
        serve(service).url, lambda eil: eil.services.economy.Transfer(economy_pb2.TransferRequest(id="t-1"), timeout=3)
    )
    assert service.asked == [economy_pb2.TransferRequest(id="t-1")]
    assert service.left_s[0] < 4
    assert service.metadata[0]["authorization"] == "Bearer secret"


class Pages:
    def __init__(self) -> None:
        self.asked: list[decision_pb2.ListDecisionsRequest] = []

    def ListDecisions(self, request, context):
        self.asked.append(request)
        page = int(request.page_token or 0)
        found = [decision_pb2.Decision(asked_by=f"{page}.{n}") for n in range(request.page_size)]
        return decision_pb2.ListDecisionsResponse(decisions=found, next_page_token=str(page + 1) if page < 2 else "")

    def StreamActions(self, request, context):
        yield decision_pb2.StreamActionsResponse(source=request.source, prediction_id="1")
        yield decision_pb2.StreamActionsResponse(source=request.source, prediction_id="2")
        refuse(context, Unavailable("stopping"))


def test_pages_are_fetched_as_they_are_come_to(serve, asks):
    pages = Pages()
    url = serve(pages).url
    assert [found.asked_by for found in asks(url, lambda eil: eil.decisions("rack", page_size=2))] == [
        "0.0", "0.1", "1.0", "1.1", "2.0", "2.1",
    ]  # fmt: skip
    assert [asked.source for asked in pages.asked] == ["rack"] * 3
    pages.asked.clear()
    with EIL(url, token="secret") as eil:
        next(eil.decisions(page_size=2))
    assert len(pages.asked) == 1


def test_a_stream_answers_until_it_breaks(serve, asks):
    url = serve(Pages()).url
    heard = []

    def hear(eil):
        for action in eil.actions("rack"):
            heard.append((action.source, action.prediction_id))

    async def hear_on_a_loop(eil):
        async for action in eil.actions("rack"):
            heard.append((action.source, action.prediction_id))

    with pytest.raises(EilError, match="stopping"):
        asks(url, hear if asks.kind == "sync" else hear_on_a_loop)
    assert heard == [("rack", "1"), ("rack", "2")]


def test_an_address_that_is_none_is_refused():
    for url in ("127.0.0.1:8443", "ftp://host", "https://host/path", ""):
        with pytest.raises(InvalidArgument):
            EIL(url, token="secret")
