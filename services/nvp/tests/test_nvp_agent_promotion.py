"""Promotion on live error: the better rise, equals do not flap, the failed fall at once, and a restart changes nothing."""

from collections.abc import Callable

import numpy as np
import pytest
from eil_nvp.domain.agent import Event, Promotion, PromotionConfig

Losses = Callable[[np.random.Generator, int], np.ndarray]
MEMBERS = 7


def live(
    losses: Losses, steps: int, seed: int = 0, config: PromotionConfig | None = None
) -> tuple[Promotion, list[Event]]:
    promotion, rng, events = Promotion(MEMBERS, config=config or PromotionConfig()), np.random.default_rng(seed), []
    for step in range(steps):
        events += promotion.update(losses(rng, step))
    return promotion, events


def with_skill(member: int, ratio: Callable[[int], float]) -> Losses:
    """Squared normal errors, those of `member` times `ratio(step)`."""

    def losses(rng: np.random.Generator, step: int) -> np.ndarray:
        errors = rng.normal(size=MEMBERS) ** 2
        errors[member] *= ratio(step)
        return errors

    return losses


@pytest.mark.parametrize("law", ["normal", "heavy", "correlated"])
def test_equal_members_are_never_promoted_in_ten_thousand_steps(law):
    state = np.zeros(MEMBERS)

    def losses(rng: np.random.Generator, step: int) -> np.ndarray:
        nonlocal state
        if law == "heavy":
            return rng.standard_t(2.5, MEMBERS) ** 2
        state = (0.8 if law == "correlated" else 0.0) * state + rng.normal(size=MEMBERS)
        return state**2

    promoted = entered = 0
    for seed in range(3):
        _, events = live(losses, 10_000, seed)
        promoted += sum(event.kind in ("promoted", "rolled_back") for event in events)
        entered += sum(event.kind == "canary" for event in events)
    assert promoted == 0  # expected at most .008 each where blocks are independent
    assert entered <= 3


def test_false_entries_stay_below_the_theorem():
    config = PromotionConfig(block=1, margin=0.0, enter=100.0, demote=1.5, rest=1)
    entered = 0
    for seed in range(12):
        rng, promotion = np.random.default_rng(seed), Promotion(2, config=config)
        for _ in range(1000):
            entered += sum(event.kind == "canary" for event in promotion.update(rng.normal(size=2) ** 2))
    assert 3 < entered <= 12 * 1000 / 100  # it does happen, at most once in `enter` blocks


def test_a_better_member_becomes_canary_first_and_then_champion():
    promotion, events = live(with_skill(2, lambda step: 0.25), 2000)
    assert [(event.kind, event.member) for event in events] == [("canary", 2), ("promoted", 2)]
    assert events[0].step < 600
    assert events[1].step < 1000
    assert promotion.champion == 2
    assert promotion.stage(2) == "champion"
    assert promotion.stage(0) == "shadow"
    assert "member 2 is champion" in events[1].sentence


def test_evidence_against_the_old_champion_is_void_against_the_new():
    promotion, rng = Promotion(MEMBERS), np.random.default_rng(0)
    losses = with_skill(2, lambda step: 0.25)
    while promotion.champion != 2:
        promotion.update(losses(rng, 0) * np.array([4.0, 1, 1, 1, 1, 1, 1]))  # all others are better than member 0
    assert promotion.evidence.max() == 0.0
    for _ in range(4000):
        promotion.update(losses(rng, 0) * np.array([4.0, 1, 1, 1, 1, 1, 1]))
    assert promotion.champion == 2


def test_members_whose_losses_go_together_are_told_apart_at_ten_percent():
    def losses(rng: np.random.Generator, step: int) -> np.ndarray:
        errors = rng.normal() + 0.3 * rng.normal(size=MEMBERS)
        errors[2] *= 0.9**0.5
        return errors**2

    promotion, events = live(losses, 6000)
    assert promotion.champion == 2
    assert sum(event.kind == "promoted" for event in events) == 1


def test_an_advantage_below_the_margin_is_not_worth_a_change():
    _, events = live(with_skill(2, lambda step: 0.99), 10_000)
    assert not [event for event in events if event.kind == "promoted"]


def test_the_canary_answers_its_share_and_no_more():
    promotion = Promotion(MEMBERS, config=PromotionConfig(share=0.1))
    rng, losses, served, entered = np.random.default_rng(1), with_skill(3, lambda step: 0.25), [], 0
    for step in range(2000):
        if promotion.canary >= 0:
            entered += 1
            served.append(promotion.serve())
        else:
            assert promotion.serve() == promotion.champion
        promotion.update(losses(rng, step))
    assert entered > 50
    share = np.mean(np.array(served) == 3)
    assert 0.06 < share <= 0.1


