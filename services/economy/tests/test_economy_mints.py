"""Over gRPC, on either database: claims of proofs, savings bonuses, and licences of models."""

import grpc
import pytest
from eil_mesh.status import reason_of

DIGEST = "ab" * 32
REWARD = {"valid": 1, "reward_u": 10_000, "confidence_ppm": 900_000}


async def submit(economy, key="p1", **changes):
    fields = {"policy": "proof_reward", "version": 1, "owner": "alice", "evidence": DIGEST, "inputs": REWARD} | changes
    return await economy("SubmitMint", service="proof", proof_id=key, **fields)


async def decided(economy, key):
    found = {}

    async def there():
        found.update({mint.proof_id: mint for mint in (await economy("ListMints")).mints})
        return key in found and found[key].state != "pending"

    await economy.until(there)
    return found[key]


async def test_a_claim_is_validated_at_once_and_counts_once(economy):
    answer = await submit(economy)
    assert (answer.mint.state, answer.replayed) == ("minted", False)
    minted = await decided(economy, "p1")
    assert (minted.state, minted.amount_u, minted.why) == ("minted", 9000, "")
    assert await economy.held("alice", "PFT") == (10_000, 0)
    again = await submit(economy)
    assert (again.mint.state, again.replayed) == ("minted", True)
    lines = await economy("ListTransfers", page_size=1)
    assert (lines.transfers[0].id, lines.transfers[0].kind) == ("proof:p1", "mint")
    assert lines.transfers[0].reference == f"policy proof_reward v1 evidence {DIGEST}"


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"valid": 0}, "the proof failed"),
        ({"reward_u": 0}, "gives nothing"),
        ({"confidence_ppm": 0}, "gives nothing"),
    ],
)
async def test_a_failed_proof_earns_nothing_and_is_told_why(economy, inputs, why):
    await submit(economy, inputs=REWARD | inputs)
    refused = await decided(economy, "p1")
    assert (refused.state, refused.amount_u) == ("refused", 0)
    assert why in refused.why
    assert await economy.held("alice", "PFT") == (1000, 0)


async def test_a_proof_that_was_paid_otherwise_is_not_paid_again(economy):
    await submit(economy, "p0")
    assert "paid before" in (await decided(economy, "p0")).why
    await submit(economy, "p1")
    await decided(economy, "p1")
    twice = await economy.refused("Mint", service="proof", id="proof:p1", owner="alice", token="PFT", amount_u=9000)
    assert twice == ("ALREADY_EXISTS", "EXISTS_WITH_DIFFERENT_FIELD")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"proof_id": ""}, "INVALID_ARGUMENT", "PROOF_REQUIRED"),
        ({"evidence": ""}, "INVALID_ARGUMENT", "PROOF_REQUIRED"),
        ({"evidence": "Z" * 64}, "INVALID_ARGUMENT", "PROOF_REQUIRED"),
        ({"policy": "gift"}, "NOT_FOUND", "POLICY_UNKNOWN"),
        ({"version": 2}, "NOT_FOUND", "POLICY_UNKNOWN"),
        ({"policy": "starting_grant"}, "NOT_FOUND", "POLICY_UNKNOWN"),
        ({"inputs": {"valid": 1}}, "INVALID_ARGUMENT", "INVALID_INPUTS"),
        ({"inputs": REWARD | {"reward_u": -1}}, "INVALID_ARGUMENT", "INVALID_INPUTS"),
        ({"inputs": REWARD | {"reward_u": 2**63 - 1}}, "INVALID_ARGUMENT", "INVALID_INPUTS"),
        ({"owner": "@treasury"}, "", ""),
        ({"owner": "@bank"}, "INVALID_ARGUMENT", "INVALID_NAME"),
    ],
)
async def test_what_is_no_claim_is_refused_before_it_waits(economy, changes, status, reason):
    fields = {
        "proof_id": "p1",
        "policy": "proof_reward",
        "version": 1,
        "owner": "alice",
        "evidence": DIGEST,
        "inputs": REWARD,
    }
    if not status:
        await economy("SubmitMint", service="proof", **(fields | changes))
        return
    assert await economy.refused("SubmitMint", service="proof", **(fields | changes)) == (status, reason)
    assert list((await economy("ListMints")).mints) == []


async def test_a_proof_claims_one_thing_and_nothing_is_minted_without_a_proof(economy):
    await submit(economy)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await submit(economy, owner="mallory")
    assert reason_of(error.value) == "EXISTS_WITH_DIFFERENT_FIELD"
    for key in ("gift:1", "proof:", "p1"):
        refused = await economy.refused("Mint", service="proof", id=key, owner="alice", token="PFT", amount_u=1)
        assert refused == ("INVALID_ARGUMENT", "PROOF_REQUIRED")
    for method in ("SubmitMint", "ReserveMint", "PostMint", "VoidMint", "CheckLicence"):
        assert await economy.refused(method, role="admin") == ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")


async def test_a_bonus_is_minted_for_the_proven_lower_bound_alone(economy):
    bonus = {"service": "proof", "proof_id": "p1"}
    reserved = await economy("ReserveMint", owner="alice", saving_j=5000, ttl_s=86400, **bonus)
    assert (reserved.transfer.kind, reserved.transfer.amount_u) == ("reserve", 5000)
    assert reserved.transfer.reference == "policy savings_bonus v1"
    assert await economy.held("alice", "PFT") == (1000, 0)
    assert await economy.refused("PostMint", saving_low_j=1, **bonus) == ("INVALID_ARGUMENT", "PROOF_REQUIRED")
    posted = await economy("PostMint", saving_low_j=3200, evidence=DIGEST, **bonus)
    assert (posted.transfer.kind, posted.transfer.amount_u) == ("post", 3200)
    assert (await economy("PostMint", saving_low_j=3200, evidence=DIGEST, **bonus)).replayed
    assert await economy.held("alice", "PFT") == (4200, 0)
    assert await economy.refused("VoidMint", reason="late", **bonus) == ("FAILED_PRECONDITION", "ALREADY_POSTED")


