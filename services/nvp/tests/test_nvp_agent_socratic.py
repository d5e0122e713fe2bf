"""The Socratic loop: it corrects what is wrong, doubts what is unheard of, says so, and ends."""

import numpy as np
import pytest
from eil_nvp.domain.agent import Bounds, Conservation, Ensemble, Persistence, examine


def total(value: float, tolerance: float = 1e-6) -> Conservation:
    """The sum must be `value`; the nearest such field shifts every element."""
    return Conservation(
        lambda field: (field.sum() - value) / abs(value),
        lambda field: field + (value - field.sum()) / field.size,
        tolerance,
    )


def verdicts(questioned) -> list[tuple[str, str]]:
    return [(finding.question, finding.verdict) for finding in questioned.findings if finding.verdict != "kept"]


def test_a_sound_prediction_passes_untouched_and_every_question_is_on_record():
    value = np.array([1.0, 2.0, 3.0])
    questions = [total(6.0), Bounds(0.0, 10.0), Ensemble(value + 0.1, np.full(3, 0.1)), Persistence(value - 0.5, 1.0)]
    result = examine(value, 0.2, questions, asked_of="linear")
    assert np.array_equal(result.prediction.value, value)
    assert np.array_equal(result.prediction.radius, np.full(3, 0.2))
    assert not result.prediction.abstained
    assert (result.rounds, result.settled) == (1, True)
    assert [finding.question for finding in result.findings] == ["conservation", "bounds", "ensemble", "persistence"]
    assert all(finding.verdict == "kept" and finding.asked_of == "linear" for finding in result.findings)
    assert all(finding.sentence.startswith("linear: ") and finding.round == 1 for finding in result.findings)


def test_what_is_not_conserved_is_projected():
    result = examine([1.0, 2.0, 4.0], 0.1, [total(6.0)])
    assert result.prediction.value.sum() == pytest.approx(6.0, abs=1e-12)
    finding = result.findings[0]
    assert (finding.question, finding.verdict, finding.round) == ("conservation", "changed", 1)
    assert finding.size == pytest.approx(1 / 6)
    assert (finding.before, finding.after) == (pytest.approx(7 / 3), pytest.approx(2.0))
    assert result.findings[-1].verdict == "kept"


def test_a_projection_that_does_not_help_is_doubted_and_not_applied():
    for useless in (lambda field: field, lambda field: field * np.nan, lambda field: field[:1]):
        result = examine([1.0, 2.0], 0.1, [Conservation(lambda field: field.sum() - 1.0, useless)])
        assert result.prediction.abstained
        assert np.array_equal(result.prediction.value, [1.0, 2.0])
        assert result.findings[0].verdict == "doubted"


def test_bounds_clip_by_channel_and_say_how_many():
    result = examine([[0.5, -3.0], [1.2, 900.0]], 0.0, [Bounds([0.0, 0.0], [1.0, np.inf])])
    assert np.array_equal(result.prediction.value, [[0.5, 0.0], [1.0, 900.0]])
    assert result.findings[0].size == pytest.approx(3.0)
    assert "2 of 4 elements" in result.findings[0].sentence


def test_conservation_and_bounds_meet_by_turns():
    value = np.array([-2.0, 1.0, 3.0, 6.0, 4.0])
    result = examine(value, 0.0, [total(10.0, 1e-9), Bounds(0.0, 5.0)], rounds=40)
    assert result.settled
    assert result.rounds > 2
    assert result.prediction.value.sum() == pytest.approx(10.0, rel=1e-8)
    assert result.prediction.value.min() >= 0.0
    assert result.prediction.value.max() <= 5.0
    assert not result.prediction.abstained


def test_questions_that_contradict_each_other_end_in_abstention():
    result = examine([1.0, 1.0], 0.1, [total(100.0), Bounds(0.0, 5.0)], rounds=7)
    assert (result.settled, result.rounds) == (False, 7)
    assert result.prediction.abstained
    assert result.findings[-1].question == "agreement"
    assert "contradict" in result.findings[-1].sentence
    assert len(result.findings) == 2 * 7 + 1


def test_an_element_outside_the_ensemble_is_drawn_back_and_its_interval_widened_by_as_much():
    result = examine([1.0, 2.0, 9.0], 0.5, [Ensemble(np.array([1.0, 2.0, 3.0]), np.full(3, 1.0), reach=3.0)])
    assert np.array_equal(result.prediction.value, [1.0, 2.0, 6.0])
    assert np.array_equal(result.prediction.radius, [0.5, 0.5, 3.0])
    assert not result.prediction.abstained
    assert verdicts(result) == [("ensemble", "changed")]
    crowd = examine([9.0, 9.0, 9.0], 0.5, [Ensemble(np.zeros(3), np.ones(3))])
    assert crowd.prediction.abstained


def test_members_that_agree_by_chance_do_not_rule():
    close = Ensemble(np.zeros(3), np.full(3, 1e-9), floor=1.0)
    assert np.array_equal(examine(np.ones(3), 0.5, [close]).prediction.value, np.ones(3))
    ruled = examine(np.ones(3), 0.5, [Ensemble(np.zeros(3), np.full(3, 1e-9))])
    assert np.abs(ruled.prediction.value).max() < 1e-6


def test_an_unheard_of_move_widens_to_the_largest_seen_and_a_leap_abstains():
    moved = examine([10.0, 14.0], 1.0, [Persistence(np.array([10.0, 10.0]), 2.0)])
    assert np.array_equal(moved.prediction.value, [10.0, 14.0])
    assert np.array_equal(moved.prediction.radius, [1.0, 2.0])
    assert moved.findings[0].size == pytest.approx(2.0)
    assert not moved.prediction.abstained
    assert examine([10.0, 17.0], 1.0, [Persistence(np.array([10.0, 10.0]), 2.0)]).prediction.abstained
    first = examine([10.0, 14.0], 1.0, [Persistence(np.array([10.0, 10.0]), 0.0)])
    assert not first.prediction.abstained  # nothing seen yet is no evidence against a move
    assert np.array_equal(first.prediction.radius, [1.0, 4.0])


def test_asking_again_changes_nothing():
    questions = [
        total(12.0),
        Bounds(0.0, 5.0),
        Ensemble(np.array([1.0, 2.0, 3.0, 6.0]), np.ones(4)),
        Persistence(np.ones(4), 2.0),
    ]
    once = examine([-1.0, 2.0, 8.0, 4.0], 0.5, questions)
    again = examine(once.prediction.value, once.prediction.radius, questions)
    assert once.settled
    assert verdicts(once)
    assert again.prediction.value == pytest.approx(once.prediction.value, abs=1e-6)
    assert again.prediction.radius == pytest.approx(once.prediction.radius, abs=1e-6)


def test_wrong_input_is_refused_in_words():
    for value, radius, rounds in (([np.nan], 1.0, 5), ([1.0], -1.0, 5), ([1.0], np.inf, 5), ([1.0], 1.0, 0)):
        with pytest.raises(ValueError, match="nothing can be asked"):
            examine(value, radius, [], rounds=rounds)
    with pytest.raises(ValueError, match="low <= high"):
        Bounds(2.0, 1.0)
    with pytest.raises(ValueError, match="low <= high"):
        Bounds(np.nan, 1.0)