def test_a_canary_that_turns_bad_falls_at_once_and_rests():
    promotion, rng, events = Promotion(MEMBERS, config=PromotionConfig(rest=200)), np.random.default_rng(2), []
    step = 0
    while promotion.canary < 0:
        events += promotion.update(with_skill(4, lambda step: 0.2)(rng, step))
        step += 1
    begun = promotion.step
    while promotion.canary == 4:
        events += promotion.update(with_skill(4, lambda step: 50.0)(rng, step))
    assert promotion.step - begun <= 2 * promotion.config.block
    assert events[-1].kind == "demoted"
    assert promotion.champion == 0
    before = promotion.step
    while promotion.canary != 4:
        promotion.update(with_skill(4, lambda step: 0.2)(rng, step))
    assert promotion.step - before >= promotion.config.rest * promotion.config.block


def test_a_canary_that_is_slightly_worse_falls_on_evidence():
    promotion, rng, events = Promotion(MEMBERS), np.random.default_rng(3), []
    while promotion.canary < 0:
        promotion.update(with_skill(4, lambda step: 0.2)(rng, 0))
    while promotion.canary == 4:
        events += promotion.update(with_skill(4, lambda step: 1.6)(rng, 0))
    assert events[-1].kind == "demoted"
    assert "that it is worse than the champion" in events[-1].sentence
    assert promotion.canary_blocks < 200
    assert promotion.champion == 0


def test_a_champion_that_collapses_is_replaced_within_two_blocks_and_one_that_fails_at_once():
    promotion, rng = Promotion(MEMBERS), np.random.default_rng(4)
    for _ in range(80):
        promotion.update(rng.normal(size=MEMBERS) ** 2)
    begun = promotion.step
    while promotion.champion == 0:
        losses = rng.normal(size=MEMBERS) ** 2
        losses[0] *= 300
        events = promotion.update(losses)
    assert promotion.step - begun <= 2 * promotion.config.block
    assert events[0].kind == "rolled_back"
    failing = rng.normal(size=MEMBERS) ** 2
    failing[promotion.champion] = np.nan
    fallen = promotion.champion
    assert [event.kind for event in promotion.update(failing)] == ["rolled_back"]
    assert promotion.champion not in (fallen, 0) or promotion.loss[0] < 10


def test_a_failure_of_all_members_blames_none():
    promotion = Promotion(MEMBERS)
    promotion.update(np.ones(MEMBERS))
    for _ in range(30):
        assert promotion.update(np.full(MEMBERS, np.nan)) == []
    assert promotion.champion == 0
    rng = np.random.default_rng(6)
    while promotion.canary < 0:
        promotion.update(with_skill(4, lambda step: 0.2)(rng, 0))
    assert promotion.update(np.full(MEMBERS, np.nan)) == []
    assert promotion.canary == 4
    alone = rng.normal(size=MEMBERS) ** 2
    alone[4] = np.inf
    assert [event.kind for event in promotion.update(alone)] == ["demoted"]


def test_a_better_member_that_decays_is_replaced_again():
    promotion, events = live(with_skill(2, lambda step: 0.25 if step < 3000 else 4.0), 6000)
    kinds = [(event.kind, event.member) for event in events if event.kind in ("promoted", "rolled_back")]
    assert kinds[0] == ("promoted", 2)
    assert len(kinds) == 2
    assert promotion.champion != 2


@pytest.mark.parametrize("cut", [403, 560, 1501])
def test_a_restart_changes_nothing(cut):
    whole, split = Promotion(MEMBERS), Promotion(MEMBERS)
    losses, first, second = with_skill(2, lambda step: 0.3), np.random.default_rng(5), np.random.default_rng(5)
    expected, found = [], []
    for step in range(2500):
        expected += [(whole.serve(), whole.update(losses(first, step)))]
        if step == cut:
            split = Promotion.from_arrays(split.to_arrays())
        found += [(split.serve(), split.update(losses(second, step)))]
    assert found == expected
    assert any(events for _, events in expected)
    for name, array in whole.to_arrays().items():
        assert np.array_equal(array, split.to_arrays()[name], equal_nan=array.dtype.kind == "f")
    assert sum(array.nbytes for array in whole.to_arrays().values()) < 1200


def test_wrong_input_is_refused_in_words():
    with pytest.raises(ValueError, match="nothing to promote"):
        Promotion(1)
    with pytest.raises(ValueError, match="do not fit 7 members"):
        Promotion(7).update([1.0, 2.0])
    with pytest.raises(ValueError, match="do not fit 7 members"):
        Promotion(7).update(-np.ones(7))
    with pytest.raises(ValueError, match="evidence of 1"):
        PromotionConfig(enter=0.5)
    with pytest.raises(ValueError, match="share in"):
        PromotionConfig(share=0.9)
    arrays = Promotion(3).to_arrays()
    del arrays["rises"]
    with pytest.raises(ValueError, match=r"lacks \['rises'\]"):
        Promotion.from_arrays(arrays)