@pytest.mark.parametrize("how", ["void", "nothing proven", "expire", "more than reserved"])
async def test_a_bonus_that_is_not_proven_mints_nothing_and_one_that_is_at_most_what_was_reserved(economy, how):
    bonus = {"service": "proof", "proof_id": "p1"}
    await economy("ReserveMint", owner="alice", saving_j=5000, ttl_s=60, **bonus)
    if how == "void":
        assert (await economy("VoidMint", reason="refuted", **bonus)).transfer.kind == "void"
    elif how == "nothing proven":
        assert (await economy("PostMint", saving_low_j=0, evidence=DIGEST, **bonus)).transfer.kind == "void"
    elif how == "expire":
        economy.clock.advance(60)
        late = await economy.refused("PostMint", saving_low_j=1, evidence=DIGEST, **bonus)
        assert late == ("FAILED_PRECONDITION", "PENDING_EXPIRED")
    else:
        await economy("PostMint", saving_low_j=10**9, evidence=DIGEST, **bonus)
    assert await economy.held("alice", "PFT") == ((6000, 0) if how == "more than reserved" else (1000, 0))
    missing = await economy.refused("VoidMint", service="proof", proof_id="p2", reason="x")
    assert missing == ("NOT_FOUND", "PENDING_NOT_FOUND")


def terms(**changes):
    return {
        **{"id": "l1", "model": "heat-7", "holder": "alice", "steps": 100},
        **{"period_s": 10.0, "life_s": 30.0, "price_u": 500},
    } | changes


async def check(economy, steps=0, **changes):
    return await economy(
        "CheckLicence", service="nvp", **({"model": "heat-7", "holder": "alice", "steps": steps} | changes)
    )


async def test_a_licence_is_paid_counts_steps_and_burns_when_its_term_ends(economy):
    grant = {"debit_owner": "@treasury", "credit_owner": "alice", "token": "CEU", "amount_u": 800}
    await economy("Transfer", id="g", **grant)
    made = await economy("IssueLicence", **terms())
    assert (made.licence.id, made.replayed) == ("l1", False)
    assert made.licence.expires.seconds == made.licence.starts.seconds + 30
    assert (await economy("IssueLicence", **terms())).replayed
    assert await economy.held("alice", "CEU") == (300, 0)
    assert await economy.held("alice", "MUNT") == (10**6, 10**6)
    moved = await economy.refused("Transfer", id="x", debit_owner="alice", credit_owner="bob", token="MUNT", amount_u=1)
    assert moved == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_BALANCE")
    assert (await check(economy, 60)).left_steps == 40
    asked = {"service": "nvp", "model": "heat-7", "holder": "alice", "steps": 41}
    assert await economy.refused("CheckLicence", **asked) == ("RESOURCE_EXHAUSTED", "LICENCE_USED_UP")
    assert (await check(economy, 40, request_id="once")).left_steps == 0
    assert (await check(economy, 40, request_id="once")).left_steps == 0
    economy.clock.advance(10)
    assert (await check(economy)).left_steps == 100
    economy.clock.advance(20)

    async def burned():
        return await economy.held("alice", "MUNT") == (0, 0)

    await economy.until(burned)
    assert await economy.refused("CheckLicence", **asked) == ("FAILED_PRECONDITION", "LICENCE_EXPIRED")
    supply = {s.token: s for s in (await economy("GetSupply")).supplies}["MUNT"]
    assert (supply.minted_u, supply.burned_u) == (10**6, 10**6)
    assert [licence.id for licence in (await economy("ListLicences", holder="alice")).licences] == ["l1"]


async def test_licences_are_refused_whole(economy):
    before = await economy("ListTransfers")
    assert await economy.refused("IssueLicence", **terms()) == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")
    for changes, reason in (
        ({"period_s": 40.0}, "INVALID_TERMS"),
        ({"holder": "@treasury"}, "INVALID_NAME"),
        ({"steps": -1}, "INVALID_ARGUMENT"),
        ({"model": ""}, "INVALID_ARGUMENT"),
    ):
        assert await economy.refused("IssueLicence", **terms(**changes)) == ("INVALID_ARGUMENT", reason)
    assert await economy("ListTransfers") == before
    asked = {"service": "nvp", "model": "heat-7", "holder": "alice"}
    assert await economy.refused("CheckLicence", **asked) == ("NOT_FOUND", "LICENCE_NOT_FOUND")
    await economy("IssueLicence", **terms(price_u=0, steps=0))
    assert (await check(economy, 10**9)).left_steps == -1
    assert await economy.refused("IssueLicence", **terms(price_u=1, steps=0)) == (
        "ALREADY_EXISTS",
        "EXISTS_WITH_DIFFERENT_FIELD",
    )
    assert await economy.refused("CheckLicence", tenant="zeta", **asked) == ("NOT_FOUND", "LICENCE_NOT_FOUND")
    assert list((await economy("ListLicences", tenant="zeta")).licences) == []
