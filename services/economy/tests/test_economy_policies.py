"""Policies compute what they publish; claims meet caps and changed terms; statements follow the book, not the clock."""

from dataclasses import replace
from itertools import pairwise

import pytest
from eil_economy.domain import minter, policies
from eil_economy.domain.audit import audit
from eil_economy.domain.errors import InvalidInputs, PolicyUnknown
from eil_economy.domain.formula import evaluate
from eil_economy.domain.ledger import mint, transfer
from eil_economy.domain.policies import PROOF_REWARD, SAVINGS_BONUS
from eil_economy.domain.records import Instruction
from eil_economy.domain.reports import period_statement
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "cd" * 32
DAY_US = 86_400 * 10**6
amounts = st.integers(0, 2**62)


@given(valid=st.integers(0, 3), reward=amounts, confidence=st.integers(0, 2 * 10**6))
def test_a_reward_is_its_confidence_times_the_skills_and_zero_on_failure(valid, reward, confidence):
    got = PROOF_REWARD.evaluate({"valid": valid, "reward_u": reward, "confidence_ppm": confidence})
    wanted = min(PROOF_REWARD.cap_u, reward * min(confidence, 10**6) // 10**6) if valid else 0
    assert got == wanted


@given(amounts)
def test_a_bonus_is_the_proven_joules_up_to_its_cap(saving):
    assert SAVINGS_BONUS.evaluate({"saving_low_j": saving}) == min(SAVINGS_BONUS.cap_u, saving)


@pytest.mark.parametrize(
    "formula", ["1.5 * a", "a ** 2", "a / 2", "__import__('os')", "a.real", "b", "max()", "[a]", "-a", "a if a else 1"]
)
def test_a_formula_is_arithmetic_on_known_whole_numbers_and_nothing_else(formula):
    with pytest.raises(ValueError, match="no part of a formula"):
        evaluate(formula, {"a": 3})
    assert evaluate("max(0, (a - 5) * 2) + min(a, 7) // 2", {"a": 3}) == 1


def test_a_policy_whose_names_do_not_fit_its_formula_cannot_be_declared():
    with pytest.raises(ValueError, match="names"):
        replace(SAVINGS_BONUS, formula="saving_low_j * price_u")
    with pytest.raises(InvalidInputs):
        SAVINGS_BONUS.evaluate({"saving_low_j": -1})


def claim(conn, key, now_us=1, reward_u=1000):
    inputs = {"valid": 1, "reward_u": reward_u, "confidence_ppm": 10**6}
    minter.submit(conn, "acme", key, ("proof_reward", 1), "alice", DIGEST, inputs, now_us)


def test_the_days_cap_is_kept_and_the_next_day_is_another(conn, monkeypatch):
    capped = replace(PROOF_REWARD, day_cap_u=2500)
    monkeypatch.setattr(policies, "POLICIES", (capped,))
    for key in ("p1", "p2", "p3"):
        claim(conn, key)
    states = [decided.state for decided in minter.validate(conn, 5, 100)]
    assert states == ["minted", "minted", "refused"]
    refused = minter.find_claim(conn, "acme", "p3", "proof_reward")
    assert refused is not None
    assert "500 u of 2500 u" in refused.why
    claim(conn, "p4", DAY_US)
    assert [decided.state for decided in minter.validate(conn, DAY_US, 100)] == ["minted"]
    assert minter.validate(conn, DAY_US, 100) == ()


def test_a_claim_whose_terms_changed_while_it_waited_is_refused(conn, monkeypatch):
    claim(conn, "p1")
    monkeypatch.setattr(policies, "POLICIES", (replace(PROOF_REWARD, version=2),))
    (decided,) = minter.validate(conn, 5, 100)
    assert (decided.state, decided.amount_u) == ("refused", 0)
    assert "version 2" in decided.why
    with pytest.raises(PolicyUnknown):
        claim(conn, "p2")


def test_a_statement_follows_the_book_though_the_clock_steps_back(conn):
    for number, now_us in enumerate((10, 30, 20, 40)):
        transfer(conn, "acme", Instruction(f"t{number}", "alice", "bob", "CEU", 100, "pay"), now_us)
    bounds = (0, 15, 25, 35, 100)
    parts = [period_statement(conn, "acme", "alice", "CEU", (a, b)) for a, b in pairwise(bounds)]
    assert [part.opening_u for part in parts[1:]] == [part.closing_u for part in parts[:-1]]
    for part in parts:
        assert part.opening_u + sum(line.change_u for line in part.lines) == part.closing_u
    lines = [line.transfer.transfer_id for part in parts for line in part.lines]
    assert lines == ["m1", "t0", "t1", "t2", "t3"]
    assert parts[-1].closing_u == 600


def test_a_tenants_recount_reads_its_own_lines_alone(conn):
    mint(conn, "zeta", "m1", "bob", "CEU", 5, "other tenant", 1)
    assert (audit(conn, "acme").transfers, audit(conn, "zeta").transfers, audit(conn).transfers) == (1, 1, 2)
    assert audit(conn, "nobody").ok
