"""The ledger through the door, as people use it: reserve, post, burn, license, read statements and policies, recount."""

from support.mesh import eil


def test_people_keep_their_books_through_the_door(mesh):
    door = mesh.door("operator", tenant="bookkeeping")
    pay = {"debit_owner": "@treasury", "credit_owner": "ann", "token": "CEU"}
    door.call("POST", "/v1/economy/transfers", {"id": "t1", "amount_u": 5_000_000, **pay})
    held = {"debit_owner": "ann", "credit_owner": "ben", "token": "CEU", "amount_u": 2_000_000, "ttl_s": 600}
    reserved = door.call("POST", "/v1/economy/reservations", {"id": "r1", **held})["transfer"]
    assert (reserved["kind"], reserved["amount_u"]) == ("reserve", "2000000")
    posted = door.call("POST", "/v1/economy/reservations/r1:post", {"amount_u": 500_000})["transfer"]
    assert (posted["kind"], posted["pending_id"]) == ("post", "user:r1")
    status, answer = door.post("/v1/economy/reservations/r1:void", {})
    assert (status, answer["details"][0]["reason"]) == (400, "ALREADY_POSTED")
    door.call("POST", "/v1/economy/burns", {"id": "b1", "owner": "ben", "token": "CEU", "amount_u": 100_000})
    terms = {"model": "heat", "holder": "ann", "steps": 1000, "period_s": 60, "life_s": 3600, "price_u": 1_000_000}
    door.call("POST", "/v1/economy/licences", {"id": "l1", **terms})
    licences = door.call("GET", "/v1/economy/licences", params={"holder": "ann"})["licences"]
    assert [licence["model"] for licence in licences] == ["heat"]
    statement = door.call("GET", "/v1/economy/statement", params={"owner": "ann", "token": "CEU"})
    changes = [int(line["change_u"]) for line in statement["lines"]]
    assert int(statement["opening_u"]) + sum(changes) == int(statement["closing_u"]) == 3_500_000
    balances = door.call("GET", "/v1/economy/balances")["balances"]
    held_u = {(b["owner"], b["token"]): (b["balance_u"], b["reserved_u"]) for b in balances}
    assert held_u["ben", "CEU"] == ("400000", "0")
    assert held_u["ann", "MUNT"] == ("1000000", "1000000")
    policies = door.call("GET", "/v1/economy/policies")["policies"]
    assert {policy["name"] for policy in policies} >= {"proof_reward", "savings_bonus", "starting_grant", "licence"}
    assert door.call("GET", "/v1/economy/mints")["mints"] == []
    assert door.call("GET", "/v1/economy/audit")["holds"]
    assert "holds" in eil("audit", "ledger", "--state", str(mesh.state)).stdout
