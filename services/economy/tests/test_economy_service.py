"""The economy service over gRPC: who may do what, what counts once, what is refused, and what stands in the journal."""

import asyncio
import sqlite3
from contextlib import closing

import grpc
import psycopg
import pytest
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_economy.domain.audit import audit
from eil_economy.main import build
from eil_economy.settings import EconomySettings
from eil_mesh import audit as audit_topic
from eil_mesh import metrics
from eil_mesh.clock import ManualClock
from eil_mesh.journal import verify
from eil_mesh.pipeline import Session
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token
from google.rpc import error_details_pb2, status_pb2

GRANT_U = 1000 * 10**6


class Client:
    """Calls with a role's token, or as a service of the mesh."""

    def __init__(self, channel: grpc.aio.Channel, tmp_path, database_url):
        self.stub, self.tmp_path = economy_pb2_grpc.EconomyServiceStub(channel), tmp_path
        self.database_url = database_url

    def auth(self, role="operator", tenant="acme"):
        return metadata(token(self.tmp_path, roles=[role], tenant=tenant))

    async def mint(self, key="proof:p1", owner="alice", amount_u=1000, service="proof", tenant="acme"):
        request = economy_pb2.MintRequest(id=key, owner=owner, token="PFT", amount_u=amount_u, reason="valid proof")
        return await self.stub.Mint(request, metadata=peer(service, tenant))

    async def transfer(self, key="t1", role="operator", tenant="acme", **changes):
        wanted = {"debit_owner": "alice", "credit_owner": "bob", "token": "PFT", "amount_u": 300} | changes
        return await self.stub.Transfer(economy_pb2.TransferRequest(id=key, **wanted), metadata=self.auth(role, tenant))

    async def linked(self, *transfers, service="market", tenant="acme"):
        request = economy_pb2.TransferLinkedRequest(transfers=[chain(*transfer) for transfer in transfers])
        return await self.stub.TransferLinked(request, metadata=peer(service, tenant))

    async def draw(self, key="lease:nvp:1", amount_u=10**6, ttl_s=60.0, tenant="acme"):
        request = economy_pb2.DrawLeaseRequest(id=key, amount_u=amount_u, ttl_s=ttl_s)
        return await self.stub.DrawLease(request, metadata=peer("nvp", tenant))

    async def settle(self, key="lease:nvp:1", used_u=0, tenant="acme"):
        request = economy_pb2.SettleLeaseRequest(id=key, used_u=used_u)
        return await self.stub.SettleLease(request, metadata=peer("nvp", tenant))

    async def balances(self, owner="", tenant="acme"):
        request = economy_pb2.GetBalancesRequest(owner=owner)
        found = await self.stub.GetBalances(request, metadata=self.auth("viewer", tenant))
        return {(b.owner, b.token): (b.balance_u, b.reserved_u) for b in found.balances}

    async def transfers(self, tenant="acme", **filters):
        request = economy_pb2.ListTransfersRequest(**filters)
        return await self.stub.ListTransfers(request, metadata=self.auth("viewer", tenant))


def peer(service, tenant="acme"):
    return (("x-eil-service", service), ("x-eil-tenant", tenant))


def chain(key, debit, credit, kind, amount_u):
    return economy_pb2.TransferRequest(id=key, debit_owner=debit, credit_owner=credit, token=kind, amount_u=amount_u)


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code().name, reason_of(error.value)


def violated(error):
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                bad = error_details_pb2.BadRequest()
                if detail.Unpack(bad):
                    return [violation.field for violation in bad.field_violations]
    return []


def journal(economy):
    """(key, record) of every entry of the ledger, once the chain is verified and the book audited."""

    def read(conn):
        assert list(verify(conn)) == []
        assert audit(conn).mismatches == ()
        return conn.execute('SELECT topic, key, payload FROM journal ORDER BY "offset"').fetchall()

    if economy.database_url:
        options = "-c search_path=economy"
        with psycopg.connect(economy.database_url, autocommit=True, options=options) as raw:
            session = Session(raw)
            session.begin()
            rows = read(session)
            session.end("COMMIT")
    else:
        with closing(sqlite3.connect(economy.tmp_path / "economy.db")) as conn:
            rows = read(conn)
    assert {row[0] for row in rows} <= {"eil.economy.entries", audit_topic.TOPIC}
    return [
        (key, economy_pb2.TransferRecord.FromString(entry)) for topic, key, entry in rows if topic != audit_topic.TOPIC
    ]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def economy(tmp_path, clock, database_url):
    async with (
        running(tmp_path, EconomySettings, build, clock=clock, sweep_every_s=0.01, database_url=database_url),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel,
    ):
        client = Client(channel, tmp_path, database_url)
        yield client
    journal(client)


