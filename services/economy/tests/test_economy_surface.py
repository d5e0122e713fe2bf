"""Over gRPC, on either database: reservations of people and services, burns, statements, and the policies in force."""

from datetime import UTC, datetime

import pytest


def pay(key="r1", amount_u=300, **changes):
    return {
        "id": key,
        "debit_owner": "alice",
        "credit_owner": "bob",
        "token": "PFT",
        "amount_u": amount_u,
        "ttl_s": 60.0,
    } | changes


async def test_a_reservation_is_posted_in_part_and_the_rest_returns(economy):
    first = await economy("Reserve", **pay())
    assert (first.transfer.id, first.transfer.kind, first.replayed) == ("user:r1", "reserve", False)
    assert first.transfer.expires.seconds == first.transfer.time.seconds + 60
    assert (await economy("Reserve", **pay())).replayed
    assert await economy.held("alice", "PFT") == (1000, 300)
    assert await economy.refused("Reserve", **pay("r2", 701)) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")
    posted = await economy("PostReservation", id="r1", amount_u=100, reason="half the work")
    assert (posted.transfer.kind, posted.transfer.pending_id, posted.transfer.amount_u) == ("post", "user:r1", 100)
    assert (await economy("PostReservation", id="r1", amount_u=100, reason="half the work")).replayed
    assert await economy.held("alice", "PFT") == (900, 0)
    assert await economy.held("bob", "PFT") == (100, 0)


async def test_a_reservation_resolves_at_most_once(economy):
    await economy("Reserve", **pay())
    assert await economy.refused("PostReservation", id="r1", amount_u=301) == ("FAILED_PRECONDITION", "EXCEEDS_PENDING")
    await economy("VoidReservation", id="r1", reason="called off")
    assert await economy.refused("PostReservation", id="r1") == ("FAILED_PRECONDITION", "ALREADY_VOIDED")
    await economy("Reserve", **pay("r2"))
    await economy("PostReservation", id="r2")
    assert await economy.refused("VoidReservation", id="r2") == ("FAILED_PRECONDITION", "ALREADY_POSTED")
    assert await economy.refused("PostReservation", id="r2", amount_u=7) == (
        "ALREADY_EXISTS",
        "EXISTS_WITH_DIFFERENT_FIELD",
    )
    assert await economy.refused("PostReservation", id="r9") == ("NOT_FOUND", "PENDING_NOT_FOUND")
    await economy("Transfer", **{key: value for key, value in pay("t1", 1).items() if key != "ttl_s"})
    assert await economy.refused("VoidReservation", id="t1") == ("FAILED_PRECONDITION", "NOT_PENDING")


async def test_a_reservation_runs_out(economy):
    await economy("Reserve", **pay())
    economy.clock.advance(60)
    assert await economy.refused("PostReservation", id="r1") == ("FAILED_PRECONDITION", "PENDING_EXPIRED")

    async def returned():
        return await economy.held("alice", "PFT") == (1000, 0)

    await economy.until(returned)


async def test_people_resolve_neither_leases_nor_bonuses_and_services_only_their_own(economy):
    await economy("DrawLease", service="nvp", id="lease:nvp:1", amount_u=10, ttl_s=60)
    await economy("ReserveMint", service="proof", proof_id="p1", owner="alice", saving_j=500, ttl_s=60)
    await economy("Reserve", **pay())
    for key in ("lease:nvp:1", "bonus:p1"):
        assert await economy.refused("VoidReservation", id=key) == ("NOT_FOUND", "PENDING_NOT_FOUND")
        assert await economy.refused("VoidReservation", service="market", id=key) == ("NOT_FOUND", "PENDING_NOT_FOUND")
    assert await economy.refused("VoidReservation", service="market", id="r1") == ("NOT_FOUND", "PENDING_NOT_FOUND")
    made = await economy("Reserve", service="market", **pay("r1"))
    assert made.transfer.id == "market:r1"
    assert (await economy("PostReservation", service="market", id="r1")).transfer.amount_u == 300
    assert await economy.refused("VoidReservation", id="r1", tenant="zeta") == ("NOT_FOUND", "PENDING_NOT_FOUND")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"amount_u": 0}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"amount_u": -1}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"amount_u": 2**62 + 1}, "INVALID_ARGUMENT", "AMOUNT_TOO_LARGE"),
        ({"ttl_s": 0}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"ttl_s": 1e-9}, "INVALID_ARGUMENT", "INVALID_TIMEOUT"),
        ({"ttl_s": 3.5e7}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"debit_owner": "@metering"}, "PERMISSION_DENIED", "ACCOUNT_RESERVED"),
        ({"debit_owner": "carol"}, "NOT_FOUND", "ACCOUNT_NOT_FOUND"),
        ({"credit_owner": "alice"}, "INVALID_ARGUMENT", "SELF_TRANSFER"),
        ({"reason": "nul \0"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ({"id": "nul \0"}, "INVALID_ARGUMENT", "INVALID_NAME"),
    ],
)
async def test_what_cannot_be_reserved_changes_nothing(economy, changes, status, reason):
    before = await economy("ListTransfers")
    assert await economy.refused("Reserve", **pay(**changes)) == (status, reason)
    assert await economy("ListTransfers") == before


