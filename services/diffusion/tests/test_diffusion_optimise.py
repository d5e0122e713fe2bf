from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, RackHeatMap, optimise
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize as reference
from torch import Tensor


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads, and far slower where the cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class TiltedWells:
    """Σ (x²-1)² + 0.3x: 2ⁿ local minima, the lowest where every x is near -1."""

    shape: tuple[int, ...] = (6,)

    @property
    def lower(self) -> Tensor:
        return torch.full(self.shape, -2.0, dtype=torch.float64)

    @property
    def upper(self) -> Tensor:
        return torch.full(self.shape, 2.0, dtype=torch.float64)

    def energy(self, x: Tensor) -> Tensor:
        return ((x**2 - 1) ** 2 + 0.3 * x).flatten(1).sum(1)

    def gradient(self, x: Tensor) -> Tensor:
        return 4 * x * (x**2 - 1) + 0.3

    def to(self, device: str) -> "TiltedWells":
        return self


def hot_racks(seed: int = 0, rows: int = 4, columns: int = 5) -> RackHeatMap:
    power = 14_000 * torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return RackHeatMap(rows, columns, power)


def test_an_open_quadratic_is_solved_exactly() -> None:
    field = GaussianFreeField(16, 0.01)
    start = torch.randn(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = optimise(field, start, seed=0)
    assert found.start_energy > 100
    assert (found.energy, found.gap) == (0.0, 0.0)
    assert_allclose(found.x, field.mean, atol=1e-7)


def test_box_constraints_bind_and_the_gap_closes() -> None:
    racks = hot_racks()
    assert bool((racks.mean > racks.upper).any())  # type: ignore[operator]
    found = optimise(racks, seed=0)
    assert bool((found.x >= racks.lower).all())  # type: ignore[operator]
    assert bool((found.x <= racks.upper).all())  # type: ignore[operator]
    assert found.gap is not None
    assert found.gap <= 1e-9 * found.energy
    assert found.energy < float(racks.energy(racks.mean.clamp(racks.lower, racks.upper)[None]))


def test_the_constrained_optimum_agrees_with_an_independent_solver() -> None:
    racks = hot_racks(seed=3)
    assert racks.lower is not None
    assert racks.upper is not None
    solved = reference.lsq_linear(
        torch.linalg.cholesky(racks.stiffness).T.numpy(),
        (torch.linalg.cholesky(racks.stiffness).T @ racks.mean.flatten()).numpy(),
        bounds=(racks.lower.flatten().numpy(), racks.upper.flatten().numpy()),
        tol=1e-12,
    )
    assert optimise(racks, seed=0).energy == pytest.approx(solved.cost, rel=1e-7)


def test_refinement_alone_solves_an_ill_conditioned_field_in_a_box() -> None:
    field = GaussianFreeField(16, 0.01)
    field.lower = torch.full((16, 16), 0.2, dtype=torch.float64)
    field.lower[::2] = -1.0
    found = optimise(field, torch.ones(16, 16, dtype=torch.float64), seed=0, steps=0)
    assert found.gap is not None
    assert found.gap <= 1e-8 * found.energy
    assert found.energy > 0


def test_annealing_leaves_a_local_minimum() -> None:
    wells = TiltedWells()
    trapped = torch.full((6,), 0.96, dtype=torch.float64)
    held, found = optimise(wells, trapped, seed=0, steps=0), optimise(wells, trapped, seed=0, steps=300)
    assert held.energy > 1.7
    assert found.energy < -1.8
    assert bool((found.x < 0).all())
    assert (found.lower_bound, found.gap) == (None, None)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), steps=st.integers(0, 30))
def test_the_answer_is_never_worse_than_the_start_and_above_its_bound(seed: int, steps: int) -> None:
    racks = hot_racks(seed, 3, 3)
    share = torch.rand(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start = racks.lower + share * (racks.upper - racks.lower)  # type: ignore[operator]
    found = optimise(racks, start, seed=seed, steps=steps)
    assert found.energy <= found.start_energy
    assert found.lower_bound is not None
    assert found.lower_bound <= found.energy
    assert racks.lower_bound(start) <= found.energy * (1 + 1e-12)


def test_the_optimum_as_start_stays() -> None:
    racks = hot_racks()
    best = optimise(racks, seed=0)
    assert optimise(racks, best.x, seed=5).energy == best.energy


def test_the_seed_decides_everything() -> None:
    first, again = (optimise(TiltedWells(), seed=3, steps=40) for _ in range(2))
    assert torch.equal(first.x, again.x)


@pytest.mark.parametrize(
    ("start", "steps", "message"),
    [
        (torch.zeros(3), 10, "of shape \\(4, 5\\)"),
        (torch.full((4, 5), torch.nan), 10, "finite"),
        (torch.full((4, 5), 400.0), 10, "outside the box"),
        (None, -1, "steps is -1"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(start: Tensor | None, steps: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimise(hot_racks(), start, seed=0, steps=steps)