async def test_what_is_minted_and_moved_is_seen_in_balances_supply_and_list(economy):
    await economy.mint()
    moved = await economy.transfer(reason="rent")
    assert (moved.transfer.id, moved.transfer.kind, moved.replayed) == ("user:t1", "transfer", False)
    assert await economy.balances() == {("alice", "PFT"): (700, 0), ("bob", "PFT"): (300, 0)}
    assert await economy.balances("bob") == {("bob", "PFT"): (300, 0)}
    assert await economy.balances("@issuance") == {}
    supply = await economy.stub.GetSupply(economy_pb2.GetSupplyRequest(), metadata=economy.auth("viewer"))
    assert {s.token: (s.minted_u, s.circulating_u) for s in supply.supplies}["PFT"] == (1000, 1000)
    listed = await economy.transfers()
    assert [(t.id, t.kind, t.debit_owner, t.amount_u) for t in listed.transfers] == [
        ("user:t1", "transfer", "alice", 300),
        ("proof:p1", "mint", "@issuance", 1000),
    ]


async def test_balances_are_also_told_in_tokens(economy):
    await economy.mint(amount_u=1_500_000)
    found = await economy.stub.GetBalances(economy_pb2.GetBalancesRequest(), metadata=economy.auth("agent"))
    assert found.balances[0].balance == 1.5


@pytest.mark.parametrize("role", ["viewer", "operator", "agent", "admin"])
async def test_no_person_mints_links_or_leases_whatever_the_role(economy, role):
    auth = economy.auth(role)
    mint = economy_pb2.MintRequest(id="m", owner="me", token="PFT", amount_u=1)
    links = economy_pb2.TransferLinkedRequest(transfers=[chain("c", "alice", "me", "PFT", 1)])
    draw = economy_pb2.DrawLeaseRequest(id="l", amount_u=1, ttl_s=1)
    settle = economy_pb2.SettleLeaseRequest(id="l", used_u=0)
    denied = ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")
    assert await refused(economy.stub.Mint(mint, metadata=auth)) == denied
    assert await refused(economy.stub.TransferLinked(links, metadata=auth)) == denied
    assert await refused(economy.stub.DrawLease(draw, metadata=auth)) == denied
    assert await refused(economy.stub.SettleLease(settle, metadata=auth)) == denied
    assert journal(economy) == []


async def test_services_do_only_what_is_theirs(economy):
    denied = ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")
    assert await refused(economy.mint(service="market")) == denied
    assert await refused(economy.linked(("c", "alice", "bob", "PFT", 1), service="proof")) == denied
    for role in ("viewer", "agent"):
        assert await refused(economy.transfer(role=role)) == denied
    assert await refused(economy.mint(tenant="")) == ("PERMISSION_DENIED", "NO_TENANT")


async def test_the_same_request_counts_once_and_the_same_id_never_means_two_things(economy):
    await economy.mint()
    before = metrics.LEDGER_ENTRIES.labels("transfer")._value.get()
    first, second = await economy.transfer(), await economy.transfer()
    assert (first.replayed, second.replayed) == (False, True)
    assert second.transfer == first.transfer
    assert await refused(economy.transfer(amount_u=301)) == ("ALREADY_EXISTS", "EXISTS_WITH_DIFFERENT_FIELD")
    assert (await economy.mint()).replayed
    assert await refused(economy.mint(amount_u=5)) == ("ALREADY_EXISTS", "EXISTS_WITH_DIFFERENT_FIELD")
    assert await economy.balances() == {("alice", "PFT"): (700, 0), ("bob", "PFT"): (300, 0)}
    assert [(key, r.kind) for key, r in journal(economy)] == [("@issuance", "mint"), ("alice", "transfer")]
    assert metrics.LEDGER_ENTRIES.labels("transfer")._value.get() == before + 1


