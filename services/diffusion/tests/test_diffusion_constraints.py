import numpy as np
import pytest
import torch
from eil_diffusion.domain.constraints import Constraints
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize as reference
from torch import Tensor


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drawn(seed: int, *, bounded: float = 0.8) -> tuple[Constraints, np.random.Generator]:
    """A random box with open sides and closed pairs, weights of both signs and zero, and a total that can be had."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9))
    lower = rng.normal(size=size)
    upper = lower + rng.exponential(size=size) * (rng.random(size) < 0.9)
    weights = rng.normal(size=size) * (rng.random(size) < 0.85)
    weights[0] = 1.3
    lower, upper = (
        np.where(rng.random(size) < bounded, bound, far) for bound, far in ((lower, -np.inf), (upper, np.inf))
    )
    total = float(weights @ np.clip(2 * rng.normal(size=size), lower, upper))
    least, most, weighed = (torch.from_numpy(v) for v in (lower, upper, weights))
    made = Constraints(least, most, weighed, total, at_most=bool(rng.random() < 0.3))
    return made, rng


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.floats(0.01, 100.0))
def test_a_projection_is_admissible_and_no_admissible_point_is_nearer(seed: int, size: float) -> None:
    """The variational inequality (x - Px)·(z - Px) ≤ 0 for admissible z characterises the projection onto a convex set."""
    allowed, rng = drawn(seed)
    assert allowed.shape is not None
    x = torch.from_numpy(size * rng.normal(size=(5, *allowed.shape)))
    near = allowed.project(x)
    scale = 1 + float(x.norm(dim=1).max()) + float(near.norm(dim=1).max())
    assert float(allowed.violation(near).max()) <= 1e-11 * scale
    others = allowed.project(torch.from_numpy(2 * rng.normal(size=(40, *allowed.shape))))
    products = ((x - near)[:, None] * (others[None] - near[:, None])).sum(dim=2)
    assert float(products.max()) <= 1e-10 * scale * (scale + float(others.norm(dim=1).max()))


@pytest.mark.parametrize("seed", range(8))
def test_the_projection_agrees_with_an_independent_solver(seed: int) -> None:
    allowed, rng = drawn(seed, bounded=1.0)
    assert allowed.lower is not None
    assert allowed.upper is not None
    assert allowed.weights is not None
    target, weights, level = rng.normal(size=len(allowed.weights)) * 2, allowed.weights.numpy(), allowed.total
    kind = "ineq" if allowed.at_most else "eq"
    solved = reference.minimize(
        lambda z: 0.5 * np.sum((z - target) ** 2),
        allowed.project(torch.zeros_like(allowed.weights)[None])[0].numpy(),
        jac=lambda z: z - target,
        bounds=list(zip(allowed.lower.numpy(), allowed.upper.numpy(), strict=True)),
        constraints={"type": kind, "fun": lambda z: level - weights @ z, "jac": lambda z: -weights},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert_allclose(allowed.project(torch.from_numpy(target)[None])[0], solved.x, atol=1e-6)


def test_known_projections_are_exact() -> None:
    simplex = Constraints(torch.zeros(3, dtype=torch.float64), None, torch.ones(3, dtype=torch.float64), 1.0)
    assert_allclose(simplex.project(numbers(2.0, 1.5, -7.0)[None])[0], [0.75, 0.25, 0.0], atol=1e-15)
    plane = Constraints(weights=numbers(3.0, 4.0), total=25.0)
    assert_allclose(plane.project(torch.zeros(1, 2, dtype=torch.float64))[0], [3.0, 4.0], atol=1e-14)
    limit = Constraints(weights=numbers(3.0, 4.0), total=25.0, at_most=True)
    inside = numbers(1.0, 1.0)[None]
    assert torch.equal(limit.project(inside), inside)
    assert_allclose(limit.project(numbers(6.0, 8.0)[None])[0], [3.0, 4.0], atol=1e-14)


def test_rows_of_a_batch_are_projected_alone() -> None:
    """A limit binds one row and not the other; a field of two dimensions is one configuration."""
    field = torch.ones(2, 3, dtype=torch.float64)
    limit = Constraints(torch.zeros_like(field), field, field, 3.0, at_most=True)
    projected = limit.project(torch.stack([0.25 * field, 5 * field]))
    assert torch.equal(projected[0], 0.25 * field)
    assert_allclose(projected[1], 0.5 * field, atol=1e-15)


def test_a_projection_from_far_away_still_meets_the_total() -> None:
    """λ is of the size of x here, and x - λ·weights rounds by 1e-6."""
    allowed = Constraints(
        torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64), numbers(1, 2, 3, 4, 5, 6), 7.3
    )
    far = 1e10 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(allowed.violation(allowed.project(far)).max()) < 1e-14


def test_totals_at_the_edge_leave_one_configuration() -> None:
    for total, corner in ((0.0, 0.0), (6.0, 1.0)):
        edge = Constraints(
            torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64), numbers(1, 2, 3), total
        )
        assert_allclose(edge.project(numbers(9.0, -2.0, 0.4)[None])[0], [corner] * 3, atol=1e-15)


def test_violations_are_distances() -> None:
    allowed = Constraints(numbers(0.0, 0.0), numbers(9.0, 9.0), numbers(3.0, 4.0), 25.0)
    found = allowed.violation(torch.stack([numbers(3.0, 4.0), numbers(0.0, 0.0), numbers(-1.0, 7.0)]))
    assert_allclose(found, [0.0, 5.0, 1.0], atol=1e-15)
    limit = Constraints(weights=numbers(3.0, 4.0), total=25.0, at_most=True)
    assert_allclose(limit.violation(torch.stack([numbers(0.0, 0.0), numbers(6.0, 8.0)])), [0.0, 5.0])


def test_narrowing_keeps_both_boxes_and_the_total() -> None:
    one = Constraints(numbers(0.0, 0.0), numbers(4.0, 4.0))
    both = one.narrowed(Constraints(lower=numbers(-1.0, 1.0), weights=numbers(1.0, 1.0), total=5.0))
    assert both.lower is not None
    assert both.upper is not None
    assert (both.lower.tolist(), both.upper.tolist(), both.total) == ([0.0, 1.0], [4.0, 4.0], 5.0)
    with pytest.raises(ValueError, match="two totals"):
        both.narrowed(both)
    with pytest.raises(ValueError, match="total of 5: it goes from 1 to 3"):
        both.narrowed(Constraints()).narrowed(Constraints(upper=numbers(1.5, 1.5)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"lower": numbers(0.0), "upper": numbers(1.0, 1.0)}, "one shape"),
        ({"lower": numbers(torch.nan)}, "not a number"),
        ({"lower": numbers(2.0), "upper": numbers(1.5)}, "exceeds upper by up to 0.5"),
        ({"weights": numbers(1.0)}, "belong together"),
        ({"total": 1.0}, "belong together"),
        ({"at_most": True}, "give weights and total"),
        ({"weights": numbers(0.0), "total": 1.0}, "not all zero"),
        ({"weights": numbers(torch.inf), "total": 1.0}, "must be finite"),
        ({"weights": numbers(1.0), "total": torch.nan}, "weighted total of nan"),
        (
            {"lower": numbers(0.0, 1.0), "upper": numbers(1.0, 2.0), "weights": numbers(2.0, -1.0), "total": 1.5},
            "total of 1.5: it goes from -2 to 1",
        ),
        (
            {"lower": numbers(1.0, 1.0), "weights": numbers(1.0, 1.0), "total": 1.0, "at_most": True},
            "at most 1: it goes from 2 to inf",
        ),
    ],
)
def test_contradictions_are_refused_with_a_reason(parts: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Constraints(**parts)
