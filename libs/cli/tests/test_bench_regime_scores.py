"""Scores of a regime detector against examples worked out by hand."""

import math
from itertools import permutations

import numpy as np
import pytest
from eil_cli.bench.regime_scores import (
    HORIZON,
    Claims,
    Label,
    adjusted_mutual_information,
    change_f1,
    claims,
    covering,
    longest_lag,
    margin,
    mean_scores,
    score_series,
    trust_scores,
)
from eil_cli.regime.reports import Reports
from hypothesis import given
from hypothesis import strategies as st

ROWS = 1000


def label(*annotators: tuple[int, ...], rows: int = ROWS, states=None, ignore: tuple[int, ...] = ()) -> Label:
    given = {"n": rows, "annotators": [list(changes) for changes in annotators], "states": states}
    return Label.read(given | {"ignore": list(ignore)})


def reports(regime, named=None, confidence=0.9) -> Reports:
    regime = np.asarray(regime, np.int32)
    named = regime if named is None else np.asarray(named, np.int32)
    return Reports(regime, named, np.broadcast_to(np.asarray(confidence, float), regime.shape), ())


def flat(rows: int = ROWS) -> np.ndarray:
    return np.zeros(rows, int)


@pytest.mark.parametrize(
    ("annotators", "found", "score"),
    [
        # precision 2/2 against the union {0, 10, 50}; recall (1 + 1 + 1/2) / 3 = 5/6
        ([[], [10], [50]], [10], 10 / 11),
        ([[10, 20], [11, 20], [10], [0, 5]], [10, 20], 1.0),
        # one of two true changes, nothing false: precision 1, recall 2/3
        ([[100, 200]], [98], 0.8),
        # outside the margin of 5: precision 1/2, recall 1/2
        ([[100]], [106], 0.5),
        # a found change serves one true change only: precision 1, recall 2/3
        ([[100, 103]], [101], 0.8),
        # the nearest is taken: 100 takes 99, so 96 is left for 95
        ([[95, 100]], [96, 99], 1.0),
        ([[]], [], 1.0),
        ([[]], [50, 60, 70], 0.4),
    ],
)
def test_change_points(annotators, found, score):
    assert change_f1(annotators, found, 5) == pytest.approx(score, abs=1e-12)


def test_of_two_found_as_near_the_earlier_is_taken():
    # 100 takes 97 of {97, 103}, so 106 still finds 103
    assert change_f1([[100, 106]], [97, 103], 5) == 1.0


@pytest.mark.parametrize(
    ("annotators", "found", "score"),
    [
        ([[10, 20], [10], [0, 5]], [10, 20], 0.7962962962962963),
        ([[50]], [], 0.5),
        ([[50]], [50], 1.0),
        # segments 50 and 50 against 25 and 75: 50 · (25/50), 50 · (50/75)
        ([[50]], [25], (25 + 50 * 2 / 3) / 100),
        ([[]], [0, 100, 250], 1.0),
    ],
)
def test_covering(annotators, found, score):
    rows = 45 if len(annotators) == 3 else 100
    assert covering(annotators, found, rows) == pytest.approx(score, abs=1e-12)


def test_mutual_information_by_hand():
    # Two halves crossed: MI 0; each cell holds 2 of 4 with probability 1/6, so E[MI] = 4 · 1/6 · 1/2 · ln 2 = ln 2 / 3.
    assert adjusted_mutual_information(np.array([0, 0, 1, 1]), np.array([5, 7, 5, 7])) == pytest.approx(-0.5, abs=1e-12)
    assert adjusted_mutual_information(np.array([0, 0, 1, 1]), np.array([8, 8, 3, 3])) == pytest.approx(1.0, abs=1e-12)
    assert adjusted_mutual_information(np.array([0, 0, 1, 1]), np.array([4, 4, 4, 4])) == pytest.approx(0.0, abs=1e-12)
    assert adjusted_mutual_information(np.array([2, 2]), np.array([4, 4])) == 1.0


@pytest.mark.parametrize("found", [[0, 0, 1, 1, 2, 2, 2], [0, 1, 1, 1, 1, 1, 0], [0, 1, 2, 3, 4, 5, 6]])
def test_chance_is_the_mean_over_all_orders(found):
    truth = [0, 0, 0, 1, 1, 2, 2]

    def mutual(a, b) -> float:
        pairs, n = list(zip(a, b, strict=True)), len(a)
        return sum(
            pairs.count(pair) / n * math.log(n * pairs.count(pair) / (a.count(pair[0]) * b.count(pair[1])))
            for pair in set(pairs)
        )

    def entropy(a) -> float:
        return -sum(a.count(part) / len(a) * math.log(a.count(part) / len(a)) for part in set(a))

    chance = np.mean([mutual(truth, list(order)) for order in permutations(found)])
    mean_entropy = (entropy(truth) + entropy(found)) / 2
    if mean_entropy - chance < 1e-9:
        return
    expected = (mutual(truth, found) - chance) / (mean_entropy - chance)
    assert adjusted_mutual_information(np.array(truth), np.array(found)) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=60))
def test_mutual_information_knows_no_order_and_no_names(rows):
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    both = adjusted_mutual_information(a, b)
    assert both <= 1.0 + 1e-9
    assert adjusted_mutual_information(b, a) == pytest.approx(both, abs=1e-9)
    assert adjusted_mutual_information(7 - a, b * 11) == pytest.approx(both, abs=1e-9)


