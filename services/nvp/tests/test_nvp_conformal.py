import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # see test_nvp_forecast.py

import numpy as np
import pytest
from eil_nvp.domain.conformal import conformal_radius, random_walk_radius, residuals_needed, student_quantile
from scipy import stats


@pytest.mark.parametrize(("level", "needed"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_residuals_needed_is_the_smallest_count_with_a_finite_quantile(level: float, needed: int) -> None:
    assert residuals_needed(level) == needed


def test_radius_is_the_finite_sample_order_statistic() -> None:
    residuals = np.array([3.0, -1.0, 2.0, -9.0, 5.0, 4.0, -8.0, 7.0, 6.0])
    assert conformal_radius(residuals, 0.9) == 9.0
    assert conformal_radius(residuals, 0.5) == 5.0


def test_radius_refuses_what_the_data_cannot_support() -> None:
    with pytest.raises(ValueError, match="at least 9"):
        conformal_radius(np.ones(8), 0.9)


def test_radius_covers_exchangeable_residuals_at_the_level_for_any_distribution() -> None:
    draws = np.random.default_rng(0).standard_cauchy((20, 20_000))
    covered = np.abs(draws[-1]) <= conformal_radius(draws[:-1], 0.9)
    # 19 residuals: the exact coverage is 18/20; 20,000 trials have a standard error of 0.002.
    assert covered.mean() == pytest.approx(0.9, abs=0.008)


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 10, 100])
def test_student_quantile_agrees_with_the_exact_one(freedom: int) -> None:
    exact = stats.t.ppf(0.95, freedom)
    assert student_quantile(0.9, freedom) == pytest.approx(exact, rel=0.025 if freedom == 2 else 0.006)


def test_random_walk_radius_covers_random_walks_and_their_sums() -> None:
    steps = np.random.default_rng(1).normal(size=(12, 20_000))
    walked, total = random_walk_radius(steps[:4], 8, 0.9)
    future = np.cumsum(steps[4:], axis=0)
    assert (np.abs(future) <= walked).mean() == pytest.approx(0.9, abs=0.012)
    assert (np.abs(future.sum(axis=0)) <= total).mean() == pytest.approx(0.9, abs=0.012)
    assert walked[3] == pytest.approx(2 * walked[0])
    assert math.isclose(total[0] / walked[0, 0], math.sqrt(8 * 9 * 17 / 6))