async def test_fifty_senders_of_one_request_move_it_once(economy):
    await economy.mint()
    answers = await asyncio.gather(*(economy.transfer() for _ in range(50)))
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 49
    assert (await economy.balances("bob"))["bob", "PFT"] == (300, 0)


async def test_people_cannot_take_an_id_of_the_mesh_nor_the_mesh_one_of_theirs(economy):
    await economy.mint()
    await economy.transfer("proof:p2")
    assert not (await economy.mint("proof:p2")).replayed
    assert await refused(economy.mint("user:x")) == ("INVALID_ARGUMENT", "INVALID_NAME")
    assert await refused(economy.draw("user:x")) == ("INVALID_ARGUMENT", "INVALID_NAME")
    longest = "x" * 128
    assert (await economy.transfer(longest)).transfer.id == "user:" + longest


@pytest.mark.parametrize("account", ["@metering", "@issuance", "@pool/CEU-PFT", "@bank"])
async def test_accounts_of_the_mesh_are_closed_to_people(economy, account):
    await economy.draw()
    await economy.settle(used_u=10**6)
    for side in ("debit_owner", "credit_owner"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await economy.transfer(token="CEU", amount_u=1, **{side: account})
        assert (error.value.code(), reason_of(error.value)) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "ACCOUNT_RESERVED",
        )
        assert violated(error.value) == [side]


async def test_the_starting_grant_can_be_given_away_before_any_compute_was_used(economy):
    await economy.transfer(debit_owner="@treasury", credit_owner="alice", token="CEU", amount_u=400)
    assert await economy.balances() == {("@treasury", "CEU"): (GRANT_U - 400, 0), ("alice", "CEU"): (400, 0)}
    assert [r.kind for _, r in journal(economy)] == ["mint", "transfer"]
    await economy.transfer("t2", debit_owner="@treasury", token="CEU", amount_u=GRANT_U, tenant="zeta")
    again = economy.transfer("t3", debit_owner="@treasury", token="CEU", amount_u=1, tenant="zeta")
    assert await refused(again) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")


async def test_linked_transfers_move_between_people_and_pools_all_or_none(economy):
    await economy.mint(owner="alice")
    await economy.mint("proof:p2", owner="bob")
    answer = await economy.linked(
        ("swap:1", "alice", "@pool/CEU-PFT", "PFT", 10), ("swap:2", "bob", "@pool/CEU-PFT", "PFT", 20)
    )
    assert not answer.replayed
    assert [t.id for t in answer.transfers] == ["swap:1", "swap:2"]
    assert (await economy.balances("@pool/CEU-PFT"))["@pool/CEU-PFT", "PFT"] == (30, 0)
    half = economy.linked(("s:1", "alice", "@pool/CEU-PFT", "PFT", 10), ("s:2", "bob", "alice", "PFT", 10_000))
    assert await refused(half) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")
    assert (await economy.balances("@pool/CEU-PFT"))["@pool/CEU-PFT", "PFT"] == (30, 0)
    assert len(journal(economy)) == 4
    for account in ("@treasury", "@metering"):
        taken = economy.linked(("s:3", account, "alice", "CEU", 1))
        assert await refused(taken) == ("PERMISSION_DENIED", "ACCOUNT_RESERVED")
    assert await refused(economy.linked(("s:4", "@pool/", "alice", "PFT", 1))) == ("INVALID_ARGUMENT", "INVALID_NAME")


