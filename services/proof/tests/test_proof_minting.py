"""Nobody is paid for what was not proven."""

import dataclasses

import pytest
from eil_mesh.reward import FULL_REWARD_U, MICRO
from eil_proof.domain.minting import Claim, reward
from eil_proof.domain.tri_check import Measured, State, tri_check
from hypothesis import given
from hypothesis import strategies as st

VALID = tri_check(
    State(1000.0, 3.0), Measured(State(1001.0, 3.0), untested=frozenset({"feasibility"})), (990.0, 1010.0)
)
CLAIM = Claim(
    tenant="acme",
    kind="metered",
    own_credential=True,
    largest_delay_s=1.0,
    may_mint=True,
    interval=(990.0, 1010.0),
    baseline=(900.0, 1100.0),
    measured_energy_j=1001.0,
    cap_left_u=1000 * MICRO,
)


def test_a_proven_prediction_earns_its_skill_over_persistence():
    earned = reward(VALID, CLAIM)
    assert earned.winkler == 20.0
    assert earned.winkler_baseline == 200.0
    assert earned.amount_u == int(FULL_REWARD_U * 0.9 * 0.8), "skill 0.9, energy and entropy decided"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "unenrolled"}, "metered"),
        ({"kind": "estimated"}, "metered"),
        ({"kind": "simulated"}, "demo"),
        ({"own_credential": False}, "credential"),
        ({"largest_delay_s": 61.0}, "60 s"),
        ({"may_mint": False}, "overlaps"),
        ({"cap_left_u": 0}, "cap"),
        ({"baseline": (1000.0, 1002.0)}, "persistence"),
    ],
)
def test_every_rule_refuses_alone(change, word):
    earned = reward(VALID, dataclasses.replace(CLAIM, **change))
    assert earned.amount_u == 0
    assert word in earned.reason


def test_simulated_sources_mint_in_the_demo_tenant_only():
    demo = dataclasses.replace(CLAIM, tenant="demo", kind="simulated", largest_delay_s=1e6)
    assert reward(VALID, demo).amount_u > 0


def test_an_invalid_prediction_earns_nothing():
    invalid = tri_check(State(2000.0, 3.0), Measured(State(1001.0, 3.0)), (1900.0, 2100.0))
    assert reward(invalid, CLAIM).amount_u == 0


def test_the_cap_cuts():
    assert reward(VALID, dataclasses.replace(CLAIM, cap_left_u=5)).amount_u == 5


@given(low=st.floats(500, 1001), width=st.floats(0, 500))
def test_no_interval_earns_more_than_the_sharp_one_around_the_truth(low, width):
    """The score is proper: vague intervals and such that miss pay less."""
    if not low <= 1001.0 <= low + width:
        width += 1001.0 - low
    any_interval = reward(VALID, dataclasses.replace(CLAIM, interval=(low, low + width)))
    sharpest = reward(VALID, dataclasses.replace(CLAIM, interval=(1001.0, 1001.0)))
    assert any_interval.amount_u <= sharpest.amount_u
