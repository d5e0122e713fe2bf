import pytest
import torch
from eil_diffusion.domain.lattice import Lattice
from eil_diffusion.domain.memory import keep_memory
from numpy.testing import assert_allclose

SHAPES = [(1, 1), (1, 6), (7, 1), (2, 2), (2, 5), (4, 4), (3, 8), (9, 6)]
LATTICES = [Lattice(shape, periodic) for shape in SHAPES for periodic in (True, False)]


@pytest.fixture(params=LATTICES, ids=lambda one: f"{one.shape[0]}x{one.shape[1]}{'' if one.periodic else ' walled'}")
def lattice(request: pytest.FixtureRequest) -> Lattice:
    return request.param


def scattered(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def units(lattice: Lattice) -> torch.Tensor:
    """(size, *shape), each site alone."""
    return torch.eye(lattice.size, dtype=torch.float64).reshape(lattice.size, *lattice.shape)


def bend(x: torch.Tensor, axis: int, periodic: bool) -> torch.Tensor:
    """Minus the second difference along an axis; through an insulating wall nothing flows."""
    if periodic:
        return 2 * x - x.roll(1, axis) - x.roll(-1, axis)
    flow = x.diff(dim=axis)
    wall = torch.zeros_like(x.narrow(axis, 0, 1))
    return -torch.cat([wall, flow, wall], axis).diff(dim=axis)


def test_modes_are_orthonormal(lattice: Lattice) -> None:
    basis = lattice.to_modes(units(lattice)).flatten(1)
    assert_allclose(basis @ basis.T, torch.eye(lattice.size), atol=1e-12)
    assert_allclose(basis.T @ basis, torch.eye(lattice.size), atol=1e-12)


def test_there_and_back_is_nothing_done(lattice: Lattice) -> None:
    x = scattered(3, *lattice.shape)
    assert_allclose(lattice.from_modes(lattice.to_modes(x)), x, atol=1e-12)
    assert_allclose(lattice.to_modes(lattice.from_modes(x)), x, atol=1e-12)


def test_modes_diagonalise_the_five_point_laplacian(lattice: Lattice) -> None:
    x = scattered(2, *lattice.shape, seed=1)
    by_hand = bend(x, -2, lattice.periodic) + bend(x, -1, lattice.periodic)
    assert_allclose(lattice.from_modes(lattice.eigenvalues() * lattice.to_modes(x)), by_hand, atol=1e-11)


def test_eigenvalues_lie_between_zero_and_eight_and_their_sum_is_the_trace(lattice: Lattice) -> None:
    values = lattice.eigenvalues()
    assert values.shape == lattice.shape
    assert values.dtype == torch.float64
    assert float(values[0, 0]) == 0.0
    assert 0.0 <= float(values.min()) <= float(values.max()) <= 8.0
    diagonal = torch.stack(
        [
            bend(one, 0, lattice.periodic)[at] + bend(one, 1, lattice.periodic)[at]
            for one in units(lattice)
            for at in [tuple(one.nonzero()[0])]
        ]
    )
    assert float(values.sum()) == pytest.approx(float(diagonal.sum()), abs=1e-10)


def test_the_first_mode_is_the_mean(lattice: Lattice) -> None:
    modes = lattice.to_modes(torch.full(lattice.shape, 2.5, dtype=torch.float64))
    assert float(modes[0, 0]) == pytest.approx(2.5 * lattice.size**0.5)
    assert float(modes.flatten()[1:].abs().sum()) < 1e-11


def test_any_number_of_batch_axes_goes_through(lattice: Lattice) -> None:
    x = scattered(2, 3, *lattice.shape, seed=2)
    assert_allclose(lattice.to_modes(x)[1, 2], lattice.to_modes(x[1, 2]), atol=1e-12)
    assert_allclose(lattice.from_modes(x)[1, 2], lattice.from_modes(x[1, 2]), atol=1e-12)


def test_single_precision_stays_single(lattice: Lattice) -> None:
    x = scattered(2, *lattice.shape).float()
    assert lattice.to_modes(x).dtype == torch.float32
    assert_allclose(lattice.from_modes(lattice.to_modes(x)), x, atol=1e-5)


def test_keeping_memory_changes_no_number_and_may_be_asked_twice() -> None:
    before = scattered(64, 64) @ scattered(64, 64, seed=1)
    keep_memory()
    keep_memory()
    assert torch.equal(scattered(64, 64) @ scattered(64, 64, seed=1), before)
