"""Audit records: who asked for what, beside what it changed, in one chain and one transaction; and the purpose that calls carry."""

import pytest
from eil.economy.v1 import economy_pb2
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2  # noqa: F401 - its methods are looked up by path
from eil_mesh import baggage
from eil_mesh.audit import TOPIC
from eil_mesh.call import Call, serving
from eil_mesh.client import outgoing
from eil_mesh.clock import ManualClock
from eil_mesh.errors import FailedPrecondition
from eil_mesh.identity import Principal
from eil_mesh.journal import entries, verify
from eil_mesh.requests import remember
from eil_mesh.store import Tx

SCHEMA = "CREATE TABLE IF NOT EXISTS facts (what TEXT NOT NULL) STRICT;"
TRANSFER = "/eil.economy.v1.EconomyService/Transfer"
READS = "/eil.economy.v1.EconomyService/GetBalances"
TELEMETRY = "/eil.regime.v1.RegimeService/Sense"
ANNA = Principal("anna", "acme", frozenset({"operator", "viewer"}), token=True)


@pytest.fixture
def store(open_either):
    opened = open_either(SCHEMA, ManualClock())
    yield opened
    opened.close()


def call(method, principal=ANNA, **more):
    return serving(Call(method, "req-1", principal, **more))


def note(tx: Tx) -> int:
    tx.conn.execute("INSERT INTO facts VALUES (?)", ("paid",))
    return tx.journal.append(tx.now_us, "acme", "eil.economy.entries", "k", economy_pb2.TransferRecord(id="t"))


async def journal_of(store):
    return await store.read(lambda conn: entries(conn, 1))


def record_in(entry):
    assert entry.topic == TOPIC
    return event_log_pb2.AuditRecord.FromString(entry.payload)


async def test_a_call_that_changes_something_is_recorded_beside_it(store):
    with call(TRANSFER, baggage={"eil.goal": "save"}):
        assert await store.write(note) == 1, "the work's own value"
    fact, beside = await journal_of(store)
    assert (fact.topic, fact.offset) == ("eil.economy.entries", 1)
    assert (beside.tenant, beside.key) == ("acme", "@anna")
    assert record_in(beside) == event_log_pb2.AuditRecord(
        method=TRANSFER,
        subject="anna",
        roles=["operator", "viewer"],
        request_id="req-1",
        offsets=[1],
        baggage={"eil.goal": "save"},
    )
    assert not [*await store.read(lambda conn: list(verify(conn)))]


async def test_a_change_without_an_entry_of_its_own_is_recorded_too(store):
    with call(TRANSFER):
        await store.write(lambda tx: tx.conn.execute("INSERT INTO facts VALUES (?)", ("renamed",)) and None)
    (beside,) = await journal_of(store)
    assert not record_in(beside).offsets


async def test_a_service_on_behalf_of_somebody_is_named(store):
    with call(TRANSFER, Principal("anna", "acme", frozenset({"agent"}), service="proof", token=True)):
        await store.write(note)
    assert record_in((await journal_of(store))[1]).service == "proof"


@pytest.mark.parametrize("method", [READS, TELEMETRY, "background", "/eil.unknown.v1.Unknown/Method"])
async def test_other_calls_leave_none(store, method):
    with call(method):
        await store.write(note)
    assert [entry.topic for entry in await journal_of(store)] == ["eil.economy.entries"]


async def test_outside_of_a_call_there_is_none(store):
    await store.write(note)
    assert len(await journal_of(store)) == 1


async def test_a_call_that_changes_nothing_leaves_none(store):
    with call(TRANSFER):
        await store.write(lambda tx: tx.conn.execute("SELECT count(*) FROM facts").fetchone()[0])
    assert not await journal_of(store)


async def test_an_answer_kept_under_a_request_id_is_no_change(store):
    request, answer = economy_pb2.TransferRequest(id="t"), economy_pb2.TransferResponse()
    with call(TRANSFER, idempotency_key="once"):
        await store.write(lambda tx: remember(tx, "acme", request, answer))
    assert not await journal_of(store)


async def test_a_refused_call_leaves_none(store):
    def refuse(tx: Tx) -> None:
        note(tx)
        raise FailedPrecondition("no")

    with call(TRANSFER), pytest.raises(FailedPrecondition):
        await store.write(refuse)
    assert not await journal_of(store)


class TestBaggage:
    def test_only_our_names_are_carried_and_few_and_short(self):
        header = (
            "eil.goal=save%20energy;p=1,other=1,eil.long="
            + "x" * 300
            + ",bad"
            + "".join(f",eil.n{i}={i}" for i in range(40))
        )
        read = baggage.read(header)
        assert read["eil.goal"] == "save energy"
        assert set(read) <= {"eil.goal", *(f"eil.n{i}" for i in range(40))}
        assert len(read) == baggage.MOST

    @pytest.mark.parametrize("header", ["", "nonsense", "=", ",,,", "eil.=", "a=b"])
    def test_what_says_nothing_is_nothing(self, header):
        assert not baggage.read(header)

    def test_it_goes_out_with_every_call(self):
        said = {"eil.goal": "save energy, now; 100 %", "eil.energy_budget_j": "3600"}
        with call(READS, baggage=said):
            header = dict(outgoing("decision"))[baggage.HEADER]
        assert baggage.read(str(header)) == said

    def test_without_any_nothing_is_sent(self):
        with call(READS):
            assert baggage.HEADER not in dict(outgoing("decision"))
