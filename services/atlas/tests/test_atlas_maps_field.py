"""Fields from readings: exact where they must be, calibrated, and nearer than simpler methods."""

import numpy as np
import pytest
from eil_atlas.domain.field import LOCAL_SHARES, MOST_WORK, Field, Readings, _forward, affordable, believe, estimate
from eil_atlas.domain.heat_kernel import Axis, GraphKernel, GridKernel, path_kernel
from numpy.typing import ArrayLike
from scipy.linalg import inv, solve_triangular

HALL = GridKernel(Axis.over([1, 8]), Axis.over([1, 20]))
EVERY = np.arange(HALL.cells)


def readings(spots, values, uncertainties: ArrayLike = 0.0) -> Readings:
    values = np.asarray(values, dtype=float)
    return Readings(
        np.asarray(spots, dtype=np.intp), values, np.broadcast_to(np.asarray(uncertainties, float), values.shape)
    )


def mapped(kernel, given: Readings, targets) -> Field:
    return estimate(kernel, believe(kernel, [given]), given, np.asarray(targets, dtype=np.intp))


def drawn(rng, times, amplitude, local_share) -> tuple[np.ndarray, np.ndarray]:
    """A field of the model over the hall, and what single sources there read."""
    root = np.linalg.cholesky(HALL.covariance(times, EVERY, EVERY) + 1e-9 * np.eye(HALL.cells))
    field = 500.0 + amplitude * root @ rng.normal(size=HALL.cells)
    return field, field + amplitude * local_share**0.5 * rng.normal(size=HALL.cells)


def test_a_posterior_is_that_of_the_joint_normal_distribution():
    """Against the textbook's formula with an explicit inverse, the level's prior all but flat."""
    rng = np.random.default_rng(1)
    given = readings(rng.choice(HALL.cells, 12, replace=False), rng.normal(500, 80, 12), rng.uniform(1, 20, 12))
    belief = believe(HALL, [given])
    flat, mean, square = 1e3, np.zeros(HALL.cells), np.zeros(HALL.cells)
    for weight, each in belief.members:
        s2 = each.amplitude**2
        prior = s2 * HALL.covariance(each.times, EVERY, EVERY) + flat * s2
        noise = np.diag(s2 * each.local_share + given.uncertainties**2)
        gain = prior[:, given.spots] @ inv(prior[np.ix_(given.spots, given.spots)] + noise)
        values, variance = gain @ (given.values - 500) + 500, np.diag(prior - gain @ prior[given.spots])
        mean, square = mean + weight * values, square + weight * (variance + values**2)
    found = estimate(HALL, belief, given, EVERY)
    np.testing.assert_allclose(found.values, mean, rtol=1e-3)
    np.testing.assert_allclose(found.uncertainties, np.sqrt(square - mean**2), rtol=2e-3)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 256])
def test_forward_substitution_agrees_with_scipy_where_the_least_local_share_leaves_the_condition(n):
    rng = np.random.default_rng(n)
    spots = rng.integers(0, HALL.cells, n)  # several sources stand in one place
    lower = np.linalg.cholesky(HALL.covariance((256.0, 256.0), spots, spots) + LOCAL_SHARES[0] * np.eye(n))
    right = HALL.covariance((256.0, 256.0), spots, EVERY)
    expected = solve_triangular(lower, right, lower=True)
    np.testing.assert_allclose(_forward(lower, right), expected, atol=1e-12 * np.abs(expected).max())


def test_weights_add_up_and_the_same_readings_make_the_same_map_in_any_order():
    rng = np.random.default_rng(2)
    spots = rng.choice(HALL.cells, 30, replace=False)
    values, doubts = rng.normal(500, 80, 30), rng.uniform(0, 20, 30)
    order = rng.permutation(30)
    belief = believe(HALL, [readings(spots, values, doubts)])
    assert sum(weight for weight, _ in belief.members) == pytest.approx(1.0)
    one = mapped(HALL, readings(spots, values, doubts), EVERY)
    other = mapped(HALL, readings(spots[order], values[order], doubts[order]), EVERY)
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    np.testing.assert_allclose(one.uncertainties, other.uncertainties, rtol=1e-6)


