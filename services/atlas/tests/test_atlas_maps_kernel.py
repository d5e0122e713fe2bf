"""The heat kernel, against the matrix exponential and what heat does."""

import numpy as np
import pytest
from eil_atlas.domain.heat_kernel import MOST_NODES, Axis, GraphKernel, GridKernel, laplacian, path_kernel
from scipy.linalg import expm

RNG = np.random.default_rng(0)


def path_laplacian(cells: int, step: float) -> np.ndarray:
    return laplacian(cells, [(i, i + 1) for i in range(cells - 1)], np.full(cells - 1, step**-2))


@pytest.mark.parametrize("cells", [1, 2, 7, 40])
@pytest.mark.parametrize(("step", "time"), [(1.0, 0.25), (1.0, 30.0), (0.5, 4.0)])
def test_a_rows_kernel_is_the_exponential_of_its_laplacian(cells, step, time):
    expected = expm(-time * path_laplacian(cells, step))
    np.testing.assert_allclose(path_kernel(cells, step, time), expected, atol=1e-12)


def test_a_grids_kernel_is_the_exponential_of_the_sum_of_both_laplacians_at_mean_variance_one():
    grid = GridKernel(Axis.over([0, 3]), Axis.over([0, 5], 12))
    rows, racks = (path_laplacian(axis.cells, axis.step) for axis in (grid.rows, grid.racks))
    spread = np.kron(4.0 * rows, np.eye(12)) + np.kron(np.eye(4), 0.7 * racks)
    expected = expm(-spread)
    every = np.arange(grid.cells)
    found = grid.covariance((4.0, 0.7), every, every)
    np.testing.assert_allclose(found, expected / expected.diagonal().mean(), atol=1e-12)
    np.testing.assert_allclose(grid.variance((4.0, 0.7), every), found.diagonal(), atol=1e-14)
    assert grid.variance((4.0, 0.7), every).mean() == pytest.approx(1.0)


def test_a_graphs_kernel_is_the_exponential_of_its_laplacian_at_mean_variance_one():
    edges = [(0, 1), (1, 2), (2, 0), (2, 3), (5, 6), (0, 1), (4, 4)]
    weights = RNG.uniform(0.2, 2.0, len(edges))
    kernel, every = GraphKernel(7, edges, weights), np.arange(7)
    expected = expm(-1.3 * laplacian(7, edges, weights))
    found = kernel.covariance((1.3, 1.3), every, every)
    np.testing.assert_allclose(found, expected / expected.diagonal().mean(), atol=1e-12)
    np.testing.assert_allclose(kernel.variance((1.3, 1.3), every), found.diagonal(), atol=1e-14)
    assert np.abs(found[np.ix_([0, 1, 2, 3], [4, 5, 6])]).max() < 1e-14, "no link joins these parts"


def test_a_laplacian_adds_links_up_and_carries_nothing_to_itself():
    np.testing.assert_allclose(
        laplacian(3, [(0, 1), (1, 0), (2, 2)], [1.0, 2.0, 5.0]), [[3, -3, 0], [-3, 3, 0], [0, 0, 0]]
    )


def test_heat_is_conserved_and_spreads_as_far_as_time_lets_it():
    kernel = path_kernel(121, 1.0, 50.0)
    np.testing.assert_allclose(kernel.sum(axis=0), 1.0, atol=1e-12)
    away = np.arange(121) - 60
    assert np.sum(kernel[60] * away**2) == pytest.approx(2 * 50.0, rel=1e-6)


def test_the_step_of_the_cells_does_not_change_how_far_heat_spreads():
    coarse, fine = (GridKernel(Axis.over([0, 30], cells), Axis.over([0])) for cells in (31, 93))
    at = [coarse.spots([10.0, 14.0], [0.0, 0.0]), fine.spots([10.0, 14.0], [0.0, 0.0])]
    correlations = []
    for kernel, spots in zip((coarse, fine), at, strict=True):
        shared = kernel.covariance((8.0, 8.0), spots, spots)
        correlations.append(shared[0, 1] / shared[0, 0])
    assert correlations[0] == pytest.approx(correlations[1], rel=0.02)
    assert correlations[1] == pytest.approx(np.exp(-(4.0**2) / (4 * 8.0)), rel=0.02)


def test_an_axis_has_a_cell_for_each_step_and_finds_the_cell_of_a_place():
    axis = Axis.over([3, 9, 5])
    np.testing.assert_allclose(axis.centres, np.arange(3, 10))
    assert axis.cell_of([3, 9, 5.4, 5.6]).tolist() == [0, 6, 2, 3]
    assert Axis.over([2.5, 2.5]).centres.tolist() == [2.5]
    assert Axis.over([0, 5000]).cells == 128, "of a hall in other units the cells are larger"
    assert Axis.over([0, 5000]).cell_of([0, 5000]).tolist() == [0, 127]
    with pytest.raises(ValueError, match="at most 128"):
        Axis.over([0], 129)


def test_too_large_a_graph_is_refused():
    with pytest.raises(ValueError, match="ask for a grid"):
        GraphKernel(MOST_NODES + 1, [], [])