@pytest.mark.parametrize(
    ("suite", "rows", "within", "latest"),
    [
        ("tcpd", 100, 5, 20.0),
        ("tcpd", 500, 5, 50.0),
        ("tssb", 1260, 13, 126.0),
        ("utsa", 30, 1, 3.0),
        ("skab", 20_000, 60, 500.0),
        ("own", 90, 60, 500.0),
    ],
)
def test_margins_and_lags(suite, rows, within, latest):
    assert margin(suite, rows) == within
    assert longest_lag(suite, rows) == latest


def test_a_shift_that_is_reported_too_late_does_not_count():
    truth = label((400,))
    in_time = score_series("synth", truth, [(900, 400)], flat())
    late = score_series("synth", truth, [(901, 400)], flat())
    assert (in_time.f1, in_time.covering) == (1.0, 1.0)
    assert late.f1 == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert late.lag_share == pytest.approx(0.501)


def test_what_happens_around_a_join_is_left_out():
    truth = label((200, 540), ignore=(500,))
    clean = score_series("skab", truth, [(210, 200)], flat())
    # Near the join (440 and 560), and within the margin of the lost change (600): none of them is held against the detector.
    noisy = score_series("skab", truth, [(210, 200), (450, 440), (560, 560), (610, 600)], flat())
    assert clean.f1 == noisy.f1 == 1.0
    assert clean.covering == noisy.covering == 1.0
    assert score_series("skab", truth, [(210, 200), (611, 601)], flat()).f1 == pytest.approx(0.8)


def test_states_are_compared_only_where_there_are_two():
    regime = np.repeat([1, 2], [300, 700])
    assert score_series("skab", label((300,), states=[[0, 300], [4, 700]]), [], regime).ami == pytest.approx(1.0)
    assert score_series("skab", label((300,), states=[[0, 1000]]), [], regime).ami is None
    assert score_series("skab", label((300,)), [], regime).ami is None


def test_means_leave_out_what_is_missing():
    truth = label((400,))
    scores = [score_series("synth", truth, [], flat()), score_series("synth", truth, [(500, 400)], flat())]
    assert mean_scores(scores) == {
        "f1": pytest.approx(5 / 6),
        "covering": pytest.approx((0.4 * 0.4 + 0.6 * 0.6 + 1.0) / 2),
        "lag_share": 0.1,
    }


def test_staying_is_right_until_a_horizon_before_a_change():
    judged = claims(label((400,), ()), reports(flat()))
    rows = ROWS - HORIZON
    wrong = np.arange(rows)
    expected = ~((wrong >= 340) & (wrong < 400))
    np.testing.assert_array_equal(judged.hit, np.concatenate([expected, np.ones(rows, bool)]))
    np.testing.assert_array_equal(judged.stay, judged.hit)
    assert judged.confidence.size == 2 * rows


def test_naming_another_regime_claims_a_change():
    judged = claims(label((400,)), reports(flat(), np.ones(ROWS, int)))
    np.testing.assert_array_equal(np.flatnonzero(judged.hit), np.arange(340, 400))
    assert judged.stay.sum() == ROWS - HORIZON - 60


def test_a_named_regime_must_have_stood_for_the_state_that_comes():
    truth = label((300, 600), states=[[0, 300], [1, 300], [0, 400]])
    regime = np.repeat([1, 2, 1], [300, 300, 400])
    named = regime.copy()
    named[540:600] = 1  # r1 stood for state 0, which returns
    assert claims(truth, reports(regime, named)).hit[540:600].all()
    named[540:600] = 3  # never stood for anything: the change alone counts
    assert claims(truth, reports(regime, named)).hit[540:600].all()
    mixed = regime.copy()
    mixed[300:500] = 3  # r3 stood for state 1
    assert not claims(truth, reports(mixed, np.where(mixed == 2, 3, mixed))).hit[540:600].any()


def test_rows_before_a_join_are_not_judged():
    judged = claims(label((400,), ignore=(500,)), reports(flat()))
    assert judged.hit.size == ROWS - HORIZON - HORIZON
    assert judged.hit.sum() == judged.hit.size - 60


def test_calibration():
    hits = np.repeat([False, True], [10, 90])
    assert Claims(np.full(100, 0.9), hits, hits).calibration_error() == pytest.approx(0.0, abs=1e-12)
    assert Claims(np.full(100, 0.6), hits, hits).calibration_error() == pytest.approx(0.3)
    # Two groups of ties, each off by 0.2 in its own direction, do not cancel.
    two = Claims(np.repeat([0.3, 0.7], 50), np.repeat([False, True, True, False], [25, 25, 45, 5]), hits)
    assert two.calibration_error() == pytest.approx(0.2)


def test_brier_skill_is_over_the_base_rate_of_staying():
    stay = np.repeat([False, True], [20, 80])
    assert Claims(np.full(100, 0.8), stay, stay).brier_skill() == pytest.approx(0.0, abs=1e-12)
    assert Claims(stay.astype(float), stay, stay).brier_skill() == 1.0
    assert Claims(np.full(100, 1.0), stay, stay).brier_skill() == pytest.approx(1 - 0.2 / 0.16)


def test_predictions_of_a_suite_are_pooled():
    assert trust_scores([]) == {}
    right = Claims(np.full(300, 0.5), np.ones(300, bool), np.ones(300, bool))
    wrong = Claims(np.full(300, 0.5), np.zeros(300, bool), np.zeros(300, bool))
    assert trust_scores([right, wrong]) == {"ece": 0.0, "brier_skill": 0.0}
    assert trust_scores([right])["ece"] == 0.5