def test_a_smooth_field_is_recovered_between_its_readings():
    """Heat that has spread from two sources, read in every third cell without error."""
    spread = path_kernel(8, 1.0, 6.0)[:, [2]] * path_kernel(20, 1.0, 12.0)[[5]]
    field = (
        300.0 + 5000.0 * (spread + 0.7 * path_kernel(8, 1.0, 6.0)[:, [6]] * path_kernel(20, 1.0, 12.0)[[15]]).ravel()
    )
    read = EVERY[::3]
    found = mapped(HALL, readings(read, field[read]), EVERY)
    rest = np.setdiff1d(EVERY, read)
    assert np.abs(found.values - field)[rest].max() < 0.03 * np.ptp(field)
    assert np.abs(found.values - field)[rest].mean() < 0.005 * np.ptp(field)


@pytest.mark.parametrize("sources", [4, 8, 20, 60])
def test_nine_of_ten_intervals_hold_the_truth(sources):
    """Fields of the model itself, of other parameters each time; the 90 % intervals of the field, and of one more source."""
    rng = np.random.default_rng(sources)
    field_held, source_held = [], []
    for trial in range(40):
        times = [(1.0, 16.0), (4.0, 4.0), (16.0, 64.0), (0.25, 1.0)][trial % 4]
        field, sources_read = drawn(rng, times, 100.0, (0.01, 0.1, 0.5)[trial % 3])
        read = rng.choice(HALL.cells, sources, replace=False)
        rest = np.setdiff1d(EVERY, read)
        given = readings(read, sources_read[read])
        belief = believe(HALL, [given])
        found = estimate(HALL, belief, given, rest)
        field_held.append(np.abs(found.values - field[rest]) < 1.645 * found.uncertainties)
        one_more = np.hypot(found.uncertainties, belief.local_spread)
        source_held.append(np.abs(found.values - sources_read[rest]) < 1.645 * one_more)
    assert 0.85 < np.mean(field_held) < 0.95
    assert 0.85 < np.mean(source_held) < 0.95


def hot_aisle(rng) -> np.ndarray:
    """Power of every rack of a hall [W]: rows 4 and 5 are dense, load slowly varies along them, racks differ by themselves."""
    row, rack = np.divmod(EVERY, 20)
    aisle = 3000.0 * np.exp(-(((row - 3.5) / 1.2) ** 2)) * (1 + 0.3 * np.sin(rack / 4 + rng.uniform(0, 6)))
    return 4000.0 + aisle + 150.0 * rng.normal(size=HALL.cells)


def test_held_out_racks_beside_a_hot_aisle_are_nearer_than_by_nearest_neighbour_or_inverse_distance():
    rng = np.random.default_rng(3)
    errors: dict[str, list[float]] = {"heat kernel": [], "nearest": [], "inverse distance": [], "mean": []}
    for _ in range(12):
        power = hot_aisle(rng)
        read = rng.choice(HALL.cells, 60, replace=False)
        rest = np.setdiff1d(EVERY, read)
        far2 = np.sum((np.stack(np.divmod(rest, 20), 1)[:, None] - np.stack(np.divmod(read, 20), 1)[None]) ** 2, axis=2)
        weights = 1.0 / far2
        said = {
            "heat kernel": mapped(HALL, readings(read, power[read]), rest).values,
            "nearest": power[read][far2.argmin(axis=1)],
            "inverse distance": weights @ power[read] / weights.sum(axis=1),
            "mean": np.full(rest.size, power[read].mean()),
        }
        for name, values in said.items():
            errors[name].append(float(np.mean((values - power[rest]) ** 2)))
    rmse = {name: float(np.mean(values)) ** 0.5 for name, values in errors.items()}
    assert rmse["heat kernel"] < 0.5 * min(rmse["nearest"], rmse["inverse distance"], rmse["mean"]), rmse
    assert rmse["heat kernel"] < 2.0 * 150.0, "what racks differ by themselves nobody can tell"