@pytest.mark.parametrize(
    ("changes", "status", "reason", "field"),
    [
        ({"credit_owner": "alice"}, "INVALID_ARGUMENT", "SELF_TRANSFER", "credit_owner"),
        ({"amount_u": 2**62 + 1}, "INVALID_ARGUMENT", "AMOUNT_TOO_LARGE", "amount_u"),
        ({"amount_u": 0}, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "amount_u"),
        ({"token": "EUR"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "token"),
        ({"debit_owner": "carol"}, "NOT_FOUND", "ACCOUNT_NOT_FOUND", "debit_owner"),
        ({"amount_u": 1001}, "RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE", "amount_u"),
    ],
)
async def test_refusals_name_the_contracts_fields_and_change_nothing(economy, changes, status, reason, field):
    await economy.mint()
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await economy.transfer(**changes)
    assert (error.value.code().name, reason_of(error.value)) == (status, reason)
    assert violated(error.value) == [field]
    assert len(journal(economy)) == 1


async def test_tenants_see_and_touch_only_their_own(economy):
    await economy.mint()
    await economy.draw()
    assert await economy.balances(tenant="zeta") == {}
    assert list((await economy.transfers("zeta")).transfers) == []
    assert (await refused(economy.transfer(tenant="zeta")))[0] == "NOT_FOUND"
    assert await refused(economy.settle(tenant="zeta")) == ("NOT_FOUND", "PENDING_NOT_FOUND")
    assert not (await economy.mint(tenant="zeta", amount_u=7)).replayed
    assert (await economy.balances("alice"))["alice", "PFT"] == (1000, 0)


async def test_a_lease_is_settled_once_for_what_was_used(economy):
    drawn = await economy.draw(amount_u=5 * 10**6)
    assert (await economy.draw(amount_u=5 * 10**6)).expires == drawn.expires
    assert (await economy.balances("@treasury"))["@treasury", "CEU"] == (GRANT_U, 5 * 10**6)
    assert (await economy.settle(used_u=2 * 10**6)).charged_u == 2 * 10**6
    assert (await economy.settle(used_u=2 * 10**6)).charged_u == 2 * 10**6
    assert await refused(economy.settle(used_u=3)) == ("ALREADY_EXISTS", "EXISTS_WITH_DIFFERENT_FIELD")
    assert await economy.balances() == {
        ("@treasury", "CEU"): (GRANT_U - 2 * 10**6, 0),
        ("@metering", "CEU"): (2 * 10**6, 0),
    }
    assert [r.kind for _, r in journal(economy)] == ["mint", "reserve", "post"]
    await economy.draw("lease:nvp:2")
    assert (await economy.settle("lease:nvp:2")).charged_u == 0
    assert await refused(economy.draw("lease:nvp:3", GRANT_U)) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")


async def test_a_lease_that_nobody_settles_returns_by_itself(economy, clock):
    await economy.draw(ttl_s=30.0)
    clock.advance(29.9)
    await asyncio.sleep(0.05)
    assert (await economy.balances("@treasury"))["@treasury", "CEU"] == (GRANT_U, 10**6)
    clock.advance(0.1)
    async with asyncio.timeout(60):
        while (await economy.balances("@treasury"))["@treasury", "CEU"] != (GRANT_U, 0):
            await asyncio.sleep(0.01)
    assert [r.kind for _, r in journal(economy)] == ["mint", "reserve", "expire"]
    assert await refused(economy.settle(used_u=5)) == ("FAILED_PRECONDITION", "PENDING_EXPIRED")


async def test_pages_join_to_the_whole_list_newest_first(economy):
    await economy.mint()
    for i in range(12):
        await economy.transfer(f"t{i}", credit_owner=("bob", "carol")[i % 2], amount_u=1 + i)
    seen, page_token = [], ""
    while True:
        page = await economy.transfers(page_size=5, page_token=page_token)
        seen += [t.id for t in page.transfers]
        page_token = page.next_page_token
        if not page_token:
            break
    assert seen == [*(f"user:t{i}" for i in reversed(range(12))), "proof:p1"]
    carols = await economy.transfers(owner="carol", token="PFT", page_size=2)
    assert [t.id for t in carols.transfers] == ["user:t11", "user:t9"]
    carols = await economy.transfers(owner="carol", page_token=carols.next_page_token)
    assert [t.id for t in carols.transfers] == ["user:t7", "user:t5", "user:t3", "user:t1"]
    assert list((await economy.transfers(token="CEU")).transfers) == []
    assert (await refused(economy.transfers(page_token="x")))[0] == "INVALID_ARGUMENT"


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path, database_url):
    client = None
    for replayed in (False, True):
        async with (
            running(tmp_path, EconomySettings, build, database_url=database_url),
            grpc.aio.insecure_channel(f"unix:{tmp_path}/economy.sock") as channel,
        ):
            client = Client(channel, tmp_path, database_url)
            assert (await client.mint()).replayed is replayed
            assert (await client.transfer()).replayed is replayed
            assert await client.balances() == {("alice", "PFT"): (700, 0), ("bob", "PFT"): (300, 0)}
    assert len(journal(client)) == 2
