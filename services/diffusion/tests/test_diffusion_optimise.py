from dataclasses import dataclass

import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, RackHeatMap, optimise
from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize as reference
from torch import Tensor


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


@dataclass(frozen=True)
class Rounds(TiltedWells):
    """Σ (x - 0.6)² where whole numbers alone count: what is meant is Σ (round(x) - 0.6)² + 100·[x < 0.9]."""

    def energy(self, x: Tensor) -> Tensor:
        return (x - 0.6).square().flatten(1).sum(1)

    def gradient(self, x: Tensor) -> Tensor:
        return 2 * (x - 0.6)

    def exact(self, x: Tensor) -> Tensor:
        return ((x.round() - 0.6) ** 2 + 100.0 * (x < 0.9)).flatten(1).sum(1)

    def neighbours(self, x: Tensor) -> Tensor:
        return torch.where(torch.eye(x.numel(), dtype=torch.bool), torch.ones_like(x), x)

    def to(self, device: str) -> "Rounds":
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


def warm_total(racks: RackHeatMap, share: float = 0.5, *, at_most: bool = False) -> Constraints:
    """Racks' temperatures, weighted by 1 … 2, at a share of the way between the box's corners."""
    weights = torch.linspace(1, 2, racks.size, dtype=torch.float64).reshape(racks.shape)
    assert racks.lower is not None
    assert racks.upper is not None
    total = float((weights * (racks.lower + share * (racks.upper - racks.lower))).sum())
    return Constraints(weights=weights, total=total, at_most=at_most)


@pytest.mark.parametrize("seed", range(3))
def test_a_total_is_kept_its_gap_closes_and_an_independent_solver_agrees(seed: int) -> None:
    racks = hot_racks(seed)
    assert racks.lower is not None
    assert racks.upper is not None
    wanted = warm_total(racks)
    assert wanted.weights is not None
    found = optimise(racks, seed=0, steps=50, constraints=wanted)
    assert float(Constraints(racks.lower, racks.upper).narrowed(wanted).violation(found.x[None])) < 1e-9
    assert found.gap is not None
    assert found.gap <= 1e-9 * found.energy
    assert found.bound_from == "strong convexity"
    assert found.energy > optimise(racks, seed=0, steps=50).energy * (1 + 1e-3), "the total costs something"
    mean, stiffness = racks.mean.flatten().numpy(), racks.stiffness.numpy()
    weights = wanted.weights.flatten().numpy()
    solved = reference.minimize(
        lambda x: 0.5 * (x - mean) @ stiffness @ (x - mean),
        optimise(racks, seed=0, steps=0, constraints=wanted).x.flatten().numpy() + 0.1,
        jac=lambda x: stiffness @ (x - mean),
        bounds=list(zip(racks.lower.flatten().numpy(), racks.upper.flatten().numpy(), strict=True)),
        constraints={"type": "eq", "fun": lambda x: weights @ x - wanted.total, "jac": lambda x: weights},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.energy == pytest.approx(solved.fun, rel=1e-6)


def test_a_limit_binds_only_where_it_is_exceeded() -> None:
    racks = hot_racks()
    free = optimise(racks, seed=0, steps=20)
    loose = optimise(racks, seed=0, steps=20, constraints=warm_total(racks, 1.0, at_most=True))
    tight = optimise(racks, seed=0, steps=20, constraints=warm_total(racks, 0.5, at_most=True))
    exact = optimise(racks, seed=0, steps=20, constraints=warm_total(racks, 0.5))
    assert loose.energy == pytest.approx(free.energy, rel=1e-9)
    assert tight.energy == pytest.approx(exact.energy, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), share=st.floats(0.0, 1.0), at_most=st.booleans())
def test_under_a_total_the_answer_is_between_its_bound_and_its_start(seed: int, share: float, at_most: bool) -> None:
    racks = hot_racks(seed, 2, 3)
    found = optimise(racks, seed=seed, steps=seed % 20, constraints=warm_total(racks, share, at_most=at_most))
    assert found.lower_bound is not None
    assert found.lower_bound <= found.energy * (1 + 1e-12)
    assert found.energy <= found.start_energy


def test_without_a_start_the_projected_centre_is_taken() -> None:
    wells, weights = TiltedWells((3,)), torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64)
    found = optimise(wells, seed=0, steps=0, constraints=Constraints(weights=weights, total=4.5))
    centre = weights * 4.5 / 9
    assert found.start_energy == pytest.approx(float(wells.energy(centre[None])), rel=1e-12)


def test_a_negative_energy_has_a_negative_bound() -> None:
    found = optimise(UserQuadratic([[2.0, 0.5], [0.5, 1.0]], [-3.0, 1.0], -5.0, lower=0.0, upper=1.0), seed=0, steps=20)
    assert found.energy == pytest.approx(-7.0, abs=1e-9)
    assert found.lower_bound == pytest.approx(-7.0, abs=1e-7)


def test_discrete_moves_are_judged_by_what_is_meant() -> None:
    """The smooth energy is least at 0.6, where all coordinates cost 100; moves round to 1, one coordinate at a time."""
    found = optimise(Rounds((3,)), seed=0, steps=0)
    assert found.x.round().tolist() == [1.0, 1.0, 1.0]
    assert found.energy == pytest.approx(3 * 0.16)
    assert found.start_energy == pytest.approx(3 * 100.36)


def test_the_watch_hears_every_step_and_its_energies_fall() -> None:
    heard: list[tuple[int, int, float]] = []
    found = optimise(TiltedWells(), seed=1, steps=12, watch=lambda *now: heard.append(now))
    assert [(done, total) for done, total, _ in heard] == [(k, 12) for k in range(1, 13)]
    lowest = [energy for _, _, energy in heard]
    assert lowest == sorted(lowest, reverse=True)
    assert found.energy <= lowest[-1]


def test_the_watch_cancels_by_raising() -> None:
    heard = []

    def stop(done: int, total: int, lowest: float) -> None:
        heard.append(done)
        if done == 3:
            raise TimeoutError("enough")

    with pytest.raises(TimeoutError, match="enough"):
        optimise(TiltedWells(), seed=1, steps=100, watch=stop)
    assert heard == [1, 2, 3]


@pytest.mark.parametrize(
    ("start", "constraints", "message"),
    [
        (torch.zeros(6), Constraints(weights=torch.ones(6), total=1.0), "away from its weighted total"),
        (torch.full((6,), 1.5), Constraints(upper=torch.ones(6)), "outside the box"),
        (None, Constraints(weights=torch.ones(6), total=13.0), "it goes from -12 to 12"),
        (None, Constraints(upper=torch.ones(5)), "for shape \\(5,\\)"),
    ],
)
def test_constraints_that_cannot_be_kept_are_refused(
    start: Tensor | None, constraints: Constraints, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        optimise(TiltedWells(), start, seed=0, steps=5, constraints=constraints)


def test_a_start_that_misses_its_total_by_rounding_is_put_right() -> None:
    start = torch.full((3,), 0.1, dtype=torch.float64) + 1e-12
    total = Constraints(weights=torch.ones(3, dtype=torch.float64), total=0.3)
    found = optimise(TiltedWells((3,)), start, seed=0, steps=0, constraints=total)
    assert float(total.violation(found.x[None])) < 1e-15