async def test_burning_takes_out_of_circulation(economy):
    burned = await economy("Burn", id="b1", owner="alice", token="PFT", amount_u=400)
    assert (burned.transfer.kind, burned.transfer.credit_owner) == ("burn", "@issuance")
    assert (await economy("Burn", id="b1", owner="alice", token="PFT", amount_u=400)).replayed
    supply = {s.token: s for s in (await economy("GetSupply")).supplies}["PFT"]
    assert (supply.minted_u, supply.burned_u, supply.circulating_u) == (1000, 400, 600)
    refused = await economy.refused("Burn", id="b2", owner="alice", token="PFT", amount_u=601)
    assert refused == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")
    reserved = await economy.refused("Burn", id="b2", owner="@pool/CEU-PFT", token="PFT", amount_u=1)
    assert reserved == ("PERMISSION_DENIED", "ACCOUNT_RESERVED")


async def test_a_statement_opens_where_the_one_before_closed(economy):
    moments = []
    for i in range(6):
        economy.clock.advance(60)
        moments.append(datetime.fromtimestamp(economy.clock.now_us() / 1e6, UTC))
        await economy(
            "Transfer", id=f"t{i}", debit_owner="alice", credit_owner="bob", token="PFT", amount_u=10 * (i + 1)
        )
    whole = await economy("GetStatement", owner="alice", token="PFT")
    assert (whole.opening_u, whole.closing_u, len(whole.lines)) == (0, 790, 7)
    assert [line.balance_after_u for line in whole.lines] == [1000, 990, 970, 940, 900, 850, 790]
    first = await economy("GetStatement", owner="alice", token="PFT", end=moments[3])
    second = await economy("GetStatement", owner="alice", token="PFT", start=moments[3])
    assert (first.opening_u, first.closing_u, second.opening_u, second.closing_u) == (0, 940, 940, 790)
    assert [*first.lines, *second.lines] == list(whole.lines)
    paged, page_token = [], ""
    while True:
        page = await economy("GetStatement", owner="alice", token="PFT", page_size=2, page_token=page_token)
        paged += page.lines
        page_token = page.next_page_token
        if not page_token:
            break
    assert paged == list(whole.lines)
    assert await economy.refused("GetStatement", owner="alice", token="CEU") == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    assert await economy.refused("GetStatement", owner="alice", token="PFT", tenant="zeta") == (
        "NOT_FOUND",
        "ACCOUNT_NOT_FOUND",
    )
    backwards = await economy.refused("GetStatement", owner="alice", token="PFT", start=moments[1], end=moments[1])
    assert backwards == ("INVALID_ARGUMENT", "INVALID_PERIOD")


async def test_policies_are_published_as_they_are_computed(economy):
    found = {policy.name: policy for policy in (await economy("ListPolicies", role="viewer")).policies}
    assert sorted(found) == ["licence", "proof_reward", "savings_bonus", "starting_grant"]
    reward = found["proof_reward"]
    assert (reward.version, reward.token, sorted(reward.inputs)) == (1, "PFT", ["confidence_ppm", "reward_u", "valid"])
    assert all(name in reward.formula for name in [*reward.inputs, *reward.parameters])