def test_one_reading_says_what_it_read_and_doubts_the_rest_by_as_much():
    found = mapped(HALL, readings([45], [700.0]), EVERY)
    np.testing.assert_allclose(found.values, 700.0)
    assert found.uncertainties[45] < found.uncertainties[[0, 159]].min()
    assert 300.0 < found.uncertainties[159] < 3000.0


def test_two_sources_at_one_place_agree_on_their_mean_and_the_surer_weighs_more():
    even = mapped(HALL, readings([45, 45], [600.0, 800.0]), [45])
    assert even.values[0] == pytest.approx(700.0)
    assert even.uncertainties[0] > 0.0
    unlike = mapped(HALL, readings([45, 45, 99, 120], [600.0, 800.0, 650.0, 700.0], [1.0, 400.0, 1.0, 1.0]), [45])
    assert abs(unlike.values[0] - 600.0) < abs(unlike.values[0] - 800.0)


def test_places_in_one_line_and_equal_readings():
    line = GridKernel(Axis.over([2]), Axis.over([1, 30]))
    assert {times[0] for times in line.times} == {0.25}, "there is nowhere to spread to across the line"
    x = np.arange(0, 30, 2)
    found = mapped(line, readings(x, 100.0 + 3.0 * x), np.arange(30))
    np.testing.assert_allclose(found.values[1:29], 100.0 + 3.0 * np.arange(1, 29), atol=1.5)
    equal = mapped(line, readings(x, np.full(15, 80.0)), np.arange(30))
    np.testing.assert_allclose(equal.values, 80.0)
    assert np.all(equal.uncertainties > 0), "equal readings leave a doubt"
    assert np.isfinite(mapped(line, readings(x, np.zeros(15)), np.arange(30)).uncertainties).all()


def test_without_a_reading_there_is_no_belief():
    with pytest.raises(ValueError, match="there are none"):
        believe(HALL, [])


def test_a_graph_tells_of_a_node_by_its_neighbours():
    """Two racks of ten servers behind one switch each: a server that is not read is like its own rack."""
    edges = [(20, i) for i in range(10)] + [(21, i) for i in range(10, 20)] + [(20, 21)]
    kernel = GraphKernel(22, edges, np.ones(len(edges)))
    values = np.where(np.arange(20) < 10, 300.0, 900.0) + np.random.default_rng(5).normal(0, 10, 20)
    read = np.setdiff1d(np.arange(20), [4, 14])
    found = mapped(kernel, readings(read, values[read]), [4, 14])
    np.testing.assert_allclose(found.values, [300.0, 900.0], atol=100.0)
    assert np.all(np.abs(found.values - [300.0, 900.0]) < 2 * found.uncertainties + 20)


def test_a_given_diffusion_time_is_kept_and_frames_share_one_belief():
    rng = np.random.default_rng(6)
    frames = [readings(rng.choice(160, 20, replace=False), rng.normal(500, 50, 20)) for _ in range(9)]
    assert {each.times for _, each in believe(HALL, frames, (3.0, 3.0)).members} == {(3.0, 3.0)}
    assert believe(HALL, frames[:1]).members != believe(HALL, frames).members


def test_work_is_bounded_and_thinning_keeps_the_spread_of_the_hall():
    for fields, targets in ((1, 16_384), (64, 1024), (240 * 64, 500)):
        most = affordable(fields, targets)
        assert fields * most**2 * (most / 3 + targets) <= MOST_WORK
        assert most >= 30
    thinned = readings(np.arange(160), np.arange(160.0)).thinned(10)
    assert thinned.values.size == 10
    assert (thinned.spots[0], thinned.spots[-1]) == (0, 159)
